"""The command python -m src.tracking FILE [URI]: logs to MLflow what a run kept in FILE while MLflow did not answer."""

import sys
from pathlib import Path

from src.config.address import absolute
from src.tracking.journal import PENDING, log_pending


def main(arguments: list[str]) -> int:
    """Runs the command; returns its exit status: 0 all logged, 1 something left, 2 used wrongly."""
    if len(arguments) not in (1, 2) or not Path(arguments[0]).is_file():
        print(f"usage: python -m src.tracking FOLDER/{PENDING} [URI of the store]", file=sys.stderr)
        return 2
    path = Path(arguments[0])
    try:
        left = log_pending(path, absolute(arguments[1]) if len(arguments) == 2 else None)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{left} notes are still left in {path}" if left else "all of it is logged, the file is deleted")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
