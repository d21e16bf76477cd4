"""Reading the configuration that a run has kept in a file, and changing it by KEY=VALUE of a command line."""

from collections.abc import Collection, Mapping
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from src.config.address import masked
from src.config.check import parse
from src.config.error import ConfigError
from src.config.schema import RunConfig, TrackingConfig

_NONE = object()

# Keys that may stay unchecked, each with a value that passes the checks: no network depends on name and tracking, and a
# seed has been trained with already. The rules for them may have changed since.
_PLAIN: dict[str, Any] = {"name": "custom", "seed": 0, "tracking": {}}


def changed(config: dict[str, Any], changes: list[str], usage: str) -> RunConfig:
    """The kept `config` with the KEY=VALUE `changes`, checked. Raises ConfigError; `usage`: for its message.

    Name and seeds are not checked where the changes do not concern them.
    """
    wrong = [one for one in changes if "=" not in one]
    if wrong:
        raise ConfigError(f"{wrong[0]!r} is no KEY=VALUE. Usage: {usage}")
    sections = [key for key, value in config.items() if isinstance(value, dict)]
    groups = [one for one in changes if one.partition("=")[0].lstrip("+") in ("exp", *sections)]
    if groups:
        named = groups[0].partition("=")[0].lstrip("+")
        example = next(iter(dotted({named: config[named]} if named in sections else config)))
        raise ConfigError(f"{' '.join(groups)}: is a group; accepted: keys, such as {example}=VALUE")
    try:
        raw = OmegaConf.to_container(OmegaConf.merge(OmegaConf.create(config), OmegaConf.from_dotlist(changes)))
    except (OmegaConfBaseException, YAMLError) as error:
        raise ConfigError(f"{masked(' '.join(changes))}: cannot be read ({str(error).splitlines()[0]})") from None
    assert isinstance(raw, dict)
    decided_by = {"name": ("name",), "seed": ("seed", "repeats", "ensemble", "data")}
    unchecked = [
        key for key, own in decided_by.items() if all(repr(raw.get(one)) == repr(config.get(one)) for one in own)
    ]
    try:
        parsed = recalled(raw, unchecked)
    except ConfigError as error:
        raise ConfigError(str(error).replace(", nothing was started", "")) from None
    if parsed.tracking.kind != "none" and ":***@" in parsed.tracking.uri:
        raise ConfigError(
            f"tracking.uri = {parsed.tracking.uri!r}: the run's own address, which is kept without its password; "
            f"accepted on this command: tracking.uri=ADDRESS, or tracking.kind=none"
        )
    return parsed


def different(before: dict[str, Any], now: RunConfig) -> list[str]:
    """The keys, as `section.key`, whose values in `now` differ from the kept configuration `before`."""
    then = dotted(recalled(before).shown())
    today = dotted(now.shown())  # the two may differ in their entries of model.args
    return [key for key in dict.fromkeys([*today, *then]) if today.get(key, _NONE) != then.get(key, _NONE)]


def recalled(config: Mapping[Any, Any], unchecked: Collection[str] = tuple(_PLAIN)) -> RunConfig:
    """A kept configuration, checked but for the keys in `unchecked` (of name, seed, tracking). Raises ConfigError."""
    kept = {key: config[key] for key in unchecked if isinstance(config.get(key), type(_PLAIN[key]))}
    parsed = parse({**config, **{key: _PLAIN[key] for key in kept}})
    if "tracking" in kept:
        kept["tracking"] = TrackingConfig.model_construct(**kept["tracking"])
    return parsed.model_copy(update=kept)


def dotted(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A configuration's nested sections as `section.key` -> value."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= dotted(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
