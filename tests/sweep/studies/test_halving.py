"""Halving by several objectives: fronts, crowding and who goes on, against the definitions in plain loops."""

import math
from dataclasses import dataclass, field

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from src.sweep.studies.halving import Halving, crowding, fronts

few = st.integers(0, 4).map(float)  # so that trials are often equal in an objective, or in all
populations = st.integers(1, 3).flatmap(lambda width: st.lists(st.tuples(*[few] * width), min_size=1, max_size=12))


def dominates(one, other):
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


def twin_fronts(costs):
    """Front by front: whom nobody that is left dominates."""
    ranks, left, number = {}, list(range(len(costs))), 0
    while left:
        front = [i for i in left if not any(dominates(costs[j], costs[i]) for j in left)]
        ranks |= dict.fromkeys(front, number)
        left, number = [i for i in left if i not in front], number + 1
    return [ranks[i] for i in range(len(costs))]


def twin_crowding(costs):
    """One trial after another: the gap between its neighbours in each objective."""
    total = [0.0] * len(costs)
    for objective in range(len(costs[0])):
        order = sorted(range(len(costs)), key=lambda i: costs[i][objective])
        low, high = costs[order[0]][objective], costs[order[-1]][objective]
        for number, i in enumerate(order):
            if low == high:
                continue
            if costs[i][objective] in (low, high):
                total[i] = math.inf
            else:
                gap = costs[order[number + 1]][objective] - costs[order[number - 1]][objective]
                total[i] += gap / (high - low)
    return total


def twin_goes_on(costs, factor):
    """Whether the last trial goes on; all are sorted, where the rule counts who is before it."""
    ranks = twin_fronts(costs)
    key = [(0, 0.0)] * len(costs)
    for front in set(ranks):
        own = [i for i in range(len(costs)) if ranks[i] == front]
        for i, lonely in zip(own, twin_crowding([costs[i] for i in own]), strict=True):
            key[i] = (front, -lonely)
    return key[-1] <= sorted(key)[max(1, len(costs) // factor) - 1]


@given(populations)
def test_fronts_and_crowding_are_those_of_the_definitions(costs):
    assert fronts(np.array(costs)).tolist() == twin_fronts(costs)
    np.testing.assert_allclose(crowding(np.array(costs)), twin_crowding(costs), rtol=1e-12)


@example([(0.0, 2.0), (2.0, 0.0), (1.0, 1.0)], 2)  # on the front, but between two others
@given(populations, st.integers(2, 4))
def test_the_best_part_of_a_rung_goes_on_and_whoever_equals_its_last(costs, factor):
    halving = Halving({"reduction_factor": factor}, [-1] * len(costs[0]))
    assert halving.is_among_the_first(np.array(costs)) == twin_goes_on(costs, factor)


@dataclass
class Noted:
    """A trial with its notes."""

    number: int
    system_attrs: dict = field(default_factory=dict)

    def reports(self, halving, epoch, values, others):
        notes, ends = halving.judged(self, epoch, values, others)
        self.system_attrs |= notes
        return ends


def test_trials_are_compared_after_the_epochs_of_the_rungs_only():
    halving = Halving({"min_resource": 2, "reduction_factor": 3}, [1, -1])
    trials = [Noted(0), Noted(1)]
    assert [halving.rung_epochs(rung) for rung in range(3)] == [2, 6, 18]
    assert not trials[0].reports(halving, 2, [0.9, 100], trials)
    assert not trials[1].reports(halving, 1, [0.8, 200], trials)  # no rung
    assert trials[1].reports(halving, 2, [0.8, 200], trials)  # worse in both
    assert [sorted(trial.system_attrs) for trial in trials] == [["completed_rung_0"]] * 2
    assert trials[1].system_attrs["completed_rung_0"] == [0.8, 200.0]


def test_a_trial_that_trades_one_objective_for_another_goes_on():
    halving, trials = Halving({}, [1, -1]), [Noted(0), Noted(1)]
    assert not trials[0].reports(halving, 1, [0.9, 100], trials)
    assert not trials[1].reports(halving, 1, [0.8, 50], trials)


def test_a_trial_without_a_finite_objective_ends_and_is_compared_with_nobody():
    halving, trials = Halving({"min_resource": 2}, [-1, -1]), [Noted(0), Noted(1)]
    assert not trials[0].reports(halving, 1, [math.inf, 1], trials)
    assert trials[0].reports(halving, 2, [math.inf, 1], trials)
    assert trials[0].system_attrs == {}
    assert not trials[1].reports(halving, 2, [9.0, 9.0], trials)
