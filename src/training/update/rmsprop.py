"""RMSprop: gradients divided by the root of their squares' running mean.

    s <- alpha · s + (1 − alpha) · g²
    w <- w − eta · g / (√s + epsilon)

Source: G. Hinton, "Neural networks for machine learning", lecture 6e (2012), and torch.optim.RMSprop, neither centered
nor with momentum.
"""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from src.config.schema import OptimConfig
from src.training.hyper import Hyper


class RmsProp:
    """The rule for a stack, in which each member has its own alpha and epsilon."""

    name, hyper, kernel, adaptive = "rmsprop", ("alpha", "epsilon"), "square", True

    def __init__(self, config: OptimConfig) -> None:
        """The rule has no setting that a whole stack shares, so `config` is not read."""

    def slots(self, hyper: Hyper) -> tuple[str, ...]:
        """One slot, "square": the running mean of the squared gradients."""
        return ("square",)

    def numbers(self, hyper: Mapping[str, np.ndarray], eta: np.ndarray, step: np.ndarray) -> dict[str, np.ndarray]:
        """The equations' factors, (K, M) each."""
        own = {"keep": hyper["alpha"], "gain": 1 - hyper["alpha"], "epsilon": hyper["epsilon"]}
        return {"eta": eta} | {name: np.broadcast_to(value, eta.shape) for name, value in own.items()}

    def step(
        self, w: Tensor, g: Tensor, slots: Mapping[str, Tensor], numbers: Mapping[str, Tensor], hidden: bool = False
    ) -> None:
        """Changes w (K, …) and the mean of squares in place, by the gradient g."""
        square = slots["square"].mul_(numbers["keep"]).addcmul_(numbers["gain"] * g, g)
        w.sub_(numbers["eta"] * g / (square.sqrt() + numbers["epsilon"]))


RULE = RmsProp
