"""The user's own data, data=arrays, table, folder or function: read, dealt to splits, and as networks see them.

A source is a module src/data/NAME.py with a function `read` that gives Examples. Sizes are found here when a
configuration is parsed, so nothing imports torch before it is needed; what was read last stays in memory for the
training that follows and for the trials of a sweep.
Legend: N examples, C channels, H × W pixels, F features of a row, T numbers to predict.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from src.config.schema import FOUND, SIZES, DataConfig, Kind
from src.data import dealing
from src.data.error import DataError
from src.data.examples import Examples, Rows
from src.data.preprocessing import Preprocessing, fit

if TYPE_CHECKING:
    from src.data.dataset import Dataset

KEPT = 2  # data sets that stay in memory


@dataclass(frozen=True)
class Prepared:
    """The three splits as arrays: inputs (N, C, H, W), targets (N,) or (N, T); with all that is known of them."""

    examples: Examples
    splits: tuple[tuple[NDArray[Any], NDArray[Any]], ...]
    preprocessing: Preprocessing | None  # of a table's columns
    sizes: Mapping[str, Any]  # the keys of FOUND in the configuration, with their values

    @property
    def notes(self) -> str:
        """What was changed in reading, for the line of the data set; begins with a space where there is something."""
        return "".join(f" {note}" for note in self.examples.notes)


_PREPARED: "OrderedDict[tuple[Any, ...], Prepared]" = OrderedDict()


def load(config: DataConfig, kind: Kind = "classes") -> "Dataset":
    """The data set on the CPU. Raises DataError where files, columns or limits do not fit the configuration."""
    import torch

    from src.data.dataset import Dataset, Split

    one = prepared(config, kind)
    train, validation, test = (Split(torch.from_numpy(x), torch.from_numpy(y)) for x, y in one.splits)
    examples = one.examples
    return Dataset(
        _name(examples.name, config),
        examples.source + one.notes,
        train,
        validation,
        test,
        config.classes,
        class_names=tuple(examples.class_names),
        preprocessing=one.preprocessing,
        unit=examples.unit,
    )


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
    own = config.model_dump(exclude={*FOUND, "order", "normalise", "expand"})
    stamp: tuple[int, ...] = ()
    if config.path is not None and Path(config.path).expanduser().is_file():
        state = Path(config.path).expanduser().stat()
        stamp = state.st_mtime_ns, state.st_size
    return str(own), kind, str({name: getattr(config, name) for name in given}), str(Path.cwd()), stamp


def _prepared(config: DataConfig, kind: Kind) -> Prepared:
    examples: Examples = import_module(f"src.data.{config.name}").read(config, kind)
    rows = dealing.deal(examples, kind, config)
    preprocessing = None
    if isinstance(examples.inputs, np.ndarray):
        x = examples.inputs
    else:
        preprocessing = fit(examples.inputs, rows[0])
        x = preprocessing.apply(examples.inputs)
    seen = _four_dimensional(x)
    found = _found(x, seen, examples, config, kind)
    splits = tuple((np.ascontiguousarray(seen[own]), np.ascontiguousarray(examples.targets[own])) for own in rows)
    _check_classes(examples, rows, kind)
    return Prepared(examples, splits, preprocessing, found)


def _four_dimensional(x: NDArray[Any]) -> NDArray[Any]:
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


def _check_classes(examples: Examples, rows: tuple[Rows, Rows, Rows], kind: Kind) -> None:
    if kind == "classes" and len(np.unique(examples.targets[rows[0]])) < 2:
        raise DataError(
            f"{examples.source}: the training {examples.unit} are all of one class; accepted: at least two, by another "
            "data.split or data.split_seed, or more examples"
        )


def _name(name: str, config: DataConfig) -> str:
    """The data set's name, which is not that of a published one."""
    return f"{config.name}-{name}" if name.removesuffix("-expanded") in SIZES else name
