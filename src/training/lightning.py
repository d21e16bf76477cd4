"""Lightning's two classes, without the libraries of which Lightning only asks whether an object is one of theirs.

`import pytorch_lightning` takes 0.3 s by itself and 2.6 s more for torch._dynamo (the front end of torch.compile) and
for torchmetrics, which brings matplotlib and scipy.signal along (two cores, warm). What Lightning 2.6 takes from them
while it is imported are classes for `isinstance` and a decorator that torch.compile heeds. Our modules hold neither
metrics nor compiled modules (the torch engine compiles its own step, behind the module), so empty classes stand in
during the import, and only then: whoever imports those libraries afterwards gets them. Lightning itself then does not
know them: who wants to hand it a torchmetrics metric imports torchmetrics before this module.

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

import torch  # noqa: F401  (first: what torch itself imports is no stand-in)


@contextmanager
def _stand_ins(*modules: ModuleType) -> Iterator[None]:
    """Puts each of `modules` where an import finds it, unless the library of that name is loaded already."""
    absent = [module for module in modules if module.__name__ not in sys.modules]
    sys.modules.update({module.__name__: module for module in absent})
    try:
        yield
    finally:
        for module in absent:
            del sys.modules[module.__name__]


@contextmanager
def _unset(*names: str) -> Iterator[None]:
    """Leaves these variables out of the environment."""
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
    except (ImportError, AttributeError):  # another release of torch may take more of them: then they come themselves
        _forget("pytorch_lightning", "lightning_fabric")
    from pytorch_lightning import LightningModule
    from pytorch_lightning import Trainer as LightningTrainer
    from pytorch_lightning.plugins.environments import LightningEnvironment


class Trainer(LightningTrainer):
    """Lightning's trainer as its arguments say, whatever stands in the environment."""

    # Lightning takes defaults from PL_TRAINER_NAME for the NAMEs of this signature; here there are none.
    def __init__(self, **arguments: Any) -> None:
        super().__init__(plugins=[LightningEnvironment()], **arguments)


__all__ = ["LightningModule", "Trainer"]
