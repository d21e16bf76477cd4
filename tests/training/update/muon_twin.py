"""Muon as torch would write it: one matrix after another, by its singular values, in float64."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor


class MuonTwin(torch.optim.Optimizer):
    """Muon for the matrices between the first and the last one of all parameters, Adam for the rest."""

    def __init__(self, parameters: Iterable[Any], own: Mapping[str, float]) -> None:
        super().__init__(parameters, {"weight_decay": 0.0})
        self.own, self.count = own, 0
        every = [w for group in self.param_groups for w in group["params"]]
        self.hidden = {id(w) for w in [w for w in every if w.dim() > 1][1:-1]}

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One step of each parameter; weight_decay of its group is a term of the gradient."""
        own, self.count = self.own, self.count + 1
        for group in self.param_groups:
            for w in group["params"]:
                g = w.grad.double() + group["weight_decay"] * w.double()
                kept = self.state[w]
                if id(w) in self.hidden:
                    w -= own["eta"] * self.direction(kept, g)
                    continue
                eta = own["eta"] if own["eta_adamw"] is None else own["eta_adamw"]
                kept["m"] = own["beta1"] * kept.get("m", 0) + (1 - own["beta1"]) * g
                kept["s"] = own["beta2"] * kept.get("s", 0) + (1 - own["beta2"]) * g**2
                mean = kept["m"] / (1 - own["beta1"] ** self.count)
                square = kept["s"] / (1 - own["beta2"] ** self.count)
                w -= eta * mean / (square.sqrt() + own["epsilon"])

    def direction(self, kept: dict[str, Tensor], g: Tensor) -> Tensor:
        """What eta multiplies: the momentum's U S Vᵀ, with five times s -> 3.4445 s - 4.775 s³ + 2.0315 s⁵."""
        momentum = self.own["momentum"]
        kept["m"] = momentum * kept.get("m", 0) + (1 - momentum) * g
        moved = (1 - momentum) * g + momentum * kept["m"] if self.own["nesterov"] else kept["m"]
        rows = g.shape[0]
        u, s, v = torch.linalg.svd(moved.reshape(rows, -1), full_matrices=False)
        s = s / (s.square().sum().sqrt() + 1e-7)
        for _ in range(5):
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        return 0.2 * max(rows, g[0].numel()) ** 0.5 * (u @ s.diag() @ v).reshape(g.shape)
