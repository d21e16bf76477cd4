"""A run in words: its data, networks, training, time and memory, as headers show them."""

from dataclasses import replace
from typing import TYPE_CHECKING

from src.config.augment import AT_TEST, high
from src.config.shapes import Dense, LayerShape, Tied
from src.config.wording import number_of

if TYPE_CHECKING:
    from src.config.schema import RunConfig
    from src.data.dataset import Dataset


def data_words(data: "Dataset") -> str:
    """The data set in one line: name, source, numbers of examples, sizes, scaling."""
    folds = f"{len(data.folds)} folds, each of " if data.folds else ""
    sizes = (
        f"{folds}{data.member_examples:,} training, {len(data.validation):,} validation, {len(data.test):,} test "
        + data.unit
    )
    channels, height, width = data.test.inputs.shape[1:]
    colours = f" of {height}x{width} pixels, {channels} channels" if channels > 1 else ""
    colours = colours if data.unit == "images" else f" of {channels * height * width} numbers"
    scaling = ""
    if data.scaling:
        mean, sd = (", ".join(f"{value:.3g}" for value in one) for one in (data.scaling.mean, data.scaling.sd))
        scaling = f"; normalised from mean {mean}, sd {sd}"
    if data.whitening is not None:
        scaling = "; whitened over the training split"
    sampling = f"; {data.sampling}-sampled, {data.epoch_examples:,} in an epoch" if data.sampled else ""
    return f"{data.name} ({data.source}): {sizes}{colours}{scaling}{sampling}"


def who(config: "RunConfig") -> str:
    """The number of networks in words; if there are several, with what a member and a stack are."""
    if config.members == 1:
        return "one network"
    members = f"{config.members} networks, the members of one stack (trained together, each as if alone)"
    if config.ensemble > 1 and config.replicates > 1:
        return f"{members}: {config.replicates_in_words}, each of {config.ensemble} that vote"
    return f"{members}, which vote" if config.ensemble > 1 else f"{members}: {config.replicates_in_words}"


def network_words(config: "RunConfig") -> str:
    """The layers in words, with dropout where it differs between layers, and initial weights unless the chapter's.

    Of a network of the user's, its class and what all members of a stack are built with: mynets.Wide(width=64).
    """
    model = config.model
    if model.target is not None:
        shared = {name: value for name, value in model.args.items() if name not in model.per_member}
        return f"{model.target}({', '.join(f'{name}={value!r}' for name, value in shared.items())})"
    layers = config.shapes()
    dropouts = iter(config.model.dropouts())
    own = [next(dropouts) if isinstance(layer, Dense) else 0.0 for layer in layers]
    differ = len(set(config.model.dropouts())) > 1
    own_last = "softmax" if config.task.kind == "classes" else "linear"
    words = [
        layer_words(layer, own_last) + (f" (dropout {p:g})" if differ and p else "")
        for layer, p in zip(layers, own, strict=True)
    ]
    init = "" if config.model.init == "chapter" else f"; init {config.model.init}"
    return " · ".join(words) + init


def layer_words(layer: LayerShape, last: str = "softmax") -> str:
    """A layer in short, such as conv 20 (5x5, max 2x2) relu; last: the word for the one without activation."""
    norm = "" if layer.norm == "none" else f" {layer.norm} norm" + (f" in {layer.groups}" if layer.groups else "")
    behind = norm + ("" if layer.bias else " no bias")
    if isinstance(layer, Dense):
        own = f"{last} {layer.outputs}" if layer.activation == "none" else f"FC {layer.outputs} {layer.activation}"
        return own + (" and back" if isinstance(layer, Tied) else behind)
    stride = f" stride {layer.stride}" if layer.stride > 1 else ""
    padding = f" padding {layer.padding}" if layer.padding else ""
    pool = ", no pooling" if layer.pool == "none" else f", {layer.pool} {layer.pool_size}x{layer.pool_size}"
    if layer.pool_stride != layer.pool_size:
        pool += f" stride {layer.pool_stride}"
    if layer.parts != replace(layer, order=None).parts:
        behind += f" in the order {', '.join(layer.parts)}"
    behind += f" dropout {layer.dropout:g}" if layer.dropout else ""
    return f"conv {layer.maps} ({layer.field}x{layer.field}{stride}{padding}{pool}) {layer.activation}{behind}"


def training_words(config: "RunConfig") -> str:
    """Update rule, decay, dropout, schedule and stopping in one line."""
    optim = config.optim
    words = list(filter(None, [task_words(config), augment_words(config)]))
    words += [str(optim.rule)] if optim.rule != "sgd" else []
    words += [f"eta {optim.eta:g}", f"lambda {optim.lambda_:g}"]
    words += [f"L1 {optim.l1:g}"] if optim.l1 else []
    words += [f"weight decay {optim.weight_decay:g}"] if optim.weight_decay else []
    words += ["decay of biases and norms too"] if optim.decay_all else []
    words += [f"{'Nesterov ' if optim.nesterov else ''}momentum {optim.momentum:g}"] if optim.momentum else []
    words += [f"gradients clipped to norm {optim.clip_norm:g}"] if optim.clip_norm else []
    words += [f"each unit's weights to norm {optim.max_norm:g}"] if optim.max_norm else []
    dropouts = config.model.dropouts()
    if any(dropouts):
        amounts = f" {dropouts[0]:g}" if len(set(dropouts)) == 1 else ""  # else `network_words` says each layer's
        words.append(f"dropout{amounts} ({config.model.dropout_convention})")
    words += [schedule] if (schedule := schedule_words(config)) else []
    words += [average] if (average := average_words(config)) else []
    orders = {"once": "permuted once", "epoch": "reshuffled every epoch"}
    words += [f"images {orders[config.data.order]}"] if config.data.order != "fixed" else []
    words += ["the validation examples are trained on, too"] if config.data.refit else []
    words += [f"precision {config.trainer.precision}"] if config.trainer.precision != 32 else []
    words += [f"mini-batch {config.batch_size}", f"at most {number_of(config.max_epochs, 'epoch')}"]
    if config.stop.rule == "patience_epochs":
        score = config.task.metric.words("validation")
        words.append(f"stops after {config.stop.patience_epochs} epochs without a better {score}")
    if config.stop.rule == "patience_batches":
        words.append(f"stops by the tutorial's patience of {config.stop.patience_batches} mini-batches")
        if config.stop.patience_increase != 2:
            words.append(f"times {config.stop.patience_increase:g} at an improvement")
        if config.stop.improvement_threshold != 0.995:
            words.append(f"an improvement is an error below {config.stop.improvement_threshold:g} of the best")
    words += ["the last epoch's weights are kept"] if config.stop.keep == "last" else []
    return ", ".join(words)


def augment_words(config: "RunConfig") -> str:
    """How training images are changed, and how many views of an image answer, in words; empty where nothing is."""
    augment, parts = config.augment, list[str]()
    if augment.wanted:
        own = {name: value for name, value in augment if value and name not in AT_TEST}
        read = {name: value for name, value in own.items() if name != "sigma" or high(augment.alpha)}
        words = [name if value is True else f"{name} {_numbers(value)}" for name, value in read.items()]
        parts.append(f"images changed anew each time ({', '.join(words)})")
    if augment.view_count > 1:
        parts.append(f"answers are means over {augment.view_count} views of an image")
    return ", ".join(parts)


def _numbers(value: float | list[float]) -> str:
    """A number, or a list of some as one types it: 34, or [36,38]."""
    return f"[{','.join(f'{one:g}' for one in value)}]" if isinstance(value, list) else f"{value:g}"


def task_words(config: "RunConfig") -> str:
    """The task in words, with its keys; empty for a classifier with the cross-entropy as it is."""
    task = config.task
    corruption = f"corruption {task.corruption:g}"
    return {
        "reconstruct": f"autoencoder, {corruption}",
        "classify": _class_words(config),
        "multilabel": f"multilabel, loss {task.loss or 'binary_cross_entropy'}",
        "regress": f"regression, {_loss_words(config)}",
        "contrast": f"Boltzmann machine, {'P' if task.persistent else ''}CD-{task.k}",
    }.get(task.name, "")


def _class_words(config: "RunConfig") -> str:
    """What a classifier's loss has beside the cross-entropy."""
    task = config.task
    weights = (
        task.class_weights if isinstance(task.class_weights, str) else " ".join(map("{:g}".format, task.class_weights))
    )
    words = [f"loss {task.loss}"] if task.owns_loss else []
    words += [f"class weights {weights}"] if weights else []
    words += [f"label smoothing {task.label_smoothing:g}"] if task.label_smoothing else []
    return ", ".join(words)


def _loss_words(config: "RunConfig") -> str:
    """The loss of a regression with its key, and whether targets are trained as they are."""
    task = config.task
    delta = f" with delta {task.delta:g}" if task.loss == "huber" else ""
    as_is = "" if task.standardise or task.loss == "poisson" else ", targets not standardised"
    return f"loss {task.loss or 'mse'}{delta}{as_is}"


def pretraining_words(config: "RunConfig") -> str:
    """How each hidden layer is trained before the network, in one line."""
    own = config.pretrain
    if own.task == "reconstruct":
        kind = f"autoencoders, corruption {', '.join(f'{one:g}' for one in own.corruption)}"
    else:
        kind = f"Boltzmann machines, {'P' if own.persistent else ''}CD-{own.k}"
    epochs = f"{number_of(own.max_epochs, 'epoch')} each"
    return f"each hidden layer first, {epochs}, as {kind}, eta {own.eta:g}, mini-batch {own.batch_size}"


def schedule_words(config: "RunConfig") -> str:
    """The schedule of eta in words; empty where eta does not change."""
    optim = config.optim
    plateau, score = number_of(optim.plateau_epochs, "epoch"), config.task.metric.name
    halves = f"eta halves after {plateau} without a better {score}, down to {optim.min_eta_factor:.3g} of it"
    words = {
        "inverse": f"eta inverse with decay {optim.decay:g}",
        "exponential": f"eta exponential to {optim.eta_end or 0:g}",
        "halve": halves,
        "cosine": f"eta along {_cosines(optim.cycles)} to {optim.eta_end or 0:g}",
        "one_cycle": "eta in one cycle",
        "steps": f"eta times {optim.step_factor:g} at {', '.join(f'{one:g}' for one in optim.steps)}",
    }
    warm_up = f"warm-up over {optim.warmup_steps:,} mini-batches" if optim.warmup_steps else ""
    return ", ".join(filter(None, [words.get(optim.schedule), warm_up]))


def average_words(config: "RunConfig") -> str:
    """The mean of the weights that is judged, in words; empty where the weights themselves are."""
    average = config.average
    if average.rule == "none":
        return ""
    batches = average.every_batches
    every = "epoch" if batches is None else f"{batches:,} mini-batches" if batches > 1 else "mini-batch"
    kind = f"mean (decay {average.decay:g})" if average.rule == "ema" else "plain mean"
    after = f" after {average.start:g} of the training" if average.start else ""
    return f"judged by a running {kind} of the weights, every {every}{after}"


def _cosines(count: int) -> str:
    return "a cosine" if count == 1 else f"{count} cosines"


def duration(seconds: float) -> str:
    """A time in words, rounded to seconds, minutes or tenths of hours."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:.1f} h"


def size(count: int) -> str:
    """A number of bytes in words, rounded to MiB or tenths of GiB."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{max(1, round(count / 2**20))} MiB"
