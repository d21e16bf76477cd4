"""The command python -m src.export, which src/commands/export.py is."""

import sys

from src.commands.export import main

if __name__ == "__main__":
    sys.exit(main())
