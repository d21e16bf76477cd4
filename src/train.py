"""The command python -m src.train, which src/commands/train.py is; imported, the function train of Python."""

if __name__ == "__main__":
    from src.commands.train import main

    main()
else:
    from src.api.callable_module import make_callable
    from src.api.calls import train

    make_callable(__name__, train)
