"""Every number that the update reads, for each step of a chunk, worked out in float64 before the chunk begins.

An engine then only applies them, to a parameter w with the gradient g of the mean cost:

    g <- g + l1 · sign(w) + l2 · w                        decay that passes through the gradient                  (1)
    w <- w − amount · sign(w);  w <- w − share · w        decay that does not (src/training/update/decay.py)      (2)
    w <- the rule's step                                  (src/training/update/NAME.py)                           (3)

(1) and (2) hold for parameters that have two or more dimensions in one member, not for biases and norms, unless
optim.decay_all is set. Legend: K members, M steps of a chunk, H numbers a step.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from src.training.hyper import Hyper, any_member
from src.training.spec import StackSpec
from src.training.update.decay import StackDecay

DECAY = ("share", "amount", "l2", "l1")  # a step's first numbers; the rule's own follow, then those NORMS that are set
NORMS = ("clip_norm", "max_norm")  # applied before (1) and after (3): src/training/update/norms.py


class Numbers(NamedTuple):
    """The numbers that the steps of one chunk read."""

    names: tuple[str, ...]
    values: np.ndarray  # (K, H, M) float32, in the order of `names`


class StepNumbers:
    """Computes the numbers of a stack's steps; made anew whenever the members change."""

    def __init__(self, spec: StackSpec, hyper: Hyper) -> None:
        self.rule, self.hyper = spec.rule, hyper
        self.slots = spec.rule.slots(hyper)
        self.norms = [name for name, used in zip(NORMS, (spec.clips, spec.bounds), strict=True) if used]
        # Whether `share` or `l2` can be another than 0; the next line, whether `amount` or `l1` can.
        self.shrinks = any_member(hyper, "lambda_") or any_member(hyper, "weight_decay")
        self.shrinks_by_amounts = any_member(hyper, "l1")
        momentum = "momentum" in spec.rule.hyper
        # Whether `l2` or `l1` of (1) can be another than 0: under a rule that is not adaptive, with momentum only.
        self.in_gradient = spec.rule.adaptive or (momentum and any_member(hyper, "momentum"))
        warms_up = hyper["warmup_steps"].numpy() > 0 if "warmup_steps" in hyper else False
        self.decay = StackDecay(hyper, spec.batches, momentum, spec.rule.adaptive, spec.by_step | warms_up)
        nothing = torch.zeros(len(hyper["seed"]))
        self.names = self.of(nothing, nothing.long(), 1).names

    def of(self, eta: Tensor, first_step: Tensor, steps: int) -> Numbers:
        """The numbers of the next chunk of `steps` steps.

        eta: learning rates, (K,) for the whole chunk or (K, M); first_step: the number of the chunk's first step,
        counted from each member's start, (K,) or (). A chunk that begins no epoch must follow the one before it.
        """
        count = len(self.hyper["seed"])
        first = first_step.expand(count).cpu().numpy()
        rates = eta.cpu().numpy().astype(np.float32)  # (K,) or (K, M)
        step = first[:, None] + np.arange(steps)  # (K, M)
        each = np.broadcast_to((rates if rates.ndim > 1 else rates[:, None]).astype(np.float64), step.shape)
        with np.errstate(all="ignore"):  # a member whose rate is infinite or NaN fails by itself
            hyper = {name: self.hyper[name].numpy()[:, None] for name in ("eta", *self.rule.hyper)}
            own = self.rule.numbers(hyper, each, step)
            own |= {name: np.broadcast_to(self.hyper[name].numpy()[:, None], step.shape) for name in self.norms}
            share, amount, *in_gradient = self.decay.of(rates, first, steps)
            l2, l1 = (np.broadcast_to(one[:, None], step.shape) for one in in_gradient)
            values = np.stack([share, amount, l2, l1, *own.values()], axis=1).astype(np.float32)
        return Numbers((*DECAY, *own), values)
