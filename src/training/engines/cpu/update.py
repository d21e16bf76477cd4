"""The update of a parameter, the same in every layer: equations (1) to (3) of src/training/update/numbers.py.

A kernel serves every update rule that names it as `UpdateRule.kernel` and gives the numbers that it reads. For a
parameter w with the gradient g they compute:

    velocity       v <- momentum · v + g;  w <- w − eta · v
    nesterov       v <- momentum · v + g;  w <- w − eta · (g + momentum · v)
    square         s <- keep · s + gain · g²;  w <- w − eta · g / (√s + epsilon)
    mean_square    m <- m + blend · (g − m), s likewise;  w <- w − eta · m / (√s + epsilon)

Slots lie one behind the other in one row, each laid out as the weights: m first, then s.
"""

from typing import NamedTuple

import numpy as np

from src.training.engines.cpu.kernel import kernel

f32 = np.float32

KERNELS = ("velocity", "nesterov", "square", "mean_square")  # `Rule.kind` is an index into these
_VELOCITY, _NESTEROV, _SQUARE, _MEAN_SQUARE = range(4)

# The numbers of a step, in the order in which `in_step` reads them; those of decay are defined in
# src/training/update/numbers.py.
NUMBERS = ("eta", "share", "amount", "l2", "l1", "momentum", "blend", "keep", "gain", "epsilon")


class Rule(NamedTuple):
    """One member's update rule in one step."""

    eta: np.float32
    batch_share: np.float32  # 1 / B: gradients arrive as sums over the mini-batch
    decay_share: np.float32  # the share of itself by which a weight shrinks in this step
    decay_amount: np.float32  # the amount by which it comes nearer to zero
    l2: np.float32  # lambda_ / batches where L2 is a term of the gradient, else 0
    l1: np.float32  # l1 / batches where L1 is a term of the gradient, else 0
    momentum: np.float32
    blend: np.float32
    keep: np.float32
    gain: np.float32
    epsilon: np.float32
    plain: bool  # neither l1 nor slots: w <- w − decay_share · w − eta · batch_share · gradient is all there is
    kind: int  # which of KERNELS
    size: int  # floats from a slot to the next one
    decay_all: bool  # whether biases decay too


def first_rule(batch_share: float, kernel_name: str, size: int, decay_all: bool) -> Rule:
    """A rule without what a member and a step have of their own, which `in_step` fills in."""
    o, kind = f32(0), KERNELS.index(kernel_name)
    return Rule(o, f32(batch_share), o, o, o, o, o, o, o, o, o, False, kind, size, decay_all)


@kernel
def in_step(rule: Rule, plain: bool, numbers: np.ndarray) -> Rule:
    """The rule with a member's `plain` and with the numbers of one step, (H,) in the order of NUMBERS."""
    n = numbers
    return Rule(
        n[0], rule.batch_share, n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9],
        plain, rule.kind, rule.size, rule.decay_all,
    )  # fmt: skip


@kernel
def update(weights: np.ndarray, gradient: np.ndarray, slots: np.ndarray, rule: Rule, decays: bool) -> None:
    """Updates `weights`, any number of them, by their gradient, summed over the mini-batch.

    slots: begins with the slot of the first weight; changed only where the rule has slots. decays: whether these
    weights decay.
    """
    share = rule.decay_share if decays else f32(0)
    amount = rule.decay_amount if decays else f32(0)
    if rule.kind >= _SQUARE:
        _update_adaptive(weights, gradient, slots, rule, decays)
    elif rule.momentum != f32(0):
        l2, l1 = (rule.l2, rule.l1) if decays else (f32(0), f32(0))
        if rule.kind == _NESTEROV:
            for i in range(len(weights)):
                w = weights[i]
                g = rule.batch_share * gradient[i] + l2 * w + l1 * np.sign(w)
                slots[i] = rule.momentum * slots[i] + g
                weights[i] = w - share * w - amount * np.sign(w) - rule.eta * (g + rule.momentum * slots[i])
        else:
            for i in range(len(weights)):
                w = weights[i]
                slots[i] = rule.momentum * slots[i] + (rule.batch_share * gradient[i] + l2 * w + l1 * np.sign(w))
                weights[i] = w - share * w - amount * np.sign(w) - rule.eta * slots[i]
    elif rule.plain or amount == f32(0):
        for i in range(len(weights)):
            w = weights[i]
            weights[i] = w - share * w - rule.eta * (rule.batch_share * gradient[i])
    else:
        for i in range(len(weights)):
            w = weights[i]
            weights[i] = w - share * w - amount * np.sign(w) - rule.eta * (rule.batch_share * gradient[i])


@kernel
def _update_adaptive(weights: np.ndarray, gradient: np.ndarray, slots: np.ndarray, rule: Rule, decays: bool) -> None:
    """Updates by the kernels `square` and `mean_square`, under which L1 is always a term of the gradient."""
    share = rule.decay_share if decays else f32(0)
    l2, l1 = (rule.l2, rule.l1) if decays else (f32(0), f32(0))
    if rule.kind == _SQUARE:
        for i in range(len(weights)):
            w = weights[i]
            g = rule.batch_share * gradient[i] + l2 * w + l1 * np.sign(w)
            slots[i] = rule.keep * slots[i] + rule.gain * (g * g)
            weights[i] = w - share * w - rule.eta * (g / (np.sqrt(slots[i]) + rule.epsilon))
    else:
        mean, square = slots[: len(weights)], slots[rule.size : rule.size + len(weights)]
        for i in range(len(weights)):
            w = weights[i]
            g = rule.batch_share * gradient[i] + l2 * w + l1 * np.sign(w)
            mean[i] = mean[i] + rule.blend * (g - mean[i])
            square[i] = rule.keep * square[i] + rule.gain * (g * g)
            weights[i] = w - share * w - rule.eta * (mean[i] / (np.sqrt(square[i]) + rule.epsilon))
