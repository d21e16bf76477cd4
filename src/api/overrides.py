"""A configuration given in Python, as the overrides KEY=VALUE of the command line that mean the same.

{"exp": "conv2_relu", "repeats": 3, "optim": {"eta": 0.1}}  ->  +exp=conv2_relu repeats=3 optim.eta=0.1
"""

import os
import re
from collections.abc import Mapping
from typing import Any

from src.config.error import ConfigError

# Texts that Hydra's grammar reads as the same text without quotation marks.
_PLAIN = re.compile(r"(?!(?:null|true|false|inf|nan)$)[A-Za-z_][A-Za-z0-9_.]*", re.IGNORECASE)
_VALUES = "a text, a number, True, False, None, or a list, a tuple, an array or a dict of these"


def flat(config: Mapping[Any, Any] | None, keywords: Mapping[str, Any]) -> dict[str, Any]:
    """All keys, such as optim.eta, with their values; a keyword wins over the same key in `config`.

    A dict is a section where the configuration has a section of that name, else it is a value. Raises ConfigError.
    """
    if config is not None and not isinstance(config, Mapping):
        raise ConfigError(
            f"configuration = {config!r}: must be a dict; accepted: such as {{'exp': 'shallow', 'optim.eta': 0.1}}, or "
            "keywords, exp='shallow', optim=dict(eta=0.1)"
        )
    sections = _sections()
    return _flat(config or {}, "", sections) | _flat(keywords, "", sections)


def _flat(content: Mapping[Any, Any], prefix: str, sections: set[str]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for name, value in content.items():
        if not isinstance(name, str):
            raise ConfigError(f"{prefix}{name!r}: must be a text; accepted: keys such as 'optim.eta'")
        key = prefix + name.removeprefix("+")
        if not key.strip("."):
            raise ConfigError(f"{name!r}: is no key; accepted: keys such as 'optim.eta'")
        inside = isinstance(value, Mapping) and key in sections
        keys |= _flat(value, f"{key}.", sections) if inside else {key: value}
    return keys


def _sections() -> set[str]:
    """The names that stand before a dot in a key, Hydra's own included."""
    from src.config.problems import all_keys

    named = {key.rpartition(".")[0] for key in all_keys()} - {""} | {"model.args"}  # its keys are the user's
    return named | {"hydra", *(f"hydra.{name}" for name in ("sweeper", "launcher", "run", "sweep", "job"))}


def overrides(keys: Mapping[str, Any], sweeps: bool = False) -> list[str]:
    """The overrides of these keys, in their order. Raises ConfigError with all that cannot be written.

    sweeps: a text that the command line takes for several values, such as interval(0.01,1), is a space; without, it is
    refused, unless the key may hold any text. A group that a command adds (exp, sweeps) may be None: it is left out.
    """
    from src.config.compose import ADDED

    written, problems = list[str](), list[str]()
    for key, value in keys.items():
        if key in ADDED and value is None:
            continue
        try:
            written.append(f"{'+' if key in ADDED else ''}{_override(key, value, sweeps)}")
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        listed = "\n".join(f"  {one}" for one in problems)
        raise ConfigError(f"This configuration cannot run, nothing was started:\n{listed}")
    return written


def _override(key: str, value: Any, sweeps: bool) -> str:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    from src.commands.arguments import at_home
    from src.config.problems import text_keys

    parser = OverridesParser.create()
    if isinstance(value, str) and (sweeps or key not in text_keys()):
        try:
            several = parser.parse_override(f"{key}={value}").is_sweep_override()
        except HydraException:
            several = False
        if several and not sweeps:
            raise ConfigError(
                f"{key} = {value!r}: several values; accepted: one value, or sweep(…) in place of train(…)"
            )
        if several:
            return f"{key}={value}"
    text = _written(at_home(f"{key}={value}").removeprefix(f"{key}=") if isinstance(value, str) else value, key)
    try:
        read = parser.parse_override(f"{key}={text}")
        if read.key_or_group == key and not read.is_sweep_override():
            return f"{key}={text}"
    except HydraException:
        pass
    raise ConfigError(f"{key} = {value!r}: cannot be written as KEY=VALUE; accepted: a key such as optim.eta")


def _written(value: Any, key: str) -> str:
    """A value in Hydra's grammar. Raises ConfigError where it has none."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) else _quoted(value)
    if isinstance(value, os.PathLike):
        return _written(os.fspath(value), key)
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{name}:{_written(one, key)}' for name, one in value.items())}}}"
    if isinstance(value, list | tuple | range):
        return f"[{','.join(_written(one, key) for one in value)}]"
    if hasattr(value, "tolist"):  # arrays, tensors, and their numbers
        return _written(value.tolist(), key)
    raise ConfigError(f"{key} = {value!r}: is a {type(value).__name__}; accepted: {_VALUES}")


def _quoted(text: str) -> str:
    """The text in quotation marks: a backslash counts as itself unless a quotation mark follows."""
    inside = re.sub(r'(\\*)"', r'\1\1\\"', text)
    end = len(inside) - len(inside.rstrip("\\"))
    return f'"{inside}{inside[len(inside) - end :]}"'
