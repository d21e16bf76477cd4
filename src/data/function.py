"""data=function: what a function of the user's gives, arrays (x, y) or a dict with the names of data=arrays.

It is called once a process, without arguments, and looked up in the folder of the command as well.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from src.config.data import DataConfig
from src.config.own_error import said
from src.config.own_module import own_module
from src.config.task import Kind
from src.data.arrays import NAMES, examples_of
from src.data.error import DataError

ACCEPTED = f"accepted: a function without arguments that gives (x, y), or a dict of {NAMES}"


def read(config: DataConfig, kind: Kind) -> Any:
    """The Examples that the function gives. Raises DataError where it fails, or gives something else."""
    if config.function is None:
        raise DataError("data.function = null: data=function calls a function; accepted: package.module.name")
    arrays = _called(config.function)
    name = config.function.rpartition(".")[2]
    return examples_of(
        arrays, kind, name, f"from the function {config.function}", f"data.function = {config.function!r}", config
    )


@cache
def _called(name: str) -> Mapping[str, Any]:
    """What the function of this dotted name gives, as arrays by name. Raises DataError."""
    field, (place, _, own) = f"data.function = {name!r}", name.rpartition(".")
    try:
        module = own_module(place)
    except Exception as error:  # a module of the user's may raise anything
        raise DataError(f"{field}: {place} cannot be imported: {said(error)}; {ACCEPTED}") from None
    function = getattr(module, own, None)
    if not callable(function):
        raise DataError(f"{field}: {place} has no function {own}; {ACCEPTED}")
    try:
        given = function()
    except Exception as error:  # so may a function
        raise DataError(f"{field}: fails: {said(error)}; {ACCEPTED}") from None
    if isinstance(given, tuple) and len(given) == 2:
        given = {"x": given[0], "y": given[1]}
    if not isinstance(given, Mapping) or not given:
        raise DataError(f"{field}: gives {type(given).__name__}; {ACCEPTED}")
    return {str(key): _array(one) for key, one in given.items()}


def _array(values: Any) -> Any:
    """A tensor as an array on the CPU; all else as it is."""
    return values.detach().cpu().numpy() if hasattr(values, "detach") else values
