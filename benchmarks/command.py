"""The shared part of the benchmarks' command lines: --quick, --json, and errors as one paragraph."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from src.config.error import UserError

CANNOT_RUN, INTERRUPTED = 2, 130  # exit statuses, as those of src/commands/train.py


class Parser(argparse.ArgumentParser):
    """An argument parser that refuses a wrong command with one paragraph."""

    def error(self, message: str) -> NoReturn:
        """Ends the process with a message that says what is wrong, and where to read what is accepted."""
        self.exit(
            CANNOT_RUN, f"{message[0].upper()}{message[1:]}. Nothing was measured; {self.prog} --help explains.\n"
        )


def parser(name: str, description: str | None) -> Parser:
    """A parser with the options of every benchmark; description: the benchmark's module docstring."""
    made = Parser(
        f"python -m benchmarks.{name}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--quick", action="store_true", help="a few seconds: shows that it works, measures nothing")
    made.add_argument("--json", type=new_file, metavar="FILE", help="write everything to FILE, with every sample")
    return made


def at_least_one(text: str) -> int:
    """The whole number that `text` says, at least 1; an argument type for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not accepted; accepted: a whole number from 1")
    return int(text)


def listed(known: str) -> Callable[[str], list[str]]:
    """An argument type for argparse: a comma-separated choice of the words in `known`, such as those of "a b c d"."""

    def read(text: str) -> list[str]:
        words = text.split(",")
        if not set(words) <= set(known.split()):
            accepted = ", ".join(known.split())
            raise argparse.ArgumentTypeError(f"{text!r} is not accepted; accepted: any of {accepted}, between commas")
        return list(dict.fromkeys(words))

    return read


def new_file(text: str) -> Path:
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} cannot be written; accepted: a file in a folder that exists")
    return path


def run(main: Callable[[], None]) -> None:
    """Calls `main`; a UserError is printed as one paragraph, and the process ends with status CANNOT_RUN."""
    try:
        main()
    except (UserError, OSError) as error:
        print(str(error), file=sys.stderr)
        sys.exit(CANNOT_RUN)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(INTERRUPTED)
