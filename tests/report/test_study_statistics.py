"""A study's statistics against values computed by hand, and against scipy's own tests."""

import math
from dataclasses import replace
from datetime import datetime, timedelta
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState
from scipy import stats

from src.report.study_statistics import Saved, busy_seconds, interval, luck, paired, saved
from src.sweep.studies.study_record import Trial
from tests.report.study_example import EPOCHS, made, trial

T_OF_2 = 4.302652729696  # Student's t, 97.5 %, 2 degrees of freedom [tables]
accuracies = st.floats(0, 1)
not_finite = st.sampled_from([None, math.nan, math.inf])


def test_the_interval_is_students_by_hand() -> None:
    found = interval([0.90, 0.92, 0.94])  # sd 0.02
    assert (found.n, found.mean) == (3, pytest.approx(0.92))
    assert found.half == pytest.approx(T_OF_2 * 0.02 / math.sqrt(3))


@given(st.lists(accuracies, max_size=6), st.lists(not_finite, max_size=3))
def test_what_is_not_finite_is_left_out_of_an_interval(values: list[float], broken: list[float | None]) -> None:
    assert interval([*values, *broken]) == interval(values)
    assert interval(values).n == len(values)
    assert (interval(values).half is None) == (len(values) < 2)


def test_the_paired_test_by_hand_takes_common_seeds_only() -> None:
    best = {0: 0.95, 1: 0.96, 2: 0.97, 3: None}
    published = {7: 0.5, 2: 0.94, 1: 0.94, 0: 0.94, 3: 0.94}
    found = paired(best, published)  # differences 0.01, 0.02, 0.03
    assert (found.difference.n, found.difference.mean) == (3, pytest.approx(0.02))
    assert found.difference.half == pytest.approx(T_OF_2 * 0.01 / math.sqrt(3))
    t = 2 * math.sqrt(3)
    assert found.p == pytest.approx(1 - t / math.sqrt(t**2 + 2))  # the distribution's closed form for 2 degrees


@given(st.lists(st.tuples(accuracies, accuracies), min_size=2, max_size=8))
def test_the_paired_test_agrees_with_scipys(pairs: list[tuple[float, float]]) -> None:
    a, b = (dict(enumerate(column)) for column in zip(*pairs, strict=True))
    found = paired(a, b)
    differences = [x - y for x, y in pairs]
    if max(differences) - min(differences) < 1e-6:  # scipy warns of lost digits
        return
    assert found.p == pytest.approx(stats.ttest_rel(*zip(*pairs, strict=True)).pvalue, abs=1e-9)


@pytest.mark.parametrize("pairs", [[], [(0.9, 0.8)], [(0.9, 0.8), (0.8, 0.7), (0.7, 0.6)]])
def test_without_two_different_differences_there_is_no_p(pairs: list[tuple[float, float]]) -> None:
    a, b = {n: x for n, (x, _) in enumerate(pairs)}, {n: y for n, (_, y) in enumerate(pairs)}
    assert paired(a, b).p is None


def test_luck_is_the_expected_lead_of_the_best_of_equals() -> None:
    # Pairs of ± 0.001 have a variance of 2e-6, so their means a standard error of 0.001.
    trials = [trial(place, {}, [0.9 + place / 100 - 0.001, 0.9 + place / 100 + 0.001]) for place in range(4)]
    expected = NormalDist().inv_cdf((4 - 0.375) / (4 + 0.25)) * 0.001
    assert luck(made(trials, settings={})) == pytest.approx(expected, rel=1e-6)


def test_networks_that_diverged_are_no_part_of_luck() -> None:
    pair = [0.9 - 0.001, 0.9 + 0.001]
    whole, lost = ([trial(0, {}, pair), trial(1, {}, values)] for values in ([0.9], [0.9, None]))
    assert luck(made(lost, settings={})) is not None
    assert luck(made(lost, settings={})) == pytest.approx(luck(made(whole, settings={})))


@pytest.mark.parametrize("validation", [[[0.9], [0.8]], [[0.9, 0.8]], []])
def test_without_repeats_or_rivals_luck_is_unknown(validation: list[list[float]]) -> None:
    trials = [trial(place, {}, values) for place, values in enumerate(validation)]
    assert luck(made(trials, settings={})) is None


def test_saved_epochs_by_hand() -> None:
    trials = [
        trial(0, {}, [0.9, 0.9]),  # 20 of 20 epochs
        trial(1, {}, [0.9, 0.9], epochs=17),  # a network stopped by itself
        trial(2, {}, [0.5, 0.5], state=TrialState.PRUNED, epochs=6),
        trial(3, {}, [0.5], state=TrialState.PRUNED, epochs=4),  # pruned before its second network began
        trial(4, {}, [], state=TrialState.FAIL, epochs=3),
        trial(5, {}, [], state=TrialState.FAIL, epochs=3, killed=True),
    ]
    assert saved(made(trials, settings={})) == Saved(planned=4 * 2 * EPOCHS, pruned=14 + 16, stopped=3)


def test_each_trial_has_a_plan_of_its_own_where_repeats_are_swept() -> None:
    trials = [
        trial(0, {}, [0.9], max_networks=1),
        trial(1, {}, [0.9, 0.9, 0.9], max_networks=3),
        trial(2, {}, [0.5], state=TrialState.PRUNED, epochs=4, max_networks=2),
    ]
    assert saved(made(trials, settings={})) == Saved(planned=6 * EPOCHS, pruned=16, stopped=0)


def test_saved_epochs_need_a_plan() -> None:
    trials = [trial(0, {}, [0.9], max_epochs=None)]
    assert saved(made(trials, settings={})) is None


def test_the_clock_counts_minutes_once_that_trials_share() -> None:
    start = datetime(2026, 1, 1, 12)

    def between(first: int, last: int) -> Trial:
        one = made([trial(0)]).trials[0]
        return replace(one, started=start + timedelta(seconds=first), ended=start + timedelta(seconds=last))

    assert busy_seconds([between(0, 10), between(5, 12), between(2, 3), between(20, 21)]) == 13
    assert busy_seconds([]) == 0
