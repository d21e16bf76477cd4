"""The update of a parameter, the same in every layer: equations (1) to (3) of engines/engine.py, and decay.py."""

from typing import NamedTuple

import numpy as np

from src.training.engines.cpu.kernel import kernel

f32 = np.float32


# What `in_step` reads of each step, in this order: src/training/update/numbers.py says what each one is.
NUMBERS = ("eta", "share", "amount", "l2", "l1", "momentum")


class Rule(NamedTuple):
    """One member's update rule in one step."""

    eta: np.float32
    batch_share: np.float32  # 1 / B: gradients arrive as sums over the mini-batch
    decay_share: np.float32  # of a weight, that it shrinks by in this step
    decay_amount: np.float32  # that it comes nearer to zero
    l2: np.float32  # lambda_ / batches where it goes into the gradient, else 0
    l1: np.float32  # l1 / batches likewise
    momentum: np.float32
    plain: bool  # neither l1 nor momentum: w <- w − decay_share · w − eta · batch_share · gradient is all there is


@kernel
def in_step(rule: Rule, numbers: np.ndarray) -> Rule:
    """The rule with the numbers of one step, (H,)."""
    return Rule(numbers[0], rule.batch_share, numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], rule.plain)


@kernel
def update(weights: np.ndarray, gradient: np.ndarray, velocity: np.ndarray, rule: Rule, decays: bool) -> None:
    """Updates `weights`, any count, from the summed gradient; velocity is touched only where there is momentum."""
    share = rule.decay_share if decays else f32(0)
    amount = rule.decay_amount if decays else f32(0)
    if rule.momentum != f32(0):
        l2, l1 = (rule.l2, rule.l1) if decays else (f32(0), f32(0))
        for i in range(len(weights)):
            w = weights[i]
            velocity[i] = rule.momentum * velocity[i] + (rule.batch_share * gradient[i] + l2 * w + l1 * np.sign(w))
            weights[i] = w - share * w - amount * np.sign(w) - rule.eta * velocity[i]
    elif rule.plain or amount == f32(0):
        for i in range(len(weights)):
            w = weights[i]
            weights[i] = w - share * w - rule.eta * (rule.batch_share * gradient[i])
    else:
        for i in range(len(weights)):
            w = weights[i]
            weights[i] = w - share * w - amount * np.sign(w) - rule.eta * (rule.batch_share * gradient[i])
