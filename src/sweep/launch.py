"""From Hydra's jobs to trained trials: composes each job as Hydra does, then trains all of them as stacks."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, configure_log, filter_overrides, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from src.sweep.job import Job


class Composer:
    """Hydra's own way to a job: configuration, output folder, `.hydra` files, callbacks."""

    def __init__(self, hydra_context: HydraContext, config: DictConfig, task_function: TaskFunction) -> None:
        self.hydra_context, self.config, self.task_function = hydra_context, config, task_function
        setup_globals()
        self.calm()
        self.folder = Path(str(config.hydra.sweep.dir))
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def makes_jobs(self) -> bool:
        """Whether the task function says what it would train, instead of only doing it."""
        return hasattr(self.task_function, "job")

    def calm(self) -> None:
        """Logging as the multirun has it; a job sets its own."""
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)

    def run(self, overrides: Sequence[str], number: int, task: TaskFunction | None = None) -> JobReturn:
        """Composes the job and calls `task` with it, else the task function. Raises where it cannot be composed."""
        loader: ConfigLoader = self.hydra_context.config_loader
        config = loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        returned = run_job(
            hydra_context=self.hydra_context,
            task_function=task or self.task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
            configure_logging=task is None,
        )
        return returned

    def job(self, overrides: Sequence[str], number: int, label: str) -> Job:
        """The trial that the job asks for. Raises what the task function says of a configuration that cannot run."""
        returned = self.run(overrides, number, self.task_function.job)  # type: ignore[attr-defined]
        job: Job = returned.return_value  # raises what was raised in the job
        job.number, job.label, job.returned = number, label, returned
        return job


def launch_each(composer: Composer, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """One job after another, for a task function that trains no stacks."""
    returned = []
    for number, overrides in enumerate(job_overrides, first):
        returned.append(composer.run(overrides, number))
        composer.calm()
    return returned


def launch_grid(
    composer: Composer, job_overrides: Sequence[Sequence[str]], first: int, max_members: int | None
) -> list[JobReturn]:
    """All combinations of a grid, as stacks."""
    from src.sweep.multirun import train_multirun

    labels = differences([filter_overrides(overrides) for overrides in job_overrides])
    jobs = [
        composer.job(overrides, number, label)
        for number, (overrides, label) in enumerate(zip(job_overrides, labels, strict=True), first)
    ]
    train_multirun(jobs, composer.folder, max_members)
    return [job.returned for job in jobs]


def differences(jobs: Sequence[Sequence[str]]) -> list[str]:
    """What each job sets that not all of them set alike, such as "optim.eta=0.03"."""
    common = set(jobs[0]).intersection(*jobs) if jobs else set[str]()
    return [" ".join(one.lstrip("+~") for one in job if one not in common) for job in jobs]
