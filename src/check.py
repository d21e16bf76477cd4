"""The command python -m src.check, which src/commands/check.py is."""

import sys

from src.commands.check import main

if __name__ == "__main__":
    sys.exit(main())
