"""Examples with weights: in training the mean of w_i · cost_i, on both engines; validation and scores without them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from src.config.error import ConfigError
from src.data.dataset import crossed
from src.training.fit import prepare, run
from tests import example

OWN = "tests.tasks.own_losses."
CLASS_WEIGHTS = [1.0, 2.0, 0.5, 5.0]
WEIGHTS = torch.tensor([0.0, 3.0, 0.25, 1.0, 0.75]).repeat(12)  # of mean 1, for 60 examples, 5 in a mini-batch


def focal(outputs, y):
    log = F.log_softmax(outputs, 1)[range(len(y)), y]
    return -((1 - log.exp()) ** 2) * log


def smoothed(outputs, y):
    return F.cross_entropy(outputs, y, torch.tensor(CLASS_WEIGHTS), label_smoothing=0.2, reduction="none")


# Kind of the targets, task, and each example's cost by torch from outputs and targets at the scale of training.
CASES = {
    "classify": ("classes", {}, lambda o, y: F.cross_entropy(o, y, reduction="none")),
    "classes": ("classes", {"class_weights": CLASS_WEIGHTS, "label_smoothing": 0.2}, smoothed),
    "own": ("classes", {"loss": OWN + "focal"}, focal),
    "mse": ("numbers", {"name": "regress"}, lambda o, z: (o - z).square().mean(1)),
    "mae": ("numbers", {"name": "regress", "loss": "mae"}, lambda o, z: (o - z).abs().mean(1)),
    "huber": (
        "numbers",
        {"name": "regress", "loss": "huber", "delta": 0.4},
        lambda o, z: F.huber_loss(o, z, reduction="none", delta=0.4).mean(1),
    ),
    "poisson": (
        "numbers",
        {"name": "regress", "loss": "poisson"},
        lambda o, y: F.poisson_nll_loss(o, y, reduction="none").mean(1),
    ),
    "multilabel": (
        "labels",
        {"name": "multilabel"},
        lambda o, y: F.binary_cross_entropy_with_logits(o, y, reduction="none").mean(1),
    ),
}
BOTH = [(case, engine) for case in CASES for engine in ("torch", "cpu") if (case, engine) != ("own", "cpu")]


def settings(case, engine, **fields):
    trainer = {"engine": engine, "compile": False, "threads": 1, "accelerator": "cpu"}
    fields = {"task": CASES[case][1], "trainer": trainer, "max_epochs": 1, "stop": {"keep": "last"}} | fields
    return example.table_config(**fields)


def dataset(case, weights=WEIGHTS):
    data = example.table(kind=CASES[case][0])
    if case == "poisson":
        for split in (data.train, data.validation, data.test):
            split.targets.div_(2000)
    return replace(data, train=replace(data.train, weights=weights))


def scale(data):
    """The weighted mean and standard deviation of the numbers of the training split, (T,) each."""
    y, w = data.train.targets.numpy(), data.train.weights.numpy()
    mean = np.average(y, 0, w)
    return torch.from_numpy(mean), torch.from_numpy(np.sqrt(np.average((y - mean) ** 2, 0, w)))


def trained(config, data):
    return run(prepare([config], data, lambda text: None), [])


def same_weights(one, other):
    return all(value.equal(other.weights[name]) for name, value in one.weights.items())


@pytest.mark.parametrize(("case", "engine"), BOTH)
def test_networks_train_as_a_plain_loop_over_weighted_costs(case, engine):
    config, data = settings(case, engine, repeats=2), dataset(case)
    prepared = prepare([config], data, lambda text: None)
    state = {name: value.clone() for name, value in prepared.engine.state().items()}
    results = run(prepared, [])
    y, cost = data.train.targets, CASES[case][2]
    if case in ("mse", "mae", "huber"):
        mean, sd = scale(data)
        y = (y - mean) / sd
    for k, result in enumerate(results):
        own = {name: value[k].requires_grad_() for name, value in state.items()}
        total = 0.0
        for rows in torch.arange(60).split(5):
            hidden = torch.sigmoid(data.train.inputs[rows].flatten(1) @ own["layers.0.weight"].T + own["layers.0.bias"])
            outputs = hidden @ own["layers.1.weight"].T + own["layers.1.bias"]
            loss = (WEIGHTS[rows] * cost(outputs, y[rows])).mean()
            total += float(loss.detach())
            for value, gradient in zip(own.values(), torch.autograd.grad(loss, list(own.values())), strict=True):
                value.data -= config.optim.eta * gradient
        for name, value in own.items():
            torch.testing.assert_close(result.weights[name], value.detach(), rtol=1e-4, atol=1e-5)
        assert result.history[0]["train/cost"] == pytest.approx(total / 12, rel=1e-4)


@pytest.mark.parametrize(("case", "engine"), BOTH)
def test_equal_weights_change_nothing_and_an_example_of_weight_0_is_not_there(case, engine):
    config = settings(case, engine)
    (plain,), (ones,) = (trained(config, dataset(case, weights)) for weights in (None, torch.ones(60)))
    assert same_weights(plain, ones)
    assert plain.history[0] | {"images_per_second": 0} == ones.history[0] | {"images_per_second": 0}
    (one,), changed = trained(config, dataset(case)), dataset(case)
    changed.train.inputs[WEIGHTS == 0] += 7
    if case != "poisson":  # nor does its target count where targets are scaled
        changed.train.targets[WEIGHTS == 0] = changed.train.targets[0].clone()
    (other,) = trained(config, changed)
    assert same_weights(one, other)
    assert not same_weights(one, plain)
    assert one.history[0]["train/cost"] == other.history[0]["train/cost"]


@pytest.mark.parametrize("engine", ["torch", "cpu"])
@pytest.mark.parametrize("case", ["classify", "mse"])
def test_a_network_in_a_stack_of_folds_trains_on_its_own_folds_weights(case, engine):
    folds = [dataset(case), dataset(case, WEIGHTS.flip(0))]
    for fold in folds if case == "mse" else []:  # all folds share one scale of the targets: 0 and 1 are that of each
        mean, sd = scale(fold)
        for split in (fold.train, fold.validation, fold.test):
            split.targets.sub_(mean).div_(sd)
    both = settings(case, engine, seed=3, data={**example.table_config().data.model_dump(), "folds": 2})
    results = trained(both, crossed(folds))
    for result, fold in zip(results, folds, strict=True):
        (alone,) = trained(settings(case, engine, seed=result.seed), fold)
        for name, value in alone.weights.items():
            torch.testing.assert_close(result.weights[name], value)
        assert alone.history[0]["validation/cost"] == pytest.approx(result.history[0]["validation/cost"])
    assert not same_weights(*results)


def test_a_loss_of_the_users_that_gives_a_mean_is_refused_beside_weights():
    config = example.table_config(task={"loss": OWN + "mean_cross_entropy"})
    with pytest.raises(ConfigError, match=r"gives a mean, and the examples have weights; accepted: .* each example's"):
        prepare([config], dataset("classify"), lambda text: None)
