"""The result of one member: history, best epoch, scores, weights and predictions.

Legend: E epochs trained, C classes, N images.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from src.config.metric import Metric
from src.config.task import task_in

TENSORS = ("weights", "probabilities", "whitening", "snapshot_weights")  # fields that result.json leaves out
SNAPSHOTS = ("snapshots_validation", "snapshots_test")  # the scores of its snapshots' vote
SPLITS = ("validation", "test", *SNAPSHOTS)  # of what a result has a score
Row = dict[str, float]  # one epoch of one member, as in Result.history
RUNNING = "RUNNING"
Status = str  # FINISHED, KILLED (stopped by the user), FAILED (no finite validation cost), PRUNED, or RUNNING so far


@dataclass(frozen=True)
class Result:
    """The result of a member that has trained, or is RUNNING; scores are those of its task, such as accuracies in 0…1.

    A Result is immutable; later findings or another status make another Result (`dataclasses.replace`).

    history: one dict an epoch with epoch (from 1), eta, train/cost, train/SCORE (running means while training),
    validation/cost, validation/SCORE, weight_norm/NAME for every weight, images_per_second (the whole stack's); SCORE
    is the score's name, such as accuracy, and costs are means over examples, such as nats an image. With trainer.watch
    also what src/training/watch.py lists.
    best_epoch: the epoch whose weights are kept (src/training/stopping.py), by default the latest one with the best
    validation score [N6, network3.py]; None when no epoch ended.
    weights: name -> tensor of that epoch, as the network's state_dict.
    snapshot_weights: those of the epochs `snapshot_epochs`, which vote (src/training/voted.py): snapshots_test_score is
    the score of their mean predictions.
    probabilities: (N, C) on the test set with those weights; None when it was not evaluated.
    whitening: (1 + D, D) float32 of what the network sees, the mean and below it the matrix, as `as_seen` of
    src/data/scaling.py takes it; None for inputs that are not whitened. Members with the same data share it.
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
    device: str  # in the words of the run's header
    weights: dict[str, Any] = field(repr=False, default_factory=dict)
    probabilities: Any = field(repr=False, default=None)
    whitening: Any = field(repr=False, default=None)
    scaling: dict[str, list[float]] | None = None  # of what the network sees: each channel's mean and sd
    target_scaling: dict[str, list[float]] | None = None  # of numbers to predict: each one's mean and sd
    preprocessing: dict[str, Any] | None = None  # of a table's columns (src/data/preprocessing.py, `from_json`)
    class_names: list[str] = field(default_factory=list)  # of own data whose classes are not 0, 1, …
    metrics: dict[str, float] = field(default_factory=dict)  # task.metrics of the best epoch, such as validation_f1
    snapshot_epochs: list[int] = field(default_factory=list)
    snapshots_validation_score: float | None = None
    snapshots_test_score: float | None = None
    snapshot_weights: list[dict[str, Any]] = field(repr=False, default_factory=list)
    repeat: int = 0  # which repeat of the trial the member belongs to
    vote: int = 0  # its index in the repeat's ensemble
    code: int | None = None  # the checksum of the file of model.target, None without one

    def ended_as(self, status: Status) -> "Result":
        """A RUNNING result under `status`, for when its run ends; one that has ended already is returned as it is."""
        return replace(self, status=status) if self.status == RUNNING else self

    def without_tensors(self) -> "Result":
        """The result without its tensors, to save memory; weights and whitening are in the run's folder."""
        return replace(self, weights={}, probabilities=None, whitening=None, snapshot_weights=[])

    @property
    def score(self) -> Metric:
        """The metric of its scores."""
        return task_in(self.config).metric

    @property
    def refit(self) -> bool:
        """Whether it was trained on the validation examples, too, so that their score chooses nothing."""
        return bool(self.config.get("data", {}).get("refit", False))

    @property
    def merit(self) -> float:
        """How good it is among results of the same task by its validation score; the same for all after a refit."""
        return 0.0 if self.refit else self.score.merit(self.validation_score)

    def as_kept(self) -> dict[str, Any]:
        """All fields under their names in files: those of scores are the task's, such as validation_accuracy."""
        return {kept: getattr(self, name) for name, kept in kept_names(vars(self)).items()}

    def as_json(self) -> dict[str, Any]:
        """The member's object in result.json: all fields but tensors."""
        return {name: value for name, value in self.as_kept().items() if name not in TENSORS}

    @classmethod
    def from_kept(cls, content: Mapping[str, Any]) -> "Result":
        """The Result of what `as_kept` or `as_json` gave; fields that this version does not know are ignored.

        Raises TypeError where a field is missing, and ConfigError where the task is not known.
        """
        names = kept_names(content)
        return cls(**{name: content[kept] for name, kept in names.items() if kept in content})


def kept_names(content: Mapping[str, Any]) -> dict[str, str]:
    """Every field of a Result -> its name in `content`, a result as files hold it. Raises as `Result.from_kept`."""
    config = content.get("config") if isinstance(content, Mapping) else None
    if not isinstance(config, dict):
        raise TypeError("a result is an object with a configuration")
    score = task_in(config).metric
    scores = {f"{split}_score": score.field(split) for split in SPLITS}
    return {one.name: scores.get(one.name, one.name) for one in fields(Result)}
