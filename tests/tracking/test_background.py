"""A tracker in a thread: nobody waits for it but the end, and nothing is lost or told in another order."""

import subprocess
import sys
from threading import Event, current_thread
from typing import Any

import pytest

from src.tracking.background import BackgroundTracker, Errands
from src.tracking.tracker import ROOT, Tracker

SECONDS = 60.0  # a loaded machine is slow, not wrong


class Recorder:
    """Writes down what it is told and by which thread; an epoch of number `fails` raises."""

    def __init__(self, fails: int | None = None):
        self.told: list[Any] = []
        self.threads: set[str] = set()
        self.fails = fails

    def _tell(self, what: Any) -> None:
        self.told.append(what)
        self.threads.add(current_thread().name)

    def epoch(self, rows: Any) -> None:
        self._tell(rows[0]["epoch"])
        if rows[0]["epoch"] == self.fails:
            raise ValueError("a mistake in the tracker")

    def finish(self, results: Any, summary: Any = None, artifacts: Any = ()) -> None:
        self._tell(("finish", summary))

    def abort(self, status: Any, reason: str) -> None:
        self._tell((status, reason))


def test_training_does_not_wait_while_the_store_is_opened() -> None:
    answers, recorder = Event(), Recorder()

    def opened() -> Tracker:
        assert answers.wait(SECONDS)
        return recorder

    tracker = BackgroundTracker(opened)
    tracker.epoch([{"epoch": 1}])
    tracker.epoch([{"epoch": 2}])
    assert recorder.told == []
    answers.set()
    tracker.finish([], {"test/mean": 0.5})
    assert recorder.told == [1, 2, ("finish", {"test/mean": 0.5})]


def test_one_thread_does_everything() -> None:
    recorder = Recorder()
    tracker = BackgroundTracker(lambda: recorder)
    for epoch in range(20):
        tracker.epoch([{"epoch": epoch}])
    tracker.finish([])
    assert recorder.told[:-1] == list(range(20))
    assert len(recorder.threads) == 1
    assert current_thread().name not in recorder.threads


def test_a_mistake_in_the_tracker_is_raised_at_the_end_and_holds_up_nothing() -> None:
    recorder = Recorder(fails=1)
    tracker = BackgroundTracker(lambda: recorder)
    tracker.epoch([{"epoch": 1}])
    tracker.epoch([{"epoch": 2}])
    with pytest.raises(ValueError, match="a mistake"):
        tracker.finish([])
    tracker.abort("FAILED", "a mistake")
    assert recorder.told == [1, 2, ("finish", None)]  # the run has its results and has ended well


def test_a_tracker_that_cannot_be_opened_is_an_error_at_the_end_and_none_when_aborting() -> None:
    def opened() -> Tracker:
        raise ValueError("no such tracker")

    tracker = BackgroundTracker(opened)
    tracker.epoch([{"epoch": 1}])
    with pytest.raises(ValueError, match="no such tracker"):
        tracker.finish([])
    tracker.abort("FAILED", "no such tracker")


def test_aborting_returns_once_all_is_written() -> None:
    recorder = Recorder()
    tracker = BackgroundTracker(lambda: recorder)
    tracker.epoch([{"epoch": 1}])
    tracker.abort("KILLED", "Ctrl-C")
    assert recorder.told == [1, ("KILLED", "Ctrl-C")]


def test_an_abort_while_finish_waits_leaves_a_run_that_ends_well_as_it_is() -> None:
    answers, recorder = Event(), Recorder()

    def opened() -> Tracker:
        assert answers.wait(SECONDS)
        return recorder

    class Interrupted(list[Any]):
        """Whoever waits for what is in it is interrupted, once."""

        interruptions = iter([KeyboardInterrupt()])

        def __iter__(self) -> Any:
            for interruption in self.interruptions:
                raise interruption
            return super().__iter__()

    tracker = BackgroundTracker(opened)
    tracker._told = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        tracker.finish([])
    answers.set()
    tracker.abort("KILLED", "Ctrl-C")
    assert recorder.told == [("finish", None)]


def test_a_finish_that_fails_is_aborted() -> None:
    class Failing(Recorder):
        def finish(self, results: Any, summary: Any = None, artifacts: Any = ()) -> None:
            raise ValueError("no room")

    recorder = Failing()
    tracker = BackgroundTracker(lambda: recorder)
    with pytest.raises(ValueError, match="no room"):
        tracker.finish([])
    tracker.abort("FAILED", "no room")
    assert recorder.told == [("FAILED", "no room")]


# The errands of many trials


class Seconds:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_errands_are_done_in_order_by_one_other_thread() -> None:
    done: list[Any] = []
    errands = Errands(lambda: None, 0.0)
    for number in range(50):
        errands.tell(lambda number=number: done.append((number, current_thread().name)))  # type: ignore[misc]
    errands.end()
    assert done == [(number, "tracking") for number in range(50)]


def test_what_errands_leave_is_settled_once_for_many() -> None:
    done: list[Any] = []
    clock, settled = Seconds(), Event()

    def settle() -> None:
        done.append("settled")
        settled.set()

    errands = Errands(settle, 10.0, clock)
    for number in range(3):
        errands.tell(lambda number=number: done.append(number))  # type: ignore[misc]
    errands.tell(lambda: setattr(clock, "now", 11.0))
    assert settled.wait(SECONDS)
    errands.tell(lambda: done.append("later"))
    errands.end()
    assert done == [0, 1, 2, "settled", "later"]


def test_what_is_due_does_not_wait_for_errands_to_run_out() -> None:
    clock, settled = Seconds(), Event()
    errands = Errands(settled.set, 1.0, clock)

    def errand() -> None:
        clock.now += 0.4
        if not settled.is_set():
            errands.tell(errand)  # there is always another one

    errands.tell(errand)
    assert settled.wait(SECONDS)
    errands.end()


def test_an_errand_that_fails_is_told_at_the_end_and_holds_up_nothing() -> None:
    def fails() -> None:
        raise ValueError("a mistake")

    done: list[str] = []
    errands = Errands(lambda: None, 0.0)
    errands.tell(fails)
    errands.tell(lambda: done.append("after"))
    with pytest.raises(ValueError, match="a mistake"):
        errands.end()
    assert done == ["after"]


def test_a_process_that_ends_otherwise_does_not_wait_for_errands() -> None:
    code = """
from threading import Event
from src.tracking.background import Errands
Errands(lambda: None, 0.0).tell(Event().wait)
print("ended")
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    assert (ran.returncode, ran.stdout) == (0, "ended\n")
