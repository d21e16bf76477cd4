"""From Hydra's jobs to trained trials: composes each job as Hydra does, then trains all of them as stacks."""

import copy
import random
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from src.config.changes import dotted
from src.config.check import parse, refuse_unusable_store
from src.config.error import ConfigError, TrialFailed
from src.config.folder import claim, refuse_shared, refuse_taken, trial_folder
from src.config.problems import all_keys
from src.config.schema import RunConfig
from src.config.words import command, number_of
from src.sweep.job import Job, Returned
from src.sweep.space.options import WilcoxonOptions
from src.training.result import Result

if TYPE_CHECKING:
    from src.sweep.outcome import Outcome
    from src.sweep.space.settings import StudySettings, Sweep

# Members that a study's stack holds at once: enough to fill the device, few enough that a sampler learns meanwhile.
MEMBERS_A_CORE = 4
MEMBERS_ON_A_GPU = 64

# Trials that a plan samples: enough to see how many have which structure.
PLANNED_SAMPLES = 60

# Keys that hold values, no config groups.
VALUES = frozenset(all_keys())

# What no result depends on: a study goes on with other values of these.
_FREE = ("trainer", "tracking", "figures", "name", "published")


class Composer:
    """Hydra's own way to a job: configuration, output folder, `.hydra` files, callbacks.

    To be entered; an empty folder is gone at the end.
    """

    def __init__(self, hydra_context: HydraContext, config: DictConfig, task_function: TaskFunction) -> None:
        self.hydra_context, self.config, self.task_function = hydra_context, config, task_function
        setup_globals()
        self.calm()
        self.folder = Path(str(config.hydra.sweep.dir))
        self.was_there = self.folder.exists()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._kept: tuple[tuple[str, ...], DictConfig] | None = None

    def __enter__(self) -> "Composer":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # it is not empty
            self.folder.rmdir()

    @property
    def makes_jobs(self) -> bool:
        """Whether the task function says what it would train, instead of only doing it."""
        return hasattr(self.task_function, "job")

    def calm(self) -> None:
        """Logging as the multirun has it; a job sets its own."""
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)

    def composed(self, fixed: Sequence[str], changing: Sequence[str] = ()) -> DictConfig:
        """What Hydra makes of all these overrides, `hydra` included. Raises what Hydra raises.

        A composition takes Hydra a tenth of a second. Where `changing` sets plain values, one of `fixed` is kept and
        the values are set in a copy, which gives the same.
        """
        loader: ConfigLoader = self.hydra_context.config_loader
        parsed = OverridesParser.create().parse_overrides(list(changing))
        if not all(override.key_or_group in VALUES and override.type is OverrideType.CHANGE for override in parsed):
            return loader.load_sweep_config(self.config, [*fixed, *changing])
        if self._kept is None or self._kept[0] != tuple(fixed):
            self._kept = tuple(fixed), loader.load_sweep_config(self.config, list(fixed))
        config = copy.deepcopy(self._kept[1])
        ConfigLoaderImpl._apply_overrides_to_config(parsed, config)
        config.hydra.overrides.task.extend([override.input_line for override in parsed])
        names = config.hydra.job.config.override_dirname
        tasks = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
        config.hydra.job.override_dirname = get_overrides_dirname(
            tasks, exclude_keys=names.exclude_keys, item_sep=names.item_sep, kv_sep=names.kv_sep
        )
        return config

    def run(self, config: DictConfig, number: int, task: TaskFunction | None = None) -> JobReturn:
        """Calls `task` with a composed configuration, by default the task function."""
        folder_of(config, number)
        return run_job(
            hydra_context=self.hydra_context,
            task_function=task or self.task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
            configure_logging=task is None,
        )

    def checked(self, config: DictConfig) -> RunConfig:
        """The trial's configuration alone: no folder, no files. Raises ConfigError."""
        own = [str(key) for key in config if key != "hydra"]
        return parse(OmegaConf.to_container(OmegaConf.masked_copy(config, own), resolve=True))

    def job(self, config: DictConfig, number: int, label: str, owner: str, known: Collection[Path] = ()) -> Job:
        """The trial of a composed configuration, its folder claimed for `owner`, whose those in `known` are anyway.

        Raises UserError where another has the folder, and what the task function says of one that cannot run.
        """
        folder = folder_of(config, number)
        claim(folder, owner, goes_on=folder.resolve() in known)
        returned = self.run(config, number, self.task_function.job)  # type: ignore[attr-defined]
        job: Job = Returned(**vars(returned)).return_value  # raises what was raised in the job
        job.number, job.label, job.returned = number, label, returned
        return job


def folder_of(config: DictConfig, number: int) -> Path:
    """The folder of the job with that number, which the configuration has from now on. Raises UserError."""
    with open_dict(config):
        config.hydra.job.id = config.hydra.job.num = number
    below = OmegaConf.select(config, "hydra.sweep.subdir")
    return trial_folder(str(OmegaConf.select(config, "hydra.sweep.dir")), "" if below is None else str(below))


def launch_each(composer: Composer, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """One job after another, for a task function that trains no stacks."""
    returned = []
    for number, overrides in enumerate(job_overrides, first):
        returned.append(composer.run(composer.composed(overrides), number))
        composer.calm()
    return returned


def launch_grid(
    composer: Composer, job_overrides: Sequence[Sequence[str]], first: int, max_members: Any
) -> list[JobReturn]:
    """All combinations of a grid, as stacks."""
    max_members = checked_limit(max_members)
    common, differing = split(job_overrides, swept_keys(composer.config))
    composed = [composer.composed(common, own) for own in differing]
    configs = all_checked(composer, composed, "sweep")

    from src.runs import terminal

    with terminal.waiting("Loading the libraries"):
        from src.sweep.multirun import train_multirun
        from src.sweep.plan import show_plan

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
    """Raises UserError where jobs, numbered from `first`, would share a folder, or one is another owner's."""
    folders = [folder_of(config, number) for number, config in enumerate(jobs, first)]
    refuse_shared(folders)
    refuse_taken(folders, owners)


def launch_study(composer: Composer, sweep: "Sweep", max_members: Any) -> None:
    """An Optuna study, whose trials train as stacks. Raises ConfigError where a sample of its space could not run."""
    max_members = checked_limit(max_members)
    ends = check(composer, sweep)
    base = ends[0]
    _check_wilcoxon(sweep.settings, ends)

    from src.runs import terminal

    with terminal.waiting("Loading the libraries"):
        from src.data.load import load
        from src.sweep.plan import show_plan
        from src.sweep.space.points import total
        from src.sweep.studies.study import open_study
        from src.sweep.studies.trial_results import trial_owner
        from src.sweep.trials import train_study
        from src.training import fit

    dataset = load(base.data)
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
            config = composer.composed(sweep.fixed, overrides)
            return composer.job(config, place, label, owner(place), known.get(place, ()))

        train_study(study, job, base, composer.folder, limit, dataset)


def typed() -> str:
    """The command, as one would type it again."""
    return command("train", *sys.argv[1:])


def study_in_batches(launcher: Launcher, composer: Composer, sweep: "Sweep") -> None:
    """A study with a launcher of another kind: as many jobs at once as it runs, no pruning; each job tracks itself.

    Raises TrialFailed at the end where jobs raised.
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

    dataset = load(base.data)
    at_once = int(OmegaConf.select(composer.config, "hydra.launcher.n_jobs") or 1)
    failed, broke = 0, list[Exception]()  # broke: by the surroundings
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
                        blameless = not fault.is_of_device(error)  # which what a trial does there may break
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
    """What became of a job that another launcher ran, from its folder. Raises what was raised in the job."""
    from src.runs.keep import results_in
    from src.sweep.outcome import outcome

    Returned(**vars(returned)).return_value  # noqa: B018  (raises)
    assert returned.hydra_cfg is not None
    folder = Path(str(returned.hydra_cfg.hydra.runtime.output_dir))
    results = [Result(**one) for one in results_in(folder)]
    return outcome(Job(parse(results[0].config), folder, [], place), results, pruned=False)


def check(composer: Composer, sweep: "Sweep") -> list[RunConfig]:
    """Composes a sample at every end of the space. Raises ConfigError with all that cannot run."""
    if sweep.space.hook is not None:
        sample_overrides(sweep, 1)  # raises what is wrong with the hook
    ends = sweep.space.ends() or [{}]  # of a custom search space nothing is known
    samples = [composer.composed(sweep.fixed, sweep.space.overrides(sample)) for sample in ends]
    for sample in samples:  # two trials may have the same parameters
        refuse_shared([folder_of(sample, place) for place in range(2)])
    return all_checked(composer, samples, "study's space")


def _check_wilcoxon(settings: "StudySettings", configs: Sequence[RunConfig]) -> None:
    """Raises ConfigError where the pruner could never prune: the p of n pairs of networks is at least 2^-n."""
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


def all_checked(composer: Composer, composed: Sequence[DictConfig], what: str) -> list[RunConfig]:
    """All of them, checked. Raises one ConfigError with the problems of all that cannot run."""
    configs, problems, refusals = list[RunConfig](), list[str](), list[str]()
    for config in composed:
        try:
            configs.append(composer.checked(config))
            if configs[-1].from_study:
                problems.append("from_study: votes once, and trains nothing to sweep over; leave -m out")
        except ConfigError as error:
            refusals.append(str(error))
            problems += [line.strip() for line in refusals[-1].splitlines()[1:]]
    if len(refusals) == len(composed) > 1 and len(set(refusals)) == 1:  # it lies in what they share
        raise ConfigError(refusals[0])
    if problems:
        hint = "; in a search space: int(interval(LOW, HIGH))" if what.startswith("study") else ""
        problems = [f"{one}{hint if 'must be a whole number' in one else ''}" for one in problems]
        listed = "\n".join(f"  {problem}" for problem in dict.fromkeys(problems))
        raise ConfigError(f"This {what} holds combinations that cannot run, nothing was started:\n{listed}")
    return configs


def sample_overrides(sweep: "Sweep", most: int = PLANNED_SAMPLES) -> list[list[str]]:
    """At most so many samples of the space, without a study; of a grid different points of it."""
    import optuna

    from src.sweep.space.points import Points

    count, space, seed = min(sweep.settings.n_trials, most), sweep.space, sweep.settings.seed
    if sweep.settings.sampler == "grid":
        points = Points(sweep.settings, space).all
        chosen = random.Random(seed).sample(points, min(count, len(points)))
        return [space.overrides(space.params(point)) for point in chosen]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [space.overrides(space.suggest(study.ask())) for _ in range(count)]


def identity(composer: Composer, base: RunConfig, sweep: "Sweep", images: str) -> dict[str, Any]:
    """What all trials of a study share and their results depend on."""
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
    """hydra.launcher.max_members. Raises ConfigError."""
    if max_members is None or (isinstance(max_members, int) and max_members >= 1 and max_members is not True):
        return max_members
    raise ConfigError(
        f"hydra.launcher.max_members = {max_members!r}: must be a whole number; accepted: at least 1 (or null)"
    )


def default_limit(base: RunConfig) -> int:
    """Members of a study's stack where nothing is said about them."""
    from src.training.device import choose_device, cores

    on_cpu = choose_device(base.trainer).type == "cpu"
    return MEMBERS_A_CORE * (base.trainer.threads or cores()) if on_cpu else MEMBERS_ON_A_GPU


def swept(differing: Sequence[Sequence[str]]) -> dict[str, str]:
    """The keys that the jobs set differently, each with its values as they were written."""
    values: dict[str, dict[str, None]] = {}
    for override in (one for job in differing for one in job):
        key, _, value = override.lstrip("+~").partition("=")
        values.setdefault(key, {})[value] = None
    return {key: ",".join(each) for key, each in values.items()}


def swept_keys(config: DictConfig) -> set[str]:
    """The keys that the command or the sweeper's own params sweep, over all batches of jobs."""
    parsed = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
    typed = {one.key_or_group for one in parsed if one.is_sweep_override()}
    return typed | set(map(str, OmegaConf.select(config, "hydra.sweeper.params") or {}))


def split(jobs: Sequence[Sequence[str]], swept: Collection[str]) -> tuple[list[str], list[list[str]]]:
    """The overrides that all jobs share, and each one's others, such as ["optim.eta=0.03"]; both in their order.

    Those of the keys in `swept` are not shared, however few the jobs are.
    """
    common = {one for one in set(jobs[0]).intersection(*jobs) if one.lstrip("+~").split("=")[0] not in swept}
    return [one for one in jobs[0] if one in common], [[one for one in job if one not in common] for job in jobs]
