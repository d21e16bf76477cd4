"""The command python -m src.rerun, which src/commands/rerun.py is."""

import sys

from src.commands.rerun import main

if __name__ == "__main__":
    sys.exit(main())
