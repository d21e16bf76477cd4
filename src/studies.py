"""The command python -m src.studies, which src/commands/studies.py is."""

import sys

from src.commands.studies import main

if __name__ == "__main__":
    sys.exit(main())
