"""The command python -m src.look, which src/commands/look.py is."""

import sys

from src.commands.look import main

if __name__ == "__main__":
    sys.exit(main())
