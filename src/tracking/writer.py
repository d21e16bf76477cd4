"""Writes notes (src/tracking/journal.py) to MLflow, through its client or, many at once, into its tables.

Writing a note twice changes nothing: a run that the store may have already is searched by its uid, a tag that no other
run has, and of a run that is found only what it lacks is written.
"""

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from src.tracking.tables import Note, Seen, tables
from src.tracking.view import View, write_view

METRICS_PER_BATCH = 1000  # MLflow 3.17: MAX_METRICS_PER_BATCH
PAIRS_PER_BATCH = 100  # MAX_PARAMS_TAGS_PER_BATCH
PAGE = 1000  # runs of a search that come at once
UID_TAG = "sweepstack.uid"


class Known(NamedTuple):
    """What a run in the store has already."""

    points: AbstractSet[tuple[str, int]]  # key and step of each point of its curves
    latest: Mapping[str, float]  # key -> its latest value
    params: AbstractSet[str]  # keys

    def has(self, key: str, value: float, step: int) -> bool:
        """Whether the point need not be written: a curve has one at this step, or a result (step 0) has this value."""
        return (key, step) in self.points if step else self.latest.get(key) == value


NOTHING = Known(frozenset(), {}, frozenset())


class Writer:
    """Writes notes through MlflowClient. `runs` maps a run's uid to MLflow's run id and grows with every new run.

    alone: makes a context in which no other process on this machine writes. together: whether `write_together` is to
    write many notes in one transaction; `tables` is None where it cannot.
    """

    def __init__(
        self,
        client: Any,
        experiment_id: str,
        folder: Path,
        runs: dict[str, str],
        alone: Callable[[], AbstractContextManager[Any]],
        together: bool = False,
    ):
        self._client, self.experiment_id, self._folder, self._alone = client, experiment_id, folder, alone
        self._runs = runs
        self._known: dict[str, Known | None] = dict.fromkeys(runs)  # for runs found in the store; None: not read yet
        self.tables = tables(client, experiment_id) if together else None

    def write(self, note: Note) -> None:
        """Writes one note; written a second time, it changes nothing. Raises whatever MLflow raises."""
        kinds = {"run": self._run, "batch": self._batch, "file": self._file, "text": self._text, "end": self._end}
        {**kinds, "open": self._open, "view": self._view}[note["do"]](note)

    def joins(self, note: Note) -> bool:
        """Whether `write_together` can write the note in one transaction with others."""
        if note["do"] == "run":
            return not note.get("tried")
        if note["do"] == "batch":
            return note["run"] not in self._known and not (note["params"] and note["run"] in self._runs)
        return note["do"] in ("open", "end")

    def write_together(self, notes: list[Note]) -> None:
        """Writes notes for which `joins` holds, in one transaction. Raises whatever MLflow raises."""
        assert self.tables is not None
        for note in notes:
            note["tried"] = True  # where the answer is lost, they are next written one by one, after a search
        self.tables.write(notes, self._runs)

    def _run(self, note: Note) -> None:
        # A request may have been answered too late for us: look before creating a run a second time.
        if not note.get("tried"):
            note["tried"] = True
            self._runs[note["run"]] = self._create(note)
            return
        with self._alone():
            run_id = self._runs.get(note["run"]) or self._find(note["run"])
            if run_id is None:
                created = self._create(note)
                run_id = self._find(note["run"]) or created
                if run_id != created:  # another process was a moment faster
                    self._client.delete_run(created)
            else:
                self._known[note["run"]] = None
        self._runs[note["run"]] = run_id

    def _create(self, note: Note) -> str:
        tags = dict(note["tags"])
        if note["parent"]:
            tags["mlflow.parentRunId"] = self._above(note["parent"])
        return str(self._client.create_run(self.experiment_id, note["time"], tags, note["name"]).info.run_id)

    def _above(self, uid: str) -> str:
        """MLflow's run id of a run that another writer may have created. Raises LookupError where there is none."""
        run_id = self._runs.get(uid) or self._find(uid)
        if run_id is None:
            raise LookupError(f"the run {uid}, to which it belongs, is not in the store")
        return run_id

    def _find(self, uid: str) -> str | None:
        wanted = f"tags.`{UID_TAG}` = '{uid}'"
        found = self._client.search_runs([self.experiment_id], wanted, 1, 1, ["attributes.start_time ASC"])
        return found[0].info.run_id if found else None

    def seen(self, tag: str, value: str) -> dict[str, Seen]:
        """The runs in the store whose tag has this value, uid -> run; of two with one uid the older one.

        Later notes may name them.
        """
        found: dict[str, Seen] = {}
        pairs = self.tables.seen(tag, value, UID_TAG) if self.tables else self._search(tag, value)
        for uid, run in pairs:
            found.setdefault(uid, run)
        self._runs.update({uid: run.run_id for uid, run in found.items() if uid not in self._runs})
        return found

    def _search(self, tag: str, value: str) -> Iterator[tuple[str, Seen]]:
        more: str | None = None
        while True:
            page = self._client.search_runs(
                [self.experiment_id], f"tags.`{tag}` = '{value}'", 1, PAGE, ["attributes.start_time ASC"], more
            )
            for run in page:
                if UID_TAG in run.data.tags:
                    yield run.data.tags[UID_TAG], Seen(run.info.run_id, run.info.status, run.data.tags.get("status"))
            more = page.token
            if not more:
                return

    def _batch(self, note: Note) -> None:
        from mlflow.entities import Metric, Param, RunTag

        run_id = self._runs[note["run"]]
        known = self._known_of(note["run"])
        metrics = [Metric(*point) for point in note["metrics"] if not known.has(point[0], point[1], point[3])]
        params = [Param(key, value) for key, value in note["params"].items() if key not in known.params]
        tags = [RunTag(key, value) for key, value in note["tags"].items()]
        while metrics or params or tags:
            at_once = min(METRICS_PER_BATCH - 2 * PAIRS_PER_BATCH, len(metrics))  # together at most 1000
            # At once, whatever MLFLOW_ENABLE_ASYNC_LOGGING says: what is not in the store yet waits in our own queue.
            pairs = params[:PAIRS_PER_BATCH], tags[:PAIRS_PER_BATCH]
            self._client.log_batch(run_id, metrics[:at_once], *pairs, synchronous=True)
            metrics, params, tags = metrics[at_once:], params[PAIRS_PER_BATCH:], tags[PAIRS_PER_BATCH:]

    def _known_of(self, uid: str) -> "Known":
        """What a run that was found in the store has already; NOTHING for one that this writer has created."""
        if uid not in self._known:
            return NOTHING
        known = self._known[uid]
        if known is None:
            run_id = self._runs[uid]
            data = self._client.get_run(run_id).data
            points = {
                (key, point.step) for key in data.metrics for point in self._client.get_metric_history(run_id, key)
            }
            known = self._known[uid] = Known(points, data.metrics, set(data.params))
        return known

    def _file(self, note: Note) -> None:
        path = self._folder / note["path"]
        if not path.is_file():
            raise FileNotFoundError(f"{path} is gone")
        log = self._client.log_artifact if self.tables is None else self.tables.log_artifact
        log(self._runs[note["run"]], str(path), note["under"] or None)

    def _text(self, note: Note) -> None:
        self._client.log_text(self._runs[note["run"]], note["text"], note["name"])

    def _open(self, note: Note) -> None:
        self._client.update_run(self._runs[note["run"]], "RUNNING")

    def _view(self, note: Note) -> None:
        write_view(self._client, self.experiment_id, View(note["key"], note["name"], note["state"]))

    def _end(self, note: Note) -> None:
        self._client.set_terminated(self._runs[note["run"]], note["status"], note["time"])
