"""A loss of the user's: a function of outputs and targets, by its dotted name, looked up in the command's folder too.

It takes one network's outputs (B, C) and its targets, (B,) classes, or (B, C) labels or numbers at the scale of
training, and gives the mean loss, a scalar, or each example's (B,). Legend: B examples, C classes, labels or numbers.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, vmap

from src.config.error import ConfigError
from src.config.own_error import said
from src.config.own_module import own_module

ACCEPTED = "accepted: a function of outputs and targets that gives the mean loss, or one of each example"


class OwnLoss:
    """The losses that the function `name` computes; one that gives a mean stands for each of its examples."""

    def __init__(self, name: str) -> None:
        """Raises ConfigError where there is no such function."""
        self.name, self._function = name, _function(name)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Outputs (…, B, C) and targets, (B,) or (B, C), -> (…, B): the function sees one network's at a time."""
        if outputs.dim() > 2:  # leading axes of members
            return vmap(self, in_dims=(0, None))(outputs, targets)
        values: Tensor = self._function(outputs, targets)
        return values.expand(outputs.shape[0]) if values.dim() == 0 else values

    def check(self, outputs: Tensor, targets: Tensor, weighted: bool = False) -> None:
        """Raises ConfigError where it fails on outputs (B, C) and targets, or its values cannot be minimised."""
        field = f"task.loss = {self.name!r}"
        try:
            values: Any = self._function(outputs, targets)
        except Exception as error:  # the function is the user's and may raise anything
            raise ConfigError(f"{field}: fails on outputs {_shape(outputs)}: {said(error)}; {ACCEPTED}") from error
        if not isinstance(values, Tensor) or tuple(values.shape) not in ((), (len(outputs),)):
            what = _shape(values) if isinstance(values, Tensor) else type(values).__name__
            raise ConfigError(f"{field}: gives {what} for outputs {_shape(outputs)}; {ACCEPTED}")
        if weighted and values.dim() == 0:
            raise ConfigError(
                f"{field}: gives a mean, and the examples have weights; accepted: a function that gives each example's "
                "loss, or data without weights"
            )
        if not bool(values.isfinite().all()):
            raise ConfigError(f"{field}: gives {values.flatten()[0].item():g} for outputs near 0; accepted: finite")
        try:
            slopes = vmap(grad(lambda one: self(one, targets).mean()))(outputs[None])
        except Exception as error:
            raise ConfigError(f"{field}: cannot be differentiated in a stack: {said(error)}; {ACCEPTED}") from error
        if not bool(slopes.isfinite().all()) or not bool((slopes != 0).any()):
            what = "0 everywhere" if bool((slopes == 0).all()) else "not finite"
            raise ConfigError(f"{field}: its gradient by the outputs is {what}, so nothing can be learnt; {ACCEPTED}")


@lru_cache
def _function(name: str) -> Any:
    place, _, own = name.rpartition(".")
    try:
        found = getattr(own_module(place), own)
    except Exception as error:  # a module of the user's may raise anything
        raise ConfigError(f"task.loss = {name!r}: cannot be imported: {said(error)}; {ACCEPTED}") from error
    if not callable(found):
        raise ConfigError(f"task.loss = {name!r}: is no function but {type(found).__name__}; {ACCEPTED}")
    return found


def _shape(values: Tensor) -> str:
    return f"{str(values.dtype).removeprefix('torch.')} {tuple(values.shape)}"


def check_loss(loss: Any, outputs: int, targets: Tensor, weighted: bool = False) -> None:
    """Checks a loss of the user's on small outputs for these targets, (B,) or (B, C); another one is not looked at.

    weighted: whether examples have weights, for which it must give each example's loss. Raises ConfigError.
    """
    if isinstance(loss, OwnLoss):
        generator = torch.Generator().manual_seed(0)
        loss.check(0.1 * torch.randn(len(targets), outputs, generator=generator), targets, weighted)
