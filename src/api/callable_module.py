"""Modules that can be called: `src.train`, a command's module, and `src.sweep`, a package, are functions as well."""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def make_callable(module: str, function: Callable[..., Any]) -> None:
    """Makes the imported module of that name call `function`, with its signature and documentation."""

    class CallableModule(ModuleType):
        __call__ = staticmethod(function)

    loaded = sys.modules[module]
    loaded.__class__ = CallableModule
    loaded.__doc__ = function.__doc__
