"""What holds for every command, `python -m src.NAME`, before its imports: Ctrl-C, and text that no terminal shows."""

import io
import os
import signal
import sys
from types import FrameType


def _stop(number: int, frame: FrameType | None) -> None:
    """Ends the process amid an import: what libraries make of a KeyboardInterrupt there is a module that is missing."""
    while frame:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            print("Stopped.", file=sys.stderr, flush=True)
            os._exit(130)
        frame = frame.f_back
    raise KeyboardInterrupt


def begun() -> None:
    """From here on there is something to keep, so Ctrl-C ends nothing without a KeyboardInterrupt."""
    if signal.getsignal(signal.SIGINT) is _stop:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if sys.argv[:1] == ["-m"]:  # so it is while Python looks for the module NAME; a program that imports this has its own
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
    for _stream in (sys.stdout, sys.stderr):
        if isinstance(_stream, io.TextIOWrapper):
            _stream.reconfigure(errors="replace")
