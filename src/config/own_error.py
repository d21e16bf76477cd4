"""An error of the user's own code in one line: what it was, and the line of the user's file that raised it."""

import inspect
import traceback
from pathlib import Path

_OURS = Path(__file__).resolve().parents[1]


def said(error: Exception, kind: type | None = None, most: int = 500) -> str:
    """Such as "TypeError: f() got an unexpected keyword argument 'x' (mynets.py, line 12)".

    kind: the class that was called, whose line is named where no line of the user's raised the error; most: characters
    of the error's text that are shown.
    """
    text = " ".join(str(error).split())
    text = text if len(text) <= most else f"{text[:most]} ..."
    if isinstance(error, SyntaxError) and error.filename:
        text, place = error.msg, f"{Path(error.filename).name}, line {error.lineno}"
    else:
        place = _place(error) or (_definition(kind) if kind else "")
    return f"{type(error).__name__}: {text}" + (f" ({place})" if place else "")


def _definition(kind: type) -> str:
    """File and line where the class is defined; "" where its source is not known."""
    try:
        return f"{Path(inspect.getfile(kind)).name}, line {inspect.getsourcelines(kind)[1]}"
    except (OSError, TypeError):
        return ""


def _place(error: Exception) -> str:
    """File and line of the innermost frame that is neither this tool's nor a library's; "" where there is none."""
    import torch  # which takes a second: a failure may wait for it, other commands need not

    libraries = Path(torch.__file__).resolve().parents[1]  # site-packages, where torch's own frames lie
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        outside = not path.is_relative_to(_OURS) and not path.is_relative_to(libraries)
        if outside and path.is_file() and "importlib" not in path.parts:
            return f"{path.name}, line {frame.lineno}"
    return ""
