"""Reads and writes values in the grammar of Hydra's overrides: `read(written(value))` is `value`, of the same type."""

import math
import re
from typing import Any

# Texts that Hydra reads back as they are without quotes; all others are quoted.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_NO_TEXT = {"null", "true", "false", "inf", "nan"}


def written(value: Any) -> str:
    """`value` (null, boolean, finite number, text, list or dictionary of such) as the right side of KEY=VALUE.

    Raises ValueError, with the rule, for what no override can hold: other types, infinities, interpolations.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not finite")
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return f"[{','.join(written(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{_name(name)}:{written(item)}' for name, item in value.items())}}}"
    raise ValueError(f"{value!r} is neither null, true, false, a number, a text, a list nor a dictionary")


def _text(value: str) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString

    if "${" in value or value == "???":
        raise ValueError(f"{value!r} would be resolved, not kept; write its value")
    if _is_plain(value):
        return value
    return QuotedString(text=value, quote=Quote.single).with_quotes()


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _is_plain(value):
        raise ValueError(f"{value!r} is no name; accepted in a dictionary: letters, digits, _ and -")
    return value


def _is_plain(value: str) -> bool:
    return _PLAIN.fullmatch(value) is not None and value.lower() not in _NO_TEXT


def plain(element: Any) -> Any:
    """An element that Hydra's parser has read, with its quoted texts as str. Raises ValueError for a sweep in it."""
    from hydra.core.override_parser.types import Glob, QuotedString, Sweep

    if isinstance(element, Sweep | Glob):
        raise ValueError("a choice holds values, not further sweeps")
    if isinstance(element, QuotedString):
        return element.text
    if isinstance(element, list):
        return [plain(item) for item in element]
    if isinstance(element, dict):
        return {plain(name): plain(item) for name, item in element.items()}
    return element


def read(text: str) -> Any:
    """The value that Hydra reads from the right side of KEY=VALUE."""
    return plain(parsed(text)._value)


def parsed(text: str) -> Any:
    """Hydra's Override for the right side of KEY=VALUE. Raises ValueError, on one line, where Hydra cannot read it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_rule(f"key={text}", "override")
    except HydraException as error:
        message = re.sub(r"^\w+ while evaluating '.*?': ", "", str(error), flags=re.DOTALL)
        raise ValueError(" ".join(message.split())) from None
