"""Words that screens, reports and figures share."""

import shlex


def number_of(number: int, noun: str, total: str = "") -> str:
    """1 trial, 2 trials, 5,000 trials; with a `total` such as " of 9": 1 of 9 trials."""
    return f"{number:,}{total} {noun}" + ("" if number == 1 and not total else "s")


def command(module: str, *arguments: object) -> str:
    """`python -m src.MODULE ARGUMENTS` as one can copy it into a shell, whatever stands in the arguments."""
    return shlex.join(["python", "-m", f"src.{module}", *map(str, arguments)])


def locked(reason: str, file: object) -> str:
    """A database's reason, with what to do where it is that another process keeps the SQLite `file` to itself."""
    held = f": another process is writing to it (fuser {file} names it); wait for that one, or end it"
    return reason + held if "database is locked" in reason else reason


def ending(status: str, reason: str) -> str:
    """How a trial ended, in a word: its status, but DIVERGED for one PRUNED with a `reason`, hopeless by itself."""
    return "DIVERGED" if status == "PRUNED" and reason else status
