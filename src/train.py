"""The command python -m src.train, which src/commands/train.py is."""

from src.commands.train import main

if __name__ == "__main__":
    main()
