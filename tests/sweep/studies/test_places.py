"""Every place of a budget ends with one trial, whatever happens to the ones before."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as some
from optuna.trial import FrozenTrial, TrialState, create_trial

from src.sweep.studies.places import TRIES, TRIES_TO_GO_ON, Places, Spot

ENDS = {
    "complete": (TrialState.COMPLETE, {}),
    "pruned": (TrialState.PRUNED, {}),
    "fail": (TrialState.FAIL, {}),
    "killed": (TrialState.FAIL, {"killed": True}),
    "further": (TrialState.FAIL, {"killed": True, "checkpoint": "folder"}),
    "stopped": (TrialState.FAIL, {"killed": True, "stopped": True}),
    "waiting": (TrialState.FAIL, {"killed": True, "waits": True}),
}


def _trial(spot: Spot, state: TrialState, attrs: dict[str, Any]) -> FrozenTrial:
    about = {"place": spot.place, "attempt": spot.attempt, "fruitless": spot.fruitless, **attrs}
    return create_trial(state=state, value=0.0 if state == TrialState.COMPLETE else None, user_attrs=about)


@given(total=some.integers(1, 6), ends=some.lists(some.sampled_from([*ENDS, "ask", "ask"]), max_size=60))
def test_no_place_has_two_trials_that_count(total, ends):
    places = Places()
    running: list[Spot] = []
    over: dict[int, int] = {}
    tries: dict[int, list[str]] = {}  # how attempts with the same parameters were killed
    for end in ends:
        if end == "ask":
            spot = places.next(total)
            taken = {one.place for one in running} | set(over)
            assert (spot is None) == (len(taken) == total)
            if spot:
                assert spot.place not in taken
                past = tries.get(spot.place, [])
                given_up = past[-2:] == ["killed", "killed"]
                assert (spot.repeated is None) == (spot.attempt == 0 or given_up)
                if given_up:
                    tries[spot.place] = []  # with new parameters
                places.see(_trial(spot, TrialState.RUNNING, {}))
                running.append(spot)
        elif running:
            spot = running.pop(0)
            places.see(_trial(spot, *ENDS[end]))
            if end in ("killed", "further"):
                tries.setdefault(spot.place, []).append(end)
            elif end not in ("stopped", "waiting"):
                over[spot.place] = spot.attempt
        assert places.done(total) == len(over)


def test_killed_places_come_before_new_ones_and_the_lowest_first():
    places = Places()
    for place in range(3):
        places.see(_trial(Spot(place), *ENDS["killed" if place else "complete"]))
    spot = places.next(9)
    assert spot is not None
    assert (spot.place, spot.attempt) == (1, 1)
    assert spot.repeated is places.latest[1]


def test_an_old_attempt_does_not_hide_the_new_one():
    places = Places()
    places.see(_trial(Spot(0, 1), TrialState.RUNNING, {}))
    places.see(_trial(Spot(0, 0), *ENDS["killed"]))
    assert places.next(1) is None


def test_a_smaller_total_counts_its_own_places_only():
    places = Places()
    for place in range(4):
        places.see(_trial(Spot(place), *ENDS["complete"]))
    assert [places.done(total) for total in (2, 4, 9)] == [2, 4, 4]
    assert places.next(2) is None


def test_who_went_on_from_a_checkpoint_is_given_up_later():
    def tries(first: dict[str, object], then: dict[str, object]) -> int:
        places = Places()
        places.see(_trial(Spot(0), TrialState.FAIL, {"killed": True, "folder": "0", **first}))
        count = 0
        while (spot := places.next(1)) and spot.repeated:
            count += 1
            attrs = {"killed": True, "folder": str(count), "left": list(spot.left), **then}
            places.see(_trial(spot, TrialState.FAIL, attrs))
            assert spot.left[-1] == "0"  # where the one checkpoint is
        assert spot is not None
        assert len(spot.left) == count + 1  # to be thrown away
        return count

    assert tries({}, {}) == TRIES - 1
    assert tries({"checkpoint": True}, {"further": True}) == TRIES_TO_GO_ON


def test_a_checkpoint_of_its_own_makes_the_earlier_ones_needless():
    places = Places()
    attrs = {"killed": True, "folder": "2", "left": ["1", "0"], "checkpoint": True}
    places.see(_trial(Spot(0, 2), TrialState.FAIL, attrs))
    assert places.next(1).left == ("2",)
