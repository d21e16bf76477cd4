"""hydra/launcher=stacked: the jobs of a multirun train as stacks, those of one structure together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class StackedLauncherConfig:
    """`max_members`: the most networks in one stack; null: all of a grid's, of a study's as many as fill the device."""

    _target_: str = "hydra_plugins.sweepstack.stacked_launcher.StackedLauncher"
    max_members: Any = None  # checked where a sweep begins


ConfigStore.instance().store(group="hydra/launcher", name="stacked", node=StackedLauncherConfig, provider="sweepstack")


class StackedLauncher(Launcher):
    """Trains jobs as stacks where the task function has an attribute `job`, which says what a job would train.

    Any other task function is run job by job.
    """

    def __init__(self, max_members: Any = None) -> None:
        self.max_members = max_members

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `launch`: keeps what belongs to the multirun."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Trains the jobs, numbered from `initial_job_idx`; returns one JobReturn a job, in their order."""
        from src.sweep.composer import Composer
        from src.sweep.job import Returned
        from src.sweep.launch import launch_each, launch_grid

        with Composer(self.hydra_context, self.config, self.task_function) as composer:
            if composer.makes_jobs:
                returned = launch_grid(composer, job_overrides, initial_job_idx, self.max_members)
                return [Returned(**vars(one)) for one in returned]
            return launch_each(composer, job_overrides, initial_job_idx)

    def study(self, sweep: Any) -> None:
        """Trains a study, whose trials are sampled while others train; the Optuna sweeper calls this, not `launch`."""
        from src.sweep.launch import launch_study
        from src.sweep.nested import launch

        def study(composer: Any, own: Any) -> None:
            launch_study(composer, own, self.max_members)

        launch((self.hydra_context, self.config, self.task_function), sweep, study)
