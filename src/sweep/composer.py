"""Makes a sweep's jobs the way Hydra does: their configurations, folders and overrides."""

import copy
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.core.utils import JobReturn, configure_log, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from src.config.check import parse
from src.config.folder import claim, trial_folder
from src.config.problems import all_keys, is_open
from src.config.schema import RunConfig
from src.sweep.job import Job, Returned
from src.sweep.template import Template, override_dirname

# Keys that hold values, no config groups.
VALUES = frozenset(all_keys())


class Composer:
    """Makes jobs as Hydra does: composed configuration, output folder, `.hydra` files, callbacks.

    It creates the multirun's folder; used as a context, it removes the folder at the end where that is empty.
    """

    def __init__(self, hydra_context: HydraContext, config: DictConfig, task_function: TaskFunction) -> None:
        self.hydra_context, self.config, self.task_function = hydra_context, config, task_function
        setup_globals()
        self.calm()
        self.folder = Path(str(config.hydra.sweep.dir))
        self.was_there = self.folder.exists()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._kept: tuple[tuple[str, ...], DictConfig] | None = None
        self._template: Template | None = None  # of the composition that is kept

    def __enter__(self) -> "Composer":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # raised where it is not empty
            self.folder.rmdir()

    @property
    def makes_jobs(self) -> bool:
        """Whether the task function has an attribute `job`, which says what it would train without training it."""
        return hasattr(self.task_function, "job")

    def calm(self) -> None:
        """Sets logging back to the multirun's own; each job that Hydra runs sets another."""
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)

    def composed(self, fixed: Sequence[str], changing: Sequence[str] = ()) -> DictConfig:
        """The configuration that Hydra composes from these overrides, its section `hydra` included.

        A composition takes a tenth of a second. Where `changing` only sets plain values, the composition of `fixed` is
        kept and the values are set in a copy of it, with the same result. Raises what Hydra raises.
        """
        parsed = _plain_values(changing)
        if parsed is None:
            loader: ConfigLoader = self.hydra_context.config_loader
            return loader.load_sweep_config(self.config, [*fixed, *changing])
        config = copy.deepcopy(self._composition(fixed))
        ConfigLoaderImpl._apply_overrides_to_config(parsed, config)
        config.hydra.overrides.task.extend([override.input_line for override in parsed])
        tasks = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
        config.hydra.job.override_dirname = override_dirname(tasks, config.hydra.job.config.override_dirname)
        return config

    def _composition(self, fixed: Sequence[str]) -> DictConfig:
        """The composition of `fixed`, which is kept until another one is asked for."""
        if self._kept is None or self._kept[0] != tuple(fixed):
            loader: ConfigLoader = self.hydra_context.config_loader
            self._kept = tuple(fixed), loader.load_sweep_config(self.config, list(fixed))
            self._template = None
        return self._kept[1]

    def run(self, config: DictConfig, number: int, task: TaskFunction | None = None) -> JobReturn:
        """Runs `task` (by default the task function) as Hydra's job `number`, with a composed configuration."""
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
        """The run's configuration, checked; no folder and no file is made. Raises ConfigError."""
        own = [str(key) for key in config if key != "hydra"]
        return parse(OmegaConf.to_container(OmegaConf.masked_copy(config, own), resolve=True))

    def job(self, config: DictConfig, number: int, label: str, owner: str, known: Collection[Path] = ()) -> Job:
        """The job of a composed configuration, its folder claimed for `owner`.

        known: folders that are `owner`'s already, from earlier attempts. Raises UserError where the folder is another
        owner's, and whatever the task function raises for a configuration that cannot run.
        """
        folder = folder_of(config, number)
        claim(folder, owner, goes_on=folder.resolve() in known)
        returned = self.run(config, number, self.task_function.job)  # type: ignore[attr-defined]
        job: Job = Returned(**vars(returned)).return_value  # raises what was raised in the job
        job.number, job.label, job.returned = number, label, returned
        return job

    def trial(
        self,
        fixed: Sequence[str],
        changing: Sequence[str],
        number: int,
        label: str,
        owner: str,
        known: Collection[Path],
    ) -> Job:
        """The job of these overrides, as `job` makes it of their composition, but quicker where a template serves.

        It then has no JobReturn.
        """
        parsed = _plain_values(changing)
        if parsed is not None:
            config = self._composition(fixed)
            if self._template is None:
                self._template = Template(config, self.task_function.plain_job)  # type: ignore[attr-defined]
            if self._template.serves(parsed, self.hydra_context.callbacks.callbacks):
                folder = self._template.folder(number, folder_of)
                claim(folder, owner, goes_on=folder.resolve() in known)
                job = self._template.job(parsed, number, folder)
                job.number, job.label = number, label
                return job
        return self.job(self.composed(fixed, changing), number, label, owner, known)


def _plain_values(overrides: Sequence[str]) -> list[Override] | None:
    """The overrides, parsed, where each only sets a plain value; else None."""
    parsed: list[Override] = OverridesParser.create().parse_overrides(list(overrides))
    return parsed if all(map(_sets_value, parsed)) else None


def _sets_value(override: Override) -> bool:
    """Whether the override sets a plain value: of a key of the schema, or an entry of model.args."""
    key = override.key_or_group
    changes = override.type is OverrideType.CHANGE and key in VALUES
    return changes or (override.type is OverrideType.FORCE_ADD and is_open(key))


def folder_of(config: DictConfig, number: int) -> Path:
    """Sets the job's number in the configuration and returns the job's folder that follows. Raises UserError."""
    with open_dict(config):
        config.hydra.job.id = config.hydra.job.num = number
    below = OmegaConf.select(config, "hydra.sweep.subdir")
    return trial_folder(str(OmegaConf.select(config, "hydra.sweep.dir")), "" if below is None else str(below))


def swept(differing: Sequence[Sequence[str]]) -> dict[str, str]:
    """The keys that the jobs set differently -> all values of each, as they were written, joined by commas."""
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
    """The overrides that all jobs share, and for each job its others, such as ["optim.eta=0.03"]; both in their order.

    Overrides of keys in `swept` never count as shared, even where all jobs, or the only one, set the same value.
    """
    common = {one for one in set(jobs[0]).intersection(*jobs) if one.lstrip("+~").split("=")[0] not in swept}
    return [one for one in jobs[0] if one in common], [[one for one in job if one not in common] for job in jobs]
