"""A study goes on to its total after any interruption, each place with one trial that counts."""

import math
import sqlite3
from contextlib import contextmanager

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from src.config.error import ConfigError, UserError
from src.sweep.space.space import Space
from src.sweep.studies import lock as locks
from src.sweep.studies import store as stores
from src.sweep.studies import study as studies
from src.sweep.studies.study import open_study
from src.sweep.studies.study_record import read_study
from tests.sweep.children import PARAMS, accuracy, check_finished, crash, in_file, opened, stored, train, work


def test_a_study_asks_for_every_place_once_and_then_stops(tmp_path):
    settings = in_file(tmp_path, n_trials=7)
    with opened(settings) as study:
        asks = study.ask(4) + study.ask(4)
        assert [ask.place for ask in asks] == [ask.number for ask in asks] == list(range(7))
        assert study.reason_to_stop() is None
        for ask in asks:
            train(study, ask)
        assert study.ask(1) == []
        assert study.reason_to_stop() == "all 7 trials are done"
        counts = study.counts()
        assert (counts.complete, counts.pruned, counts.failed, counts.killed, counts.running) == (6, 1, 0, 0, 0)
        assert (counts.places_done, counts.places_left) == (7, 0)
    check_finished(settings)


def test_a_study_of_one_trial_ends_in_words_for_one_and_names_first_trials_beyond_it(tmp_path):
    settings = in_file(tmp_path, n_trials=1, first=[{"optim.eta": 0.1}, {"optim.eta": 0.2}, {"optim.eta": 0.3}])
    said = []
    with open_study(settings, Space.parse(PARAMS), {}, said.append) as study:
        assert said == ["study study has room for 1: 2 trials at the end of hydra.sweeper.first will not run"]
        train(study, *study.ask(3))
        assert study.reason_to_stop() == "its one trial is done"


def test_what_is_told_stands_in_optunas_own_store(tmp_path):
    settings = in_file(tmp_path, n_trials=3)
    with opened(settings) as study:
        complete, pruned, failed = study.ask(3)
        for epoch, value in ((1, 0.25), (2, math.nan), (3, 0.75)):
            study.report(complete, epoch, value)
        study.report(pruned, 1, 0.5)
        study.note(complete, {"folder": "a"})
        study.tell(complete, "COMPLETE", [0.75], {"parameters": 9, "members": [{"seed": 0}]})
        study.tell(pruned, "PRUNED", attrs={"epochs": 1})
        study.tell(failed, "FAIL", attrs={"reason": "Traceback"})
        assert study.attrs(complete.number)["folder"] == "a"
        assert study.states() == {0: "COMPLETE", 1: "PRUNED", 2: "FAIL"}
    trials = stored(settings)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    assert trials[0].values == [0.75]
    assert trials[0].params == complete.params
    assert trials[0].intermediate_values[1] == 0.25
    assert math.isnan(trials[0].intermediate_values[2])
    assert trials[0].user_attrs["members"] == [{"seed": 0}]
    assert trials[0].user_attrs["worker"]["pid"] > 0
    assert trials[1].value == 0.5  # the last report
    assert trials[2].user_attrs["reason"] == "Traceback"
    assert all(trial.datetime_complete >= trial.datetime_start for trial in trials)


def test_a_resumed_study_goes_on_to_the_total(tmp_path):
    settings = in_file(tmp_path, n_trials=5)
    with opened(settings) as study:
        for ask in study.ask(3):
            train(study, ask)
        uid, before = study.uid, study.best()
        assert not study.resumed
    with opened(settings) as study:
        assert study.resumed
        assert (study.uid, study.best()) == (uid, before)
        assert study.counts().places_done == 3
        assert [ask.place for ask in study.ask(9)] == [3, 4]


def test_a_larger_total_goes_on_with_a_finished_study(tmp_path):
    with opened(in_file(tmp_path, n_trials=2)) as study:
        for ask in study.ask(9):
            train(study, ask)
    with opened(in_file(tmp_path, n_trials=4)) as study:
        assert [ask.place for ask in study.ask(9)] == [2, 3]
    kept = optuna.load_study(study_name="study", storage=in_file(tmp_path).storage).user_attrs["sweepstack"]
    assert kept["settings"]["n_trials"] == 4


def test_a_smaller_total_leaves_what_is_there(tmp_path):
    with opened(in_file(tmp_path, n_trials=4)) as study:
        for ask in study.ask(4):
            train(study, ask)
    with opened(in_file(tmp_path, n_trials=2)) as study:
        assert study.ask(1) == []
        counts = study.counts()
        assert (counts.places_done, counts.places_left) == (2, 0)


def test_an_interrupted_study_suggests_what_it_would_have_suggested(tmp_path):
    whole, parts = in_file(tmp_path / "whole", n_trials=30), in_file(tmp_path / "parts", n_trials=30)
    work(whole, 1)
    for _ in range(3):
        with opened(parts) as study:
            for _ in range(10):
                train(study, study.ask(1)[0])
    assert [trial.params for trial in stored(whole)] == [trial.params for trial in stored(parts)]


def test_another_seed_suggests_something_else(tmp_path):
    params = []
    for seed in (0, 1):
        with opened(in_file(tmp_path / str(seed), seed=seed)) as study:
            params.append([ask.params for ask in study.ask(3)])
    assert params[0] != params[1]


def test_a_killed_trial_is_asked_again_in_its_place_with_its_parameters(tmp_path):
    settings = in_file(tmp_path, n_trials=4)
    crash(settings, 2)
    with opened(settings) as study:
        assert study.reaped == [0, 1]
        asks = study.ask(9)
        assert [(ask.place, ask.attempt, ask.number) for ask in asks] == [(0, 1, 2), (1, 1, 3), (2, 0, 4), (3, 0, 5)]
        assert [ask.params for ask in asks[:2]] == [trial.params for trial in stored(settings)[:2]]
        assert asks[0].overrides == Space.parse(PARAMS).overrides(asks[0].params)
        for ask in asks:
            train(study, ask)
        assert study.counts().killed == 2
    check_finished(settings)


def test_parameters_that_were_killed_twice_are_given_up_and_the_total_is_still_reached(tmp_path):
    settings = in_file(tmp_path, n_trials=2)
    crash(settings, 1)
    crash(settings, 1)
    with opened(settings) as study:
        again, other = study.ask(9)
        assert (again.place, again.attempt, other.place) == (0, 2, 1)
        first, second = stored(settings)[:2]
        assert first.params == second.params != again.params
        for ask in (again, other):
            train(study, ask)
    check_finished(settings)


def test_a_trial_that_the_user_interrupts_is_asked_again(tmp_path):
    settings = in_file(tmp_path, n_trials=2)
    with opened(settings) as study:
        one, two = study.ask(2)
        assert study.tell(one, "KILLED", attrs={"epochs": 1}) is True
        train(study, two)
        assert study.states() == {0: "KILLED", 1: "COMPLETE"}
    with opened(settings) as study:
        assert study.reaped == []
        (again,) = study.ask(9)
        assert (again.place, again.attempt, again.params) == (0, 1, one.params)
        assert study.report(again, 1, 0.5) is False  # its reports start anew
        train(study, again)
    check_finished(settings)


def test_trials_that_have_begun_are_given_although_the_next_one_cannot_begin(tmp_path):
    answers = iter([{}, {}, {"no.such.key": 1}])
    space = Space.parse(PARAMS, hook=lambda trial, params: next(answers, {}))
    with open_study(in_file(tmp_path), space, {}, lambda _: None) as study:
        assert [ask.place for ask in study.ask(9)] == [0, 1]
        assert [ask.place for ask in study.ask(1)] == [2]


def test_closing_leaves_no_trial_running(tmp_path):
    settings = in_file(tmp_path)
    with opened(settings) as study:
        study.ask(3)
    assert [trial.state for trial in stored(settings)] == [TrialState.FAIL] * 3
    assert all(trial.user_attrs["killed"] for trial in stored(settings))


def test_a_trial_of_a_living_process_is_left_alone(tmp_path):
    settings = in_file(tmp_path, n_trials=3)
    with opened(settings) as one, opened(settings) as two:
        (mine,) = one.ask(1)
        assert two.reaped == []
        assert [ask.place for ask in two.ask(9)] == [1, 2]
        assert one.ask(1) == []
        train(one, mine)
        assert one.reason_to_stop() == "the last 2 of 3 trials run in another process"


def test_a_process_that_goes_on_takes_over_from_one_that_is_killed(tmp_path):
    settings = in_file(tmp_path, n_trials=3)
    with opened(settings) as study:
        (mine,) = study.ask(1)
        crash(settings, 2)
        asks = study.ask(9)
        assert [(ask.place, ask.attempt) for ask in asks] == [(1, 1), (2, 1)]
        assert study.reaped == [1, 2]
        for ask in (mine, *asks):
            train(study, ask)
    check_finished(settings)


def test_a_result_that_comes_too_late_is_not_used(tmp_path, monkeypatch):
    settings = in_file(tmp_path, n_trials=1)
    said = []
    with open_study(settings, Space.parse(PARAMS), {}, said.append) as slow:
        (ask,) = slow.ask(1)
        with monkeypatch.context() as patch:
            patch.setattr(studies, "lives", lambda worker: False)  # as if it were on a machine that does not answer
            with open_study(settings, Space.parse(PARAMS), {}, said.append) as quick:
                (again,) = quick.ask(1)
                assert again.params == ask.params
                train(quick, again)
        assert slow.tell(ask, "COMPLETE", [0.99]) is False
        assert "trial 0: another process had taken it over" in said[-1]
        assert slow.counts().complete == 1
        assert slow.best() == (0, [accuracy(ask.params)], ask.params)
    check_finished(settings)


def test_a_trial_that_was_taken_over_is_to_end(tmp_path, monkeypatch):
    settings = in_file(tmp_path, n_trials=2)
    said = []
    with open_study(settings, Space.parse(PARAMS), {}, said.append) as slow:
        one, two = slow.ask(2)
        with monkeypatch.context() as patch:
            patch.setattr(studies, "lives", lambda worker: False)
            with open_study(settings, Space.parse(PARAMS), {}, said.append) as quick:
                for ask in quick.ask(2):
                    train(quick, ask)
        assert slow.tell(one, "FAIL") is False  # only now does it learn what has happened
        assert slow.report(two, 1, 0.5) is True
        assert slow.tell(two, "PRUNED") is False
        assert sum("had taken it over" in line for line in said) == 2
        assert slow.counts().failed == 0
    check_finished(settings)


def test_a_trial_that_was_taken_over_is_noticed_while_it_trains(tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "REFRESH_SECONDS", 0.0)
    settings = in_file(tmp_path, n_trials=2)
    with opened(settings) as slow:
        one, two = slow.ask(2)
        assert slow.report(one, 1, 0.5) is False
        with monkeypatch.context() as patch:
            patch.setattr(studies, "lives", lambda worker: False)
            with opened(settings) as quick:
                for ask in quick.ask(2):
                    train(quick, ask)
        assert slow.report(one, 2, 0.5) is True
        assert slow.report(two, 1, 0.5) is True
        assert slow.tell(one, "PRUNED") is slow.tell(two, "PRUNED") is False
    check_finished(settings)


def test_a_worker_elsewhere_counts_as_gone_once_its_heartbeats_stop(tmp_path, monkeypatch):
    settings = in_file(tmp_path, n_trials=1)
    crash(settings, 1)
    monkeypatch.setattr(studies, "lives", lambda worker: None)
    with opened(settings) as study:
        assert study.reaped == []
        assert study.ask(1) == []
    monkeypatch.setattr(studies, "HEARTBEAT_SECONDS", 0.0)
    with opened(settings) as study:
        assert study.reaped == [0]


def test_heartbeats_hold_a_trial(tmp_path, monkeypatch):
    settings = in_file(tmp_path, n_trials=1)
    monkeypatch.setattr(studies, "lives", lambda worker: None)
    monkeypatch.setattr(studies, "BEAT_SECONDS", 0.0)
    with opened(settings) as one:
        (ask,) = one.ask(1)
        one._beat()
        since = one._store.silent([one._identifiers[ask.number]], 60)
        assert since == set()
        assert one._store.silent([one._identifiers[ask.number]], -60) == {one._identifiers[ask.number]}


@pytest.mark.parametrize(
    ("params", "identity", "changes", "line"),
    [
        (PARAMS | {"optim.eta": "interval(0.1, 1)"}, {}, {}, "optim.eta: tag(log, interval(0.001, 1.0)) -> interval("),
        (PARAMS | {"optim.lambda_": "0,1"}, {}, {}, "optim.lambda_: (none) -> choice(0, 1)"),
        (PARAMS, {"data": {"name": "mnist"}}, {}, "data: digits ->"),
        (PARAMS, {"max_epochs": 60}, {}, "max_epochs: (none) -> 60"),
        (PARAMS, {}, {"objectives": ["seconds"]}, 'objectives: ["validation_accuracy"] -> ["seconds"]'),
        (PARAMS, {}, {"constraints": ["parameters <= 10"]}, 'constraints: [] -> ["parameters <= 10"]'),
        (PARAMS, {}, {"first": {"optim.eta": 1.0}}, 'first: [] -> [{"optim.eta": 1.0}]'),
    ],
)
def test_what_trials_share_cannot_change(tmp_path, params, identity, changes, line):
    opened(in_file(tmp_path)).close()
    with pytest.raises(ConfigError) as caught:
        open_study(in_file(tmp_path, **changes), Space.parse(params), {"data": "digits"} | identity, print)
    assert line in str(caught.value)
    assert "nothing was started" in str(caught.value)
    assert "study_name" in str(caught.value)


def test_a_key_that_came_after_the_study_stands_at_its_default(tmp_path):
    space, before = Space.parse(PARAMS), {"config": {"max_epochs": 3}, "dataset": "digits"}
    open_study(in_file(tmp_path), space, before, print).close()
    now = {"config": {"max_epochs": 3, "optim.nesterov": False}, "dataset": "digits"}
    open_study(in_file(tmp_path), space, now, print).close()
    with pytest.raises(ConfigError, match=r"optim\.nesterov: false -> true"):
        open_study(in_file(tmp_path), space, now | {"config": now["config"] | {"optim.nesterov": True}}, print)


def test_budget_sampler_and_pruner_may_change(tmp_path):
    opened(in_file(tmp_path)).close()
    changes = {"n_trials": 3, "sampler": "random", "pruner": "median", "seed": 7, "max_failures": 1, "target": 0.5}
    opened(in_file(tmp_path, **changes, timeout_minutes=1.0)).close()


def test_a_study_of_another_program_is_refused(tmp_path):
    settings = in_file(tmp_path)
    (tmp_path / "mlruns").mkdir()
    optuna.create_study(study_name="study", storage=settings.storage).optimize(lambda trial: 0.0, n_trials=1)
    with pytest.raises(ConfigError, match="made by another program; choose another name"):
        opened(settings)


def test_fixed_trials_come_first_and_what_they_leave_out_is_sampled(tmp_path):
    published = {"optim.eta": 0.5, "model.dropout": 0.5, "model.activation": "relu"}
    settings = in_file(tmp_path, n_trials=4, first=[published, {"optim.eta": 0.25}])
    with opened(settings) as study:
        asks = study.ask(4)
    assert asks[0].params == published
    assert asks[1].params["optim.eta"] == 0.25
    assert set(asks[1].params) == set(PARAMS)
    assert asks[2].params["optim.eta"] not in (0.5, 0.25)


def test_a_killed_fixed_trial_is_asked_again_as_it_was(tmp_path):
    settings = in_file(tmp_path, n_trials=2, first={"optim.eta": 0.25})
    crash(settings, 1)
    with opened(settings) as study:
        (again,) = study.ask(1)
    assert again.params == stored(settings)[0].params
    assert again.params["optim.eta"] == 0.25


def test_a_fixed_trial_keeps_what_is_fixed_however_often_it_is_killed(tmp_path):
    settings = in_file(tmp_path, n_trials=2, first={"optim.eta": 0.25})
    attempts = []
    for _ in range(4):
        with opened(settings) as study:  # closing it tells KILLED
            attempts += study.ask(1)
    assert [(ask.place, ask.attempt) for ask in attempts] == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert {ask.params["optim.eta"] for ask in attempts} == {0.25}
    assert attempts[1].params["model.dropout"] != attempts[2].params["model.dropout"]  # the rest is sampled anew


@pytest.mark.parametrize(("n_trials", "total"), [(5, 5), (9, 6)])
def test_a_grid_has_no_more_places_than_points(tmp_path, n_trials, total):
    space = {"optim.eta": "0.1,0.2", "model.activation": "sigmoid,tanh,relu"}
    with opened(in_file(tmp_path, n_trials=n_trials, sampler="grid"), space) as study:
        assert study.total == total
        assert len(study.ask(9)) == total
        assert read_study(study.settings.study_name, study.settings.storage).total == total


def _failing(study, monkeypatch, times, statement=""):
    """The next `times` statements that begin so raise what a busy file raises; no waits."""
    monkeypatch.setattr(stores, "WAITS", (0.0, 0.0))
    left = [times]

    def fail(connection, cursor, text, parameters, context, executemany):
        if left[0] and text.startswith(statement):
            left[0] -= 1
            raise sqlite3.OperationalError("database is locked")

    event.listen(study._store._engine, "before_cursor_execute", fail)
    return left


@pytest.mark.parametrize("statement", ["UPDATE trials", "INSERT INTO trial_values", "INSERT INTO trial_user"])
def test_a_result_that_the_store_did_not_take_can_be_told_again(tmp_path, monkeypatch, statement):
    settings = in_file(tmp_path, n_trials=4, pruner="asha")
    with opened(settings) as study:
        one, two = study.ask(2)
        train(study, one)
        study.report(two, 1, 0.5)
        left = _failing(study, monkeypatch, 3, statement)
        with pytest.raises(
            UserError, match=r"store sqlite:.* does not answer \(database is locked.*\); start the same"
        ):
            study.tell(two, "COMPLETE", [0.5], {"epochs": 3})
        assert left == [0]
        assert study.states()[two.number] == "RUNNING"
        study.report(two, 2, 0.5)
        study.report(two, 3, 0.5)
        assert study.tell(two, "COMPLETE", [0.5], {"epochs": 3}) is True
        for ask in study.ask(9):
            train(study, ask)
    check_finished(settings)


def test_a_store_that_fails_twice_is_asked_a_third_time(tmp_path, monkeypatch):
    settings = in_file(tmp_path, n_trials=2)
    with opened(settings) as study:
        left = _failing(study, monkeypatch, 0)
        for _ in range(2):
            left[0] = 2
            (ask,) = study.ask(1)
            left[0] = 2
            study.note(ask, {"folder": "a"})
            left[0] = 2
            train(study, ask)
            assert left == [0]
    check_finished(settings)


def test_a_store_that_fails_while_a_trial_begins_leaves_no_trial_behind(tmp_path, monkeypatch):
    settings = in_file(tmp_path, n_trials=2)
    with opened(settings) as study:
        (ask,) = study.ask(1)
        _failing(study, monkeypatch, 3, "INSERT INTO trials")
        with monkeypatch.context() as patch:
            patch.setattr(study._store, "flush", lambda: study._store.trial_attrs("no answer")[0])
            with pytest.raises(KeyError):  # nor does it answer then
                study.ask(1)
        train(study, ask)
        for ask in study.ask(1):
            train(study, ask)
    check_finished(settings)


def test_an_end_whose_answer_was_lost_counts(tmp_path, monkeypatch):
    settings = in_file(tmp_path, n_trials=1)
    monkeypatch.setattr(stores, "WAITS", (0.0,))
    with opened(settings) as study:
        (ask,) = study.ask(1)
        study.report(ask, 1, 0.5)
        lost = []

        @contextmanager
        def begin(real=study._store._engine.begin):
            with real() as connection:
                yield connection
            if not lost:  # committed, but nobody learns of it
                lost.append(True)
                raise OperationalError("", {}, sqlite3.OperationalError("gone"))

        with monkeypatch.context() as patch:
            patch.setattr(study._store._engine, "begin", begin)
            study._store.flush()  # the report, twice
            lost.clear()
            assert study.tell(ask, "COMPLETE", [0.5], {"epochs": 1}) is True
            assert lost
    check_finished(settings)


def test_conditional_keys_are_sampled_and_asked_again_where_their_condition_holds(tmp_path):
    params = {
        "model.activation": "sigmoid,relu",
        "optim.eta": [
            {"space": "interval(1, 3)", "when": {"model.activation": "sigmoid"}},
            {"space": "interval(0.01, 0.1)", "when": {"model.activation": "relu"}},
        ],
    }
    settings = in_file(tmp_path, n_trials=40)
    with opened(settings, params) as study:
        for _ in range(39):
            (ask,) = study.ask(1)
            assert (ask.params["optim.eta"] >= 1) == (ask.params["model.activation"] == "sigmoid")
            study.tell(ask, "COMPLETE", [ask.params["optim.eta"]])
        (ask,) = study.ask(1)
        study.tell(ask, "KILLED")
        (again,) = study.ask(1)
        assert again.params == ask.params
        assert again.overrides == ask.overrides


def test_the_study_stops_at_its_target(tmp_path):
    with opened(in_file(tmp_path, target=0.9)) as study:
        low, high = study.ask(2)
        study.tell(low, "COMPLETE", [0.8])
        assert study.reason_to_stop() is None
        study.tell(high, "COMPLETE", [0.9])
        assert study.ask(1) == []
        assert study.reason_to_stop() == "target 0.9 reached"


def test_a_target_that_is_minimized_is_reached_from_above(tmp_path):
    with opened(in_file(tmp_path, target=10.0, objectives=["seconds"])) as study:
        high, low = study.ask(2)
        study.tell(high, "COMPLETE", [11.0])
        assert study.reason_to_stop() is None
        study.tell(low, "COMPLETE", [10.0])
        assert study.reason_to_stop() == "target 10 reached"


def test_the_study_stops_after_max_failures_and_kills_are_none(tmp_path):
    with opened(in_file(tmp_path, n_trials=9, max_failures=2)) as study:
        asks = study.ask(5)
        for ask, state in zip(asks, ("FAIL", "KILLED", "KILLED", "KILLED"), strict=False):
            study.tell(ask, state)
        assert study.reason_to_stop() is None
        study.tell(asks[4], "FAIL")
        assert study.ask(1) == []
        assert study.reason_to_stop() == "2 trials failed (hydra.sweeper.max_failures=2)"
        assert study.counts().failed == 2


def test_with_no_failure_allowed_the_first_one_stops_the_study(tmp_path):
    with opened(in_file(tmp_path, max_failures=0)) as study:
        (ask,) = study.ask(1)
        study.tell(ask, "FAIL")
        assert study.reason_to_stop() == "1 trial failed (hydra.sweeper.max_failures=0)"


def test_no_trial_starts_after_the_timeout(tmp_path, monkeypatch):
    with opened(in_file(tmp_path, timeout_minutes=10.0)) as study:
        study.ask(1)
        now = studies.time.monotonic()
        monkeypatch.setattr(studies.time, "monotonic", lambda: now + 599)
        assert len(study.ask(1)) == 1
        monkeypatch.setattr(studies.time, "monotonic", lambda: now + 601)
        assert study.ask(1) == []
        assert study.reason_to_stop() == "timeout of 10 min"


def test_several_objectives_have_a_front_and_are_not_pruned(tmp_path):
    settings = in_file(tmp_path, objectives=["validation_accuracy", "parameters"], pruner="none")
    with opened(settings) as study:
        asks = study.ask(3)
        for ask, values in zip(asks, ([0.9, 100], [0.8, 10], [0.7, 50]), strict=True):
            assert study.report(ask, 1, 0.1) is False
            study.tell(ask, "COMPLETE", values)
        assert [place for place, _, _ in study.front()] == [0, 1]
        assert study.best()[:2] == (0, [0.9, 100])
    trials = stored(settings)
    assert [trial.values for trial in trials] == [[0.9, 100], [0.8, 10], [0.7, 50]]
    assert trials[0].intermediate_values == {1: 0.1}


def test_a_trial_that_others_dominate_at_a_rung_is_pruned_also_after_an_interruption(tmp_path):
    settings = in_file(tmp_path, objectives=["validation_accuracy", "parameters"], pruner="asha")
    with opened(settings) as study:
        first, left = study.ask(2)
        assert study.report(first, 1, 0.9, [0.9, 100]) is False
        assert study.report(left, 1, 0.95, [0.95, 10]) is False
        study.tell(first, "COMPLETE", [0.9, 100])
    with opened(settings) as study:  # the one that was left is no competitor, neither of others nor of itself
        again, worse = study.ask(2)
        assert again.place == left.place
        assert study.report(worse, 1, 0.8, [0.8, 200]) is True
        assert study.tell(worse, "PRUNED")
        assert study.report(again, 1, 0.9, [0.9, 100]) is False
    trials = stored(settings)
    assert [trial.system_attrs.get("completed_rung_0") for trial in trials][2:] == [[0.9, 100], [0.8, 200]]
    assert [trial.values for trial in trials if trial.state == TrialState.PRUNED] == [None]


def test_of_equal_trials_the_lower_place_is_the_best_in_every_process(tmp_path):
    settings = in_file(tmp_path, n_trials=3)
    with opened(settings) as study:
        one, two, three = study.ask(3)
        for ask, value in ((three, 0.8), (two, 0.9), (one, 0.9)):
            assert study.tell(ask, "COMPLETE", [value])
        assert study.best()[0] == 0
    with opened(settings) as study:
        assert study.best()[0] == 0


def test_the_best_of_several_objectives_is_in_the_front(tmp_path):
    settings = in_file(tmp_path, n_trials=3, objectives=["parameters", "validation_accuracy"])
    with opened(settings) as study:
        for ask, values in zip(study.ask(3), ([9.0, 0.9], [4.0, 0.3], [4.0, 0.7]), strict=True):
            assert study.tell(ask, "COMPLETE", values)
        assert study.best()[0] == 2
        assert [place for place, _, _ in study.front()] == [0, 2]


def test_the_best_trial_keeps_the_constraints(tmp_path):
    settings = in_file(tmp_path, constraints=["parameters <= 100", "validation_accuracy >= 0.5"])
    with opened(settings) as study:
        asks = study.ask(3)
        for ask, value, parameters in zip(asks, (0.9, 0.8, 0.1), (101, 100, 1), strict=True):
            study.tell(ask, "COMPLETE", [value], {"parameters": parameters})
        assert study.best()[0] == 1
    assert stored(settings)[0].constraints == {"parameters <= 100": 1.0, "validation_accuracy >= 0.5": -0.4}
    with opened(settings) as study:
        assert study.best()[0] == 1


def test_a_trial_without_the_value_that_a_constraint_needs_is_an_error_of_the_caller(tmp_path):
    with opened(in_file(tmp_path, constraints=["parameters <= 100"])) as study:
        (ask,) = study.ask(1)
        with pytest.raises(ValueError, match="told without parameters"):
            study.tell(ask, "COMPLETE", [0.5])
        study.tell(ask, "FAIL")  # needs none


def test_nan_is_no_value(tmp_path):
    with opened(in_file(tmp_path)) as study:
        (ask,) = study.ask(1)
        with pytest.raises(ValueError, match="nan is not acceptable"):
            study.tell(ask, "COMPLETE", [math.nan])
        assert study.counts().running == 1


def test_the_median_of_earlier_trials_prunes(tmp_path):
    settings = in_file(tmp_path, pruner="median", pruner_options={"n_startup_trials": 2})
    with opened(settings) as study:
        for value in (0.8, 0.9):
            (ask,) = study.ask(1)
            assert study.report(ask, 1, value) is False
            study.tell(ask, "COMPLETE", [value])
    with opened(settings) as study:
        bad, good = study.ask(2)
        assert study.report(bad, 1, 0.5) is True
        assert study.report(good, 1, 0.95) is False


def test_rungs_of_successive_halving_are_known_to_other_processes(tmp_path):
    options = {"min_resource": 1, "reduction_factor": 2}
    settings = in_file(tmp_path, pruner="asha", pruner_options=options)
    with opened(settings) as one, opened(settings) as two:
        for value in (0.8, 0.9):
            (ask,) = one.ask(1)
            one.report(ask, 1, value)
            one.tell(ask, "COMPLETE", [value])
        (ask,) = two.ask(1)
        assert two.report(ask, 1, 0.5) is True
        (better,) = two.ask(1)
        assert two.report(better, 1, 0.95) is False


def test_reports_of_running_trials_reach_other_processes(tmp_path):
    settings = in_file(tmp_path)
    with opened(settings) as study:
        (ask,) = study.ask(1)
        study.report(ask, 1, 0.5)
        study._beat()
        assert stored(settings)[0].intermediate_values == {1: 0.5}


def test_an_error_in_a_custom_search_space_leaves_no_trial_behind(tmp_path):
    settings = in_file(tmp_path, n_trials=2)
    broken = [True]

    def hook(trial, params):
        if broken[0]:
            raise RuntimeError("hook")
        return {"batch_size": trial.suggest_int("batch_size", 1, 9)}

    with open_study(settings, Space.parse(PARAMS, hook=hook), {}, print) as study:
        with pytest.raises(ConfigError, match="raised RuntimeError: hook"):
            study.ask(1)
        assert stored(settings) == []
        broken[0] = False
        asks = study.ask(2)
        assert [ask.number for ask in asks] == [0, 1]
        assert 1 <= asks[0].params["batch_size"] <= 9


def test_a_trial_that_another_tool_adds_takes_no_place(tmp_path):
    settings = in_file(tmp_path, n_trials=4)
    with opened(settings) as study:
        for ask in study.ask(2):
            train(study, ask)
        optuna.load_study(study_name="study", storage=settings.storage).enqueue_trial({"optim.eta": 0.3})
        for ask in study.ask(2):
            train(study, ask)
        assert study.reason_to_stop() == "all 4 trials are done"
        assert study.states() == {0: "COMPLETE", 1: "COMPLETE", 3: "COMPLETE", 4: "PRUNED"}
    assert [trial.user_attrs.get("place") for trial in stored(settings)] == [0, 1, None, 2, 3]


@pytest.mark.parametrize(
    ("storage", "words"),
    [
        ("nosuch://host/base", "is no address of a database"),
        ("sqlite://", "a study in memory ends with its process"),
        ("sqlite:///:memory:", "accepted: sqlite:///FOLDER/FILE.db"),
        ("sqlite:////proc/no/such/folder/studies.db", "cannot be opened"),
        ("postgresql://user:secret@127.0.0.1:1/base", r"user:\*\*\*@127.0.0.1:1/base"),
    ],
)
def test_a_store_that_cannot_be_opened_is_an_error_with_its_address(storage, words):
    settings = in_file(None).model_copy(update={"storage": storage})
    with pytest.raises(UserError, match=words) as caught:
        opened(settings)
    assert "secret" not in str(caught.value)
    assert "hydra.sweeper.storage" in str(caught.value)


def test_a_file_that_is_no_database_is_an_error_with_its_name(tmp_path):
    settings = in_file(tmp_path)
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "studies.db").write_text("no database, but long enough to be read as one" * 9)
    with pytest.raises(UserError, match=r"studies.db': cannot be opened: file is not a database"):
        opened(settings)


def test_a_lock_that_is_held_too_long_is_an_error_that_says_what_to_do(tmp_path, monkeypatch):
    settings = in_file(tmp_path)
    with opened(settings), locks.study_lock(settings.storage, "study"):
        monkeypatch.setattr(locks, "WAIT_SECONDS", 0.01)
        with pytest.raises(UserError, match=r"studies.db.lock: .* held the study's lock .* no trial is lost"):
            opened(settings)
