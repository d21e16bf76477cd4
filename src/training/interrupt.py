"""Signals that ask a command to stop: at the first, a run ends after its chunk and keeps its results; at the second at
once.

They are Ctrl-C and the signals that a closed terminal, a shell, a batch system or a time limit sends. Without a handler
all but Ctrl-C end a process on the spot. A signal that was ignored when the command began, as nohup ignores SIGHUP,
stays ignored.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from threading import current_thread, main_thread
from types import FrameType, TracebackType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGALRM")
STOPPING = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]  # not all systems have all
SHOW_CURSOR = "\x1b[?25h"
# Shells and `timeout` send a signal to a process and to its group: both are one request.
SAME_REQUEST_SECONDS = 1.0


def at_once(number: int, frame: FrameType | None) -> None:
    """A handler that raises KeyboardInterrupt; during an import it ends the process with status 130 instead.

    Libraries would take the exception for a module that is missing.
    """
    while frame:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            print("Stopped.", file=sys.stderr, flush=True)
            if sys.stdout.isatty():
                print(SHOW_CURSOR, end="", flush=True)  # code that has hidden it gets no chance to show it again
            os._exit(130)
        frame = frame.f_back
    raise KeyboardInterrupt


def listen() -> None:
    """Makes `at_once` the handler of every stopping signal that has its default handler; ignored ones stay ignored."""
    for number in STOPPING:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, at_once)


def begun() -> None:
    """Replaces `at_once` by plain KeyboardInterrupt, during imports too: now there is something that must be kept."""
    for number in STOPPING:
        if signal.getsignal(number) is at_once:
            signal.signal(number, signal.default_int_handler)


class Interrupt:
    """A context in which a signal sets `requested`, and a second one raises KeyboardInterrupt.

    In a thread that is not the main one it does nothing, as signals reach the main one alone.
    SIGINT is handled even if it was ignored before: shell scripts ignore it for the processes that they start in the
    background, so whoever sends it to such a process does so on purpose.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.requested = False
        self._say, self._clock = say, clock
        self._since = 0.0  # time of the first request, by the clock

    def __enter__(self) -> "Interrupt":
        handled = STOPPING if current_thread() is main_thread() else []
        self._before = {number: signal.signal(number, self._handle) for number in handled if _taken(number)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        return self.requested

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self.requested:
            self.requested, self._since = True, self._clock()
            self._say("Stopping; what is there will be kept. Once more stops at once.")
        elif number == signal.SIGINT or self._insists(number):
            raise KeyboardInterrupt

    def _insists(self, number: int) -> bool:
        """Whether another signal is a second request: not SIGXCPU, which the system repeats every second by itself."""
        return number != getattr(signal, "SIGXCPU", None) and self._clock() - self._since > SAME_REQUEST_SECONDS


def _taken(number: int) -> bool:
    """Whether a run handles the signal: SIGINT always, SIGTERM unless ignored, others unless ignored or handled."""
    before = signal.getsignal(number)
    if number == signal.SIGTERM:
        return before not in (signal.SIG_IGN, None)
    return number == signal.SIGINT or before in (signal.SIG_DFL, signal.default_int_handler, at_once)
