"""What one member leaves behind.

Legend: E epochs trained, C classes, N images.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from src.config.metric import Metric
from src.config.schema import task_in

Row = dict[str, float]  # one epoch of one member, as in Result.history
RUNNING = "RUNNING"
Status = str  # FINISHED, KILLED (stopped by the user), FAILED (no finite validation cost), PRUNED, or RUNNING so far


@dataclass(frozen=True)
class Result:
    """One member, trained or RUNNING so far; its scores are those of its task, such as accuracies in 0…1.

    It never changes: what is known later, or under another status, is another Result (`dataclasses.replace`).

    history: one dict an epoch with epoch (from 1), eta, train/cost, train/SCORE (running means while training),
    validation/cost, validation/SCORE, weight_norm/NAME for every weight, images_per_second (the whole stack's); SCORE
    is the score's name, such as accuracy, and costs are means over examples, such as nats an image.
    best_epoch: the latest epoch with the best validation score [N6, network3.py]; None when no epoch ended.
    weights: name -> tensor of that epoch, as the network's state_dict.
    probabilities: (N, C) on the test set with those weights; None when it was not evaluated.
    """

    config: dict[str, Any]  # the resolved configuration
    seed: int
    status: Status
    history: list[Row]
    best_epoch: int | None
    validation_score: float | None  # of best_epoch
    test_score: float | None  # with those weights
    seconds: float  # from joining the stack to the member's last epoch
    dataset: str  # what was used: mnist, mnist-expanded, digits, …
    device: str  # as the run's header says it
    weights: dict[str, Any] = field(repr=False, default_factory=dict)
    probabilities: Any = field(repr=False, default=None)
    scaling: dict[str, list[float]] | None = None  # of what the network sees: each channel's mean and sd
    repeat: int = 0  # which repeat of the trial the member belongs to
    vote: int = 0  # its place in the repeat's ensemble

    def ended_as(self, status: Status) -> "Result":
        """The same under `status`, for a member whose run ends; one that had ended by itself stays what it was."""
        return replace(self, status=status) if self.status == RUNNING else self

    def without_tensors(self) -> "Result":
        """The same without weights and probabilities, which take memory; the weights are in the run's folder."""
        return replace(self, weights={}, probabilities=None)

    @property
    def score(self) -> Metric:
        """What its scores are."""
        return task_in(self.config).score

    def as_kept(self) -> dict[str, Any]:
        """All fields as files name them: the scores by the task's name for them, such as validation_accuracy."""
        return {kept: getattr(self, name) for name, kept in kept_names(vars(self)).items()}

    def as_json(self) -> dict[str, Any]:
        """What result.json holds of this member: everything but tensors."""
        return {name: value for name, value in self.as_kept().items() if name not in ("weights", "probabilities")}

    @classmethod
    def from_kept(cls, content: Mapping[str, Any]) -> "Result":
        """The inverse of `as_kept` and `as_json`; fields of another version are left out.

        Raises TypeError where a field is missing, and ConfigError where its task is not known.
        """
        names = kept_names(content)
        return cls(**{name: content[kept] for name, kept in names.items() if kept in content})


def kept_names(content: Mapping[str, Any]) -> dict[str, str]:
    """Every field of a Result -> its name in a file's `content` of one. Raises as `Result.from_kept` does."""
    config = content.get("config") if isinstance(content, Mapping) else None
    if not isinstance(config, dict):
        raise TypeError("a result is an object with a configuration")
    score = task_in(config).score
    scores = {f"{split}_score": score.field(split) for split in ("validation", "test")}
    return {one.name: scores.get(one.name, one.name) for one in fields(Result)}
