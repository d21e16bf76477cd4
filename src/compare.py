"""The command python -m src.compare, which src/commands/compare.py is."""

import sys

from src.commands.compare import main

if __name__ == "__main__":
    sys.exit(main())
