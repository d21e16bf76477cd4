"""What one member leaves behind.

Legend: E epochs trained, C classes, N images.
"""

from dataclasses import dataclass, field, replace
from typing import Any

Row = dict[str, float]  # one epoch of one member, as in Result.history
RUNNING = "RUNNING"
Status = str  # FINISHED, KILLED (stopped by the user), FAILED (no finite validation cost), PRUNED, or RUNNING so far


@dataclass(frozen=True)
class Result:
    """One member, trained or RUNNING so far; accuracies in 0…1, costs in nats an image.

    It never changes: what is known later, or under another status, is another Result (`dataclasses.replace`).

    history: one dict an epoch with epoch (from 1), eta, train/cost, train/accuracy (running means while training),
    validation/cost, validation/accuracy, weight_norm/NAME for every weight, images_per_second (the whole stack's).
    best_epoch: the latest epoch with the highest validation accuracy [N6, network3.py]; None when no epoch ended.
    weights: name -> tensor of that epoch, as the network's state_dict.
    probabilities: (N, C) on the test set with those weights; None when it was not evaluated.
    """

    config: dict[str, Any]  # the resolved configuration
    seed: int
    status: Status
    history: list[Row]
    best_epoch: int | None
    validation_accuracy: float | None
    test_accuracy: float | None
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

    def as_json(self) -> dict[str, Any]:
        """What result.json holds of this member: everything but tensors."""
        left_out = ("weights", "probabilities")
        return {name: value for name, value in self.__dict__.items() if name not in left_out}
