"""Straight into MLflow's tables: what is written there is what MLflow's own client writes."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.config.address import sqlite_path
from src.tracking import connection, tables
from src.tracking.journal import Journal
from tests.tracking.test_tracker import empty_store

# MLflow 3.17.2 itself uses what its SQLAlchemy (2.1) calls deprecated.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)

RUNS, KEYS = ("a", "b", "c"), ("x", "y")
NUMBERS = st.sampled_from([0.0, 0.25, -1e300, 1 / 3])
POINT = st.tuples(st.sampled_from(KEYS), NUMBERS, st.integers(1, 3), st.integers(0, 2))
TEXTS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["", "one", "Zwei ½"]), max_size=2)
CHANGES = st.one_of(
    st.fixed_dictionaries(
        {"do": st.just("batch"), "metrics": st.lists(POINT.map(list), max_size=4), "params": st.just({}), "tags": TEXTS}
    ),
    st.fixed_dictionaries(
        {"do": st.just("end"), "status": st.sampled_from(["FINISHED", "KILLED"]), "time": st.integers(5, 9)}
    ),
    st.fixed_dictionaries({"do": st.just("open")}),
)
STEPS = st.lists(st.lists(st.tuples(st.sampled_from(RUNS), CHANGES), max_size=5), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return empty_store(tmp_path_factory.mktemp("store") / "mlruns", tmp_path_factory)


def birth(run: str) -> list[dict[str, Any]]:
    """Creates a run; b and c are children of a."""
    parent = None if run == "a" else "a"
    tags = {"kind": "trial", "mlflow.user": "me", "x": "first"}
    created = {"do": "run", "run": run, "parent": parent, "name": f"run {run}", "tags": tags, "time": 1}
    return [created, {"do": "batch", "run": run, "metrics": [], "params": {"p": "1", "q": "null"}, "tags": {}}]


def logged(uri: str, steps: Any, together: bool, folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What the tables hold of these runs; one flush a step."""
    runs: dict[str, str] = {}
    queue = Journal(uri, "sweepstack", folder, together=together)
    queue._runs = runs
    for number, changes in enumerate(steps):
        born = [note for run in RUNS for note in birth(run)] if number == 0 else []
        for note in [*born, *({"run": run, **change} for run, change in changes)]:
            queue.add({key: dict(value) if isinstance(value, dict) else value for key, value in note.items()})
        queue.flush()
        assert not queue.notes
        assert not queue.refused
    return {table: rows(uri, table, {run_id: uid for uid, run_id in runs.items()}) for table in TABLES}


TABLES = ("runs", "tags", "params", "metrics", "latest_metrics")


def rows(uri: str, table: str, names: dict[str, str]) -> list[tuple[Any, ...]]:
    """The rows of these runs, their random ids replaced by names."""
    connection = sqlite3.connect(sqlite_path(uri) or "")
    marks = ", ".join("?" * len(names))
    found = connection.execute(f"SELECT * FROM {table} WHERE run_uuid IN ({marks})", [*names]).fetchall()
    connection.close()

    def named(value: Any) -> Any:
        for run_id, name in names.items():
            value = value.replace(run_id, name) if isinstance(value, str) else value
        return value

    return sorted((tuple(map(named, row)) for row in found), key=repr)


@settings(max_examples=25)  # each writes and reads a store
@given(STEPS)
def test_the_tables_hold_what_the_client_would_have_written(
    uri: str, tmp_path_factory: pytest.TempPathFactory, steps: Any
) -> None:
    folder = tmp_path_factory.getbasetemp()
    fast, slow = logged(uri, steps, True, folder), logged(uri, steps, False, folder)
    assert len(fast["runs"]) == 3
    for table in TABLES:
        assert fast[table] == slow[table], table


def test_nothing_is_written_when_one_of_the_runs_is_deleted(uri: str) -> None:
    client, experiment_id = connection.connect(uri, "sweepstack")
    there, gone = (client.create_run(experiment_id).info.run_id for _ in range(2))
    client.delete_run(gone)
    ours = tables.tables(client, experiment_id)
    assert ours is not None
    tag = {"do": "batch", "metrics": [], "params": {}, "tags": {"x": "1"}}
    with pytest.raises(Exception, match="deleted"):
        ours.write([{"run": "there", **tag}, {"run": "gone", **tag}], {"there": there, "gone": gone})
    assert "x" not in client.get_run(there).data.tags


def test_another_version_of_mlflow_and_a_server_have_no_tables_here(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    client, experiment_id = connection.connect(uri, "sweepstack")
    assert tables.tables(client, experiment_id) is not None
    assert tables.tables(mlflow.MlflowClient("http://127.0.0.1:9"), experiment_id) is None
    monkeypatch.setattr(mlflow, "__version__", "3.18.0")
    assert tables.tables(client, experiment_id) is None
