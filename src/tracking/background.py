"""Tracking in a thread of its own, so that training does not wait for MLflow.

BackgroundTracker tracks a single trial: its thread opens the tracker, then does in order what it is told. The trials of
a study share one thread and one connection: Errands does in order what it is told, and then writes what that has queued
together, at most once a second.

Opening a store takes about two seconds, most of them MLflow's import, and an epoch some milliseconds. Only the end of a
trial or study waits until everything is written. An error in the tracking itself is raised there; that a store does not
answer is no such error.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from src.tracking.tracker import Tracker
from src.training.result import Result, Row, Status


class BackgroundTracker:
    """A Tracker that passes every call to another one, which `opened` returns, in a thread of its own."""

    def __init__(self, opened: Callable[[], Tracker]) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tracking")
        self._tracker = self._thread.submit(opened)
        self._told: list[Future[None]] = []
        self._finish: Future[None] | None = None

    def opened(self) -> None:
        """Returns once the tracker is open, or could not be opened."""
        wait([self._tracker])

    def epoch(self, rows: Sequence[Row | None]) -> None:
        """Records one epoch, a row a member (None: it has stopped); returns at once."""
        self._tell(lambda tracker: tracker.epoch(rows))

    def finish(self, results: Sequence[Result], summary: Row | None = None, artifacts: Iterable[Path] = ()) -> None:
        """Records results, summary and artifacts; returns once all is written. Raises errors of the tracking itself."""
        self._finish = self._tell(lambda tracker: tracker.finish(results, summary, artifacts))
        for done in self._told:
            done.result()
        self._thread.shutdown(wait=False)

    def abort(self, status: Status, reason: str) -> None:
        """Ends every run as `status`, unless `finish` has ended them; returns once all is written.

        Raises nothing, so that the error that led here is the one that the user sees.
        """
        if self._finish is None or self._finish.exception() is not None:
            self._tell(lambda tracker: tracker.abort(status, reason))
        wait(self._told)
        self._thread.shutdown(wait=False)

    def _tell(self, what: Callable[[Tracker], Any]) -> Future[None]:
        self._told.append(self._thread.submit(lambda: what(self._tracker.result())))
        return self._told[-1]


class Errands:
    """One thread that does errands (functions) in order, and calls `settle`, at most every `seconds`, after new ones.

    The first error of an errand is kept and raised by `end`; the errands after it are done all the same. A process that
    ends without `end` does not wait for the thread.
    """

    def __init__(self, settle: Callable[[], None], seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._settle, self._seconds, self._clock = settle, seconds, clock
        self._told: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._due: float | None = None  # when to settle, by the clock; None: there is nothing to settle
        self._error: Exception | None = None
        self._thread = Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    def tell(self, errand: Callable[[], None]) -> None:
        """Puts an errand at the end of the queue; returns at once."""
        self._told.put(errand)

    def end(self) -> None:
        """Returns once all errands are done; raises the first error that one of them had."""
        self._told.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while True:
            left = None if self._due is None else self._due - self._clock()
            if left is not None and left <= 0:
                self._due = None
                self._try(self._settle)
                continue
            try:
                errand = self._told.get(timeout=left)
            except Empty:
                continue
            if errand is None:
                return
            self._try(errand)
            if self._due is None:
                self._due = self._clock() + self._seconds

    def _try(self, errand: Callable[[], None]) -> None:
        try:
            errand()
        except Exception as error:
            self._error = self._error or error
