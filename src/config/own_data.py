"""The user's own data: their sizes, found in their files, and the keys of data that contradict each other."""

from typing import Any

from pydantic import ValidationError

from src.config.data import DATA_KEYS, FOUND, OWN, DataConfig
from src.config.problems import written
from src.config.task import TaskConfig


def with_sizes(raw: Any) -> tuple[Any, list[str]]:
    """A composed configuration with the sizes of the user's own data found in their files, where they are not given.

    The second value lists why they could not be; the sizes are then those of MNIST, so that all else can be checked.
    """
    data = raw.get("data") if isinstance(raw, dict) else None
    if not isinstance(data, dict) or data.get("name") not in OWN or all(data.get(key) is not None for key in FOUND):
        return raw, []
    given = {key: value for key, value in data.items() if key not in FOUND or value is not None}
    try:
        config, task = DataConfig.model_validate(given), TaskConfig.model_validate(raw.get("task", {}))
    except ValidationError:
        return {**raw, "data": given}, []  # what is wrong there is said first
    from src.data.error import DataError
    from src.data.own import sizes  # numpy and pandas, which other commands need not wait for

    try:
        return {**raw, "data": {**given, **sizes(config, task.kind)}}, []
    except DataError as error:
        return {**raw, "data": given}, [str(error)]


def problems(data: DataConfig) -> list[str]:
    """The keys that are set but not read by this source of data."""
    lines = []
    for key in sorted({key for keys in DATA_KEYS.values() for key in keys} - set(DATA_KEYS.get(data.name, ()))):
        default = DataConfig.model_fields[key].default
        if (value := getattr(data, key)) != default:
            readers = ", ".join(f"data={name}" for name, keys in DATA_KEYS.items() if key in keys)
            lines.append(
                f"data.{key} = {written(value)}: data={data.name} does not read it; accepted: {written(default)}, or "
                f"{readers}"
            )
    if data.name not in OWN and isinstance(data.validation, float):
        lines.append(
            f"data.validation = {data.validation}: must be a whole number of examples with data={data.name}; parts of "
            f"1 are for {', '.join(OWN)}"
        )
    if data.outer_folds is not None and data.outer_fold >= data.outer_folds:
        lines.append(
            f"data.outer_fold = {data.outer_fold}: data.outer_folds = {data.outer_folds}; accepted: 0 to "
            f"{data.outer_folds - 1}"
        )
    if data.name in OWN and data.name != "folder" and data.dir is not None:
        lines.append(f"data.dir = {written(data.dir)}: data={data.name} does not read it; accepted: null")
    if data.name == "table" and (data.expand != "none" or data.normalise != "none"):
        lines.append(
            f"data.expand, data.normalise = {data.expand}, {data.normalise}: a table has no pixels, and its numbers "
            "are standardised; accepted: none"
        )
    return lines
