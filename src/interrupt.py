"""Ctrl-C: once, and the run stops at the next chunk and keeps what is there; twice, and it stops at once."""

import signal
from collections.abc import Callable
from types import FrameType, TracebackType


class Interrupt:
    """A context in which SIGINT and SIGTERM set `requested`; a second signal raises KeyboardInterrupt."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.requested = False
        self._say = say

    def __enter__(self) -> "Interrupt":
        self._before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        return self.requested

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        self._say("Stopping at the next chunk; what is there will be kept. Once more stops at once.")
