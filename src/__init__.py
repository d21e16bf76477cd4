"""What holds for every command, `python -m src.NAME`, before its imports: signals, UTF-8, what screens show."""

import io
import os
import sys

from src.training import interrupt

NARROWEST = 20  # characters of a terminal's line on which a table can be read


def _in_utf8() -> None:
    """Starts the command anew in Python's UTF-8 mode where the locale says otherwise, as LC_ALL=C may.

    Arguments, file names and files are then UTF-8 whatever the locale, as libraries take them to be; what is printed
    stays in the encoding of the terminal. A process that was told so (PYTHONUTF8=1) and does not heed it goes on.
    """
    if os.name != "posix" or sys.getfilesystemencoding() == "utf-8" or os.environ.get("PYTHONUTF8") == "1":
        return
    os.environ["PYTHONUTF8"] = "1"
    os.environ.setdefault("PYTHONIOENCODING", f"{getattr(sys.stdout, 'encoding', None) or 'ascii'}:replace")
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


if sys.argv[:1] == ["-m"]:  # so it is while Python looks for the module NAME; a program that imports this has its own
    _in_utf8()
    os.environ["MPLBACKEND"] = "agg"  # figures go to files
    if os.environ.get("COLUMNS", "").isdigit() and int(os.environ["COLUMNS"]) < NARROWEST:
        del os.environ["COLUMNS"]  # as editors and pseudo-terminals set it that know no width
    interrupt.listen()
    for _stream in (sys.stdout, sys.stderr):
        if isinstance(_stream, io.TextIOWrapper):
            _stream.reconfigure(errors="replace")
