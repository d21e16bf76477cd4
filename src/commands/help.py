"""What `python -m src.train --help` prints."""

import re

from hydra._internal.utils import get_args_parser
from omegaconf import OmegaConf

from src.config.compose import CONF, SWEEPS, configuration, groups_of_options

HELP = """\
sweepstack trains many small networks at once, each exactly as if it were alone.

python -m src.train +exp=NAME [KEY=VALUE ...]        one run (repeats=3: three seeds in one stack)
python -m src.train -m +exp=NAME KEY=VALUE,VALUE     a grid: one run a value, trained as stacks
python -m src.train +sweeps=NAME                     an Optuna study, trained as stacks; goes on where it stopped
python -m src.train +exp=ensemble from_study=NAME    the best networks of a study vote; trains nothing
python -m src.check +exp=NAME [KEY=VALUE ...]        whether gradients are right, the first cost, 20 examples by heart
python -m src.resume FOLDER                          a run that was stopped or killed goes on
python -m src.predict run=FOLDER input=FILE          what trained networks answer to pictures, arrays
python -m src.evaluate run=FOLDER [data=NAME]        their score with its interval, class by class; calibration
python -m src.look run=FOLDER [image=N]              feature maps, exciting images, occlusion, codes: pictures
python -m src.export run=FOLDER output=FILE.onnx     them as one graph, with their preprocessing (or FILE.pt2)
python -m src.sample run=FOLDER                      what a Boltzmann machine draws by itself: a picture
plan=true says what a command would train, and how long that takes.
After a sweep: python -m src.report study=NAME, src.rerun study=NAME trial=N, src.studies; make ui.
Options: --cfg job prints the configuration and trains nothing; --hydra-help lists Hydra's own options.

Experiments (published test accuracy on MNIST):
{experiments}

Sweeps (their own keys, hydra.sweeper.KEY=VALUE such as n_trials, sampler or pruner: docs/sweeps.md):
{sweeps}

Groups, set as GROUP=OPTION:
{groups}

Keys, set as KEY=VALUE (here with what this command line makes of them):
{keys}"""


def asked_for_help(arguments: list[str]) -> str | None:
    """The answer to --help, with the keys' values as the other arguments set them; None without --help.

    It replaces Hydra's own --help, which takes twice as long because it looks up each group and option on its own.
    """
    parsed = get_args_parser().parse_args(arguments)
    if not parsed.help:
        return None
    groups = "\n".join(f"{group}: {', '.join(options)}" for group, options in sorted(groups_of_options().items()))
    keys = OmegaConf.to_yaml(configuration(parsed.overrides), resolve=parsed.resolve)
    return HELP.format(experiments=experiments(), sweeps=sweeps(), groups=groups, keys=keys)


def experiments() -> str:
    """A line for each experiment in conf/exp, with the figure in the header of its file."""
    lines = []
    for path in sorted((CONF / "exp").glob("*.yaml")):
        comments = [line[2:].strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
        title = next(line for line in comments if not line.startswith("@"))
        published = next((line[len("Published: ") :] for line in comments if line.startswith("Published: ")), "")
        lines.append(f"  {path.stem:<18}{title}: {published}")
    return "\n".join(lines)


def sweeps() -> str:
    """A line for each sweep, with the question in the header of its file."""
    lines = []
    for path in sorted(SWEEPS.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        question = re.search(r"^# Question: (.*(?:\n#   .*)*)", text, flags=re.MULTILINE)
        lines.append(f"  {path.stem:<18}{' '.join(question[1].replace('#', '').split()) if question else ''}")
    return "\n".join(lines)
