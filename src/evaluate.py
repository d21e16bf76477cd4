"""The command python -m src.evaluate, which src/commands/evaluate.py is."""

import sys

from src.commands.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
