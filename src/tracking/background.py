"""A tracker that nobody waits for: one thread opens it, then does in order what it is told, while training goes on.

BackgroundTracker is that of one trial. A study has many trials that are to share one thread and one connection: its
errands (`Errands`) are done in order as well, and what they leave to write is written together, at most once a second.

Opening a store takes about two seconds, most of them MLflow's import, and an epoch some milliseconds. Only the end
waits until everything is written. An error of the tracker itself (a store that does not answer is none) is raised by
`finish`.
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
    """Passes what it is told to the tracker that `opened` returns, in a thread of its own. See Tracker."""

    def __init__(self, opened: Callable[[], Tracker]) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tracking")
        self._tracker = self._thread.submit(opened)
        self._told: list[Future[None]] = []
        self._finish: Future[None] | None = None

    def epoch(self, rows: Sequence[Row | None]) -> None:
        """Notes one epoch; returns at once."""
        self._tell(lambda tracker: tracker.epoch(rows))

    def finish(self, results: Sequence[Result], summary: Row | None = None, artifacts: Iterable[Path] = ()) -> None:
        """Records results and artifacts; returns once all is written."""
        self._finish = self._tell(lambda tracker: tracker.finish(results, summary, artifacts))
        for done in self._told:
            done.result()
        self._thread.shutdown(wait=False)

    def abort(self, status: Status, reason: str) -> None:
        """Ends every run, unless `finish` does; returns once all is written.

        Raises nothing: the reason to abort is the error to tell. Whoever interrupts a `finish` that waits for the store
        changes nothing about runs that have ended well.
        """
        if self._finish is None or self._finish.exception() is not None:
            self._tell(lambda tracker: tracker.abort(status, reason))
        wait(self._told)
        self._thread.shutdown(wait=False)

    def _tell(self, what: Callable[[Tracker], Any]) -> Future[None]:
        self._told.append(self._thread.submit(lambda: what(self._tracker.result())))
        return self._told[-1]


class Errands:
    """One thread that does what it is told, in order, and `settle`s what that has left, every `seconds` at most.

    An error of an errand is kept and raised at the end; the errands after it are done all the same. A process that ends
    without `end` does not wait for the thread.
    """

    def __init__(self, settle: Callable[[], None], seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._settle, self._seconds, self._clock = settle, seconds, clock
        self._told: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._due: float | None = None  # on the clock: when to settle; None while nothing is left to
        self._error: Exception | None = None
        self._thread = Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    def tell(self, errand: Callable[[], None]) -> None:
        """Notes an errand; returns at once."""
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
