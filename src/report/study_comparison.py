"""The report's comparison of the best trial with the published setting, which is the sweep's fixed first trial.

It is a paired test over the seeds that both were trained with.
"""

from src.config.metric import Metric
from src.report.document import Block, Heading, Paragraph, Table
from src.report.study_quantity import quantities
from src.report.study_statistics import Paired, paired
from src.sweep.studies.study_record import Study, Trial

FEW_PAIRS = 6  # below this many seeds in common, the test sees only large differences
SPLITS = ("validation", "test")


def comparison(study: Study) -> list[Block]:
    """The section of the report; empty where no trial is complete, or no sweep made the study."""
    if study.best is None or study.by_hand:
        return []
    title = Heading("Against the published setting")
    reason = _missing(study)
    if reason:
        return [title, Paragraph(reason)]
    assert study.published is not None
    score = study.score
    tests = {split: paired(_by_seed(study.best, split), _by_seed(study.published, split)) for split in SPLITS}
    rows = [_row(score, split, test, study.best, study.published) for split, test in tests.items() if test.difference.n]
    columns = [score.axis(), f">trial {study.published.place}, published", f">trial {study.best.place}, best"]
    columns += [f">difference{' (points)' if score.percent else ''}", ">seeds", ">p"]
    return [title, Table(columns, rows), Paragraph(_verdict(study, tests))]


def _missing(study: Study) -> str:
    """Why there is no comparison, in words; empty where there is one."""
    best, published = study.best, study.published
    assert best is not None
    if published is None:
        return (
            "The sweep has no fixed first trial, so there is nothing to compare with; `hydra.sweeper.first` sets one, "
            "such as the published setting."
        )
    if best is published:
        return f"Trial {published.place}, the published setting, is itself the best: no trial has beaten it."
    if published.state != "COMPLETE":
        again = study.command("rerun", f"trial={published.place}")
        words = f"Trial {published.place}, the published setting, is {published.kind}: it has no value to compare with."
        return f"{words} Alone: `{again}`."
    common = _by_seed(best, "validation").keys() & _by_seed(published, "validation").keys()
    if len(common) < 2:
        return _untested(study, best, published, len(common))
    return ""


def _untested(study: Study, best: Trial, published: Trial, common: int) -> str:
    quantity = quantities(study)[0]
    words = f"Trial {best.place} reached {quantity.figure(best.value)}{quantity.unit}, trial {published.place}, the "
    words += f"published setting, {quantity.figure(published.value)}{quantity.unit}. "
    if best.value is not None and published.value is not None:
        words += f"The difference is {quantity.difference(best.value - published.value)}. "
    words += f"They have {common} seed{'' if common == 1 else 's'} in common and a paired test needs two at least, so "
    words += f"whether their {study.score.plural} differ by more than luck is unknown. "
    return f"{words}A sweep with `repeats=3` would tell more."


def _by_seed(trial: Trial, split: str) -> dict[int, float | None]:
    return {member.seed: getattr(member, f"{split}_score") for member in trial.members}


def _row(score: Metric, split: str, test: Paired, best: Trial, published: Trial) -> list[str]:
    """Means over the common seeds, their difference with its interval, and p."""
    found = test.difference
    of_both = [_by_seed(trial, split) for trial in (published, best)]
    seeds = [seed for seed in of_both[0] if all(one.get(seed) is not None for one in of_both)]
    means = [score.figure(sum(one[seed] or 0 for seed in seeds) / len(seeds)) for one in of_both]
    spread = score.difference(found.mean or 0).removesuffix(" points")
    spread += "" if found.half is None else f" ± {score.figure(found.half)}"
    return [split, *means, spread, str(found.n), _p(test)]


def _p(test: Paired) -> str:
    return "–" if test.p is None else "< 0.001" if test.p < 0.001 else f"{test.p:.3f}"


def _verdict(study: Study, tests: dict[str, Paired]) -> str:
    """What the test says, and what it cannot say, in words."""
    assert study.best is not None
    assert study.published is not None
    words = "Paired t-test over the seeds that both trials were trained with; ± is half the 95 % interval of the "
    words += "difference. "
    if study.objectives[0] == study.score.field("validation"):
        words += "The validation row favours the best trial, which was chosen by it out of "
        words += f"{len(study.ranked)}; the test row did not choose and is the one to read, though the same networks "
        words += "are behind both. "
    else:
        words += "The test row is the one to read: by validation each network's epoch was chosen. "
    test = tests["test"]
    found = test.difference
    if found.mean is None or found.half is None or test.p is None:
        words += "Its differences do not allow a test (too few, or all equal). "
    elif abs(found.mean) <= found.half:
        words += "By it, **the two cannot be told apart**: the interval of the difference holds 0. "
    else:
        verdict = "better" if study.score.is_better(found.mean, 0) else "worse"
        words += f"By it, the best trial is **{verdict}** than the published setting. "
    n = tests["validation"].difference.n
    if n < FEW_PAIRS and found.half is not None:
        smallest = study.score.difference(found.half).lstrip("+")
        words += f"With {n} seeds, only differences above about {smallest} can be seen. "
    more = [study.command("rerun", f"trial={one.place}", *study.fresh_seeds()) for one in (study.best, study.published)]
    return words + f"Fresh seeds for both: `{more[0]}` and `{more[1]}`."
