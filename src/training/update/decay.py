"""By how much weights shrink in which step, so that any lambda_ and l1 count in float32, however small.

Equation (1) of engines/engine.py shrinks a weight w in each step by eta · lambda_ / batches of itself and by
eta · l1 / batches towards zero. A float32 number moves by 6e-8 of itself at least: less would be rounded away, and a
little more comes out as something else. So shares are *saved up*, in float64, and taken off in one go

    w <- w − share · w − amount · sign(w)    share = 1 − (1 − r)^n, amount = n · a                                 (1)

after n steps, as soon as n of them come to ENOUGH_SHARE or ENOUGH_AMOUNT; and at the end of an epoch, whatever they
come to. So nothing is saved up from one epoch to the next, and when a weight shrinks depends on the member's own
settings and step only: neither on its neighbours nor on where chunks are cut. r and a are what one step takes off:

    r = eta · lambda_ / batches · m,  a = eta · l1 / batches · m,  m = (1 − momentum^(t + 1)) / (1 − momentum)      (2)

with t counted from the member's first step. m is 1 without momentum, and with it what has come together in the
velocity of a weight that hardly moves within 1 / (1 − momentum) steps. Where a single step's r is enough, nothing is
saved up: without momentum (1) takes it off in each step, and with momentum equations (1) to (3) of engine.py hold as
they stand (`l2_in_gradient`); so for a. Legend: K members, M mini-batches in a chunk.
"""

from typing import NamedTuple

import numpy as np

from src.training.hyper import Hyper

# Of a weight: 128 steps of float32 or more, so that rounding changes what is taken off by less than 0.4 %; and weights
# stay within 2e-5 of where they would be.
ENOUGH_SHARE = 2.0**-16
# As much for a weight of 0.25; weights are then zero to within 4e-6.
ENOUGH_AMOUNT = 2.0**-18


class Decay(NamedTuple):
    """What a chunk's steps take off the weights of each member."""

    share: np.ndarray  # (K, M) float32: of a weight, equation (1); 0 in most steps where it is saved up
    amount: np.ndarray  # (K, M) float32: towards zero
    l2_in_gradient: np.ndarray  # (K,) float32: lambda_ / batches of those that shrink by way of their velocity, else 0
    l1_in_gradient: np.ndarray  # (K,) float32: likewise l1 / batches


def decay(hyper: Hyper, eta: np.ndarray, first_step: np.ndarray, steps: int, batches: int) -> Decay:
    """eta (K,) float32; first_step (K,): each member's number of the chunk's first step; batches: of an epoch."""
    count = len(eta)
    share, amount = np.zeros((count, steps), np.float32), np.zeros((count, steps), np.float32)
    in_gradient = np.zeros((2, count), np.float32)
    lambda_, l1, momentum = (hyper[name].float().double().numpy() for name in ("lambda_", "l1", "momentum"))
    factors = np.stack([lambda_, l1]) / batches
    with np.errstate(all="ignore"):  # a member whose rate is infinite or NaN has such weights; it fails by itself
        for k in np.flatnonzero((factors != 0).any(0)):
            for kind, enough in enumerate((ENOUGH_SHARE, ENOUGH_AMOUNT)):
                rate = float(eta[k]) * factors[kind, k]
                if momentum[k] and not rate / (1 - momentum[k]) < enough:
                    in_gradient[kind, k] = factors[kind, k]
                elif factors[kind, k]:
                    ends, saved, each = _saved(rate, momentum[k], enough, int(first_step[k]), steps, batches)
                    if kind:
                        amount[k, ends] = saved * each
                    else:
                        share[k, ends] = np.where(saved == 1, each, -np.expm1(saved * np.log1p(-each)))
    return Decay(share, amount, *in_gradient)


def _saved(
    rate: float, momentum: float, enough: float, first: int, steps: int, batches: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The steps of a chunk in which something is taken off, how many steps' it is, and how much a step of these.

    rate: eta · lambda_ / batches, or with l1.
    """
    full = rate / (1 - momentum)
    together = batches if not full * batches > enough else max(1, int(np.ceil(enough / full)))
    step = (first + np.arange(steps)) % batches  # of the epoch
    ends = np.flatnonzero(((step + 1) % together == 0) | (step + 1 == batches))
    saved = step[ends] % together + 1
    t = first + ends + 1
    missing = (momentum ** (t - saved + 1) - momentum ** (t + 1)) / (1 - momentum) if momentum else 0.0
    return ends, saved, full * (1 - missing / saved)
