"""data=table: a .csv or .parquet file with a column to predict, data.target, or several of them."""

import csv
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.config.data import DataConfig
from src.config.task import Kind
from src.data.arrays import existing
from src.data.error import DataError
from src.data.examples import Examples, targets_of, weights_of
from src.data.preprocessing import as_numbers, is_numbers, missing_words

ENDINGS = (".csv", ".parquet")
SEPARATORS = ",;\t"
HEAD = 65_536  # characters in which the header of a .csv file must end


def read(config: DataConfig, kind: Kind) -> Examples:
    """The table of data.path. Raises DataError where it cannot be read, or lacks what is named."""
    path, field = existing(config), f"data.path = {config.path!r}"
    frame = read_frame(path, field)
    targets = [config.target] if isinstance(config.target, str) else list(config.target or [])
    if not targets:
        raise DataError(
            f"data.target = {config.target!r}: the column to predict must be named; accepted: {_listed(frame)}"
        )
    named = {"target": targets, "drop": config.drop, "columns": config.columns or []}
    named |= {"group": [config.group] if config.group else [], "time": [config.time] if config.time else []}
    named |= {"weight": [config.weight] if config.weight else []}
    for key, names in named.items():
        if missing := [name for name in names if name not in frame.columns]:
            raise DataError(
                f"data.{key} = {missing[0]!r}: {config.path} has no such column; accepted: {_listed(frame)}"
            )
    used = [name for name in config.columns or frame.columns if name not in {*targets, *config.drop, config.weight}]
    used = [name for name in used if name != config.group and (name != config.time or name in (config.columns or []))]
    if not used:
        raise DataError(f"{field}: no column is left as input; accepted: a table with other columns than its target")
    for name in used:
        _check_column(frame[name], name, field)
    where = f"data.target = {config.target!r}"
    values = frame[targets[0]].to_numpy() if len(targets) == 1 else _several(frame, targets, where)
    y, class_names = targets_of(_plain(values), kind, where)
    notes = [frame.attrs["note"]] if "note" in frame.attrs else []
    notes += [words] if (words := missing_words(frame[used])) else []
    return Examples(
        path.stem,
        f"table from {config.path}",
        frame[used],
        y,
        class_names,
        groups=_column(frame, config.group, "group"),
        times=_column(frame, config.time, "time"),
        weights=_weights(frame, config.weight),
        notes=tuple(notes),
    )


def read_frame(path: Path, field: str) -> Any:
    """A table as pandas reads it, with at least one row and no name of a column twice. Raises DataError.

    field: how messages begin, such as "data.path = 'a.csv'". A first column without a name, as pandas writes the
    numbers of rows, is left out; `attrs["note"]` says so.
    """
    import pandas as pd

    if path.suffix.lower() not in ENDINGS:
        raise DataError(f"{field}: has the ending {path.suffix!r}; accepted: {' or '.join(ENDINGS)}")
    try:
        if path.suffix.lower() == ".parquet":
            frame = pd.read_parquet(path)
        else:
            header, separator = _header(path)
            if doubled := sorted({name for name in header if name and header.count(name) > 1}):
                raise DataError(f"{field}: has the column {doubled[0]} twice; accepted: a name of its own for each")
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)
                frame = pd.read_csv(path, sep=separator, index_col=False, low_memory=False, encoding="utf-8-sig")
    except DataError:
        raise
    except UnicodeDecodeError as error:
        raise DataError(f"{field}: is no UTF-8 text (byte {error.start}); accepted: a .csv file in UTF-8") from None
    except Exception as error:  # pandas and pyarrow raise many kinds for what they cannot read
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(f"{field}: cannot be read: {said}; accepted: a table with a header") from None
    frame.columns = [str(name).strip() for name in frame.columns]
    if frame.columns.has_duplicates:
        name = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"{field}: has the column {name} twice; accepted: a name of its own for each")
    if not len(frame):
        raise DataError(f"{field}: has no rows; accepted: a header and rows")
    if frame.columns[0] == "Unnamed: 0":
        frame = frame.iloc[:, 1:]
        frame.attrs["note"] = "The first column has no name and was left out, as a number of rows."
    return frame


def _header(path: Path) -> tuple[list[str], str]:
    """The names in the first line of a .csv file, and the character that separates them, the most frequent one."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        head = file.read(HEAD)
    if not head.strip():
        raise DataError(f"data.path = {str(path)!r}: is empty; accepted: a table with a header")
    if "\0" in head:
        raise DataError(f"data.path = {str(path)!r}: is no text (it has zero bytes); accepted: a .csv file in UTF-8")
    line = head.splitlines()[0]
    separator = max(SEPARATORS, key=line.count)
    return [name.strip() for name in next(csv.reader([line], delimiter=separator))], separator


def _check_column(values: Any, name: str, field: str) -> None:
    """Raises DataError where a column of inputs is neither of numbers nor of categories."""
    import pandas as pd

    if is_numbers(values):
        if values.dtype.kind == "c":
            raise DataError(f"{field}: the column {name} holds complex numbers; accepted: numbers or texts")
        as_numbers(values, name)
        return
    if pd.api.types.is_datetime64_any_dtype(values.dtype) or pd.api.types.is_timedelta64_dtype(values.dtype):
        raise DataError(
            f"{field}: the column {name} holds dates; accepted: numbers or texts; data.time={name} splits by it, "
            f"data.drop=[{name}] leaves it out"
        )
    there = values.dropna()
    if len(there) and isinstance(there.iloc[0], (list, dict, tuple, np.ndarray, bytes)):
        raise DataError(
            f"{field}: the column {name} holds {type(there.iloc[0]).__name__}s; accepted: numbers or texts; "
            f"data.drop=[{name}] leaves it out"
        )
    numbers = pd.to_numeric(there, errors="coerce")
    texts = there[numbers.isna()]
    if 0 < len(texts) < len(there) / 2:
        row = int(np.flatnonzero(values.index == texts.index[0])[0]) + 1
        raise DataError(
            f"{field}: the column {name} holds {str(texts.iloc[0])[:60]!r} in row {row}, and numbers in "
            f"{len(there) - len(texts):,} others; accepted: numbers alone (empty where missing), or texts; "
            f"data.drop=[{name}] leaves it out"
        )


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Values of an object column that are all numbers or all booleans, as such; else as they are."""
    import pandas as pd

    if values.dtype.kind == "O" and not pd.isna(values).any() and all(type(one) in (bool, int) for one in values.flat):
        return values.astype("int64")
    return values


def _several(frame: Any, targets: list[str], where: str) -> NDArray[Any]:
    for name in targets:
        if not is_numbers(frame[name]):
            raise DataError(f"{where}: the column {name} holds texts; accepted: numbers, or 0 and 1 for labels")
    values: NDArray[Any] = frame[targets].to_numpy(dtype="float64", na_value=np.nan)
    return values


def _column(frame: Any, name: str | None, key: str) -> NDArray[Any] | None:
    """The column by which rows are dealt to splits, as values that can be compared. Raises DataError."""
    import pandas as pd

    if name is None:
        return None
    values = frame[name]
    if values.isna().any():
        row = int(np.flatnonzero(values.isna())[0]) + 1
        raise DataError(f"data.{key} = {name!r}: row {row} has no value; accepted: a value in every row")
    if key == "group":
        return as_strings(values)
    if is_numbers(values):
        return as_numbers(values, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            times = pd.to_datetime(values, utc=True)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"data.time = {name!r}: {str(error)[:200]}; accepted: numbers, or dates as 2026-01-31"
        ) from None
    seconds: NDArray[Any] = times.astype("int64").to_numpy()
    return seconds


def _weights(frame: Any, name: str | None) -> NDArray[Any] | None:
    """The column of the examples' weights. Raises DataError."""
    if name is None:
        return None
    values = frame[name].to_numpy()
    if is_numbers(frame[name]):
        values = _column(frame, name, "weight")
    return weights_of(values, len(frame), f"data.weight = {name!r}")


def as_strings(values: Any) -> NDArray[Any]:
    """The values of a column as texts."""
    return np.array([str(one) for one in values])


def _listed(frame: Any) -> str:
    names = [str(name) for name in frame.columns]
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
