"""The queue between a trial and MLflow (connection.py opens the store, writer.py writes).

Everything that is recorded passes one queue of *notes*, small JSON-ready dicts that carry their own times:

    run    a new run: name, tags, parent                       batch  metrics, params and tags of a run
    file   a file of the trial's folder, as an artifact        text   a small artifact, its content in the note
    end    a run's last status                                open   a run that had ended goes on
    view   a saved view of the UI, for a study

A note leaves the queue once the store has taken it. A store that does not answer therefore costs nothing but time: the
queue grows, is tried again at most every RETRY_SECONDS, and what is left at the end is written to a file that
`log_pending` logs later. Writing a note twice does no harm: runs are found by a tag of their own, and MLflow keeps one
of two equal metrics.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from itertools import count, islice
from pathlib import Path
from typing import Any

from filelock import FileLock

from src.config.address import file_now, masked, sqlite_path
from src.config.error import StoreError
from src.config.files import write_json
from src.config.wording import command
from src.tracking.connection import LOCK_SECONDS, connect
from src.tracking.tables import Note, Seen
from src.tracking.writer import METRICS_PER_BATCH, Writer
from src.training.result import Row

RETRY_SECONDS = 30.0
NOTES_TOGETHER = 1000  # in one transaction: SQL databases take some ten thousand values in a statement
NAME_LENGTH = 250  # of a run: MLflow 3.17's column; SQLite takes more, PostgreSQL and MySQL do not
PENDING = "tracking_pending.json"


class Journal:
    """Notes in order, those not yet in the store, and when to try again. One process, one thread writes."""

    def __init__(
        self,
        uri: str,
        experiment: str,
        folder: Path,
        *,
        say: Callable[[str], None] = print,
        clock: Callable[[], float] = time.monotonic,
        notes: Iterable[Note] = (),
        runs: dict[str, str] | None = None,
        together: bool = False,
    ):
        """together: write notes of many runs in one transaction where the store allows it (src/tracking/tables.py)."""
        self.folder = folder.resolve()
        self.notes: deque[Note] = deque()
        self._last: dict[str, Note] = {}  # run -> its last note in the queue
        self.refused: list[Note] = []  # what the store answered with "no": not tried again by this process
        self._uri, self._experiment, self._runs = uri, experiment, dict(runs or {})
        self._say, self._clock, self._together = say, clock, together
        self._writer: Writer | None = None
        self._file: tuple[int, int] | None = None  # that the writer has opened
        self._failed_at: float | None = None  # on the clock; None while the store answers
        for note in notes:
            self.add(note)

    def add(self, note: Note) -> None:
        """Puts a note at the end of the queue; a run's name is cut where databases would not take it."""
        if note["do"] == "run" and len(note["name"]) > NAME_LENGTH:
            note = {**note, "name": note["name"][: NAME_LENGTH - 1] + "…"}
        self.notes.append(note)
        self._last[note["run"]] = note

    def batch(
        self,
        run: str,
        *,
        metrics: Row | None = None,
        step: int = 0,
        params: dict[str, str] | None = None,
        tags: dict[str, str] | None = None,
    ) -> None:
        """Notes values of a run, joined with what already waits for it, so that a long queue takes few requests."""
        now = milliseconds()
        points = [[key, value, now, step] for key, value in (metrics or {}).items()]
        note = {"do": "batch", "run": run, "metrics": points, "params": params or {}, "tags": tags or {}}
        if not (points or params or tags):
            return
        last = self._last.get(run)
        if last is None or last["do"] != "batch" or len(last["metrics"]) + len(points) > METRICS_PER_BATCH:
            self.add(note)
            return
        last["metrics"] += points
        last["params"] |= params or {}
        last["tags"] |= tags or {}

    def file(self, run: str, path: Path, under: str) -> None:
        """Notes a file as an artifact in the artifact folder `under`; a file that does not exist is passed over."""
        path = path.resolve()
        if path.is_file():
            inside = path.is_relative_to(self.folder)
            shown = path.relative_to(self.folder).as_posix() if inside else path.as_posix()
            self.add({"do": "file", "run": run, "path": shown, "under": under})

    def flush(self, now: bool = False) -> None:
        """Writes what waits. After a failure not before RETRY_SECONDS, except with `now`. Never raises."""
        if not self.notes:
            return
        if self._failed_at is not None and not now and self._clock() - self._failed_at < RETRY_SECONDS:
            return
        try:
            writer = self._connected()
            while self.notes:
                if self._together and writer.tables is not None:
                    self._write_together(writer)
                else:
                    self._write_each(writer, [self.notes[0]])
        except Exception as error:
            self._lost(error)
        else:
            self._found()

    def _connected(self) -> Writer:
        if self._writer is None:
            client, experiment_id = connect(self._uri, self._experiment, self._say)
            self._writer = Writer(client, experiment_id, self.folder, self._runs, self.alone, self._together)
            self._file = file_now(self._uri)
        if self._is_gone():
            raise FileNotFoundError("it was removed or replaced while it was written to")
        return self._writer

    def _is_gone(self) -> bool:
        """Whether what was written to is no more what the address names."""
        return self._writer is not None and self._file != file_now(self._uri)

    def _write_together(self, writer: Writer) -> None:
        """Writes what can be written at once in one transaction, and one by one what then comes next of each run."""
        if notes := self._ready(writer.joins)[:NOTES_TOGETHER]:
            try:
                writer.write_together(notes)
            except Exception as error:
                if not _is_refusal(error):
                    raise
                self._write_each(writer, notes)
            else:
                self._done(notes)
        self._write_each(writer, self._ready(lambda note: not writer.joins(note)))

    def _ready(self, wanted: Callable[[Note], bool]) -> list[Note]:
        """The notes of a kind, in order, that no other note of their run, or of the run above it, has to precede."""
        blocked: set[str] = set()
        ready = []
        for note in self.notes:
            if note["run"] not in blocked and note.get("parent") not in blocked and wanted(note):
                ready.append(note)
            else:
                blocked.add(note["run"])
        return ready

    def _write_each(self, writer: Writer, notes: list[Note]) -> None:
        written: list[Note] = []
        try:
            for note in notes:
                self._write(writer, note)
                written.append(note)
        finally:
            self._done(written)

    def _done(self, notes: list[Note]) -> None:
        """Takes notes out of the queue."""
        gone = {id(note) for note in notes}
        if gone == {id(note) for note in islice(self.notes, len(gone))}:  # as it is nearly always
            for _ in notes:
                self.notes.popleft()
        else:
            self.notes = deque(note for note in self.notes if id(note) not in gone)
        for note in notes:
            if self._last.get(note["run"]) is note:
                del self._last[note["run"]]

    def alone(self, about: str = "") -> AbstractContextManager[Any]:
        """No other process on this machine is in a context `about` the same; without effect on stores elsewhere."""
        path = sqlite_path(self._uri)
        return nullcontext() if path is None else FileLock(f"{path}{about}.lock", timeout=LOCK_SECONDS)

    @property
    def experiment_id(self) -> str | None:
        """MLflow's id of the experiment; None while the store has not answered."""
        return None if self._writer is None else self._writer.experiment_id

    def seen(self, tag: str, value: str) -> dict[str, Seen] | None:
        """uid -> run, of the runs with this tag that are in the store; None when it does not answer. Never raises."""
        try:
            return self._connected().seen(tag, value)
        except Exception as error:
            self._lost(error)
            return None

    def _write(self, writer: Writer, note: Note) -> None:
        try:
            writer.write(note)
        except Exception as error:
            if note["do"] == "run" or not _is_refusal(error):
                raise
            if not self.refused:
                self._say(
                    f"tracking: the store refuses a {note['do']} ({_reason(error)}); it is kept, the rest goes on"
                )
            self.refused.append(note)

    def _lost(self, error: Exception) -> None:
        if self._failed_at is None:
            self._say(
                f"tracking: {masked(self._uri)} does not answer ({_reason(error)}); training goes on, "
                f"what it records is kept and tried again every {RETRY_SECONDS:.0f} s"
            )
        self._failed_at = self._clock()

    def _found(self) -> None:
        if self._failed_at is not None:
            self._say(f"tracking: {masked(self._uri)} answers again, all that was kept is logged")
        self._failed_at = None

    def close(self) -> None:
        """Tries once more; writes to PENDING in the folder what still could not be logged, and says where.

        Raises StoreError where the store was removed: what it had taken is gone.
        """
        self.flush(now=True)
        if self._is_gone():
            raise StoreError(
                f"tracking: {masked(self._uri)} was removed or replaced while it was written to; what was tracked "
                "there is gone, the results are in the run's folder"
            )
        if self.notes or self.refused:
            path = self._free(PENDING)
            try:
                self.save(path)
            except OSError as error:
                self._say(f"tracking: not everything could be logged, nor kept in {path} ({error.strerror or error})")
                return
            self._say(
                f"tracking: not everything could be logged, it is kept in {path}\n"
                f"          log it later: {command('tracking', path)}"
            )

    def _free(self, name: str) -> Path:
        """A path in the folder, which several processes of a study may have as theirs."""
        paths = (self.folder / (f"{number}-{name}" if number else name) for number in count())
        return next(path for path in paths if not path.exists())

    def save(self, path: Path) -> None:
        """Writes what is not in the store, with the runs that are; a password in the store's address is left out."""
        content = {"uri": masked(self._uri), "experiment": self._experiment, "runs": self._runs}
        write_json(path, {**content, "notes": [*self.refused, *self.notes]})


def _reason(error: Exception) -> str:
    """The error's first line, short, no password in it."""
    text = masked(str(error).strip().split("\n")[0])
    return text if len(text) <= 160 else text[:157] + "..."


def _is_refusal(error: Exception) -> bool:
    """True where another try would end the same way: a request that is wrong, a file that is gone."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        return error.get_http_status_code() in (400, 404, 409)
    return isinstance(error, FileNotFoundError)


def log_pending(path: Path, uri: str | None = None, say: Callable[[str], None] = print) -> int:
    """Logs what a run kept in `path` and deletes the file; returns how many notes are still left in it.

    uri: the store, where it is not (or no longer) the one in the file. Raises ValueError for a file of another kind.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        own, experiment, notes, runs = (content[key] for key in ("uri", "experiment", "notes", "runs"))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} was not written by a run's tracking: {error!r}") from error
    for note in notes:
        note["tried"] = True  # perhaps by an earlier replay of this file: look for the run before creating it
    journal = Journal(uri or own, experiment, path.parent, say=say, notes=notes, runs=runs)
    journal.flush(now=True)
    left = len(journal.notes) + len(journal.refused)
    if left:
        journal.save(path)
    else:
        path.unlink()
    return left


def milliseconds() -> int:
    """Milliseconds since 1970, MLflow's unit."""
    return int(time.time() * 1000)
