"""What holds for every command, before it imports anything else: Ctrl-C, and text that a terminal cannot show."""

import io
import os
import signal
import sys
import threading
from types import FrameType


def _stop(number: int, frame: FrameType | None) -> None:
    """Ends the process amid an import: what libraries make of a KeyboardInterrupt there is a module that is missing."""
    while frame:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            print("Stopped.", file=sys.stderr, flush=True)
            os._exit(130)
        frame = frame.f_back
    raise KeyboardInterrupt


_own = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # nobody else's
if _own and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, _stop)
for _stream in (sys.stdout, sys.stderr):
    if isinstance(_stream, io.TextIOWrapper):
        _stream.reconfigure(errors="replace")
