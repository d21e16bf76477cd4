"""Stochastic gradient descent with momentum.

    v <- momentum · v + g
    w <- w − eta · v            Nesterov: w <- w − eta · (g + momentum · v)

Source: [N6] chapter 3, equations (107) and (108), with v of the other sign; Nesterov's form as in I. Sutskever et al.
(2013) and torch.optim.SGD. Where no member has momentum, no velocities are kept.
"""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from src.config.schema import OptimConfig
from src.training.hyper import Hyper, any_member


class Sgd:
    """The rule for a stack, in which each member has its own momentum; `nesterov` is the same for all."""

    name, hyper, adaptive = "sgd", ("momentum",), False

    def __init__(self, config: OptimConfig) -> None:
        self.nesterov = config.nesterov
        self.kernel = "nesterov" if config.nesterov else "velocity"

    def slots(self, hyper: Hyper) -> tuple[str, ...]:
        """One slot, "velocity", if any member has momentum; else none."""
        return ("velocity",) if any_member(hyper, "momentum") else ()

    def numbers(self, hyper: Mapping[str, np.ndarray], eta: np.ndarray, step: np.ndarray) -> dict[str, np.ndarray]:
        """The learning rate and the momentum of each step, (K, M) each."""
        return {"eta": eta, "momentum": np.broadcast_to(hyper["momentum"], eta.shape)}

    def step(
        self, w: Tensor, g: Tensor, slots: Mapping[str, Tensor], numbers: Mapping[str, Tensor], hidden: bool = False
    ) -> None:
        """Changes w (K, …) and its velocity, if there is one, in place, by the gradient g."""
        eta, momentum = numbers["eta"], numbers["momentum"]
        if "velocity" not in slots:
            w.addcmul_(eta, g, value=-1)
            return
        velocity = slots["velocity"].mul_(momentum).add_(g)
        w.sub_(eta * (g + momentum * velocity if self.nesterov else velocity))


RULE = Sgd
