"""Nested cross-validation: a study for each outer fold, whose best trial is tested on examples that no choice has seen.

With hydra.sweeper.nested=K all examples are dealt to K parts. Study NAME-outer-k (k from 1) takes the k-th one as its
test set and searches on the rest; the studies run one after another, each an ordinary one that goes on as any other
does. The outer score is the mean of the K test scores, each of the best trial of its study [G. Cawley and N. Talbot,
On Over-fitting in Model Selection and Subsequent Selection Bias in Performance Evaluation, JMLR 11, 2010].
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf, open_dict

from src.config.error import ConfigError, TrialFailed
from src.config.files import write_json
from src.sweep.composer import Composer
from src.sweep.launch import check

if TYPE_CHECKING:
    from src.sweep.space.settings import Sweep

KEYS = ("data.outer_folds", "data.outer_fold")
FILE = "nested.json"
Launch = Callable[[Composer, "Sweep"], None]  # runs one study


def launch(multirun: tuple[Any, Any, Any], sweep: "Sweep", study: Launch) -> None:
    """Runs the sweep's study or, with hydra.sweeper.nested, that of each outer fold, and says the outer score.

    multirun: what a Composer is made of. study: runs one study. Raises ConfigError where the outer folds cannot be
    dealt, TrialFailed at the end where trials of any study had no results, and what `study` raises.
    """
    count = sweep.settings.nested
    with Composer(*multirun) as composer:
        if count is None:
            return study(composer, sweep)
        plans = _refuse(composer, sweep)
        failures = []
        for number in range(1, (1 if plans else count) + 1):
            own = _of_fold(sweep, number, composer.folder / f"outer-{number}")
            with Composer(multirun[0], _at(multirun[1], composer.folder / f"outer-{number}"), multirun[2]) as fold:
                try:
                    study(fold, own)
                except TrialFailed as error:
                    failures.append(str(error))
        _conclude(sweep, composer.folder, plans)
    if failures:
        raise TrialFailed("\n".join(failures))


def _refuse(composer: Composer, sweep: "Sweep") -> bool:
    """Raises ConfigError where this sweep cannot have outer folds; returns whether it only makes a plan."""
    count, base = sweep.settings.nested, check(composer, sweep)[0]
    typed = {one.lstrip("+~").split("=")[0] for one in sweep.fixed} | set(sweep.space.keys)
    if typed.intersection(KEYS) or base.data.outer_folds is not None or base.data.outer_fold:
        raise ConfigError(
            f"hydra.sweeper.nested = {count}: sets data.outer_folds and data.outer_fold itself, for each outer fold; "
            "accepted with it: neither of them"
        )
    if base.data.split == "time" or (base.data.split == "auto" and base.data.time is not None):
        raise ConfigError(
            f"hydra.sweeper.nested = {count}: examples in the order of time have no folds; accepted with data.split="
            "time: null"
        )
    return base.plan


def _of_fold(sweep: "Sweep", number: int, folder: Path) -> "Sweep":
    """The study of outer fold `number`, from 1, with its trials below `folder`."""
    from src.sweep.studies.outer_studies import outer_name

    settings, quoted = sweep.settings, str(folder).replace("\\", "\\\\").replace("'", "\\'")
    fixed = [f"{KEYS[0]}={settings.nested}", f"{KEYS[1]}={number - 1}", f"hydra.sweep.dir='{quoted}'"]
    named = settings.model_copy(update={"study_name": outer_name(settings.study_name, number)})
    return replace(sweep, settings=named, fixed=[*sweep.fixed, *fixed])


def _at(config: Any, folder: Path) -> Any:
    """The multirun's configuration with another folder."""
    own = config.copy()
    OmegaConf.copy_cache(config, own)  # the time of day in its other paths
    with open_dict(own):
        own.hydra.sweep.dir = str(folder)
    return own


def _conclude(sweep: "Sweep", folder: Path, plans: bool) -> None:
    """Says the outer score and keeps it in the multirun's folder."""
    from src.runs import terminal

    settings = sweep.settings
    if plans:
        terminal.say(
            f"hydra.sweeper.nested = {settings.nested}: that {settings.nested} times, once for each outer fold"
        )
        return
    from src.report.outer_score import as_json, show
    from src.sweep.studies.outer_studies import read_outer

    studies = read_outer(settings.study_name, settings.storage)
    show(studies)
    terminal.say(f"Kept: {write_json(folder / FILE, as_json(studies))}")
