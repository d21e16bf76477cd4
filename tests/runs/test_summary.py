"""The summary against plain Python and scipy's own interval, and what it says when something is missing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from src.config.metric import Metric
from src.runs.summary import summarise

accuracies = st.floats(0, 1)
not_finite = st.sampled_from([None, math.nan, math.inf])
repeats = st.lists(st.tuples(accuracies, accuracies), min_size=1, max_size=8)


@given(repeats)
def test_the_figures_agree_with_plain_python_and_scipy(pairs: list[tuple[float, float]]) -> None:
    summary = summarise(validation=[v for v, _ in pairs], test=[t for _, t in pairs])
    tests = [t for _, t in pairs]
    mean = sum(tests) / len(tests)
    best = max(v for v, _ in pairs)
    assert summary.chapter_rule == next(t for v, t in pairs if v == best)
    assert summary.mean == pytest.approx(mean, abs=1e-12)  # the sums round differently
    if len(tests) == 1:
        assert (summary.sd, summary.low, summary.high) == (None, None, None)
        return
    sd = math.sqrt(sum((t - mean) ** 2 for t in tests) / (len(tests) - 1))
    assert summary.sd == pytest.approx(sd, abs=1e-12)
    if sd > 1e-9:  # scipy has no interval without spread
        low, high = stats.t.interval(0.95, len(tests) - 1, loc=mean, scale=sd / math.sqrt(len(tests)))
        assert summary.low == pytest.approx(max(low, 0), abs=1e-9)
        assert summary.high == pytest.approx(min(high, 1), abs=1e-9)


@given(repeats, st.lists(st.tuples(not_finite, accuracies) | st.tuples(accuracies, not_finite), max_size=4))
def test_repeats_without_finite_accuracies_change_only_the_count(pairs, broken) -> None:  # type: ignore[no-untyped-def]
    clean = summarise(validation=[v for v, _ in pairs], test=[t for _, t in pairs])
    mixed = [*broken, *pairs]
    summary = summarise(validation=[v for v, _ in mixed], test=[t for _, t in mixed])
    assert summary.left_out == len(broken)
    assert summary.n == len(pairs)
    assert (summary.chapter_rule, summary.mean, summary.low) == (clean.chapter_rule, clean.mean, clean.low)


def test_the_first_of_equally_good_repeats_gives_the_chapters_figure() -> None:
    assert summarise(validation=[0.97, 0.98, 0.98], test=[0.99, 0.96, 0.95]).chapter_rule == 0.96


def test_equal_repeats_have_an_interval_of_no_width_and_say_so() -> None:
    summary = summarise(validation=[0.9, 0.9], test=[0.5, 0.5])
    assert (summary.sd, summary.low, summary.high) == (0, 0.5, 0.5)
    assert summary.sentence().endswith("n = 2; all repeats are equal, by chance: an interval of no width says nothing")


def test_the_sentence_has_every_figure_in_per_cent() -> None:
    summary = summarise(validation=[0.98, 0.979, 0.978], test=[0.9783, 0.9774, 0.9780])
    expected = "97.83 % by the chapter's rule (the repeat with the best validation accuracy); "
    expected += "mean 97.79 ± 0.05 sd, 95 % interval 97.68–97.90, n = 3"
    assert summary.sentence() == expected


def test_the_metrics_are_the_same_figures_between_0_and_1() -> None:
    metrics = summarise(validation=[0.1, 0.2], test=[0.4, 0.5]).metrics()
    assert set(metrics) == {f"test/{name}" for name in ("n", "left_out", "chapter_rule", "mean", "sd", "low", "high")}
    assert metrics["test/chapter_rule"] == 0.5
    assert metrics["test/mean"] == pytest.approx(0.45)
    assert all(isinstance(value, float) for value in metrics.values())


def test_a_single_repeat_has_no_spread_and_says_so() -> None:
    summary = summarise(validation=[0.9], test=[0.875])
    assert summary.sentence() == "87.50 %; n = 1, so neither spread nor interval"
    assert not {"test/sd", "test/low", "test/high"} & set(summary.metrics())


def test_what_was_left_out_is_said() -> None:
    summary = summarise(validation=[0.9, math.nan], test=[0.875, None])
    assert summary.sentence().endswith("; 1 of 2 left out: no finite accuracy")


def test_nothing_finite_gives_no_figure_and_says_so() -> None:
    summary = summarise(validation=[None, math.nan], test=[None, 0.5])
    assert summary.sentence() == "none; 2 runs without finite accuracies"
    assert summarise(validation=[None], test=[None]).sentence() == "none; 1 run without finite accuracies"
    assert summary.metrics() == {"test/n": 0, "test/left_out": 2}


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"longer|shorter"):
        summarise(validation=[0.5], test=[0.5, 0.6])


def test_of_a_score_that_is_to_be_small_the_smallest_gives_the_chapters_figure_and_no_interval_is_cut() -> None:
    summary = summarise(validation=[3.0, 2.0, 4.0], test=[3.5, 2.5, 0.1], score=Metric("rmse", maximise=False))
    assert summary.chapter_rule == 2.5
    assert (summary.low or 0) < 0
    assert (summary.high or 0) > 1
    assert summary.sentence().startswith(
        "2.5 by the chapter's rule (the repeat with the best validation rmse); mean 2.033"
    )
