"""hydra/sweeper=optuna: a multirun is an Optuna study."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


@dataclass
class OptunaSweeperConfig:
    """The fields of src/sweep/space/settings.py, which checks them and says what each one means."""

    _target_: str = "hydra_plugins.sweepstack.optuna_sweeper.OptunaSweeper"
    study_name: Any = "${name}"
    storage: Any = "sqlite:///mlruns/studies.db"
    n_trials: Any = 20
    timeout_minutes: Any = None
    target: Any = None
    sampler: Any = "tpe"
    sampler_options: Any = None  # not {}: the command line cannot set a dictionary where one stands already
    seed: Any = 0
    pruner: Any = "none"
    pruner_options: Any = None
    objectives: Any = "auto"  # the validation score of the task, such as [validation_accuracy]
    constraints: Any = field(default_factory=list)
    first: Any = None
    params: Any = field(default_factory=dict)
    custom_search_space: Any = None
    max_failures: Any = 5
    nested: Any = None


ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=OptunaSweeperConfig, provider="sweepstack")


class OptunaSweeper(Sweeper):
    """Checks the study's settings, then hands it to the launcher; the stacked launcher trains its trials as stacks."""

    def __init__(self, **settings: Any) -> None:
        """Ignores `settings`: `setup` takes them from the configuration, as they stand there."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`: keeps what belongs to the multirun and makes the launcher."""
        self.settings = config.hydra.sweeper
        self.multirun = hydra_context, config, task_function
        self.starts: Any = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: Sequence[str]) -> Any:
        """Runs the study until its budget is used up; `arguments` are the command line's overrides.

        Raises ConfigError that lists all that is wrong with the study, before anything is trained.
        """
        from src.config.task import reported, score_of
        from src.runs import terminal
        from src.sweep.batches import study_in_batches
        from src.sweep.nested import launch
        from src.sweep.space import settings

        raw: Any = OmegaConf.to_container(self.settings, resolve=True)
        task: Any = OmegaConf.to_container(self.multirun[1].task)  # what is not known in it is refused with all else
        score = score_of(task.get("name"), task.get("score"))
        sweep = settings.parse(raw, arguments, score, reported(task.get("metrics"), score))
        if sweep.left_out:
            terminal.say(f"left out of the search space, as the command rules it out: {', '.join(sweep.left_out)}")
        if hasattr(self.starts, "study"):
            return self.starts.study(sweep)
        launch(self.multirun, sweep, partial(study_in_batches, self.starts))
