"""data=arrays: numpy arrays in one .npz file: x and y, or x_train, y_train and those of validation and test.

Beside each x and y there may be the examples' weights in the cost of training: weight, or weight_train and so on.

x has a row of numbers an example (N, F), a sequence or grey image (N, A, B), or an image (N, C, H, W) or (N, H, W, C).
Bytes (uint8) are seen as value / 255, all other numbers as float32: a token of a sequence, say, as 17.0.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.config.data import DataConfig
from src.config.task import Kind
from src.data.error import DataError
from src.data.examples import PARTS, Examples, consecutive, targets_of, weights_of

NAMES = (
    "x and y, or x_train and y_train with, if you like, x_validation, y_validation, x_test and y_test; beside each "
    "x, if you like, its examples' weights in the cost: weight, or weight_train and so on"
)
ARRAYS = ("x", "y", "weight")
MOST_LAYOUTS = (1, 3, 4)  # channels by which the last axis of an image is known for that of its colours


def read(config: DataConfig, kind: Kind) -> Examples:
    """The arrays of data.path. Raises DataError where the file does not hold what is accepted."""
    path = existing(config)
    field = f"data.path = {config.path!r}"
    if path.suffix.lower() != ".npz":
        raise DataError(f"{field}: is no .npz file; accepted: a file of numpy.savez with {NAMES}")
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise DataError(f"{field}: holds a single array; accepted: a file of numpy.savez with {NAMES}")
            known = [name for name in file.files if name in _names()]
            if not known:
                held = ", ".join(file.files[:6]) or "nothing"
                raise DataError(f"{field}: holds {held[:200]}; accepted: {NAMES}")
            arrays = {name: file[name] for name in known}
    except DataError:
        raise
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, MemoryError, NotImplementedError) as error:
        if "allow_pickle" in str(error) or "pickle" in str(error):
            said = "it holds an array of Python objects, which is not read, as it could run a program"
        else:
            said = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{field}: cannot be read: {said}; accepted: plain numpy arrays {NAMES}") from None
    return examples_of(arrays, kind, path.stem, f"arrays from {config.path}", field, config)


def existing(config: DataConfig) -> Path:
    """The file that data.path names. Raises DataError where there is none."""
    if config.path is None:
        raise DataError(f"data.path = null: data={config.name} reads a file; accepted: its path")
    field = f"data.path = {config.path!r}"
    try:
        path = Path(config.path).expanduser()
        if path.is_dir():
            raise DataError(f"{field}: is a folder; accepted: a file (of a folder with images use data=folder)")
        if not path.is_file():
            raise DataError(f"{field}: there is no such file; accepted: the path of a file")
        with path.open("rb") as file:
            file.read(1)
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{field}: cannot be read ({getattr(error, 'strerror', None) or error}); accepted: a file that you may read"
        ) from None
    return path


def examples_of(
    arrays: Mapping[str, Any], kind: Kind, name: str, source: str, field: str, config: DataConfig
) -> Examples:
    """The examples in arrays by name; `field` begins messages. Raises DataError where they do not fit one another."""
    split = any(name.endswith("_train") for name in arrays)
    wanted = [(f"x_{part}", f"y_{part}") for part in PARTS] if split else [("x", "y")]
    xs: list[NDArray[Any]] = []
    ys: list[NDArray[Any]] = []
    weights: list[NDArray[np.float64]] = []
    counts: list[int] = []
    for number, (x_name, y_name) in enumerate(wanted):
        there = [one for one in (x_name, y_name) if one in arrays]
        if not there and number > 0:
            counts.append(0)
            continue
        if len(there) < 2:
            lacks = x_name if x_name not in arrays else y_name
            raise DataError(f"{field}: has no {lacks}; accepted: {NAMES}")
        x, y = _inputs(arrays[x_name], f"{field}: {x_name}"), np.asarray(arrays[y_name])
        if y.ndim == 0 or len(x) != len(y):
            raise DataError(
                f"{field}: {x_name} holds {len(x)} examples, {y_name} {len(y) if y.ndim else 1}; accepted: as many"
            )
        if len(x) == 0:
            raise DataError(f"{field}: {x_name} is empty; accepted: at least one example")
        if xs and (x.shape[1:] != xs[0].shape[1:] or x.dtype != xs[0].dtype):
            raise DataError(
                f"{field}: an example of {x_name} is {x.dtype} of {x.shape[1:]}, one of {wanted[0][0]} {xs[0].dtype} "
                f"of {xs[0].shape[1:]}; accepted: the same in all parts"
            )
        if ys and y.shape[1:] != ys[0].shape[1:]:
            raise DataError(f"{field}: {y_name} has other dimensions than {wanted[0][1]}; accepted: the same")
        if (weight := x_name.replace("x", "weight", 1)) in arrays:
            weights.append(weights_of(np.asarray(arrays[weight]), len(x), f"{field}: {weight}"))
        xs.append(x)
        ys.append(y)
        counts.append(len(x))
    targets, class_names = targets_of(np.concatenate(ys), kind, f"{field}: {' and '.join(y for _, y in wanted[:1])}")
    if len(weights) != sum(one in _names("weight") for one in arrays) or 0 < len(weights) < len(xs):
        raise DataError(
            f"{field}: has weights without an x, or an x without; accepted: none, or weight beside x, or weight_train "
            "and so on beside each of x_train, x_validation and x_test that there is"
        )
    inputs = np.concatenate(xs)
    if inputs.ndim == 4:
        inputs = _channels_first(inputs, config)
    return Examples(
        name,
        source,
        inputs,
        targets,
        class_names,
        consecutive(counts) if split else None,
        weights=np.concatenate(weights) if weights else None,
        unit="images" if inputs.ndim == 4 else "examples",
    )


def _names(*kinds: str) -> list[str]:
    """The names of the arrays of these kinds that are read; by default of all."""
    return [name for one in kinds or ARRAYS for name in (one, *(f"{one}_{part}" for part in PARTS))]


def _inputs(values: Any, where: str) -> NDArray[Any]:
    """Inputs (N, …) as uint8 or float32, with 2 to 4 dimensions. Raises DataError."""
    try:
        x = np.asarray(values)
    except ValueError as error:  # lists of unequal lengths
        raise DataError(f"{where} is no array ({error}); accepted: numbers, the same shape in each example") from None
    if x.dtype.kind not in "biuf":
        raise DataError(f"{where} is of the type {x.dtype}; accepted: numbers")
    if not 2 <= x.ndim <= 4 or 0 in x.shape[1:]:
        raise DataError(
            f"{where} has the shape {x.shape}; accepted: (N, F) rows, (N, A, B) sequences or grey images, (N, C, H, W) "
            "or (N, H, W, C) images"
        )
    if x.dtype == np.uint8:
        return x
    with np.errstate(over="ignore"):
        x = x.astype("float32")
    if not np.isfinite(x).all():
        first = int(np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(1))[0])
        raise DataError(f"{where} holds NaN, inf or a number beyond float32 in example {first}; accepted: finite ones")
    return x


def _channels_first(x: NDArray[Any], config: DataConfig) -> NDArray[Any]:
    """(N, C, H, W): of (N, H, W, C) too, known by data.channels, else by a last axis of 1, 3 or 4 alone."""
    first, last = x.shape[1], x.shape[3]
    if "channels" in config.model_fields_set:
        swap = first != config.channels and last == config.channels
    else:
        swap = last in MOST_LAYOUTS and first not in MOST_LAYOUTS
    return np.ascontiguousarray(np.moveaxis(x, -1, 1)) if swap else x
