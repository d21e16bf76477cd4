"""The interface of the update rules, by which weights follow their gradients; each rule is a file of this folder.

Legend: K members, M steps of a chunk.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol

import numpy as np
from torch import Tensor

from src.config.schema import OptimConfig
from src.training.hyper import Hyper


class UpdateRule(Protocol):
    """An update rule for a stack; `optim.rule=NAME` chooses the class that the file NAME.py holds as `RULE`."""

    name: str
    hyper: tuple[str, ...]  # the per-member hyperparameters that it reads, beside eta
    kernel: str | None  # which of the cpu engine's kernels computes `step` (engines/cpu/update.py); None: none does
    adaptive: bool  # whether steps do not grow with the gradient; L2 and L1 are then always terms of the gradient

    def slots(self, hyper: Hyper) -> tuple[str, ...]:
        """Names of the tensors kept beside each parameter, such as "velocity": of its shape, and zero at the start."""

    def numbers(self, hyper: Mapping[str, np.ndarray], eta: np.ndarray, step: np.ndarray) -> dict[str, np.ndarray]:
        """The numbers that `step` reads in each step of a chunk, by name, (K, M) float64 each.

        hyper: the members' values of `eta` and of the rule's own hyperparameters, (K, 1) each; eta: their learning
        rates (K, M), as the schedule has changed them; step: the steps' numbers (K, M), counted from 0 at each member's
        first step.
        """

    def step(
        self, w: Tensor, g: Tensor, slots: Mapping[str, Tensor], numbers: Mapping[str, Tensor], hidden: bool = False
    ) -> None:
        """Takes one step: changes a parameter w (K, …) and its slots in place, by the gradient g (K, …).

        numbers: those of this step by name, (K, 1, …) each; hidden: whether w is a matrix between the network's first
        and last ones (src/models/hidden.py).
        """


def rule_of(config: OptimConfig) -> UpdateRule:
    """The rule that `config` names."""
    rule: UpdateRule = import_module(f"src.training.update.{config.rule}").RULE(config)
    return rule
