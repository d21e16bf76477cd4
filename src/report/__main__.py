"""Runs the command python -m src.report, which is written in src/commands/report.py."""

import sys

from src.commands.report import main

if __name__ == "__main__":
    sys.exit(main())
