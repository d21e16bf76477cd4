"""The examples that trained networks are tested on: those of their run, or others; as networks take them.

Of the user's own data the run's test rows; of other data that the user names, their test part where they have one, else
all examples, because the networks have seen none of them.
Legend: N examples, D columns of a table, T numbers or labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from src.config.data import OWN, DataConfig
from src.config.error import UserError
from src.config.task import Kind
from src.config.wording import number_of
from src.data import dealing, own
from src.data.columns import Columns
from src.data.load import load
from src.runs.trained import Trained

# The keys that decide which rows test.
DEALT = ("path", "test", "split", "split_seed", "group", "time", "outer_folds", "outer_fold")


@dataclass(frozen=True)
class TestData:
    """inputs: (N, channels, height, width) uint8 or float32, or a table's columns (N, D) float64; targets of the task.

    which: what the examples are of all those in `name`, in words.
    """

    __test__ = False  # for pytest, which takes its name for a test's
    name: str
    inputs: Tensor
    targets: Tensor
    which: str


def test_data(networks: Sequence[Trained], config: DataConfig, columns: Columns | None, other: bool) -> TestData:
    """The examples of `config` on which the networks are tested.

    columns: of networks that were trained on a table; other: whether these are other data than those of the run. Raises
    UserError where sizes, columns, classes or targets are others than the networks know, or nothing is left.
    """
    kind = networks[0].config.task.kind
    if config.name in OWN:
        found, names = _own(config, kind, columns, other)
    else:
        plain = config.model_copy(update={"normalise": "none", "expand": "none", "folds": None})
        data = load(plain, kind)
        found = TestData(data.name, data.test.inputs, data.test.targets, f"{len(data.test):,} test {data.unit}")
        names = list(data.class_names)
    if not len(found.targets):
        raise UserError(f"{found.name}: its test split is empty; accepted: data with test examples.")
    _check_sizes(networks, found, columns)
    return TestData(found.name, found.inputs, _targets(networks[0], found, names), found.which)


def _own(config: DataConfig, kind: Kind, columns: Columns | None, other: bool) -> tuple[TestData, list[str]]:
    """The examples and their classes' names."""
    if columns is not None and config.name == "table" and other:
        config = config.model_copy(update={"columns": columns.names, "group": None, "time": None, "weight": None})
    examples = own.read(config, kind)
    rows, words = np.arange(len(examples.targets)), "all its {}"
    if not other or (examples.given is not None and len(examples.given[2])):
        rows, words = dealing.deals(examples, kind, config)[0][2], "{}, its test split"
    if isinstance(examples.inputs, np.ndarray):
        inputs = torch.from_numpy(own.four_dimensional(examples.inputs[rows]))
    elif columns is None:
        raise UserError(f"{examples.source}: the networks were not trained on a table; accepted: data such as theirs.")
    else:
        inputs = torch.from_numpy(columns.coded(examples.inputs.iloc[rows], examples.source))
    which = words.format(number_of(len(rows), examples.unit.removesuffix("s")))
    targets = torch.from_numpy(examples.targets[rows])
    return TestData(own.named(examples, config), inputs, targets, which), list(examples.class_names)


def _check_sizes(networks: Sequence[Trained], found: TestData, columns: Columns | None) -> None:
    if columns is not None:
        if found.inputs.dim() != len(("rows", "columns")):
            raise UserError(f"{found.name}: the networks were trained on a table; accepted: data=table data.path=FILE.")
        return
    for one in networks:
        data = one.config.data
        sizes, there = (data.channels, data.height, data.width), tuple(found.inputs.shape[1:])
        if there != sizes:
            raise UserError(f"{found.name}: its examples are {_size(there)}; accepted: {_size(sizes)}.")


def _targets(network: Trained, found: TestData, names: list[str]) -> Tensor:
    """The targets, classes by the numbers that they have for the network. Raises UserError for those it has not."""
    data, kind = network.config.data, network.config.task.kind
    if kind != "classes":
        count = 1 if found.targets.dim() == 1 else found.targets.shape[1]
        if found.targets.dim() == 1 or count != data.target_count:
            raise UserError(f"{found.name}: has {count} {kind} an example; accepted: {data.target_count}.")
        return found.targets
    known = network.output_names
    there = names or [str(number) for number in range(int(found.targets.max()) + 1)]
    codes = {number: known.index(name) for number, name in enumerate(there) if name in known}
    if unknown := [there[number] for number in found.targets.unique().tolist() if number not in codes]:
        shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
        raise UserError(
            f"{found.name}: has the class {', '.join(unknown[:5])}, which the networks do not know; accepted: {shown}."
        )
    return torch.tensor([codes.get(number, 0) for number in range(len(there))])[found.targets]


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def refuse_other_tests(networks: Sequence[Trained]) -> None:
    """Raises UserError where networks have test rows of their own: some were trained on the test rows of others."""
    dealt = [[getattr(one.config.data, key) for key in DEALT] for one in networks]
    own_data = networks[0].config.data.name in OWN or networks[0].config.data.outer_folds is not None
    if own_data and any(one != dealt[0] for one in dealt):
        raise UserError(
            "the networks' test rows differ, as their data.split_seed or the like do, so each was trained on some of "
            "another's; accepted: top=1, or other data by data.path=FILE."
        )
