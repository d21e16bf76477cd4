"""A module of the user's, by its dotted name: of a network, a loss, a function that gives data or one that samples."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType


def own_module(name: str) -> ModuleType:
    """The module, looked up in the folder of the command too, behind all others. Raises whatever its import raises."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    return import_module(name)
