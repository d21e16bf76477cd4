"""The tool in Python: from src import train, sweep, load_study, load_run (src/api/calls.py says what each does).

And the set-up of every command, `python -m src.NAME`, before its imports: signals, UTF-8, and what screens show.
`train` and `sweep` are modules of these names that can be called, whoever imports them first.
"""

import io
import os
import sys

from src.api.calls import Stopped
from src.api.run import load_run
from src.api.study import load_study
from src.training import interrupt

__all__ = ["Stopped", "load_run", "load_study", "sweep", "train"]

NARROWEST = 20  # characters in the line of a terminal; on a narrower one tables cannot be read


def _in_utf8() -> None:
    """Starts the command anew in Python's UTF-8 mode if the locale has another encoding, as with LC_ALL=C.

    Arguments, file names and files are then UTF-8 in any locale, as libraries expect; what is printed stays in the
    encoding of the terminal. A process that was started with PYTHONUTF8=1 goes on in any case.
    """
    if os.name != "posix" or sys.getfilesystemencoding() == "utf-8" or os.environ.get("PYTHONUTF8") == "1":
        return
    os.environ["PYTHONUTF8"] = "1"
    os.environ.setdefault("PYTHONIOENCODING", f"{getattr(sys.stdout, 'encoding', None) or 'ascii'}:replace")
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


if sys.argv[:1] == ["-m"]:  # true while Python looks for the module of `python -m`; not in programs that import this
    _in_utf8()
    os.environ["MPLBACKEND"] = "agg"  # figures go to files
    if os.environ.get("COLUMNS", "").isdigit() and int(os.environ["COLUMNS"]) < NARROWEST:
        del os.environ["COLUMNS"]  # set by editors and pseudo-terminals that do not know the width
    interrupt.listen()
    for _stream in (sys.stdout, sys.stderr):
        if isinstance(_stream, io.TextIOWrapper):
            _stream.reconfigure(errors="replace")
