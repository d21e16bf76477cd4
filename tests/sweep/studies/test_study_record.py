"""Reading a study: what the sweep noted, what Optuna knows of studies made by hand, and what is wrong with a store."""

import math
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from src.config.address import STUDIES
from src.config.error import UserError
from src.sweep.studies import study_record
from src.sweep.studies.study_record import command, read_studies, read_study, read_trial
from tests.report.study_example import diverged, made, members, save, store, trial

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
NOTES = ("place", "attempt", "worker", "killed", "label", "folder", "parameters", "max_epochs", "max_networks",
         "epochs", "seconds", "test_accuracy", "validation_accuracy", "reason", "members", "seeds")  # fmt: skip


def test_a_trial_is_read_with_all_that_the_sweep_noted(tmp_path: Path) -> None:
    left = trial(7, {"optim.eta": 0.03}, [0.9, 0.92], [0.89, None], curve={1: 0.5, 2: math.nan, 3: 0.91}, seconds=4.5)
    (read,) = read_study("activation", save(tmp_path / "s.db", [left], settings={})).trials
    assert (read.number, read.place, read.attempt, read.state) == (0, 7, 0, "COMPLETE")
    assert read.value == pytest.approx(0.91)
    assert read.params["optim.eta"] == 0.03
    assert read.curve == {1: 0.5, 3: 0.91}
    assert [(one.seed, one.validation_score, one.test_score) for one in read.members] == [
        (0, 0.9, 0.89),
        (1, 0.92, None),
    ]
    assert (read.parameters, read.max_epochs, read.epochs, read.seconds) == (1007, 10, 20, 4.5)


def test_a_place_shows_its_latest_attempt_and_a_killed_one_is_still_to_be_done() -> None:
    trials = [
        trial(0, {}, [], state=TrialState.FAIL, killed=True),
        trial(1, {}, [0.8]),
        trial(2, {}, [], state=TrialState.FAIL),
        trial(3, {}, [], state=TrialState.FAIL, killed=True),
        trial(0, {}, [0.9], attempt=1),
    ]
    study = made(trials, settings={"n_trials": 6})
    assert [(one.place, one.attempt, one.state) for one in study.places] == [
        (0, 1, "COMPLETE"),
        (1, 0, "COMPLETE"),
        (2, 0, "FAIL"),
        (3, 0, "KILLED"),
    ]
    assert study.count() == {"COMPLETE": 2, "FAIL": 1, "KILLED": 1}
    assert study.left == {3, 4, 5}  # the killed one, and two that nobody has begun
    assert study.best is study.places[0]


def test_a_trial_that_diverged_is_not_counted_as_pruned() -> None:
    study = made([trial(0), trial(1, {}, [0.5], state=TrialState.PRUNED), diverged(2)], settings={})
    assert [one.state for one in study.places] == ["COMPLETE", "PRUNED", "PRUNED"]
    assert study.count() == {"COMPLETE": 1, "PRUNED": 1, "DIVERGED": 1}


@pytest.mark.parametrize(
    ("settings", "reached"),
    [
        ({}, 0.5),
        ({"pruner": "wilcoxon"}, 0.65),  # repeats, no epochs
        ({"objectives": ["parameters"]}, None),
        (None, 0.5),  # by hand, where the reports are values
    ],
)
def test_a_pruned_trial_has_reached_what_it_reported_where_that_is_the_value(
    settings: dict[str, Any] | None, reached: float | None
) -> None:
    pruned = trial(0, {}, [], state=TrialState.PRUNED, curve={1: 0.8, 2: 0.5})
    study = made([pruned], settings=settings)
    assert study.reached(study.places[0]) == reached


def test_a_study_made_by_hand_is_read_without_any_note(tmp_path: Path) -> None:
    url = store(tmp_path / "s.db")
    by_hand = optuna.create_study(storage=url, study_name="hand", direction="minimize")
    by_hand.optimize(lambda one: (one.suggest_float("x", -1, 1) - 0.5) ** 2, n_trials=3)
    by_hand.ask()
    study = read_study("hand", url)
    assert study.by_hand
    assert (study.total, study.left, study.published, study.objectives) == (None, None, None, ["value"])
    assert [one.place for one in study.places] == [0, 1, 2, 3]
    assert study.best is not None
    assert study.best.value == min(one.value for one in study.trials[:3] if one.value is not None)
    assert study.places[3].state == "RUNNING"


def test_the_effort_of_a_killed_trial_is_known_only_where_it_was_noted() -> None:
    unknown = {"epochs": None, "seconds": None, "members": None, "seeds": [0, 1, 2], "curve": {1: 0.5, 2: 0.6}}
    trials = [
        trial(0, {}, state=TrialState.FAIL, killed=True, **unknown),
        trial(1, {}, state=TrialState.FAIL, **unknown),
        trial(2, {}, state=TrialState.FAIL, killed=True, epochs=5, seconds=1.5),
    ]
    killed, failed, stopped = made(trials, settings={}).trials
    assert (killed.epochs, killed.seconds) == (None, None)
    assert failed.epochs == 6  # two epochs of three networks
    assert failed.seconds is not None
    assert (stopped.epochs, stopped.seconds) == (5, 1.5)


@given(st.dictionaries(st.sampled_from(NOTES), json_values))
def test_notes_of_any_kind_are_read(notes: dict[str, Any]) -> None:
    frozen = create_trial(value=0.5, params={"x": 0.5}, distributions={"x": FloatDistribution(0, 1)}, user_attrs=notes)
    read = read_trial(frozen, {})
    assert read.state == "COMPLETE"
    assert isinstance(read.place, int)
    assert read.seconds is None or math.isfinite(read.seconds)
    assert all(isinstance(one.seed, int) for one in read.members)


def test_the_front_holds_what_nothing_else_beats_in_all(tmp_path: Path) -> None:
    values = [(0.95, 100.0), (0.97, 300.0), (0.94, 100.0), (0.97, 400.0), (0.90, 50.0), (0.95, 100.0)]
    trials = [trial(place, {}, [], values=pair, state=TrialState.COMPLETE) for place, pair in enumerate(values)]
    objectives = {"objectives": ["validation_accuracy", "parameters"]}
    url = save(tmp_path / "s.db", trials, directions=("maximize", "minimize"), settings=objectives)
    assert [one.place for one in read_study("activation", url).front()] == [1, 0, 5, 4]


def test_of_equals_in_the_first_objective_the_next_one_decides_then_the_place() -> None:
    values = [(1000.0, 0.36), (1000.0, 0.73), (2000.0, 0.9), (1000.0, 0.73)]
    trials = [trial(place, {}, [], values=pair) for place, pair in enumerate(values)]
    objectives = {"objectives": ["parameters", "validation_accuracy"]}
    study = made(trials, maximised=[False, True], settings=objectives)
    assert [one.place for one in study.ranked] == [1, 3, 0, 2]
    assert study.best is study.front()[0]


def test_a_trial_that_breaks_a_constraint_is_not_ranked() -> None:
    trials = [trial(0, {}, [0.99], parameters=2000), trial(1, {}, [0.9], parameters=900), trial(2, {}, [0.8])]
    limits = {"constraints": ["parameters <= 1500", "seconds >= 1"]}
    study = made(trials, settings=limits)
    assert [one.place for one in study.ranked] == [1, 2]
    assert study.broken(study.places[0]) == ["parameters <= 1500"]


@pytest.mark.parametrize("noted", [True, False])  # studies made by older versions do not
def test_a_constraint_on_the_accuracy_counts_whether_or_not_it_is_an_objective(noted: bool) -> None:
    accuracies = [0.8, 0.95]
    notes = [{"validation_accuracy": accuracy} if noted else {} for accuracy in accuracies]
    limits = {"constraints": ["validation_accuracy >= 0.9"]}
    alone = made([trial(n, values=[accuracies[n]], **notes[n]) for n in range(2)], settings=limits)
    assert [one.place for one in alone.ranked] == [1]
    limits["objectives"] = ["seconds"]
    study = made([trial(n, values=[1.0], **notes[n]) for n in range(2)], maximised=[False], settings=limits)
    assert [one.validation_score for one in study.places] == (accuracies if noted else [None, None])
    assert [one.place for one in study.ranked] == ([1] if noted else [0, 1])


def test_a_constraint_that_cannot_be_read_or_names_nothing_known_breaks_nothing() -> None:
    study = made([trial(0, parameters=2000)], settings={"constraints": ["parameters < 3", "size <= 3", 4]})
    assert study.broken(study.places[0]) == []


def test_fresh_seeds_are_above_all_that_the_study_used() -> None:
    trials = [trial(0, {}, [], members=members([0.9, 0.9], [0.9, 0.9], seed=99), values=[0.9])]
    study = made(trials, settings={})
    assert study.fresh_seeds() == ["repeats=5", "seed=200"]
    trials += [trial(1, {}, [], members=members([0.9], [0.9], seed=2**32 - 1), values=[0.9])]
    assert made(trials, settings={}).fresh_seeds() == ["repeats=5", "seed=0"]


def test_a_command_names_the_store_only_where_it_is_another_one_and_hides_its_password() -> None:
    assert command("report", "a", STUDIES) == "python -m src.report study=a"
    expected = "python -m src.rerun study=a trial=0 storage=sqlite:///other/s.db"
    assert command("rerun", "a", "sqlite:///other/s.db", "trial=0") == expected
    expected = "python -m src.report 'study=my study' 'storage=postgresql://me:***@host/base'"
    assert command("report", "my study", "postgresql://me:secret@host/base") == expected


# What is wrong with a store


def refused(name: str, storage: str) -> str:
    with pytest.raises(UserError) as caught:
        read_study(name, storage)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_an_unknown_study_is_answered_with_the_existing_ones_the_nearest_first(tmp_path: Path) -> None:
    for name in ("width", "dropout", "activation"):
        url = save(tmp_path / "s.db", [], name=name)
    message = refused("activatoin", url)
    assert message.startswith(f"study=activatoin: no such study in {url}; there are: activation, ")
    assert set(message.split("there are: ")[1].rstrip(".").split(", ")) == {"width", "dropout", "activation"}


def test_a_store_that_is_not_there_is_not_created(tmp_path: Path) -> None:
    message = refused("a", store(tmp_path / "none.db"))
    assert "there is no store yet" in message
    assert "python -m src.train +sweeps=quick" in message
    assert not list(tmp_path.iterdir())


def test_a_file_that_holds_no_studies_is_left_as_it_is(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as base:
        base.execute("CREATE TABLE runs (id INTEGER)")
    (tmp_path / "text.db").write_text("no database, but a text that is long enough" * 10)
    before = (tmp_path / "mlflow.db").read_bytes()
    assert "holds no Optuna studies" in refused("a", store(tmp_path / "mlflow.db"))
    assert "cannot be read" in refused("a", store(tmp_path / "text.db"))
    assert (tmp_path / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize("storage", ["foo", "foo://bar", "postgresql+nosuch://me:secret@host/base"])
def test_an_address_that_nobody_can_open_is_named_without_its_password(storage: str) -> None:
    message = refused("a", storage)
    assert message.startswith(f"storage={storage.replace('secret', '***')}: cannot be opened (")
    assert "secret" not in message


@pytest.mark.parametrize("storage", ["sqlite://", "sqlite:///", "sqlite+pysqlite:///:memory:", "sqlite://me:secret@/a"])
def test_an_address_without_a_file_is_refused(storage: str) -> None:
    shown = storage.replace("secret", "***")
    reason = "names no file, and studies in memory end with their process"
    assert refused("a", storage) == f"storage={shown}: {reason}; accepted: sqlite:///PATH/studies.db."


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    pytest.importorskip("psycopg")
    message = refused("a", "postgresql://me:sec/ret@127.0.0.1:1/base")
    assert message.startswith("storage=postgresql://me:***@127.0.0.1:1/base: cannot be opened (")
    assert "refused" in message  # the driver's own words, not Optuna's
    assert "sec/ret" not in message


def test_a_store_that_another_process_keeps_to_itself_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_record, "BUSY_SECONDS", 0)
    url = save(tmp_path / "s.db", [trial(0)])
    with closing(sqlite3.connect(tmp_path / "s.db")) as base:
        base.execute("PRAGMA locking_mode=EXCLUSIVE")
        base.execute("BEGIN EXCLUSIVE")
        assert f"(database is locked: another process is writing to it (fuser {tmp_path}/s.db" in refused(
            "activation", url
        )


def test_a_store_whose_tables_are_gone_is_named(tmp_path: Path) -> None:
    url = save(tmp_path / "s.db", [trial(0)])
    with closing(sqlite3.connect(tmp_path / "s.db")) as base:
        base.execute("DROP TABLE study_directions")
    message = refused("activation", url)
    assert message.startswith(f"storage={url}: cannot be read (")
    assert "no such table: study_directions" in message


def test_an_empty_store_has_no_studies(tmp_path: Path) -> None:
    url = store(tmp_path / "s.db")
    optuna.storages.RDBStorage(url).engine.dispose()
    assert read_studies(url) == []
    assert "it holds none yet" in refused("a", url)


def test_a_running_trial_tells_how_long_its_worker_was_silent(tmp_path: Path) -> None:
    url = store(tmp_path / "s.db")
    storage = optuna.storages.RDBStorage(url)
    study = optuna.create_study(storage=storage, study_name="a")
    begun = study.ask()
    storage.record_heartbeat(begun._trial_id)
    study.ask()
    first, second = read_study("a", url).trials
    assert first.silent is not None
    assert 0 <= first.silent < 60
    assert second.silent is None
