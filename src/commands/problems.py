"""What is wrong with a command line: all of it in one go, before anything heavy is loaded."""

import codecs
import re
from argparse import ArgumentError
from difflib import get_close_matches
from itertools import zip_longest
from pathlib import Path
from shlex import quote

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from src.config.compose import ADDED, CONF, SWEEPS, composed, groups_of_options, hydra_composed
from src.config.error import UserError

# The exceptions that Hydra raises for a command or a file that it cannot read.
REFUSALS = (HydraException, OmegaConfBaseException, YAMLError, UnicodeDecodeError)
OPTIONS = "python -m src.train --help lists what there is"
READABLE = (
    "accepted: KEY=VALUE such as optim.eta=0.1, model.maps=[20,40], 'optim.eta=interval(0.1,1)', 'name=\"a (b)\"'"
)


def in_order(arguments: list[str]) -> list[str]:
    """The arguments with the options first, because Hydra's parser takes KEY=VALUE in a single block only.

    Raises UserError for words with dashes that are not an option's full name: Hydra would take --exp for the beginning
    of --experimental-rerun.
    """
    parser = get_args_parser()
    parser.allow_abbrev = parser.exit_on_error = False
    try:
        parsed, left = parser.parse_known_intermixed_args(arguments)
        in_one_block = not parser.parse_known_args(arguments)[1]
    except ArgumentError as error:
        raise UserError(f"{error}; {OPTIONS}") from None
    problems = [
        _no_option(word, following, list(parser._option_string_actions))
        for word, following in zip_longest(arguments, arguments[1:], fillvalue="")
        if word.startswith("-") and word in (*left, *parsed.overrides)
    ]
    modes = [f"--{mode}" for mode in ("run", "multirun", "cfg", "info") if getattr(parsed, mode)]
    if parsed.resolve and not (parsed.cfg or parsed.help):
        problems.append("--resolve: says how --cfg job prints; write both")
    if parsed.experimental_rerun and not Path(parsed.experimental_rerun).is_file():
        problems.append(f"--experimental-rerun {parsed.experimental_rerun}: no such file")
    if len(modes) > 1:
        problems.append(f"{' and '.join(modes)}: only one of them at a time")
    if problems:
        raise UserError("\n".join(problems))
    options = list(arguments)
    for override in parsed.overrides:
        options.remove(override)
    return arguments if in_one_block else [*options, *parsed.overrides]


def _no_option(word: str, following: str, options: list[str]) -> str:
    """The message for a word with dashes that is no option, with what was perhaps meant."""
    from src.config.problems import is_key

    key, equals, value = word.lstrip("-").partition("=")
    near = get_close_matches(word.partition("=")[0], options, n=1)
    known = is_key(key) or key in groups_of_options()
    if not known and (near or not equals):
        return f"{word}: no such option; {f'did you mean {near[0]}?' if near else OPTIONS}"
    if not equals:
        value = "VALUE" if not following or following.startswith("-") or "=" in following else following
    if not known and not key.startswith("hydra"):
        return f"{word}: keys are written without dashes, and {_unknown(key)}"
    plus = "+" if key in ADDED else ""
    return f"{word}: keys are written without dashes: {quote(f'{plus}{key}={value}')}"


def sweeps_nothing(arguments: list[str]) -> bool:
    """Whether the command is a grid (-m) that sweeps no key. False where it cannot be composed, which Hydra reports."""
    parsed = get_args_parser().parse_args(arguments)
    if not parsed.multirun or parsed.config_path or parsed.config_name or parsed.config_dir:
        return False
    try:
        if any(one.is_sweep_override() for one in OverridesParser.create().parse_overrides(parsed.overrides)):
            return False
        sweeper = hydra_composed(parsed.overrides).sweeper
    except REFUSALS:
        return False
    return str(sweeper._target_).endswith(".GridSweeper") and not sweeper.params


def explain(arguments: list[str], error: Exception) -> str:
    """The message for a command that Hydra refused with `error`; lists all its wrong keys, options and values."""
    from src.config.check import parse
    from src.config.error import ConfigError

    parsed = get_args_parser().parse_args(arguments)
    if parsed.config_path or parsed.config_name or parsed.config_dir:  # the command uses files that only Hydra finds
        return _unreadable([], error)
    problems, overrides, sound = list[str](), list[Override](), dict[str, str]()
    for argument in parsed.overrides:
        try:
            overrides.append(OverridesParser.create().parse_override(argument))
        except HydraException:
            problems.append(_unread(argument))
    keys = [one.key_or_group for one in overrides]
    for key in ADDED:
        if keys.count(key) > 1:
            given = ", ".join(one.get_value_string() for one in overrides if one.key_or_group == key)
            problems.append(f"{key} is given twice: {given}; leave one out")
    multirun = parsed.multirun or "sweeps" in keys or "hydra.mode" in keys
    for one in overrides:
        problem = _problem(one, keys, multirun, str(error))
        if problem:
            problems.append(problem)
        elif not one.is_sweep_override() and not one.key_or_group.startswith("hydra"):
            sound[one.key_or_group] = str(one.input_line)  # values of a sweep are checked later, by the sweep
    try:
        parse(composed(list(sound.values())), problems)
    except ConfigError as found:
        return str(found)
    except REFUSALS as again:
        error = again
    return _unreadable(problems, error)


def _unread(argument: str) -> str:
    """The message for an argument that Hydra's parser cannot read, with what was meant if that is clear."""
    from src.config.problems import is_key, text_keys

    key, _, value = map(str.strip, re.split(r"(\s*[:=]+\s*)", f"{argument}=", maxsplit=1))
    value = value.removesuffix("=")
    texts = [*text_keys(), *(f"hydra.sweeper.{name}" for name in ("study_name", "storage"))]
    meant = []
    if is_key(key) and value and f"{key}={value}" != argument:
        meant.append(f"{key}={value}")
    if key in texts and value:
        inside = value.strip("\"'").replace("\\", "\\\\").replace('"', '\\"')
        meant.append(f'{key}="{inside}"')
    for one in meant:
        try:
            OverridesParser.create().parse_override(one)
        except HydraException:
            continue
        return f"{argument}: cannot be read; write {quote(one)}"
    return f"{argument}: cannot be read; {READABLE}"


def _unreadable(problems: list[str], error: Exception) -> str:
    lines = [*problems, _in_a_file(error) or " ".join(str(error).split())]
    return "\n".join(["The command cannot be read, nothing was started:", *(f"  {line}" for line in lines)])


def _in_a_file(error: Exception) -> str | None:
    """The message about the file that Hydra could not read; None where `error` is not about a file."""
    from src.config.problems import unknown_key

    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        place = f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}"
        return f"{place}: {', '.join(filter(None, [error.context, error.problem]))}"
    if isinstance(error, UnicodeDecodeError):
        return "; ".join(_not_utf8()) or f"a file is not UTF-8 ({error})"
    words = str(error)
    file = re.match(r"In '((?:sweeps|exp)/[^']+)'", words)
    if file and re.search(rf"Could not override '\S+@{file[1].partition('/')[0]}\.", words):
        return "; ".join(_not_utf8()) or f"{file[1]}.yaml: its first line must be # @package _global_"
    key = re.search(r"full_key: (hydra\.(?:sweeper|launcher)\.\S+)", words)
    if not file or not key:
        return None
    if "GridSweeperConfig" in words:
        return f"{file[1]}.yaml: {key[1]}: a study has this key; write - override /hydra/sweeper: optuna in defaults"
    return f"{file[1]}.yaml: {unknown_key(key[1], list(_study_keys().values()))}"


def _not_utf8() -> list[str]:
    """The files of conf/ and sweeps/ that are not in UTF-8, which Hydra reads."""
    problems = []
    for path in sorted(path for folder in (CONF, SWEEPS) for path in folder.rglob("*.yaml")):
        content, name = path.read_bytes(), path.relative_to(CONF.parent)
        if content.startswith(codecs.BOM_UTF8):
            problems.append(f"{name}: begins with a byte order mark (BOM); save it as UTF-8 without one")
            continue
        try:
            content.decode()
        except UnicodeDecodeError as error:
            problems.append(f"{name}: is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8")
    return problems


def _study_keys() -> dict[str, str]:
    """The keys of studies that runs do not have: the last part of the key -> the whole key."""
    from src.sweep.space.settings import StudySettings

    names = {name: f"hydra.sweeper.{name}" for name in StudySettings.model_fields}
    return {**names, "max_members": "hydra.launcher.max_members"}


def _unknown(key: str) -> str:
    from src.config.problems import all_keys, unknown_key

    name, dot, rest = key.partition(".")
    if name in _study_keys():
        return f"{key}: no such key; did you mean {_study_keys()[name]}{dot}{rest}?"
    return unknown_key(key, [*all_keys(), *groups_of_options()])


def _problem(one: Override, keys: list[str], multirun: bool, error: str) -> str | None:
    """The message for an override that is wrong by itself, else None; keys: all keys of the command."""
    from src.config.problems import all_keys, is_open, unknown_key

    key, groups = one.key_or_group, groups_of_options()
    value = "" if one.is_delete() else one.get_value_string()
    if one.is_sweep_override() and not multirun:
        if one.is_interval_sweep():
            return f"{one.input_line}: an interval is for a study: python -m src.train -m hydra/sweeper=optuna …"
        return f"{one.input_line}: several values are a grid: python -m src.train -m …"
    if one.is_add() and ((key in groups and key not in ADDED) or f"already at '{key}'" in error):
        return f"{one.input_line}: {key} is there already; write {key}={value}, without +"
    if one.is_delete() and f"override {one.input_line}" in error:
        return f"{one.input_line}: a key that cannot be left out; write {key}=null"
    if key.startswith("hydra.launcher.") and "hydra/launcher" not in keys:
        known = ["hydra.launcher.max_members"]
        return None if key in known else unknown_key(key, known)
    if key.startswith("hydra.sweeper."):
        return _sweeper_problem(key, value, keys, error)
    if key.startswith("hydra") or one.is_delete():
        return None
    if key in groups:
        options = [value]
        if one.is_sweep_override():
            options = [str(option) for option in one._value.list] if isinstance(one._value, ChoiceSweep) else []
        if not set(options) <= set(groups[key]):
            return f"{key} = {value!r}: no such option; accepted: {', '.join(groups[key])}"
        if key in ADDED and not one.is_add():
            return f"{key}={value}: {ADDED[key]} is added, so write +{key}={value}"
        return None
    if is_open(key) or any(known == key or known.startswith(f"{key}.") for known in all_keys()):
        return None
    return _unknown(key)


def _sweeper_problem(key: str, value: str, keys: list[str], error: str) -> str | None:
    """The message for a wrong key or value of hydra.sweeper, else None."""
    from src.config.problems import unknown_key
    from src.sweep.space.options import PRUNERS, SAMPLERS
    from src.sweep.space.settings import StudySettings

    study = "sweeps" in keys or "hydra/sweeper" in keys
    if not study and key.startswith(("hydra.sweeper.params", "hydra.sweeper.max_batch_size")):
        return None  # the keys of a grid's sweeper
    known = [f"hydra.sweeper.{name}" for name in StudySettings.model_fields]
    if key not in known and not key.startswith(tuple(f"{name}." for name in known)):
        return unknown_key(key, known)
    if not study:
        return f"{key}: a study has this key; write hydra/sweeper=optuna, or +sweeps=NAME, besides"
    section, _, name = key.rpartition(".")
    if not section.endswith("_options") or f"'{key}'" not in error:
        return None
    schemas = SAMPLERS if section.endswith("sampler_options") else PRUNERS
    near = get_close_matches(name, {field for one in schemas.values() for field in one.model_fields}, n=1)
    name = near[0] if near else name
    return f"{key}: write '{section}={{{name}: {value}}}', or +{section}.{name}={value} beside options of a file"
