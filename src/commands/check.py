"""Whether a network can be trained: python -m src.check +exp=NAME [KEY=VALUE ...]

Builds one network as src.train would with the same keys, trains no run, and looks at three things. Gradients: for some
values of each parameter autograd's derivative of the cost is compared with central differences, in float64, on a few
training examples, with dropout's masks held; kinks, as of ReLU, are told apart from errors. A wrong one is named: an
autograd.Function or a loss of your own is then at fault. The first cost, beside that of outputs that are all 0: ln C
for C classes. And whether a few examples can be learnt by heart, with the configuration's update rule and eta.

    examples=10        training examples of the mini-batch on which gradients are compared
    sample=20          values of each parameter that are looked at
    heart=20           training examples to learn by heart; 0: none
Exit status: 0 the gradients are right; 1 one is wrong; 2 nothing was checked; 130 stopped by the user.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from src.commands.arguments import at_home, key_values, run_command, whole_numbers
from src.config.compose import composed
from src.config.error import UserError
from src.config.wording import number_of

if TYPE_CHECKING:
    from torch import Tensor

    from src.config.schema import RunConfig
    from src.data.dataset import Dataset
    from src.training.gradient_check import Checked, FloatingMember
    from src.training.spec import StackSpec

USAGE = "python -m src.check [+exp=NAME] [KEY=VALUE ...] [examples=10] [sample=20] [heart=20]"
DEFAULTS = {"examples": "10", "sample": "20", "heart": "20"}
RANGES = {"examples": (1, 10_000), "sample": (1, 10_000), "heart": (0, 10_000)}
FIRST = 200  # examples of the first cost
SHOWN = 3  # wrong derivatives of a parameter that are shown


def main(arguments: list[str] | None = None) -> int:
    """The command; `arguments` without the program's name. Returns the exit status."""
    return run_command(_check, arguments, __doc__, "")


def _check(arguments: list[str]) -> int:
    own = [one for one in arguments if one.partition("=")[0] in DEFAULTS]
    numbers = whole_numbers(key_values(own, DEFAULTS, USAGE), RANGES)
    config = _config([at_home(one) for one in arguments if one not in own])

    from src.runs import run_words, terminal

    with terminal.waiting("Loading the libraries and the data"):
        from src.data.load import load
        from src.models.model import parameters_of
        from src.tasks.targets import targets_of
        from src.training.fit import check
        from src.training.gradient_check import FloatingMember
        from src.training.spec import spec_of
        from src.training.stack import members_of

        dataset = load(config.data, config.task.kind).of_fold(0)
        check(config, dataset)
        # A Boltzmann machine has as many chains as a mini-batch has examples.
        small = config.model_copy(update={"batch_size": min(numbers["examples"], len(dataset.train))})
        spec = spec_of(small, 1, dataset.scaling, targets_of(config, dataset.train.targets, dataset.train.weights))
        member = FloatingMember(spec, members_of([small])[0])
    terminal.grid(
        {
            "network": f"{run_words.network_words(config)} ({parameters_of(config):,} parameters), seed {config.seed}",
            "data": run_words.data_words(dataset),
            "task": run_words.task_words(config) or "classes, by the cross-entropy",
        }
    )
    with _in_float64():
        _tell_first_cost(member, spec, dataset)
        found = _gradients(member, spec, dataset, small.batch_size, numbers["sample"])
    if numbers["heart"] and config.task.name != "contrast":  # whose cost has no end to come to
        _tell_by_heart(config, dataset, numbers["heart"])
    return _verdict(found)


def _config(arguments: list[str]) -> "RunConfig":
    """The checked configuration that these arguments of src.train make. Raises UserError."""
    from src.commands.problems import REFUSALS, explain
    from src.config.check import parse, refuse_unread_keys

    try:
        raw = composed(arguments)
    except REFUSALS as error:
        raise UserError(explain(arguments, error)) from None
    config = parse(raw)
    refuse_unread_keys(config, arguments)
    return config


def _mini_batch(spec: "StackSpec", dataset: "Dataset", count: int) -> "tuple[Tensor, Tensor]":
    """The first training examples in float64, as the network sees them, and their targets."""
    from src.data.scaling import as_seen

    few = dataset.train.first(count)
    x = as_seen(few.inputs, spec.scaling.on(few.inputs.device) if spec.scaling else None)
    return x.double(), few.targets.double() if few.targets.is_floating_point() else few.targets


@contextmanager
def _in_float64() -> Iterator[None]:
    """A context in which new tensors are float64; an error of a network's or loss's own becomes a UserError."""
    import torch

    from src.config.own_error import said

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    except (RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"The network or its loss cannot be computed in float64, which the comparison needs: {said(error)}; "
            "accepted: tensors of its own that are parameters or buffers, made in its call, or of the inputs' type."
        ) from error
    finally:
        torch.set_default_dtype(before)


def _tell_first_cost(member: "FloatingMember", spec: "StackSpec", dataset: "Dataset") -> None:
    from src.runs import terminal
    from src.training.sanity import first_cost

    if member.arguments.get("most"):  # a Boltzmann machine's cost is a difference of free energies
        return
    found = first_cost(member, spec.task, *_mini_batch(spec, dataset, FIRST))
    terminal.grid({"first cost": f"{found.cost:.4g}; {found.at_chance:.4g} where all outputs are 0"})
    if found.is_high:
        terminal.tell("The first cost is far above that: the first weights may be too large, or inputs not scaled.")


def _gradients(
    member: "FloatingMember", spec: "StackSpec", dataset: "Dataset", examples: int, sample: int
) -> "list[Checked]":
    """Compares the gradients behind a bar, and prints a table with a row a parameter."""
    from rich.box import SIMPLE_HEAD
    from rich.progress import Progress
    from rich.table import Table
    from rich.text import Text

    from src.runs import terminal
    from src.training.gradient_check import check_gradients, count_of

    x, y = _mini_batch(spec, dataset, examples)
    with Progress(console=terminal.console, transient=True, disable=not terminal.console.is_terminal) as bar:
        task = bar.add_task("Comparing gradients", total=count_of(member, sample))
        found = list(check_gradients(member, spec.task, x, y, sample, lambda: bar.advance(task)))
    table = Table(box=SIMPLE_HEAD)
    for column in ("parameter", "shape", "compared", "largest error", "kinks", "gradient"):
        table.add_column(column, justify="left" if column == "parameter" else "right")
    for one in found:
        state = "WRONG" if one.wrong else "0 everywhere" if one.empty else "right"
        shape = "×".join(map(str, one.shape)) or "1"
        cells = [one.name, shape, str(len(one.derivatives)), f"{one.error:.1e}", str(one.kinks or ""), state]
        table.add_row(*map(Text, cells))
    terminal.console.print(table)
    return found


def _tell_by_heart(config: "RunConfig", dataset: "Dataset", examples: int) -> None:
    from src.runs import terminal
    from src.training.sanity import by_heart

    with terminal.waiting("Learning a few examples by heart"):
        found = by_heart(config, dataset, examples)
    score = config.task.metric
    words = f"{number_of(found.examples, 'example')}: cost {found.before:.4g} to {found.after:.4g} in "
    terminal.grid(
        {"by heart": f"{words}{number_of(found.epochs, 'epoch')}, {score.title} {score.written(found.score)}"}
    )
    if not found.learnt:
        terminal.tell(
            "They were not learnt: optim.eta may be too small or too large, or the network cannot tell them apart."
        )


def _verdict(found: "list[Checked]") -> int:
    """Says whether the gradients are right, with examples of those that are not; the exit status."""
    from src.runs import terminal
    from src.training.gradient_check import TOLERANCE

    wrong = [one for one in found if one.wrong]
    for one in wrong:
        for each in one.wrong[:SHOWN]:
            where = f"{one.name}[{', '.join(map(str, each.index))}]"
            terminal.say(f"{where}: autograd {each.autograd:.6g}, differences {each.difference:.6g}")
    total = sum(len(one.derivatives) for one in found)
    if wrong:
        count = sum(len(one.wrong) for one in wrong)
        terminal.tell(
            f"Wrong: {count:,} of {number_of(total, 'derivative')}, in {', '.join(one.name for one in wrong)}."
        )
        return 1
    terminal.tell(f"The gradients are right: {number_of(total, 'derivative')} within {TOLERANCE:g} of the differences.")
    return 0
