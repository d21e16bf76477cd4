"""From Hydra's jobs to trained trials: composes each job as Hydra does, then trains all of them as stacks."""

import random
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from omegaconf import DictConfig, OmegaConf

from src.config.check import refuse_unusable_store
from src.config.compose import UNLOGGED
from src.config.error import ConfigError
from src.config.folder import refuse_shared, refuse_taken
from src.config.kept_config import dotted
from src.config.metric import Metric
from src.config.schema import RunConfig
from src.config.unread import unread_keys
from src.config.wording import command, number_of
from src.sweep.composer import Composer, folder_of, split, swept, swept_keys
from src.sweep.job import Job
from src.sweep.space.options import WilcoxonOptions

if TYPE_CHECKING:
    from src.sweep.space.settings import StudySettings, Sweep

# Members that a study's stack holds at once: enough to fill the device, few enough that a sampler learns meanwhile.
MEMBERS_A_CORE = 4
MEMBERS_ON_A_GPU = 64

# Trials that a plan samples: enough to see how many have which structure.
PLANNED_SAMPLES = 60

# Keys on which no result depends: a study may go on with other values of them.
_FREE = ("trainer", "tracking", "figures", "name", "published")


def launch_each(composer: Composer, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """Runs one job after another, for a task function that trains no stacks; returns one JobReturn a job."""
    returned = []
    for number, overrides in enumerate(job_overrides, first):
        returned.append(composer.run(composer.composed(overrides), number))
        composer.calm()
    return returned


def launch_grid(
    composer: Composer, job_overrides: Sequence[Sequence[str]], first: int, max_members: Any
) -> list[JobReturn]:
    """Trains all combinations of a grid as stacks, or shows the plan; returns one JobReturn a job, in their order.

    max_members: the most networks in a stack, None: no limit. Raises UserError for what cannot run.
    """
    max_members = checked_limit(max_members)
    common, differing = split(job_overrides, swept_keys(composer.config))
    composed = [composer.composed(common, own) for own in differing]
    configs = all_checked(composer, composed, "sweep")

    from src.runs import terminal

    with terminal.waiting("Loading the libraries"):
        from src.models.own import check_networks
        from src.sweep.multirun import train_multirun
        from src.sweep.plan import show_plan

    check_networks(configs)
    if any(config.plan for config in configs):
        show_plan(configs, max_members)
        return [JobReturn(overrides=overrides, status=JobStatus.COMPLETED) for overrides in job_overrides]
    refuse_unusable_store(configs[0])
    uid = uuid4().hex
    owners = [f"trial {number} of the grid {uid}" for number in range(first, first + len(composed))]
    refuse_folders(composed, first, owners)
    labels = [" ".join(one.lstrip("+~") for one in filter_overrides(own)) for own in differing]
    jobs = [
        composer.job(config, number, label, owner)
        for number, (config, label, owner) in enumerate(zip(composed, labels, owners, strict=True), first)
    ]
    train_multirun(jobs, composer.folder, uid, max_members, swept(differing))
    return [job.returned for job in jobs]


def refuse_folders(jobs: Sequence[DictConfig], first: int, owners: Sequence[str]) -> None:
    """Raises UserError where two jobs, numbered from `first`, would share a folder, or a folder is another owner's."""
    folders = [folder_of(config, number) for number, config in enumerate(jobs, first)]
    refuse_shared(folders)
    refuse_taken(folders, owners)


def launch_study(composer: Composer, sweep: "Sweep", max_members: Any) -> None:
    """Trains the trials of an Optuna study as stacks, or shows the plan.

    max_members: the most networks in a stack, None: `default_limit`. Raises ConfigError where a sample of the search
    space could not run.
    """
    max_members = checked_limit(max_members)
    ends = check(composer, sweep)
    base = ends[0]
    _check_wilcoxon(sweep.settings, ends)

    from src.runs import terminal

    with terminal.waiting("Loading the libraries"):
        from src.data.load import load
        from src.models.own import check_networks
        from src.sweep.plan import show_plan
        from src.sweep.space.grid_points import total
        from src.sweep.studies.study import open_study
        from src.sweep.studies.trial_results import trial_owner
        from src.sweep.trials import train_study
        from src.training import fit

    check_networks(ends)
    dataset = load(base.data, base.task.kind)
    for config in ends:
        if config.data == base.data:
            fit.check(config, dataset)
    limit = max_members or default_limit(base)

    if base.plan:
        samples = [composer.checked(composer.composed(sweep.fixed, overrides)) for overrides in sample_overrides(sweep)]
        show_plan(samples, limit, of=total(sweep.settings, sweep.space))
        return
    refuse_unusable_store(base)
    shared = identity(composer, base, sweep, dataset.name)
    with open_study(sweep.settings, sweep.space, shared, terminal.say, typed()) as study:
        owner = partial(trial_owner, study.settings.study_name, study.uid)
        one = composer.composed(sweep.fixed)
        known = {place: study.folders(place) for place in range(study.total if composer.was_there else 0)}
        for place, own in known.items():
            folder = folder_of(one, place)
            refuse_taken([folder], [owner(place)], goes_on=folder.resolve() in own)

        def job(overrides: list[str], place: int, label: str) -> Job:
            return composer.trial(sweep.fixed, overrides, place, label, owner(place), known.get(place, ()))

        train_study(study, job, base, composer.folder, limit, dataset)


def typed() -> str:
    """The command line of this process, as one would type it again."""
    return command("train", *(one for one in sys.argv[1:] if one not in UNLOGGED))


def check(composer: Composer, sweep: "Sweep") -> list[RunConfig]:
    """Composes samples that reach every end of the search space; returns their configurations.

    Raises ConfigError that lists all that cannot run.
    """
    if sweep.space.hook is not None:
        sample_overrides(sweep, 1)  # raises what is wrong with the hook
    ends = sweep.space.ends() or [{}]  # where only a function samples, no end is known
    samples = [composer.composed(sweep.fixed, sweep.space.overrides(sample)) for sample in ends]
    for sample in samples:  # two trials may have the same parameters
        refuse_shared([folder_of(sample, place) for place in range(2)])
    return all_checked(composer, samples, "study's space", [sweep.settings.score])


def _check_wilcoxon(settings: "StudySettings", configs: Sequence[RunConfig]) -> None:
    """Raises ConfigError where pruner=wilcoxon could never prune: its p with n pairs of networks is at least 2^-n."""
    if settings.pruner != "wilcoxon":
        return
    options = WilcoxonOptions.model_validate(settings.pruner_options)
    fewest = max(2, options.n_startup_steps)
    enough = [1 + n for n in range(fewest, fewest + 60) if 0.5**n < options.p_threshold]  # the last one spares nothing
    members = max(config.members for config in configs)
    if not enough or members < enough[0]:
        least = f"repeats={enough[0]} or more, or " if enough else ""
        raise ConfigError(
            f"hydra.sweeper.pruner = 'wilcoxon': {number_of(members, 'network')} a trial are too few for a test at "
            f"p_threshold={options.p_threshold:g} to end it early; accepted: {least}a larger "
            "hydra.sweeper.pruner_options.p_threshold"
        )


def all_checked(
    composer: Composer, composed: Sequence[DictConfig], what: str, scores: Sequence[Metric] = ()
) -> list[RunConfig]:
    """The checked run configurations of a sweep's composed ones.

    what: the sweep's name in the error. Raises one ConfigError with the problems of all that cannot run; a problem is
    also where their tasks have different scores, or one other than that in `scores`.
    """
    configs, problems, refusals = list[RunConfig](), list[str](), list[str]()
    for config in composed:
        try:
            configs.append(composer.checked(config))
            if configs[-1].from_study:
                problems.append("from_study: votes once, and trains nothing to sweep over; leave -m out")
        except ConfigError as error:
            refusals.append(str(error))
            problems += [line.strip() for line in refusals[-1].splitlines()[1:]]
    if not problems:
        problems = unread_keys(configs, [one for config in composed for one in config.hydra.overrides.task])
    if len(refusals) == len(composed) > 1 and len(set(refusals)) == 1:  # the fault lies in what all share
        raise ConfigError(refusals[0])
    if any(config.data.refit for config in configs):
        problems.append(
            "data.refit = True: a sweep ranks its trials by the validation examples, which would be trained on; "
            "accepted: data.refit=false, and afterwards a run of the best settings with data.refit=true, or of a study "
            "python -m src.rerun study=NAME trial=N data.refit=true stop.keep=last"
        )
    names = dict.fromkeys(score.name for score in [*scores, *(config.task.metric for config in configs)])
    if len(names) > 1:
        problems.append(f"task: trials with the scores {' and '.join(names)} cannot be ranked; accepted: one of them")
    if problems:
        hint = "; in a search space: int(interval(LOW, HIGH))" if what.startswith("study") else ""
        problems = [f"{one}{hint if 'must be a whole number' in one else ''}" for one in problems]
        listed = "\n".join(f"  {problem}" for problem in dict.fromkeys(problems))
        raise ConfigError(f"This {what} holds combinations that cannot run, nothing was started:\n{listed}")
    return configs


def sample_overrides(sweep: "Sweep", most: int = PLANNED_SAMPLES) -> list[list[str]]:
    """The overrides of at most `most` random samples of the search space, without a store; of a grid, distinct ones."""
    import optuna

    from src.sweep.space.grid_points import GridPoints

    count, space, seed = min(sweep.settings.n_trials, most), sweep.space, sweep.settings.seed
    if sweep.settings.sampler == "grid":
        points = GridPoints(sweep.settings, space).all
        chosen = random.Random(seed).sample(points, min(count, len(points)))
        return [space.overrides(space.params(point)) for point in chosen]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [space.overrides(space.suggest(study.ask())) for _ in range(count)]


def identity(composer: Composer, base: RunConfig, sweep: "Sweep", images: str) -> dict[str, Any]:
    """What the results of all trials of a study depend on beside its space: fixed configuration and data set.

    images: the data set's name. A study goes on only where this is the same as when it was made.
    """
    swept = set(sweep.space.keys)
    flat = {key: value for key, value in dotted(base.shown()).items() if key not in swept}
    groups = tuple(key for key in swept if "." not in key)
    fixed = {key: value for key, value in flat.items() if not key.startswith((*_FREE, *groups))}
    sometimes = swept - {one.key for one in sweep.space.dimensions if not one.when}
    if sometimes:
        own = composer.composed(sweep.fixed)
        values: Any = OmegaConf.create({key: OmegaConf.select(own, key) for key in sorted(sometimes)})
        values = OmegaConf.to_container(values)
        fixed |= {f"{key} (where it is not swept)": value for key, value in values.items()}
    return {"config": fixed, "dataset": images}


def checked_limit(max_members: Any) -> int | None:
    """hydra.launcher.max_members, which must be a whole number of at least 1, or None. Raises ConfigError."""
    if max_members is None or (isinstance(max_members, int) and max_members >= 1 and max_members is not True):
        return max_members
    raise ConfigError(
        f"hydra.launcher.max_members = {max_members!r}: must be a whole number; accepted: at least 1 (or null)"
    )


def default_limit(base: RunConfig) -> int:
    """The most members of a study's stack where hydra.launcher.max_members is not set."""
    from src.training.device import choose_device, cores

    on_cpu = choose_device(base.trainer).type == "cpu"
    at_once = MEMBERS_A_CORE * (base.trainer.threads or cores()) if on_cpu else MEMBERS_ON_A_GPU
    return at_once * (base.data.folds or 1)  # as many trials at once as without folds
