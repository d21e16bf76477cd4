"""Adagrad: gradients divided by the root of the sum of all their squares so far.

    s <- s + g²
    w <- w − eta · g / (√s + epsilon)

Source: J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods" (2011), and torch.optim.Adagrad without lr_decay.
"""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from src.config.schema import OptimConfig
from src.training.hyper import Hyper


class Adagrad:
    """The rule for a stack, in which each member has its own epsilon."""

    name, hyper, kernel, adaptive = "adagrad", ("epsilon",), "square", True

    def __init__(self, config: OptimConfig) -> None:
        """The rule has no setting that a whole stack shares, so `config` is not read."""

    def slots(self, hyper: Hyper) -> tuple[str, ...]:
        """One slot, "square": the sum of the squared gradients so far."""
        return ("square",)

    def numbers(self, hyper: Mapping[str, np.ndarray], eta: np.ndarray, step: np.ndarray) -> dict[str, np.ndarray]:
        """The equations' factors, (K, M) each; `keep` and `gain` are 1, for the cpu engine's kernel `square`."""
        one = np.ones(eta.shape)
        return {"eta": eta, "keep": one, "gain": one, "epsilon": np.broadcast_to(hyper["epsilon"], eta.shape)}

    def step(
        self, w: Tensor, g: Tensor, slots: Mapping[str, Tensor], numbers: Mapping[str, Tensor], hidden: bool = False
    ) -> None:
        """Changes w (K, …) and the sum of squares in place, by the gradient g."""
        square = slots["square"].addcmul_(g, g)
        w.sub_(numbers["eta"] * g / (square.sqrt() + numbers["epsilon"]))


RULE = Adagrad
