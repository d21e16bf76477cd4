"""Reads a store that may not be written to, although SQLite writes even to read."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from src.config.address import sqlite_path, with_path
from src.config.error import UserError

PARTS = ("", "-wal", "-journal")  # of a SQLite database: what was committed may still lie in the file beside it


@contextmanager
def readable(uri: str) -> Iterator[str]:
    """A context that gives the address at which the store at `uri` can be read: its own, or that of a temporary copy.

    To read a database in write-ahead mode SQLite makes files beside it, and Optuna and MLflow look after their tables
    first; so a file that cannot be written to, or whose folder cannot, is copied to the folder for temporary files.
    Raises UserError where that is not possible.
    """
    path = sqlite_path(uri)
    if path is None or not path.is_file() or can_be_written(path):
        yield uri
        return
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sweepstack-"))
            copy = Path(folder) / path.name
            for part in PARTS:
                if Path(f"{path}{part}").is_file():
                    shutil.copyfile(f"{path}{part}", f"{copy}{part}")
        except OSError as error:
            raise UserError(f"{uri}: can only be read, and cannot be copied to read it ({error}).") from None
        yield with_path(uri, copy.as_posix())


def can_be_written(path: Path) -> bool:
    """Whether SQLite can write to the file, and make its own files beside it."""
    return all(os.access(one, os.W_OK) for one in (path, path.resolve().parent))
