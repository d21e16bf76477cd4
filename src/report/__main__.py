"""The command python -m src.report, which src/commands/report.py is."""

import sys

from src.commands.report import main

if __name__ == "__main__":
    sys.exit(main())
