"""The command python -m src.ui, which src/commands/ui.py is."""

import sys

from src.commands.ui import main

if __name__ == "__main__":
    sys.exit(main())
