"""Bounds on L2 norms, each member's own: of its gradient, and of what comes into each of its units.

    clip_norm   g <- g · min(1, clip_norm / (‖g‖ + 1e-6))   g: the gradient of the cost in all of a member's parameters
    max_norm    w <- w · min(1, max_norm / ‖w‖)             w: one unit's, or one map's, incoming weights, after a step

Sources: R. Pascanu et al. (2013), as torch.nn.utils.clip_grad_norm_; N. Srivastava et al., "Dropout" (2014), section
5.1. A NaN stays where it is. Legend: K members, U units.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

EPSILON = 1e-6  # torch's


def clipped(gradients: Mapping[str, Tensor], norm: Tensor) -> dict[str, Tensor]:
    """The gradients (K, …) by name, each member's scaled down together to at most its norm in `norm` (K,)."""
    each = torch.stack([gradient.flatten(1).float().norm(dim=1) for gradient in gradients.values()])
    factor = (norm / (each.norm(dim=0) + EPSILON)).clamp(max=1)  # (K,)
    return {name: g * factor.view(-1, *[1] * (g.dim() - 1)) for name, g in gradients.items()}


def bound(weight: Tensor, norm: Tensor) -> None:
    """Scales the weights (K, U, …) of each unit down, in place, to at most its member's norm in `norm` (K,)."""
    each = weight.flatten(2).norm(dim=2)  # (K, U)
    factor = (norm[:, None] / each).clamp(max=1)  # 0 / 0 cannot be: a norm is above 0
    weight.mul_(factor.view(*factor.shape, *[1] * (weight.dim() - 2)))
