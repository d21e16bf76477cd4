"""A study with a launcher other than the stacked one: its trials run in batches, each as a Hydra job of its own."""

from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import OmegaConf

from src.config.check import parse
from src.config.error import ConfigError, TrialFailed
from src.config.wording import number_of
from src.sweep.composer import Composer
from src.sweep.job import Job, Returned
from src.sweep.launch import check, identity, typed
from src.training.result import Result

if TYPE_CHECKING:
    from src.sweep.outcome import Outcome
    from src.sweep.space.settings import Sweep


def study_in_batches(launcher: Launcher, composer: Composer, sweep: "Sweep") -> None:
    """Runs the study's trials in batches of `hydra.launcher.n_jobs` jobs, without pruning; each job tracks itself.

    Raises ConfigError for a pruner or a plan, SurroundingsError where the surroundings broke a job (fault.py), and
    TrialFailed at the end where jobs raised or no trial has a value.
    """
    if sweep.settings.pruner != "none":
        raise ConfigError(
            "hydra/launcher: only the stacked launcher prunes; accepted with this one: hydra.sweeper.pruner=none"
        )
    base = check(composer, sweep)[0]
    if base.plan:
        raise ConfigError("plan = true: only the stacked launcher makes plans; leave hydra/launcher out")

    from src.data.load import load
    from src.runs import terminal
    from src.sweep import fault
    from src.sweep.studies.study import open_study

    dataset = load(base.data, base.task.kind)
    at_once = int(OmegaConf.select(composer.config, "hydra.launcher.n_jobs") or 1)
    failed, broke = 0, list[Exception]()  # broke: the errors that the surroundings caused
    shared = identity(composer, base, sweep, dataset.name)
    with open_study(sweep.settings, sweep.space, shared, terminal.say, typed()) as study:
        while asks := study.ask(max(1, at_once)):
            jobs = [[*sweep.fixed, *ask.overrides] for ask in asks]
            for ask, overrides, returned in zip(asks, jobs, launcher.launch(jobs, asks[0].number), strict=True):
                try:
                    result = _left_by(returned, ask.place)
                except Exception as error:
                    about = {"overrides": overrides, "reason": repr(error)}
                    if fault.is_of_surroundings(error, lambda: fault.train_plainly(base, dataset)):
                        broke.append(error)
                        blameless = not fault.is_of_device(error)  # a trial may break a device by what it does
                        study.tell(ask, "KILLED", None, about | {"stopped": blameless})
                    else:
                        failed += 1
                        study.tell(ask, "FAIL", None, about)
                    continue
                attrs = result.attributes() | {"overrides": overrides}
                if result.status == "FINISHED":
                    study.tell(ask, "COMPLETE", [attrs[name] for name in sweep.settings.objectives], attrs)
                else:  # it diverged
                    study.tell(ask, "PRUNED", None, attrs)
            if broke:
                raise fault.stopped(broke[0], goes_on=True) from broke[0]
        terminal.say(f"study {sweep.settings.study_name}: {study.reason_to_stop()}; best: {study.best()}")
        if nothing := study.without_value():
            raise TrialFailed(nothing)
    if failed:
        raise TrialFailed(
            f"{number_of(failed, 'trial')} of study {sweep.settings.study_name} failed; src.report shows why"
        )


def _left_by(returned: JobReturn, place: int) -> "Outcome":
    """How a job that another launcher ran has ended, read from its folder. Raises the error that the job raised."""
    from src.runs.result_files import results_in
    from src.sweep.outcome import outcome

    Returned(**vars(returned)).return_value  # noqa: B018  (raises)
    assert returned.hydra_cfg is not None
    folder = Path(str(returned.hydra_cfg.hydra.runtime.output_dir))
    results = [Result.from_kept(one) for one in results_in(folder)]
    return outcome(Job(parse(results[0].config), folder, [], place), results, pruned=False)
