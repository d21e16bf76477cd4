"""By how much weights shrink in which step, so that any decay counts in float32, however small.

Three hyperparameters take off a part of a weight w in each step: `lambda_` (L2) eta · lambda_ / batches of w, `l1`
eta · l1 / batches towards zero, `weight_decay` eta · weight_decay of w. A float32 number moves by 6e-8 of itself at
least: less would be rounded away, and a little more comes out as something else. So shares are *saved up*, in float64,
and taken off in one go

    w <- w − share · w − amount · sign(w)    share = 1 − (1 − r)^n, amount = n · a                                 (1)

after n steps, as soon as n of them come to ENOUGH_SHARE or ENOUGH_AMOUNT; and at the end of an epoch, whatever they
come to. So nothing is saved up from one epoch to the next, and when a weight shrinks depends on the member's own
settings and step only: neither on its neighbours nor on where chunks are cut. r and a are what one step takes off:

    r = eta · lambda_ / batches · m,  a = eta · l1 / batches · m,  m = (1 − momentum^(t + 1)) / (1 − momentum)      (2)

with t counted from the member's first step. m is 1 without momentum, and with it what has come together in the
velocity of a weight that hardly moves within 1 / (1 − momentum) steps. Where a single step's r is enough, nothing is
saved up: without momentum (1) takes it off in each step, and with momentum equations (1) to (3) of engine.py hold as
they stand (`l2_in_gradient`); so for a. A rule whose steps do not grow with the gradient (`adaptive`) has L2 and L1 in
its gradient in any case. `weight_decay` is decoupled [I. Loshchilov, F. Hutter, 2019]: its m is 1 under every rule.

Where eta moves from step to step, so do r and a, and what is saved up is their running sum since the epoch began (of
−ln(1 − r) for shares): it is taken off where the sum passes a multiple of what is enough. Legend: K members, M
mini-batches in a chunk.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from src.training.hyper import Hyper

# Of a weight: 128 steps of float32 or more, so that rounding changes what is taken off by less than 0.4 % (0.8 % where
# eta moves); and weights stay within 2e-5 of where they would be.
ENOUGH_SHARE = 2.0**-16
# As much for a weight of 0.25; weights are then zero to within 4e-6.
ENOUGH_AMOUNT = 2.0**-18


class Decay(NamedTuple):
    """What a chunk's steps take off the weights of each member."""

    share: np.ndarray  # (K, M) float32: of a weight, equation (1); 0 in most steps where it is saved up
    amount: np.ndarray  # (K, M) float32: towards zero
    l2_in_gradient: np.ndarray  # (K,) float32: lambda_ / batches of those that shrink by way of their velocity, else 0
    l1_in_gradient: np.ndarray  # (K,) float32: likewise l1 / batches


@dataclass
class Term:
    """What one hyperparameter takes off in a step: eta · factor · m."""

    factor: np.ndarray  # (K,) float64
    momentum: np.ndarray  # (K,) float64, 0 where m is 1
    of_weight: bool  # a share of the weight; else an amount
    saved: np.ndarray = field(init=False)  # (K, 2): the sums since the epoch began, of all and of what is taken off

    def __post_init__(self) -> None:
        self.saved = np.zeros((len(self.factor), 2))

    @property
    def enough(self) -> float:
        """What is taken off at once."""
        return ENOUGH_SHARE if self.of_weight else ENOUGH_AMOUNT


class StackDecay:
    """The decay of one stack's members, chunk after chunk."""

    def __init__(
        self,
        hyper: Hyper,
        batches: int,
        reads_momentum: bool = True,
        adaptive: bool = False,
        by_step: np.ndarray | bool = False,
    ) -> None:
        """batches: mini-batches of an epoch; by_step, (K,) or for all: whether eta moves from step to step."""
        self.batches, self.adaptive, count = batches, adaptive, len(hyper["seed"])
        self.by_step = np.broadcast_to(by_step, count)
        none = np.zeros(count)
        self.peak, lambda_, l1, weight_decay, momentum = (
            hyper[name].float().double().numpy() if name in hyper else none
            for name in ("eta", "lambda_", "l1", "weight_decay", "momentum")
        )
        momentum = momentum if reads_momentum else none
        self.coupled = Term(lambda_ / batches, momentum, True), Term(l1 / batches, momentum, False)
        self.decoupled = Term(weight_decay, none, True)

    def of(self, eta: np.ndarray, first_step: np.ndarray, steps: int) -> Decay:
        """The decay of a chunk.

        eta (K,) or (K, M) float32; first_step (K,): each member's number of the chunk's first step. A chunk that does
        not begin with an epoch follows the one before it.
        """
        count = len(eta)
        share, amount = np.zeros((2, count, steps))
        in_gradient = np.zeros((2, count), np.float32)
        rates = np.broadcast_to((eta if eta.ndim == 2 else eta[:, None]).astype(np.float64), (count, steps))
        with np.errstate(all="ignore"):  # a member whose rate is infinite or NaN has such weights; it fails by itself
            for kind, term in enumerate((*self.coupled, self.decoupled)):
                for k in map(int, np.flatnonzero(term.factor)):
                    if term is not self.decoupled and self._is_in_gradient(term, k, rates[k, 0]):
                        in_gradient[kind, k] = term.factor[k]
                    elif term.of_weight:
                        taken = self._taken_off(term, k, rates[k], int(first_step[k]))
                        share[k] += taken - share[k] * taken
                    else:
                        amount[k] = self._taken_off(term, k, rates[k], int(first_step[k]))
        return Decay(share.astype(np.float32), amount.astype(np.float32), *in_gradient)

    def _is_in_gradient(self, term: Term, k: int, eta: float) -> bool:
        momentum = term.momentum[k]
        rate = (self.peak[k] if self.by_step[k] else eta) * term.factor[k]
        return self.adaptive or (momentum != 0 and not rate / (1 - momentum) < term.enough)

    def _taken_off(self, term: Term, k: int, eta: np.ndarray, first: int) -> np.ndarray:
        """What each step of a chunk takes off, (M,): a share of the weight or an amount."""
        step = first + np.arange(len(eta))
        if self.by_step[k]:
            momentum = term.momentum[k]
            rates = eta * term.factor[k] * ((1 - momentum ** (step + 1)) / (1 - momentum))
            return _moving(rates, step % self.batches, self.batches, term, term.saved[k])
        rate = float(eta[0]) * term.factor[k]
        ends, saved, each = _saved(rate, term.momentum[k], term.enough, first, len(eta), self.batches)
        taken = np.zeros(len(eta))
        if term.of_weight:
            taken[ends] = np.where(saved == 1, each, -np.expm1(saved * np.log1p(-each)))
        else:
            taken[ends] = saved * each
        return taken


def _moving(rates: np.ndarray, step: np.ndarray, batches: int, term: Term, saved: np.ndarray) -> np.ndarray:
    """What each of M steps takes off, where each has a rate of its own.

    rates (M,); step (M,): numbers within the epoch; saved (2,): the sums at the chunk's start, and then at its end.
    """
    taken, enough = np.zeros(len(rates)), term.enough
    large = ~(rates < enough)  # is taken off as it stands
    small = np.where(large, 0.0, -np.log1p(-rates) if term.of_weight else rates)
    starts = np.flatnonzero(step == 0)
    for part in np.split(np.arange(len(rates)), starts[starts > 0]):  # of one epoch each
        if step[part[0]] == 0:
            saved[:] = 0
        sums = np.cumsum(np.append(saved[0], small[part]))  # one after the other, so that it does not matter who cuts
        passes = np.floor(sums[1:] / enough) > np.floor(sums[:-1] / enough)
        at = np.flatnonzero(passes | large[part] | (step[part] + 1 == batches))
        own = np.diff(sums[at + 1], prepend=saved[1])
        own = -np.expm1(-own) if term.of_weight else own
        whole = np.where(large[part][at], rates[part][at], 0.0)
        taken[part[at]] = own + whole - (own * whole if term.of_weight else 0.0)
        saved[:] = sums[-1], sums[at[-1] + 1] if len(at) else saved[1]
    return taken


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
