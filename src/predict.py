"""The command python -m src.predict, which src/commands/predict.py is."""

import sys

from src.commands.predict import main

if __name__ == "__main__":
    sys.exit(main())
