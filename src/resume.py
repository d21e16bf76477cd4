"""The command python -m src.resume, which src/commands/resume.py is."""

import sys

from src.commands.resume import main

if __name__ == "__main__":
    sys.exit(main())
