"""The user's own data, data=arrays, table, folder or function: read, dealt to splits, and as networks see them.

A source is a module src/data/NAME.py with a function `read` that gives Examples. Sizes are found here when a
configuration is parsed, so nothing imports torch before it is needed; what was read last stays in memory for the
training that follows and for the trials of a sweep.
Legend: N examples, C channels, H × W pixels, F features of a row, T numbers to predict.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from src.config.data import FOUND, SIZES, DataConfig
from src.config.task import Kind
from src.data import dealing
from src.data.dealing import Deal
from src.data.error import DataError
from src.data.examples import Examples, consecutive
from src.data.preprocessing import Preprocessing, fit

if TYPE_CHECKING:
    from src.data.dataset import Dataset

KEPT = 2  # data sets that stay in memory


@dataclass(frozen=True)
class Prepared:
    """The examples, how they are dealt, once or once for each fold, and what each deal's networks see of them."""

    examples: Examples
    deals: tuple[Deal, ...]
    seen: tuple[NDArray[Any], ...]  # of each deal all inputs (N, C, H, W); one array for all where nothing is fitted
    preprocessing: tuple[Preprocessing | None, ...]  # of each deal, that of a table's columns
    sizes: Mapping[str, Any]  # the keys of FOUND in the configuration, with their values

    @property
    def splits(self) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """Inputs (N, C, H, W) and targets of the first deal's three splits."""
        return [(self.seen[0][rows], self.examples.targets[rows]) for rows in self.deals[0]]

    @property
    def notes(self) -> str:
        """What was changed in reading, for the line of the data set; begins with a space where there is something."""
        return "".join(f" {note}" for note in self.examples.notes)


_PREPARED: "OrderedDict[tuple[Any, ...], Prepared]" = OrderedDict()


def load(config: DataConfig, kind: Kind = "classes") -> "list[Dataset]":
    """The data set on the CPU, or those of all folds.

    Raises DataError where files, columns or limits do not fit the configuration.
    """
    import torch

    from src.data.dataset import Dataset, Split

    one = prepared(config, kind)
    examples = one.examples
    targets = torch.from_numpy(examples.targets)

    def dataset(deal: Deal, seen: NDArray[Any], preprocessing: Preprocessing | None) -> Dataset:
        inputs = torch.from_numpy(seen)
        train, validation, test = (Split(inputs[own], targets[own]) for own in map(torch.from_numpy, deal))
        weights = None if examples.weights is None else torch.from_numpy(_of_mean_1(examples.weights[deal[0]]))
        return Dataset(
            named(examples, config),
            examples.source + one.notes,
            replace(train, weights=weights),
            validation,
            test,
            config.classes,
            class_names=tuple(examples.class_names),
            preprocessing=preprocessing,
            unit=examples.unit,
        )

    return [dataset(*own) for own in zip(one.deals, one.seen, one.preprocessing, strict=True)]


def _of_mean_1(weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """The weights of a training split at the scale at which eta means what it means without them."""
    scaled: NDArray[np.float32] = (weights / weights.mean()).astype("float32")
    return scaled


def dealt_anew(data: "Dataset", config: DataConfig, kind: Kind) -> "list[Dataset]":
    """The folds of a data set that is not the user's own: its test set stays, unless data.outer_folds deals it too.

    Raises DataError where it has too few examples.
    """
    import torch

    from src.data.dataset import Split

    splits = (data.train, data.validation, data.test)
    inputs, targets = (torch.cat([getattr(one, name) for one in splits]) for name in ("inputs", "targets"))
    rows = consecutive([len(data.train) + len(data.validation), 0, len(data.test)])
    examples = Examples(data.name, data.source, inputs.numpy(), targets.numpy(), given=rows, unit=data.unit)

    def dataset(deal: Deal) -> "Dataset":
        train, validation, test = (Split(inputs[own], targets[own]) for own in map(torch.from_numpy, deal))
        return replace(data, train=train, validation=validation, test=test)

    return [dataset(deal) for deal in dealing.deals(examples, kind, config)]


def sizes(config: DataConfig, kind: Kind) -> Mapping[str, Any]:
    """The keys of FOUND with the values that the data have; a key that is set stays. Raises DataError as `load`."""
    found = prepared(config, kind)
    _keep(_key(config.model_copy(update=dict(found.sizes)), kind, given=FOUND), found)
    return found.sizes


def prepared(config: DataConfig, kind: Kind) -> Prepared:
    """The data that `config` names; those that were read last are not read again while their file is the same.

    Sizes that are set in `config` (its `model_fields_set`) must be those of the data. Raises DataError.
    """
    key = _key(config, kind, tuple(name for name in FOUND if name in config.model_fields_set))
    if key not in _PREPARED:
        _keep(key, _prepared(config, kind))
    return _PREPARED[key]


def _keep(key: tuple[Any, ...], one: Prepared) -> None:
    _PREPARED[key] = one
    while len(_PREPARED) > 2 * KEPT:
        _PREPARED.popitem(last=False)


def _key(config: DataConfig, kind: Kind, given: Sequence[str]) -> tuple[Any, ...]:
    own = config.model_dump(exclude={*FOUND, "order", "normalise", "epsilon", "expand", "sampling"})
    stamp: tuple[int, ...] = ()
    if config.path is not None and Path(config.path).expanduser().is_file():
        state = Path(config.path).expanduser().stat()
        stamp = state.st_mtime_ns, state.st_size
    return str(own), kind, str({name: getattr(config, name) for name in given}), str(Path.cwd()), stamp


def read(config: DataConfig, kind: Kind) -> Examples:
    """All examples of the source that `config` names, as it has them. Raises DataError where it cannot be read."""
    examples: Examples = import_module(f"src.data.{config.name}").read(config, kind)
    return examples


def _prepared(config: DataConfig, kind: Kind) -> Prepared:
    examples = read(config, kind)
    dealt = dealing.deals(examples, kind, config)
    every = examples.inputs
    preprocessing: list[Preprocessing | None]
    if isinstance(every, np.ndarray):
        x, preprocessing = every, [None] * len(dealt)
        seen = [four_dimensional(every)] * len(dealt)
    else:
        known = np.unique(np.concatenate([deal[0] for deal in dealt]))  # so all folds have the same features
        fits = [fit(every, deal[0], known) for deal in dealt]
        features = [own.apply(every) for own in fits]
        x, seen, preprocessing = features[0], [four_dimensional(own) for own in features], [*fits]
    found = _found(x, seen[0], examples, config, kind)
    for deal in dealt:
        _check_classes(examples, deal, kind)
        if examples.weights is not None and not examples.weights[deal[0]].any():
            raise DataError(
                f"{examples.source}: the training {examples.unit} all have the weight 0, so nothing can be learnt; "
                "accepted: a weight above 0 for at least one"
            )
    return Prepared(examples, tuple(dealt), tuple(seen), tuple(preprocessing), found)


def four_dimensional(x: NDArray[Any]) -> NDArray[Any]:
    """(N, F) -> (N, F, 1, 1); (N, A, B) -> (N, 1, A, B); images stay as they are."""
    if x.ndim == 2:
        return x[:, :, None, None]
    return x[:, None] if x.ndim == 3 else x


def _found(x: NDArray[Any], seen: NDArray[Any], examples: Examples, config: DataConfig, kind: Kind) -> dict[str, Any]:
    """The sizes of the data. Raises DataError where the configuration has others."""
    channels, height, width = seen.shape[1:]
    found: dict[str, Any] = {"channels": channels, "height": height, "width": width, "classes": examples.classes}
    found["target_count"] = examples.targets.shape[1] if examples.targets.ndim > 1 else 1
    found["shape"] = list(x.shape[1:])
    wrong = []
    for key in [key for key in FOUND if key in config.model_fields_set]:
        given = getattr(config, key)
        more = key == "classes" and (kind != "classes" or given > found[key]) and not examples.class_names
        if more or (key == "shape" and given is None):
            found[key] = given if more else found[key]
        elif given != found[key]:
            wrong.append(f"data.{key} = {given}: {examples.source} has {found[key]}; accepted: {found[key]}, or null")
    if wrong:
        raise DataError("; ".join(wrong))
    return found


def _check_classes(examples: Examples, rows: Deal, kind: Kind) -> None:
    if kind == "classes" and len(np.unique(examples.targets[rows[0]])) < 2:
        raise DataError(
            f"{examples.source}: the training {examples.unit} are all of one class; accepted: at least two, by another "
            "data.split or data.split_seed, or more examples"
        )


def named(examples: Examples, config: DataConfig) -> str:
    """The data set's name, which is not that of a published one."""
    name = examples.name
    return f"{config.name}-{name}" if name.removesuffix("-expanded") in SIZES else name
