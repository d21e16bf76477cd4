"""Phrases that screens, reports and figures share."""

import shlex


def number_of(number: int, noun: str, total: str = "") -> str:
    """A number with its noun: 1 trial, 2 trials, 5,000 trials; with a `total` such as " of 9": 1 of 9 trials."""
    return f"{number:,}{total} {noun}" + ("" if number == 1 and not total else "s")


def command(module: str, *arguments: object) -> str:
    """The command `python -m src.MODULE ARGUMENTS`, quoted so that it can be copied into a shell."""
    return shlex.join(["python", "-m", f"src.{module}", *map(str, arguments)])


def locked(reason: str, file: object) -> str:
    """The `reason` that a database gives for a failure; with a hint if another process has locked the SQLite `file`."""
    held = f": another process is writing to it (fuser {file} names it); wait for that one, or end it"
    return reason + held if "database is locked" in reason else reason


def ending(status: str, reason: str) -> str:
    """How a trial ended, in a word: its status, but DIVERGED where it is PRUNED and has a `reason`, its own failure."""
    return "DIVERGED" if status == "PRUNED" and reason else status
