"""How weights follow their gradients: the interface of the update rules, one file of this folder each.

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
    """One rule; a file NAME.py holds the class that `rule_of` makes for `optim.rule=NAME`, as `RULE`."""

    name: str
    hyper: tuple[str, ...]  # the per-member hyperparameters that it reads, beside eta
    kernel: str | None  # which of the cpu engine's kernels computes `step` (engines/cpu/update.py); None: none does
    adaptive: bool  # whether a step's size does not grow with the gradient's: then L2 and L1 are terms of the gradient

    def slots(self, hyper: Hyper) -> tuple[str, ...]:
        """Names of what is kept beside each parameter, of its shape and zero at the start, such as "velocity"."""

    def numbers(self, hyper: Mapping[str, np.ndarray], eta: np.ndarray, step: np.ndarray) -> dict[str, np.ndarray]:
        """What `step` reads in each of a chunk's steps, (K, M) float64 each.

        hyper: (K, 1) each, of `hyper`; eta (K, M); step (K, M) counts from 0 at each member's first step.
        """

    def step(self, w: Tensor, g: Tensor, slots: Mapping[str, Tensor], numbers: Mapping[str, Tensor]) -> None:
        """Changes a parameter w (K, …) and its slots in place, by the gradient g (K, …); numbers are (K, 1, …) each."""


def rule_of(config: OptimConfig) -> UpdateRule:
    """The rule that `config` names."""
    rule: UpdateRule = import_module(f"src.training.update.{config.rule}").RULE(config)
    return rule
