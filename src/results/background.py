"""A tracker that nobody waits for: one thread opens it, then does in order what it is told, while training goes on.

Opening a store takes about two seconds, most of them MLflow's import, and an epoch some milliseconds. Only the end
waits until everything is written. An error of the tracker itself (a store that does not answer is none) is raised by
`finish`.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from src.result import Result, Status
from src.results.journal import Row
from src.results.tracking import Tracker


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
