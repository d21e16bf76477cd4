"""Lightning's LightningModule and Trainer, imported without two libraries that Lightning loads but does not need here.

`import pytorch_lightning` takes 0.3 s by itself and 2.6 s more for torch._dynamo (the front end of torch.compile) and
for torchmetrics, which brings matplotlib and scipy.signal along (two cores, warm). What Lightning 2.6 takes from them
while it is imported are classes for `isinstance` and a decorator that torch.compile heeds. Our modules hold neither
metrics nor compiled modules (the torch engine compiles its own step, behind the module), so empty classes stand in for
them during the import only: a later import of those libraries gets the real ones. Lightning does not recognise these;
code that hands it a torchmetrics metric must import torchmetrics before this module.

Nor does Lightning look here for a cluster or for arguments in the environment (SLURM_NTASKS, TORCHELASTIC_RUN_ID,
PL_TRAINER_MAX_STEPS, …): a run is one process on one device, and all that it computes stands in its configuration.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import torch  # noqa: F401  (first, so that what torch itself imports is no stand-in)


@contextmanager
def _stand_ins(*modules: ModuleType) -> Iterator[None]:
    """A context in which imports find `modules` in place of the libraries of their names, unless those are loaded."""
    absent = [module for module in modules if module.__name__ not in sys.modules]
    sys.modules.update({module.__name__: module for module in absent})
    try:
        yield
    finally:
        for module in absent:
            del sys.modules[module.__name__]


@contextmanager
def _unset(*names: str) -> Iterator[None]:
    """A context without these environment variables."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def _as_it_is(function: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
    return function


def _module(name: str, classes: tuple[str, ...], **functions: Callable[..., Any]) -> ModuleType:
    module = ModuleType(name)
    vars(module).update({each: type(each, (), {}) for each in classes}, **functions)
    return module


def _forget(*libraries: str) -> None:
    for name in [one for one in sys.modules if one.partition(".")[0] in libraries]:
        del sys.modules[name]


with _unset("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK"):  # who may write logs, and must be a number
    try:
        with _stand_ins(
            _module("torch._dynamo", ("OptimizedModule",), disable=_as_it_is),
            _module("torchmetrics", ("Metric", "MetricCollection")),
        ):
            import_module("pytorch_lightning.plugins.environments")
    except (ImportError, AttributeError):  # another release may need more of them: then the real libraries are loaded
        _forget("pytorch_lightning", "lightning_fabric")
    from pytorch_lightning import LightningModule
    from pytorch_lightning import Trainer as LightningTrainer
    from pytorch_lightning.plugins.environments import LightningEnvironment


class Trainer(LightningTrainer):
    """Lightning's Trainer, configured by its arguments alone and not by environment variables."""

    # Lightning takes defaults from PL_TRAINER_NAME for the NAMEs of this signature; here there are none.
    def __init__(self, **arguments: Any) -> None:
        super().__init__(plugins=[LightningEnvironment()], **arguments)


__all__ = ["LightningModule", "Trainer"]
