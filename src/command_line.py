"""Help on the command line: what a command may say, and what is wrong with one, all of it in one go."""

import re
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

CONF = Path(__file__).resolve().parent.parent / "conf"
SWEEPS = CONF.parent / "sweeps"
ADDED = {"exp": "an experiment", "sweeps": "a sweep"}  # groups that are no part of every configuration


HELP = """\
sweepstack trains many small networks at once, each exactly as if it were alone.

python -m src.train +exp=NAME [KEY=VALUE ...]        one run (repeats=3: three seeds in one stack)
python -m src.train -m +exp=NAME KEY=VALUE,VALUE     a grid: one run a value, trained as stacks
python -m src.train +sweeps=NAME                     an Optuna study, trained as stacks; goes on where it stopped
python -m src.train +exp=ensemble from_study=NAME    the best networks of a study vote; trains nothing
plan=true says what a command would train, and how long that takes.
After a sweep: python -m src.report study=NAME, src.rerun study=NAME trial=N, src.studies; make ui.
Options: --cfg job prints the configuration and trains nothing; --hydra-help lists Hydra's own options.

Experiments (published test accuracy on MNIST):
{experiments}

Sweeps:
{sweeps}

Groups, set as GROUP=OPTION:
{groups}

Keys, set as KEY=VALUE (here with what this command line makes of them):
{keys}"""


def asked_for_help(arguments: list[str]) -> str | None:
    """The answer to --help, with the keys as the other arguments set them; None where nobody asked.

    Hydra's own --help asks its file index about each group and option anew, which takes twice as long as all this.
    """
    parsed = get_args_parser().parse_args(arguments)
    if not parsed.help:
        return None
    groups = "\n".join(f"{group}: {', '.join(options)}" for group, options in sorted(_groups().items()))
    keys = OmegaConf.to_yaml(_composed(parsed.overrides), resolve=parsed.resolve)
    return HELP.format(experiments=experiments(), sweeps=sweeps(), groups=groups, keys=keys)


def _groups() -> dict[str, list[str]]:
    """The folders of conf, and sweeps, with the options in each."""
    folders = [*(path for path in CONF.iterdir() if path.is_dir()), SWEEPS]
    return {path.name: sorted(option.stem for option in path.glob("*.yaml")) for path in folders}


def experiments() -> str:
    """One line an experiment, with the figure its header names; read from conf/exp."""
    lines = []
    for path in sorted((CONF / "exp").glob("*.yaml")):
        comments = [line[2:].strip() for line in path.read_text().splitlines() if line.startswith("# ")]
        title = next(line for line in comments if not line.startswith("@"))
        published = next((line[len("Published: ") :] for line in comments if line.startswith("Published: ")), "")
        lines.append(f"  {path.stem:<18}{title}: {published}")
    return "\n".join(lines)


def sweeps() -> str:
    """One line a sweep: the question in its header."""
    lines = []
    for path in sorted(SWEEPS.glob("*.yaml")):
        text = path.read_text()
        question = re.search(r"^# Question: (.*(?:\n#   .*)*)", text, flags=re.MULTILINE)
        lines.append(f"  {path.stem:<18}{' '.join(question[1].replace('#', '').split()) if question else ''}")
    return "\n".join(lines)


def explain(arguments: list[str], error: Exception) -> str:
    """Every problem of a command that Hydra refused with `error`: wrong keys and options, and wrong values besides."""
    from src.config import ConfigError, all_keys, parse, unknown_key

    groups = _groups()
    problems, sound = list[str](), list[str]()
    multirun = is_multirun(arguments)
    for argument in arguments:
        match = re.fullmatch(r"[+~]*([\w./@]+)=(.*)", argument, flags=re.DOTALL)
        if match is None:
            continue
        key, value = match.groups()
        if key.startswith("hydra.sweeper."):
            problems += _sweeper_problem(key, arguments)
        if key.startswith("hydra"):
            continue
        if key in groups:
            swept = value.split(",") if multirun else [value]
            if not set(swept) <= set(groups[key]):
                problems.append(f"{key} = {value!r}: no such option; accepted: {', '.join(groups[key])}")
            elif key in ADDED and not argument.startswith("+"):
                problems.append(f"{key}={value}: {ADDED[key]} is added, so write +{key}={value}")
            elif len(swept) == 1:
                sound.append(argument)
        elif multirun and "," in value:
            pass  # a sweep's values are checked one by one, once the command can be read
        elif any(known == key or known.startswith(f"{key}.") for known in all_keys()):
            sound.append(argument)
        else:
            problems.append(unknown_key(key, [*all_keys(), *groups]))
    try:
        parse(composed(sound), problems)
    except ConfigError as found:
        return str(found)
    except (HydraException, OmegaConfBaseException) as again:
        error = again if not problems else error
    message = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return "\n".join(
        ["The command cannot be read, nothing was started:", *(f"  {line}" for line in [*problems, message])]
    )


def _sweeper_problem(key: str, arguments: list[str]) -> list[str]:
    """What is wrong with a key of hydra.sweeper, if anything."""
    from src.config import unknown_key
    from src.sweep.settings import StudySettings

    known = [f"hydra.sweeper.{name}" for name in StudySettings.model_fields]
    if not key.startswith(tuple(known)):
        return [unknown_key(key, known)]
    if any(one.lstrip("+").split("=")[0] in ("sweeps", "hydra/sweeper") for one in arguments):
        return []
    return [f"{key}: a study has this key; write hydra/sweeper=optuna, or +sweeps=NAME, besides"]


def is_multirun(arguments: list[str]) -> bool:
    """Whether the command sweeps (-m, also among other short options)."""
    return any(re.fullmatch(r"--multirun|-[a-z]*m[a-z]*", argument) for argument in arguments)


def composed(overrides: list[str]) -> Any:
    """The configuration that these overrides make, as nested dictionaries."""
    return OmegaConf.to_container(_composed(overrides), resolve=True)


def _composed(overrides: list[str]) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides)
