"""The command python -m src.reproduce, which src/commands/reproduce.py is."""

import sys

from src.commands.reproduce import main

if __name__ == "__main__":
    sys.exit(main())
