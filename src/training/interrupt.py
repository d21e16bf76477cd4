"""Signals that ask a command to stop: once, and a run stops at the next chunk and keeps what is there; twice, at once.

These are Ctrl-C and what a terminal that is closed, a shell, a batch system or a limit of time sends. Left alone, all
but Ctrl-C end a process on the spot. One that was ignored when the command began, as nohup ignores SIGHUP, stays so.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType, TracebackType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGALRM")
STOPPING = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]  # not all systems have all
SHOW_CURSOR = "\x1b[?25h"
# Shells and `timeout` send a signal to a process and to its group: both are one request.
SAME_REQUEST_SECONDS = 1.0


def at_once(number: int, frame: FrameType | None) -> None:
    """Raises KeyboardInterrupt; amid an import it ends the process: libraries would take it for a missing module."""
    while frame:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            print("Stopped.", file=sys.stderr, flush=True)
            if sys.stdout.isatty():
                print(SHOW_CURSOR, end="", flush=True)  # whoever hid it will not come to show it again
            os._exit(130)
        frame = frame.f_back
    raise KeyboardInterrupt


def listen() -> None:
    """From here on every signal that nobody else handles, and that is not ignored, stops `at_once`."""
    for number in STOPPING:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, at_once)


def begun() -> None:
    """From here on there is something to keep, so no signal ends the process without a KeyboardInterrupt."""
    for number in STOPPING:
        if signal.getsignal(number) is at_once:
            signal.signal(number, signal.default_int_handler)


class Interrupt:
    """A context in which a signal sets `requested`, and a second one raises KeyboardInterrupt.

    SIGINT is taken also where it was ignored: a shell's script ignores it for all that it starts in the background, and
    who sends it to such a process means it.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.requested = False
        self._say, self._clock = say, clock
        self._since = 0.0  # on the clock: when it was requested

    def __enter__(self) -> "Interrupt":
        self._before = {number: signal.signal(number, self._handle) for number in STOPPING if _taken(number)}
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
        """Whether it is a second request: the system repeats SIGXCPU every second by itself."""
        return number != getattr(signal, "SIGXCPU", None) and self._clock() - self._since > SAME_REQUEST_SECONDS


def _taken(number: int) -> bool:
    """Whether a run takes the signal: SIGINT and SIGTERM from whoever handles them, others where nobody does."""
    before = signal.getsignal(number)
    if number == signal.SIGTERM:
        return before not in (signal.SIG_IGN, None)
    return number == signal.SIGINT or before in (signal.SIG_DFL, signal.default_int_handler, at_once)
