"""An optimiser for each of our update rules, what they are held to: torch.optim's, or a plain loop."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from tests.training.update.muon_twin import MuonTwin

# A name is that of the rule and of the options that are switched on. The parameters, which may be groups with a
# weight_decay each, and one member's settings -> the optimiser.
TORCH: dict[str, Callable[[Any, Mapping[str, float]], torch.optim.Optimizer]] = {
    "sgd": lambda w, own: torch.optim.SGD(w, own["eta"], own["momentum"]),
    "sgd nesterov": lambda w, own: torch.optim.SGD(w, own["eta"], own["momentum"], nesterov=own["momentum"] > 0),
    "adam": lambda w, own: torch.optim.Adam(w, own["eta"], (own["beta1"], own["beta2"]), own["epsilon"]),
    "adamw": lambda w, own: torch.optim.Adam(w, own["eta"], (own["beta1"], own["beta2"]), own["epsilon"]),
    "rmsprop": lambda w, own: torch.optim.RMSprop(w, own["eta"], own["alpha"], own["epsilon"]),
    "adagrad": lambda w, own: torch.optim.Adagrad(w, own["eta"], eps=own["epsilon"]),
    "muon nesterov": MuonTwin,
}


def options(name: str) -> dict[str, Any]:
    """The settings of section `optim` for a name of TORCH."""
    rule, *switches = name.split()
    return {"rule": rule, **dict.fromkeys(switches, True)}
