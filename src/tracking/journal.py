"""The queue between a trial and MLflow (connection.py opens the store, writer.py writes).

A *note* is a small JSON-ready dict that says one thing to write to MLflow, with its own time. All that is tracked
passes the queue as notes; a note's key `do` names its kind:

    run    a new run: name, tags, parent                       batch  metrics, params and tags of a run
    file   a file of the trial's folder, as an artifact        text   a small artifact, its content in the note
    end    a run's last status                                open   a run that had ended goes on
    view   a saved view of the UI

A note leaves the queue once the store has taken it. So nothing is lost where a store does not answer: the queue grows,
is tried again at most every RETRY_SECONDS, and what is left at the end is written to a file that `log_pending` logs
later. Writing a note twice does no harm: a run is found by its uid, a tag that no other run has, and MLflow keeps one
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
NOTES_TOGETHER = 1000  # notes in one transaction: SQL databases take some ten thousand values in a statement
NAME_LENGTH = 250  # of a run: MLflow 3.17's column; SQLite takes more, PostgreSQL and MySQL do not
PENDING = "tracking_pending.json"


class Journal:
    """The queue of notes that are not in the store yet, in order; to be used from one thread of one process."""

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
        """A queue to the store at `uri`, which opens it when it first writes.

        folder: where files of notes lie, and what could not be logged is kept. say: takes one line for the user. notes,
        runs: the first notes, and the runs in the store (uid -> MLflow's id) that they may name. together: write notes
        of many runs in one transaction, where the store allows it (src/tracking/tables.py).
        """
        self.folder = folder.resolve()
        self.notes: deque[Note] = deque()
        self._last: dict[str, Note] = {}  # run -> its last note in the queue
        self.refused: list[Note] = []  # notes that the store has refused: not tried again by this process
        self._uri, self._experiment, self._runs = uri, experiment, dict(runs or {})
        self._say, self._clock, self._together = say, clock, together
        self._writer: Writer | None = None
        self._file: tuple[int, int] | None = None  # the store's file that the writer has opened
        self._failed_at: float | None = None  # when the store last did not answer, by the clock; None: it answers
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
        """Queues values of a run; they join a batch of the run that waits already, so that it takes few requests."""
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
        """Queues a file as an artifact of a run, in the artifact folder `under`; a missing file is passed over."""
        path = path.resolve()
        if path.is_file():
            inside = path.is_relative_to(self.folder)
            shown = path.relative_to(self.folder).as_posix() if inside else path.as_posix()
            self.add({"do": "file", "run": run, "path": shown, "under": under})

    def flush(self, now: bool = False) -> None:
        """Writes the queue; within RETRY_SECONDS of a failure it only does so with `now`. Raises nothing."""
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
        """Whether the store's file was removed, or replaced by another, since the writer opened it."""
        return self._writer is not None and self._file != file_now(self._uri)

    def _write_together(self, writer: Writer) -> None:
        """Writes all notes that can join in one transaction, then one by one the other notes that are next."""
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
        """The `wanted` notes, in order, that need not wait for an earlier note of the same run or of its parent run."""
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
        """A context that one process on this machine can be in at a time, for each `about`; no lock but for SQLite."""
        path = sqlite_path(self._uri)
        return nullcontext() if path is None else FileLock(f"{path}{about}.lock", timeout=LOCK_SECONDS)

    @property
    def experiment_id(self) -> str | None:
        """MLflow's id of the experiment; None while the store has not answered."""
        return None if self._writer is None else self._writer.experiment_id

    def seen(self, tag: str, value: str) -> dict[str, Seen] | None:
        """The runs in the store with this tag, uid -> run; None where the store does not answer. Raises nothing."""
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
        """Writes the queue once more; keeps what still cannot be logged in the folder's file PENDING, and says so.

        Raises StoreError where the store was removed or replaced: what it had taken is gone.
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
        """A path in the folder that is not taken: several processes of a study may share the folder."""
        paths = (self.folder / (f"{number}-{name}" if number else name) for number in count())
        return next(path for path in paths if not path.exists())

    def save(self, path: Path) -> None:
        """Writes the notes that are not in the store to `path`, with the store's address, but without a password in it.

        Also the ids of the runs that are in the store.
        """
        content = {"uri": masked(self._uri), "experiment": self._experiment, "runs": self._runs}
        write_json(path, {**content, "notes": [*self.refused, *self.notes]})


def _reason(error: Exception) -> str:
    """The first line of the error's text, at most 160 characters, without a password."""
    text = masked(str(error).strip().split("\n")[0])
    return text if len(text) <= 160 else text[:157] + "..."


def _is_refusal(error: Exception) -> bool:
    """Whether another try would fail as well: the request is wrong, or a file is gone."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        return error.get_http_status_code() in (400, 404, 409)
    return isinstance(error, FileNotFoundError)


def log_pending(path: Path, uri: str | None = None, say: Callable[[str], None] = print) -> int:
    """Logs what a run kept in `path` and deletes the file; returns how many notes are still left in it.

    uri: the store's address, where it is not the one in the file. Raises ValueError for a file of another kind.
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
