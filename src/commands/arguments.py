"""The one grammar of the commands: WORD … KEY=VALUE …, as in python -m src.report study=NAME out=FOLDER."""

import difflib
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from src.config.error import TrialFailed, UserError

# Options as other tools write them, each with the key that it stands for.
OPTIONS = {"-o": "out", "--out": "out", "--docs": "docs", "--port": "port", "--host": "host"}


def at_home(argument: str) -> str:
    """An argument KEY=~/… with the user's home folder for ~, which a shell replaces only at the beginning of a word."""
    key, _, value = argument.partition("=")
    return f"{key}={os.path.expanduser(value)}" if f"{value}/".startswith("~/") else argument  # noqa: PTH111 (no home)


def words_and_keys(
    arguments: Sequence[str], defaults: Mapping[str, str | None], usage: str
) -> tuple[list[str], dict[str, str]]:
    """The words in order, and each key of `defaults` with the value given or its default, as `key_values` reads them.

    `-o FILE` and the other OPTIONS are read as KEY=VALUE if their key is one of `defaults`. Raises UserError.
    """
    words, keys, left = list[str](), list[str](), list(arguments)
    while left:
        argument = left.pop(0)
        option, sign, value = argument.partition("=")
        key = OPTIONS.get(option)
        if key in defaults:
            if not sign and not left:
                raise UserError(f"{option}: a value is missing behind it. Usage: {usage}")
            keys.append(f"{key}={value if sign else left.pop(0)}")
        elif argument.startswith("-"):
            known = ", ".join(one for one, own in OPTIONS.items() if own in defaults)
            raise UserError(f"{option}: no such option; accepted: {known}. Usage: {usage}")
        elif sign and option in defaults:
            keys.append(argument)
        else:
            words.append(argument)
    return words, key_values(keys, defaults, usage)


def whole_numbers(values: Mapping[str, str], ranges: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """The values of the keys in `ranges`, (least, most) each. Raises one UserError for all that are none of these."""
    numbers, problems = dict[str, int](), list[str]()
    for key, (low, high) in ranges.items():
        text = values[key]
        if text.isascii() and text.isdigit() and low <= int(text) <= high:
            numbers[key] = int(text)
        else:
            problems.append(f"{key}={text}: must be a whole number; accepted: {low} to {high:,}.")
    if problems:
        raise UserError(" ".join(problems))
    return numbers


def key_values(arguments: list[str], defaults: Mapping[str, str | None], usage: str) -> dict[str, str]:
    """Each key of `defaults` with the value given, or its default; a default of None marks a key that must be given.

    Raises one UserError that lists everything wrong: an argument of another form, a key that does not exist or is given
    twice, an empty value, a missing key. usage: the command's usage, for the message.
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


def run_command(
    act: Callable[[list[str]], int],
    arguments: list[str] | None,
    text: str | None,
    nothing: str,
    stopped: str = "Stopped.",
) -> int:
    """Runs a command: calls `act` with the arguments, by default those of the process, and returns the exit status.

    text: the command's description, which answers --help. A UserError is printed behind `nothing`, which says what was
    not done, and gives 2; Ctrl-C prints `stopped` and gives 130; TrialFailed gives 1; else the status is that of `act`.
    """
    given = sys.argv[1:] if arguments is None else arguments
    begins = f"{nothing}: " if nothing else ""
    try:
        if any(argument in ("-h", "--help") for argument in given):
            print((text or "").strip())
            return 0
        return act(given)
    except TrialFailed as error:  # the trial was trained and shown before it failed
        print(error, file=sys.stderr)
        return 1
    except UserError as error:
        print(f"{begins}{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(stopped, file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of the output has gone, as `| head` does; Python must not write at its exit
        sys.stdout = io.StringIO()
        return 0
    except OSError as error:
        print(f"{begins}A file or folder could not be used: {error}", file=sys.stderr)
        return 2
