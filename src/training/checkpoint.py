"""What a stack goes on from, as if nothing had happened; for stacks in which all members begin at once.

Legend: K members that have a place, some of which may have stopped; members are numbered in the order of the stack's
beginning, whoever has left since.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass
class Checkpoint:
    """A stack at the end of an epoch, on the CPU. Data order and dropout need nothing: seed and epoch give both."""

    epoch: int  # how many are done
    rows: list[int]  # who sits where in the engine
    weights: dict[str, Tensor]  # leading axis K, as the engine gives them
    velocities: dict[str, Tensor]  # the same; empty where nobody has momentum
    best: dict[str, Tensor]  # the same, each member's weights of its best epoch
    members: dict[int, dict[str, Any]]  # what is known of those that still train, plain values
