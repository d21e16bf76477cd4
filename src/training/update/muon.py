"""Muon: hidden matrices take momentum steps whose singular values are all brought near 1; the rest follows AdamW.

    m <- m + (1 − momentum) · (g − m)                               the gradients' running mean
    u  = m                                                          Nesterov: u = g + momentum · (m − g)
    X  = u / (‖u‖ + 1e-7), five times X <- a X + (b A + c A²) X, A = X Xᵀ                                     (1)
    w <- w − eta · 0.2 √(max(rows, columns)) · X                                                              (2)

(1), a Newton-Schulz iteration, maps each singular value s of X to a s + b s³ + c s⁵, which brings all but the smallest
to between 0.7 and 1.2: X is then about U Vᵀ of u = U S Vᵀ. (2) makes a step about as large as Adam's, so that one eta
serves both. A convolution's weights (maps, C, field, field) are a matrix (maps, C · field²). Parameters that are no
hidden matrix (src/models/hidden.py) follow Adam with the rate eta_adamw, which the schedule changes as it does eta.

Sources: K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024), as torch.optim.Muon with
adjust_lr_fn="match_rms_adamw", but in float32; (2): J. Liu et al., "Muon is scalable for LLM training" (2025), 2.2.
"""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from src.config.schema import OptimConfig
from src.training.hyper import Hyper
from src.training.update.adam import Adam

COEFFICIENTS, ITERATIONS, EPSILON = (3.4445, -4.7750, 2.0315), 5, 1e-7  # Jordan's
RMS = 0.2  # Adam's usual root mean square of a step divided by eta, as Liu measured it


class Muon:
    """The rule for a stack, in which each member has its own hyperparameters; `nesterov` is the same for all."""

    name, kernel, adaptive = "muon", None, True
    hyper = ("momentum", "beta1", "beta2", "epsilon", "eta_adamw")

    def __init__(self, config: OptimConfig) -> None:
        self.nesterov, self.rest = config.nesterov, Adam(config)

    def slots(self, hyper: Hyper) -> tuple[str, ...]:
        """Two slots, "mean" and "square", as Adam's; of a hidden matrix, "mean" is m and "square" stays zero."""
        return "mean", "square"

    def numbers(self, hyper: Mapping[str, np.ndarray], eta: np.ndarray, step: np.ndarray) -> dict[str, np.ndarray]:
        """Adam's numbers for the rate eta_adamw, NaN where it is eta; and `eta_hidden` and `momentum`, (K, M) each."""
        own = hyper["eta_adamw"]
        rates = np.where(np.isnan(own), eta, eta / hyper["eta"] * own)
        momentum = np.broadcast_to(hyper["momentum"], eta.shape)
        return self.rest.numbers(hyper, rates, step) | {"eta_hidden": eta, "momentum": momentum}

    def step(
        self, w: Tensor, g: Tensor, slots: Mapping[str, Tensor], numbers: Mapping[str, Tensor], hidden: bool = False
    ) -> None:
        """Changes w (K, …) and its running means in place, by the gradient g."""
        if not hidden:
            self.rest.step(w, g, slots, numbers)
            return
        momentum = numbers["momentum"]
        mean = slots["mean"].add_((1 - momentum) * (g - slots["mean"]))
        direction = g + momentum * (mean - g) if self.nesterov else mean
        matrix = direction.flatten(2)  # (K, rows, columns)
        scale = RMS * max(matrix.shape[1:]) ** 0.5
        w.sub_(numbers["eta_hidden"] * scale * orthogonalised(matrix).reshape(w.shape))


def orthogonalised(matrix: Tensor) -> Tensor:
    """Equation (1): the matrices (K, rows, columns), each with its singular values brought near 1."""
    a, b, c = COEFFICIENTS
    is_tall = matrix.shape[1] > matrix.shape[2]
    x = matrix.mT if is_tall else matrix  # so that A is the smaller of the two products
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + EPSILON)
    for _ in range(ITERATIONS):
        product = x @ x.mT
        x = a * x + (b * product + c * product @ product) @ x
    result: Tensor = x.mT if is_tall else x
    return result


RULE = Muon
