"""The settings that the members of a stack have in common."""

from dataclasses import dataclass

from src.config.schema import BY_STEP, RunConfig
from src.data.scaling import Scaling
from src.models.model import Model, model_of
from src.tasks.targets import NOTHING, Targets
from src.tasks.task import Task, task_of
from src.training.update.rule import UpdateRule, rule_of


@dataclass(frozen=True)
class StackSpec:
    """The settings that all members of a stack share; `Engine.refuses` says what of them an engine cannot compute."""

    model: Model
    task: Task
    rule: UpdateRule
    batches: int  # mini-batches of an epoch
    decay_all: bool = False  # whether biases and norms decay too
    by_step: bool = False  # whether eta moves from step to step by its schedule, beside a member's own warm-up
    clips: bool = False  # whether gradients are scaled down to optim.clip_norm
    bounds: bool = False  # whether a unit's incoming weights are scaled down to optim.max_norm
    scaling: Scaling | None = None  # of what the network sees


def spec_of(config: RunConfig, batches: int, scaling: Scaling | None = None, targets: Targets = NOTHING) -> StackSpec:
    """The spec of a checked configuration; batches: mini-batches of an epoch; scaling: that of the data set.

    targets: what the task takes from those of the training split.
    """
    optim = config.optim
    return StackSpec(
        model_of(config),
        task_of(config.task, targets),
        rule_of(optim),
        batches,
        optim.decay_all,
        optim.schedule in BY_STEP,
        optim.clip_norm is not None,
        optim.max_norm is not None,
        scaling,
    )
