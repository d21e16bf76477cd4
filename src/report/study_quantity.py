"""What an objective's figures are called and how they are written: accuracies in per cent, others as numbers."""

from dataclasses import dataclass

from src.report.study_statistics import Interval, interval
from src.sweep.studies.study_record import Study, Trial


@dataclass(frozen=True)
class Quantity:
    """One objective; `better` is higher where `up`."""

    name: str
    up: bool

    @property
    def is_accuracy(self) -> bool:
        """Whether values are accuracies in 0…1, which readers see in per cent."""
        return self.name.endswith("accuracy")

    @property
    def words(self) -> str:
        """Such as `validation accuracy`."""
        return self.name.replace("_", " ")

    @property
    def axis(self) -> str:
        """With its unit, such as `validation accuracy (%)`."""
        unit = " (%)" if self.is_accuracy else " (s)" if self.name == "seconds" else ""
        return self.words.replace("seconds", "time") + unit

    @property
    def unit(self) -> str:
        """What stands behind a value."""
        return " %" if self.is_accuracy else " s" if self.name == "seconds" else ""

    def scaled(self, value: float) -> float:
        """The value in the axis's unit."""
        return 100 * value if self.is_accuracy else value

    def number(self, value: float | None) -> str:
        """Without its unit; – where there is none."""
        if value is None:
            return "–"
        if self.is_accuracy:
            return f"{100 * value:.2f}"
        return f"{value:,.0f}" if self.name == "parameters" else f"{value:.4g}"

    def difference(self, value: float) -> str:
        """With its sign and unit; accuracies differ by percentage points."""
        return f"{100 * value:+.2f} points" if self.is_accuracy else f"{value:+.4g}{self.unit}"

    def spread(self, given: Interval) -> str:
        """Mean ± half of the 95 % interval, without the unit; the mean alone where n = 1."""
        if given.mean is None or given.half is None:
            return self.number(given.mean)
        return f"{self.number(given.mean)} ± {self.number(given.half)}"


def quantities(study: Study) -> list[Quantity]:
    """One an objective."""
    return [Quantity(name, up) for name, up in zip(study.objectives, study.maximised, strict=True)]


def value_spread(study: Study, trial: Trial) -> Interval:
    """The first objective; with its interval where it is the mean validation accuracy of the trial's members."""
    own = interval([member.validation_accuracy for member in trial.members])
    if study.objectives[0] != "validation_accuracy" or own.n == 0:
        return Interval(0, trial.value, None)
    return Interval(own.n, trial.value, own.half)


def tested(trial: Trial) -> tuple[Interval, Quantity]:
    """The test accuracy of the trial's members."""
    own = interval([member.test_accuracy for member in trial.members])
    return (own if own.n else Interval(0, trial.test_accuracy, None)), Quantity("test_accuracy", True)
