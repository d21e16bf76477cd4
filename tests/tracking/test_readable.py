"""A store that can only be read is read all the same."""

import sqlite3
from contextlib import closing

from src.tracking import readable


def test_a_store_that_can_only_be_read_is_read_from_a_whole_copy(tmp_path, monkeypatch):
    monkeypatch.setattr(readable, "can_be_written", lambda path: False)  # root may write wherever a test may
    path = tmp_path / "studies.db"
    with closing(sqlite3.connect(path)) as writer:  # still open: what it wrote lies in the file beside
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE trials (number)")
        writer.execute("INSERT INTO trials VALUES (7)")
        writer.commit()
        with readable.readable(f"sqlite:///{path}?timeout=9") as uri:
            copy = readable.sqlite_path(uri)
            assert uri.endswith("?timeout=9")
            with closing(sqlite3.connect(copy)) as reader:
                assert reader.execute("SELECT number FROM trials").fetchall() == [(7,)]
    assert copy != path
    assert not copy.exists()


def test_a_store_that_can_be_written_is_read_where_it_lies(tmp_path):
    (tmp_path / "studies.db").touch()
    for uri in (f"sqlite:///{tmp_path}/studies.db", "postgresql://host/base"):
        with readable.readable(uri) as address:
            assert address == uri
