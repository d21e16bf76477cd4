"""The update of a parameter, the same in every layer: equations (1) to (3) of src/training/engine.py."""

from typing import NamedTuple

import numpy as np

from src.training.cpu.kernel import kernel

f32 = np.float32


class Rule(NamedTuple):
    """One member's update rule."""

    eta: np.float32
    share: np.float32  # 1 / B: gradients arrive as sums over the mini-batch
    lambda_: np.float32  # lambda_ / batches
    l1: np.float32  # l1 / batches
    momentum: np.float32
    plain: bool  # neither l1 nor momentum: w <- (1 − eta·lambda_)·w − eta·share·gradient is all there is


@kernel
def update(weights: np.ndarray, gradient: np.ndarray, velocity: np.ndarray, rule: Rule, decays: bool) -> None:
    """Updates `weights`, any count, from the summed gradient; velocity is touched only where there is momentum."""
    lambda_ = rule.lambda_ if decays else f32(0)
    l1 = rule.l1 if decays else f32(0)
    if rule.momentum != f32(0):
        for i in range(len(weights)):
            w = weights[i]
            velocity[i] = rule.momentum * velocity[i] + (rule.share * gradient[i] + lambda_ * w + l1 * np.sign(w))
            weights[i] = w - rule.eta * velocity[i]
    elif l1 != f32(0):
        for i in range(len(weights)):
            w = weights[i]
            weights[i] = w - rule.eta * (rule.share * gradient[i] + lambda_ * w + l1 * np.sign(w))
    else:
        for i in range(len(weights)):
            w = weights[i]
            weights[i] = w - rule.eta * (rule.share * gradient[i] + lambda_ * w)
