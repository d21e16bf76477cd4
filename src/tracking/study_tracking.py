"""A study in MLflow: one run for the study, below it a run a trial, and below that a run a member if there are several.

    study     kind=study    the space that is searched, how far it has come, and the best trial
    trial     kind=trial    its parameters, its curves (means over its members) and its results
    member    kind=member   the same of one network, where the trial has several

A trial's tag `status` is FINISHED, PRUNED, FAILED or KILLED, as in Optuna; MLflow, which knows no PRUNED, calls that
one FINISHED. Runs are known by their uid (UID of the study, UID-NUMBER of a trial with Optuna's number,
UID-NUMBER-MEMBER of a member), so that whatever is written a second time after a crash finds the run that is there.

One thread writes for all trials (src/tracking/background.py), through one queue (journal.py). Runs that a killed
process has left open in MLflow are put right by the next process that goes on with the study: `reconcile`.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any, Literal

from src.config.address import absolute, masked
from src.config.kept_config import dotted
from src.config.schema import RunConfig
from src.tracking.background import Errands
from src.tracking.journal import Journal, milliseconds
from src.tracking.tables import Seen
from src.tracking.tracker import LOG_KEYS, config_text, finite_values, flatten, provenance
from src.tracking.trial_runs import STUDY_TAG, Trial, TrialRuns, TrialTracker, end, mlflow_status, trial_uid
from src.tracking.view import study_key, study_view, view_url
from src.tracking.writer import UID_TAG
from src.training.result import Result, Row, Status

WRITE_SECONDS = 1.0  # what trials record is written together this often; MLflow is at most so far behind
LIVES: Literal["lives"] = "lives"
Again = Callable[[int], Trial | Literal["lives"] | None]  # a trial's number -> what is known of it
DRAWN = ("optim.eta", "optim.lambda_", "model.dropout")  # the axes of charts where no searched key is known
# What the study says of a trial that has ended -> the tag `status` of its run.
STATUSES = {"COMPLETE": "FINISHED", "PRUNED": "PRUNED", "FAIL": "FAILED", "KILLED": "KILLED"}


class StudyTracker:
    """The tracker of one study. Its methods return at once, but for `written` and `finish`, which wait for the store.

    A store that does not answer is no error for them.
    """

    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        *,
        study: str,
        uid: str,
        log_keys: Iterable[str] = (),
        params: dict[str, str] | None = None,
        say: Callable[[str], None] = print,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Opens the study's run in MLflow, or goes on with it.

        config: what all trials share. folder: this command's, where what cannot be logged is kept. study, uid: its name
        and what no other study has, both the same whenever it goes on. log_keys: keys that are searched in log scale.
        params: each swept key -> its domain, as text.
        """
        self._config, self._study, self._uid, self._say = config, study, uid, say
        self._log_keys = {*LOG_KEYS, *log_keys}
        uri, experiment = absolute(config.tracking.uri), config.tracking.experiment
        self._journal = Journal(uri, experiment, folder, say=say, clock=clock, together=True)
        self._claims: _Claims | None = None  # what is to be reconciled as soon as the store answers
        self._errands = Errands(self._settle, WRITE_SECONDS)
        self._errands.tell(lambda: self._open(params or {}))

    def _open(self, params: dict[str, str]) -> None:
        tags = {**provenance(), "exp": self._config.name, "kind": "study", "study": self._study}
        tags |= {STUDY_TAG: self._uid, UID_TAG: self._uid, "status": "RUNNING"}
        note = {"do": "run", "run": self._uid, "parent": None, "name": self._study, "tags": tags, "tried": True}
        self._journal.add({**note, "time": milliseconds()})
        self._journal.add({"do": "open", "run": self._uid})
        self._journal.batch(self._uid, params=params, tags={"status": "RUNNING"})
        text = config_text(self._config)
        self._journal.add({"do": "text", "run": self._uid, "name": "config.yaml", "text": text})
        view = study_view(self._study, self._uid, *self._searched(params), self._config.task.metric)
        self._journal.add({"do": "view", "run": self._uid, **asdict(view)})

    def _searched(self, params: dict[str, str]) -> tuple[list[str], list[str]]:
        """The keys that are searched, and the params on whose axes charts draw them, which every trial must have."""
        base = dotted(self._config.shown())
        keys = [key for key in params if key in base] or [key for key in DRAWN if key in base]

        def positive(key: str) -> bool:  # in every trial, also where a condition leaves the key as it is
            return "when" not in params.get(key, "when") or base[key] > 0

        return keys, [f"log10.{key}" if key in self._log_keys and positive(key) else key for key in keys]

    @property
    def address(self) -> str | None:
        """The URL at which an MLflow server shows the study's trials; its path alone where the store has no server.

        None as long as the store has not answered.
        """
        uri, experiment_id = self._config.tracking.uri, self._journal.experiment_id
        if experiment_id is None:
            return None
        return view_url(masked(uri) if uri.startswith("http") else "", experiment_id, study_key(self._uid))

    def trial(
        self,
        config: RunConfig,
        folder: Path,
        *,
        number: int,
        place: int,
        attempt: int,
        label: str,
        dataset: str,
        device: str,
        seeds: list[int],
        resumed: str = "",
    ) -> TrialTracker:
        """The tracker of a trial that begins, or goes on from an earlier attempt (`resumed`: such as "after epoch 5").

        number: Optuna's; place: the trial's number in the budget, which names show; attempt: from 0; label: what tells
        it from other trials; dataset, device: what is really used; seeds: one a member.
        """
        trial = Trial(config, folder, number, place, attempt, label, dataset, device, seeds, resumed=resumed)
        return _Told(TrialRuns(self._journal, trial, self._study, self._uid, self._log_keys), self._errands.tell)

    def reconcile(self, states: dict[int, str], again: Again) -> None:
        """Makes MLflow agree with the study about trials whose process was killed, as soon as the store answers.

        states: Optuna's number -> COMPLETE, PRUNED, FAIL or KILLED, of the trials that have ended; any other state is
        passed over. again: called in the tracking thread for each trial whose runs differ from that; returns the trial,
        whose folder holds its result.json and weights, None where they are gone, or LIVES where its process lives and
        ends the runs itself.
        """
        claims = _Claims(dict(states), again)
        self._errands.tell(lambda: setattr(self, "_claims", claims))

    def _settle(self) -> None:
        self._journal.flush()
        if self._claims is None or self._journal.notes:
            return
        with self._journal.alone(".reconcile"):  # of two processes that go on at once, one does it
            seen = self._journal.seen(STUDY_TAG, self._uid)
            if seen is not None:
                claims, self._claims = self._claims, None
                self._reconcile(claims, seen)
                self._journal.flush()

    def _reconcile(self, claims: "_Claims", seen: dict[str, Seen]) -> None:
        own: dict[str, dict[str, Seen]] = defaultdict(dict)  # a trial's number -> its runs
        for uid, run in seen.items():
            own[uid.removeprefix(f"{self._uid}-").split("-")[0]][uid] = run
        for number, state in claims.states.items():
            status = STATUSES.get(state)
            if status is not None and not _agree(own[str(number)], trial_uid(self._uid, number), status):
                self._mend(number, status, list(own[str(number)]), claims.again)

    def _mend(self, number: int, status: Status, own: list[str], again: Again) -> None:
        """Logs a trial again from its folder; where nothing is left there, only ends its runs. own: their uids."""
        uid, trial = trial_uid(self._uid, number), again(number)
        if trial == LIVES:
            return
        if isinstance(trial, Trial):
            runs = TrialRuns(self._journal, trial, self._study, self._uid, self._log_keys)
            runs.start(there=own)
            runs.replay(status)
            end(self._journal, dict.fromkeys(set(own) - runs.uids, status))
            return
        if uid not in own:
            tags = {"kind": "trial", "study": self._study, STUDY_TAG: self._uid, UID_TAG: uid, "number": str(number)}
            note = {"do": "run", "run": uid, "parent": self._uid, "name": f"trial · number {number}", "tags": tags}
            self._journal.add({**note, "time": milliseconds()})
        end(self._journal, dict.fromkeys([uid, *own], status))

    def progress(self, metrics: Row) -> None:
        """Records how far the study has come as metrics study/KEY, with the number of trials `done` as the step."""
        values = {key if "/" in key else f"study/{key}": value for key, value in finite_values(metrics).items()}
        self._errands.tell(lambda: self._journal.batch(self._uid, metrics=values, step=int(metrics["done"])))

    def written(self) -> None:
        """Waits until all that was recorded so far is written, or is kept where the store does not answer."""
        done = Event()
        self._errands.tell(self._settle)
        self._errands.tell(done.set)
        done.wait()

    def finish(self, status: Status, best: dict[str, Any] | None = None) -> None:
        """Ends the study's run; waits until all is written, or is kept where the store does not answer.

        status: FINISHED, KILLED, FAILED, or RUNNING where another process goes on and will end the run. best: its
        numbers become the metrics best/KEY, and the dict `params` in it the tags best.KEY. Raises the first error of
        the tracking itself.
        """
        self._errands.tell(lambda: self._finish(status, best or {}))
        self._errands.end()

    def _finish(self, status: Status, best: dict[str, Any]) -> None:
        if status != "RUNNING":
            numbers = {f"best/{key}": value for key, value in best.items() if isinstance(value, int | float)}
            chosen = {f"best.{key}": text for key, text in flatten(best.get("params") or {}).items()}
            self._journal.batch(self._uid, metrics=finite_values(numbers), tags={**chosen, "status": status})
            self._journal.add({"do": "end", "run": self._uid, "status": status, "time": milliseconds()})
        self._settle()
        self._journal.close()
        if self._claims is not None:
            self._say("tracking: what an earlier process left open in MLflow is put right when the study goes on next")


@dataclass(frozen=True)
class _Claims:
    """The arguments of `reconcile`, kept until the store answers."""

    states: dict[int, str]
    again: Again


def _agree(own: dict[str, Seen], uid: str, status: Status) -> bool:
    """Whether a trial's runs agree with its status; a member's run may have another status, but not RUNNING."""
    right = uid in own and (own[uid].tag, own[uid].status) == (status, mlflow_status(status))
    return right and all(run.status != "RUNNING" for run in own.values())


class NullStudyTracker:
    """The tracker for tracking=none, of a study and of its trials: it records nothing."""

    address: str | None = None

    def trial(self, *about: Any, **more: Any) -> TrialTracker:
        """A tracker that records nothing."""
        return self

    def epoch(self, rows: Sequence[Row | None]) -> None:
        """Does nothing."""

    def reconcile(self, states: dict[int, str], again: Again) -> None:
        """Does nothing."""

    def progress(self, metrics: Row) -> None:
        """Does nothing."""

    def abort(self, status: Status, reason: str) -> None:
        """Does nothing."""

    def written(self) -> None:
        """Does nothing."""

    def finish(self, *about: Any, **more: Any) -> None:
        """Does nothing."""


def open_study(config: RunConfig, folder: Path, **about: Any) -> StudyTracker | NullStudyTracker:
    """The tracker of a study, or NullStudyTracker for tracking=none; `about` are StudyTracker's other arguments."""
    return NullStudyTracker() if config.tracking.kind == "none" else StudyTracker(config, folder, **about)


class _Told:
    """A TrialTracker that passes everything to another thread."""

    def __init__(self, runs: TrialRuns, tell: Callable[[Callable[[], None]], None]) -> None:
        self._runs, self._tell = runs, tell
        self._tell(runs.start)

    def epoch(self, rows: Sequence[Row | None]) -> None:
        kept = list(rows)
        self._tell(lambda: self._runs.epoch(kept))

    def finish(
        self,
        results: Sequence[Result],
        summary: Row | None = None,
        artifacts: Iterable[Path] = (),
        status: Status | None = None,
    ) -> None:
        kept, paths = list(results), list(artifacts)
        self._tell(lambda: self._runs.finish(kept, summary, paths, status))

    def abort(self, status: Status, reason: str) -> None:
        self._tell(lambda: self._runs.abort(status, reason))
