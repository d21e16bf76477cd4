"""The names, units and number formats of a study's objectives in its report; parts of 1 are written in per cent."""

from dataclasses import dataclass

from src.config.metric import Metric, metric_named
from src.report.study_statistics import Interval, interval
from src.sweep.studies.study_record import Study, Trial


@dataclass(frozen=True)
class Quantity(Metric):
    """An objective: a metric, with the units that times and counts of parameters have."""

    @property
    def label(self) -> str:
        """The objective's name in words, such as `validation accuracy`."""
        return self.title

    @property
    def axis_label(self) -> str:
        """The name with its unit, such as `validation accuracy (%)`."""
        unit = " (%)" if self.percent else " (s)" if self.name == "seconds" else ""
        return self.label.replace("seconds", "time") + unit

    @property
    def unit(self) -> str:
        """The unit that stands behind a value, such as ` %` or ` s`; may be empty."""
        return " s" if self.name == "seconds" else super().unit

    def figure(self, value: float | None) -> str:
        """A value as text, without its unit; – for None."""
        if value is not None and self.name == "parameters":
            return f"{value:,.0f}"
        return super().figure(value)

    def spread(self, given: Interval) -> str:
        """The mean ± half of the 95 % interval as text, without the unit; the mean alone where there is no interval."""
        if given.mean is None or given.half is None:
            return self.figure(given.mean)
        return f"{self.figure(given.mean)} ± {self.figure(given.half)}"


def of_score(study: Study, split: str) -> Quantity:
    """The score of a study's task on a split, such as its validation accuracy."""
    score = study.score
    return Quantity(score.field(split), score.maximise, score.percent)


def quantities(study: Study) -> list[Quantity]:
    """The study's objectives, in order."""
    own = of_score(study, "validation")
    pairs = zip(study.objectives, study.maximised, strict=True)
    return [own if name == own.name else Quantity(name, up, _is_part(name)) for name, up in pairs]


def _is_part(objective: str) -> bool:
    """Whether the objective is a metric that is a part of 1, such as validation_f1."""
    metric = metric_named(objective.removeprefix("validation_"))
    return metric is not None and metric.percent


def value_spread(study: Study, trial: Trial) -> Interval:
    """The trial's value of the first objective; with an interval where that is its members' mean validation score."""
    own = interval([member.validation_score for member in trial.members])
    if study.objectives[0] != study.score.field("validation") or own.n == 0:
        return Interval(0, trial.value, None)
    return Interval(own.n, trial.value, own.half)


def tested(study: Study, trial: Trial) -> tuple[Interval, Quantity]:
    """The mean test score of the trial's members with its interval, and the quantity that it is."""
    own = interval([member.test_score for member in trial.members])
    return (own if own.n else Interval(0, trial.test_score, None)), of_score(study, "test")
