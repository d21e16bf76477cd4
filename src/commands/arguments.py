"""Arguments of the form KEY=VALUE, as the commands on studies take them: python -m src.report study=NAME out=FOLDER."""

import difflib
import io
import os
import sys
from collections.abc import Callable, Mapping

from src.config.error import TrialFailed, UserError


def at_home(argument: str) -> str:
    """KEY=~/… with the user's own folder in place of ~, which a shell puts in only where a word begins with it."""
    key, _, value = argument.partition("=")
    return f"{key}={os.path.expanduser(value)}" if f"{value}/".startswith("~/") else argument  # noqa: PTH111 (no home)


def key_values(arguments: list[str], defaults: Mapping[str, str | None], usage: str) -> dict[str, str]:
    """Each key of `defaults` with the value given, or its default; None marks a key that must be given.

    Raises UserError that lists everything wrong: an argument of another form, a key that does not exist or is given
    twice, an empty value, a key that is missing.
    """
    given, problems = dict[str, str](), list[str]()
    for argument in map(at_home, arguments):
        key, sign, value = argument.partition("=")
        if not sign:
            problems.append(f"{argument!r} is no KEY=VALUE.")
        elif key not in defaults:
            near = difflib.get_close_matches(key, defaults, n=1)
            hint = f"did you mean {near[0]}?" if near else f"accepted: {', '.join(defaults)}."
            problems.append(f"{key}: no such key; {hint}")
        elif key in given:
            problems.append(f"{key} is given twice, as {given[key]} and as {value}.")
        elif not value:
            problems.append(f"{key}= must not be empty.")
        given.setdefault(key, value)
    problems += [f"{key}= is missing." for key, value in defaults.items() if value is None and key not in given]
    if problems:
        raise UserError(f"{' '.join(problems)} Usage: {usage}")
    return {key: given.get(key, value or "") for key, value in defaults.items()}


def run_command(act: Callable[[list[str]], int], arguments: list[str] | None, text: str | None, nothing: str) -> int:
    """The exit status of `act` on the arguments, by default those of the process.

    `text`, the command's own description, answers --help. A UserError is printed behind `nothing`, what the command did
    not do, and gives 2; Ctrl-C gives 130.
    """
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if any(argument in ("-h", "--help") for argument in given):
            print((text or "").strip())
            return 0
        return act(given)
    except TrialFailed as error:  # it was trained, and shown
        print(error, file=sys.stderr)
        return 1
    except UserError as error:
        print(f"{nothing}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the output has gone, as `| head` does; Python's exit must not write either
        sys.stdout = io.StringIO()
        return 0
