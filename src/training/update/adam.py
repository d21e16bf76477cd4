"""Adam: a step of about eta in every weight, however large its gradients are.

    m <- m + (1 − beta1) · (g − m)                  the gradients' running mean
    s <- beta2 · s + (1 − beta2) · g²               their squares'
    w <- w − eta · (m / (1 − beta1^n)) / (√(s / (1 − beta2^n)) + epsilon)

with n the number of the member's own step, from 1: means that begin at zero are too small by the factors 1 − beta^n.
Source: D. Kingma, J. Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1, and torch.optim.Adam.
"""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from src.config.schema import OptimConfig
from src.training.hyper import Hyper


class Adam:
    """The rule for a stack, in which each member has its own beta1, beta2 and epsilon."""

    name, hyper, kernel, adaptive = "adam", ("beta1", "beta2", "epsilon"), "mean_square", True

    def __init__(self, config: OptimConfig) -> None:
        """The rule has no setting that a whole stack shares, so `config` is not read."""

    def slots(self, hyper: Hyper) -> tuple[str, ...]:
        """Two slots: "mean" and "square", the running means of the gradients and of their squares."""
        return "mean", "square"

    def numbers(self, hyper: Mapping[str, np.ndarray], eta: np.ndarray, step: np.ndarray) -> dict[str, np.ndarray]:
        """The equations' factors, (K, M) each; √(1 − beta2^n), by which √s is too small, multiplies eta and epsilon."""
        beta1, beta2 = hyper["beta1"], hyper["beta2"]
        root = np.sqrt(1 - beta2 ** (step + 1))
        return {
            "eta": eta * root / (1 - beta1 ** (step + 1)),
            "blend": np.broadcast_to(1 - beta1, eta.shape),
            "keep": np.broadcast_to(beta2, eta.shape),
            "gain": np.broadcast_to(1 - beta2, eta.shape),
            "epsilon": hyper["epsilon"] * root,
        }

    def step(
        self, w: Tensor, g: Tensor, slots: Mapping[str, Tensor], numbers: Mapping[str, Tensor], hidden: bool = False
    ) -> None:
        """Changes w (K, …) and both means in place, by the gradient g."""
        mean, square = slots["mean"], slots["square"]
        mean.add_(numbers["blend"] * (g - mean))
        square.mul_(numbers["keep"]).addcmul_(numbers["gain"] * g, g)
        w.sub_(numbers["eta"] * mean / (square.sqrt() + numbers["epsilon"]))


RULE = Adam
