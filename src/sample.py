"""The command python -m src.sample, which src/commands/sample.py is."""

import sys

from src.commands.sample import main

if __name__ == "__main__":
    sys.exit(main())
