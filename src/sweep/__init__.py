"""Sweeps: search spaces, studies, and trials handed to stacks. Called, it is the function sweep of Python."""

from src.api.callable_module import make_callable
from src.api.calls import sweep

make_callable(__name__, sweep)
