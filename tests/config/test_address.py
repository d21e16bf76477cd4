"""The address of a store: which form it has, where it lies, and whether it takes anything."""

import sqlite3
from pathlib import Path

import pytest

from src.config.address import absolute, is_database, is_run_store, lower_scheme, refuse_unusable, sqlite_path
from src.config.error import UserError
from src.tracking import connection
from tests.sweeping import SMALL, command, one_paragraph
from tests.tracking.test_tracker import empty_store


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("sqlite:///mlruns/mlflow.db", "mlruns/mlflow.db"),
        ("sqlite:////data/mlflow.db?timeout=5", "/data/mlflow.db"),
        ("sqlite+pysqlite:///a.db", "a.db"),
        ("sqlite:///a b/#1 100%.db", "a b/#1 100%.db"),
        ("sqlite:///:memory:", None),
        ("sqlite://", None),
        ("sqlite:///", None),
        ("sqlite://host/a.db", None),
        ("sqlite:a.db", None),
        ("sqlite:///a?b/mlflow.db", None),
        ("sqlite:///file:a.db?uri=true", None),
    ],
)
def test_an_sqlite_address_is_one_files(address, path):
    assert sqlite_path(address) == (None if path is None else Path(path))
    assert is_database(address) == is_run_store(address) == (path is not None)


@pytest.mark.parametrize("address", ["postgresql://host/base", "mysql+pymysql://me:x@host/runs"])
def test_a_servers_address_has_a_scheme_and_a_host(address):
    assert is_database(address)
    assert is_run_store(address)
    assert not is_database(address.replace("//", ""))


@pytest.mark.parametrize("address", ["", "/some/folder", "mlruns", r"C:\runs", "file:///a", "file:a", "postgres://h/b"])
def test_mlflow_does_not_log_to_a_folder_any_more(address):
    assert not is_run_store(address)


def test_an_address_is_known_by_its_scheme_however_it_is_written():
    assert lower_scheme("SQLite:///A.db") == "sqlite:///A.db"
    assert is_run_store("databricks")


def test_a_relative_store_is_found_from_everywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("sqlite:///mlruns/m.db?timeout=5") == f"sqlite:///{tmp_path}/mlruns/m.db?timeout=5"
    assert absolute("sqlite:///lite") == f"sqlite:///{tmp_path}/lite"  # a name that its scheme holds too
    assert absolute("http://host:5000") == "http://host:5000"


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning")
def test_a_store_lies_where_it_is_said_to_lie_whatever_its_folder_is_called(tmp_path, tmp_path_factory, monkeypatch):
    odd = tmp_path / "a b#c%20d?e"
    odd.mkdir()
    empty_store(odd / "mlruns", tmp_path_factory)
    monkeypatch.chdir(odd)
    client, experiment = connection.connect(absolute("sqlite:///mlruns/mlflow.db"), "sweepstack")
    run = client.create_run(experiment)
    client.log_text(run.info.run_id, "text", "a.txt")
    assert [path.name for path in tmp_path.iterdir()] == [odd.name]
    assert [path.read_text() for path in odd.rglob("a.txt")] == ["text"]


def test_a_store_that_takes_nothing_is_refused_at_once(tmp_path):
    (tmp_path / "text").write_text("no database")
    (tmp_path / "folder").mkdir()
    for name in ("text", "folder", "text/new.db"):
        with pytest.raises(UserError, match="cannot be written"):
            refuse_unusable("tracking.uri", f"sqlite:///{tmp_path}/{name}")
    with pytest.raises(UserError, match="driver"):
        refuse_unusable("tracking.uri", "postgresql+nosuchdriver://host/base")
    refuse_unusable("tracking.uri", f"sqlite:///{tmp_path}/new/folder/new.db")
    assert not list((tmp_path / "new" / "folder").iterdir())


def test_a_store_that_somebody_writes_to_is_usable(tmp_path):
    with sqlite3.connect(tmp_path / "a.db") as other:
        other.execute("CREATE TABLE t (x)")
        other.execute("INSERT INTO t VALUES (1)")
        refuse_unusable("tracking.uri", f"sqlite:///{tmp_path}/a.db")


@pytest.mark.parametrize("uri", ["/some/folder", "sqlite:///text"])
def test_a_run_does_not_begin_whose_store_takes_nothing(uri, monkeypatch, tmp_path, capsys):
    (tmp_path / "text").write_text("no database")
    assert command(monkeypatch, tmp_path, *SMALL, f"tracking.uri={uri}") == 2
    error = capsys.readouterr().err
    assert "tracking.uri" in error
    assert one_paragraph(error)
    assert not list(tmp_path.rglob("result.json"))
