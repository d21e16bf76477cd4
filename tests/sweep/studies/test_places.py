"""Every place of a budget ends with one trial, whatever happens to the ones before."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as some
from optuna.trial import FrozenTrial, TrialState, create_trial

from src.sweep.studies.places import TRIES, TRIES_TO_GO_ON, NextTrial, Places

ENDS = {
    "complete": (TrialState.COMPLETE, {}),
    "pruned": (TrialState.PRUNED, {}),
    "fail": (TrialState.FAIL, {}),
    "killed": (TrialState.FAIL, {"killed": True}),
    "further": (TrialState.FAIL, {"killed": True, "checkpoint": "folder"}),
    "stopped": (TrialState.FAIL, {"killed": True, "stopped": True}),
    "waiting": (TrialState.FAIL, {"killed": True, "waits": True}),
}


def _trial(next_trial: NextTrial, state: TrialState, attrs: dict[str, Any]) -> FrozenTrial:
    about = {"place": next_trial.place, "attempt": next_trial.attempt, "fruitless": next_trial.fruitless, **attrs}
    return create_trial(state=state, value=0.0 if state == TrialState.COMPLETE else None, user_attrs=about)


@given(total=some.integers(1, 6), ends=some.lists(some.sampled_from([*ENDS, "ask", "ask"]), max_size=60))
def test_no_place_has_two_trials_that_count(total, ends):
    places = Places()
    running: list[NextTrial] = []
    over: dict[int, int] = {}
    tries: dict[int, list[str]] = {}  # how attempts with the same parameters were killed
    for end in ends:
        if end == "ask":
            next_trial = places.next(total)
            taken = {one.place for one in running} | set(over)
            assert (next_trial is None) == (len(taken) == total)
            if next_trial:
                assert next_trial.place not in taken
                past = tries.get(next_trial.place, [])
                given_up = past[-2:] == ["killed", "killed"]
                assert (next_trial.repeated is None) == (next_trial.attempt == 0 or given_up)
                if given_up:
                    tries[next_trial.place] = []  # with new parameters
                places.see(_trial(next_trial, TrialState.RUNNING, {}))
                running.append(next_trial)
        elif running:
            next_trial = running.pop(0)
            places.see(_trial(next_trial, *ENDS[end]))
            if end in ("killed", "further"):
                tries.setdefault(next_trial.place, []).append(end)
            elif end not in ("stopped", "waiting"):
                over[next_trial.place] = next_trial.attempt
        assert places.done(total) == len(over)


def test_killed_places_come_before_new_ones_and_the_lowest_first():
    places = Places()
    for place in range(3):
        places.see(_trial(NextTrial(place), *ENDS["killed" if place else "complete"]))
    next_trial = places.next(9)
    assert next_trial is not None
    assert (next_trial.place, next_trial.attempt) == (1, 1)
    assert next_trial.repeated is places.latest[1]


def test_an_old_attempt_does_not_hide_the_new_one():
    places = Places()
    places.see(_trial(NextTrial(0, 1), TrialState.RUNNING, {}))
    places.see(_trial(NextTrial(0, 0), *ENDS["killed"]))
    assert places.next(1) is None


def test_a_smaller_total_counts_its_own_places_only():
    places = Places()
    for place in range(4):
        places.see(_trial(NextTrial(place), *ENDS["complete"]))
    assert [places.done(total) for total in (2, 4, 9)] == [2, 4, 4]
    assert places.next(2) is None


def test_who_went_on_from_a_checkpoint_is_given_up_later():
    def tries(first: dict[str, object], then: dict[str, object]) -> int:
        places = Places()
        places.see(_trial(NextTrial(0), TrialState.FAIL, {"killed": True, "folder": "0", **first}))
        count = 0
        while (next_trial := places.next(1)) and next_trial.repeated:
            count += 1
            attrs = {"killed": True, "folder": str(count), "left": list(next_trial.left), **then}
            places.see(_trial(next_trial, TrialState.FAIL, attrs))
            assert next_trial.left[-1] == "0"  # where the one checkpoint is
        assert next_trial is not None
        assert len(next_trial.left) == count + 1  # to be thrown away
        return count

    assert tries({}, {}) == TRIES - 1
    assert tries({"checkpoint": True}, {"further": True}) == TRIES_TO_GO_ON


def test_a_checkpoint_of_its_own_makes_the_earlier_ones_needless():
    places = Places()
    attrs = {"killed": True, "folder": "2", "left": ["1", "0"], "checkpoint": True}
    places.see(_trial(NextTrial(0, 2), TrialState.FAIL, attrs))
    assert places.next(1).left == ("2",)
