"""Weight decay: by how much weights shrink in which step, so that even the smallest decay has its effect in float32.

Three hyperparameters make a weight w smaller in each step: `lambda_` (L2) by the share eta · lambda_ / batches of w,
`l1` by the amount eta · l1 / batches towards zero, `weight_decay` by the share eta · weight_decay of w. But a float32
number changes by 6e-8 of itself or not at all: a smaller change is rounded away, and one of a few times that size comes
out wrong. So shares and amounts are *saved up*, in float64, and taken off together

    w <- w − share · w − amount · sign(w)    share = 1 − (1 − r)^n, amount = n · a                                 (1)

after n steps: as soon as they add up to ENOUGH_SHARE or ENOUGH_AMOUNT, and in any case at the end of an epoch. So
nothing is saved up from one epoch to the next, and when a weight shrinks depends on the member's own settings and step
only: neither on its neighbours nor on where chunks are cut. r and a are the share and the amount of a single step:

    r = eta · lambda_ / batches · m,  a = eta · l1 / batches · m,  m = (1 − momentum^(t + 1)) / (1 − momentum)      (2)

with t counted from the member's first step. m is 1 without momentum; with it, m = 1 + momentum + … + momentum^t is what
the velocity has gathered of one step's decay, if the weight hardly moves within 1 / (1 − momentum) steps. Where r of a
single step is enough, nothing is saved up: without momentum (1) takes it off in each step, and with momentum equations
(1) to (3) of src/training/engines/engine.py hold as they stand (`l2_in_gradient`); likewise for a. A rule whose steps
do not grow with the gradient (`adaptive`) always has L2 and L1 in its gradient. `weight_decay` is decoupled [I.
Loshchilov, F. Hutter, 2019]: its m is 1 under every rule.

Where eta changes from step to step, so do r and a. Saved up is then their running sum since the epoch began (for shares
the sum of −ln(1 − r)), and it is taken off where it passes a multiple of ENOUGH_SHARE or ENOUGH_AMOUNT. Legend: K
members, M mini-batches in a chunk.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from src.training.hyper import Hyper

# The share of a weight that is taken off in one go: at least 128 times the spacing of float32 numbers there, so that
# rounding changes it by less than 0.4 % (0.8 % where eta changes); weights stay within 2e-5 of where they would be.
ENOUGH_SHARE = 2.0**-16
# The amount that is taken off in one go: as much as ENOUGH_SHARE of a weight of 0.25. Weights that L1 brings to zero
# are then zero to within 4e-6.
ENOUGH_AMOUNT = 2.0**-18


class Decay(NamedTuple):
    """What the steps of one chunk take off the weights of each member."""

    share: np.ndarray  # (K, M) float32: the share of equation (1); 0 in most steps where it is saved up
    amount: np.ndarray  # (K, M) float32: the amount of equation (1)
    l2_in_gradient: np.ndarray  # (K,) float32: lambda_ / batches where L2 is a term of the gradient, else 0
    l1_in_gradient: np.ndarray  # (K,) float32: l1 / batches where L1 is a term of the gradient, else 0


@dataclass
class Term:
    """One hyperparameter's decay: a step takes off eta · factor · m, as a share of the weight or as an amount."""

    factor: np.ndarray  # (K,) float64
    momentum: np.ndarray  # (K,) float64, 0 where m is 1
    of_weight: bool  # whether it is a share of the weight; else it is an amount
    saved: np.ndarray = field(init=False)  # (K, 2): sums since the epoch began: of all steps, and what is taken off
    # Member -> eta, first step and length of its last chunk, and what its steps took off (M,).
    last: dict[int, tuple[tuple[float, int, int], np.ndarray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.saved = np.zeros((len(self.factor), 2))

    @property
    def enough(self) -> float:
        """From which sum on it is taken off: ENOUGH_SHARE or ENOUGH_AMOUNT."""
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
        """The decay of members that have these hyperparameters.

        batches: mini-batches of an epoch; reads_momentum: whether the update rule has momentum; adaptive: as of the
        update rule; by_step: whether eta changes from step to step, one value for all members or (K,).
        """
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
        """The decay of the next chunk of `steps` steps.

        eta: learning rates, (K,) or (K, M) float32; first_step: the number of the chunk's first step, counted from each
        member's start, (K,). A chunk that does not begin an epoch must follow the one before it.
        """
        count = len(eta)
        share, amount = np.zeros((2, count, steps))
        in_gradient = np.zeros((2, count), np.float32)
        rates = np.broadcast_to((eta if eta.ndim == 2 else eta[:, None]).astype(np.float64), (count, steps))
        with np.errstate(all="ignore"):  # a member whose rate is infinite or NaN gets such weights and fails alone
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
        """The share of the weight, or the amount, that each step of a chunk takes off member k's weights: (M,)."""
        if self.by_step[k]:
            step = first + np.arange(len(eta))
            momentum = term.momentum[k]
            rates = eta * term.factor[k] * ((1 - momentum ** (step + 1)) / (1 - momentum))
            return _moving(rates, step % self.batches, self.batches, term, term.saved[k])
        # Without momentum only the place in the epoch counts, so most chunks are as that of the epoch before.
        chunk = float(eta[0]), first if term.momentum[k] else first % self.batches, len(eta)
        if k not in term.last or term.last[k][0] != chunk:
            term.last[k] = chunk, self._steady(term, k, *chunk)
        return term.last[k][1]

    def _steady(self, term: Term, k: int, eta: float, first: int, steps: int) -> np.ndarray:
        """What each step of a chunk takes off where eta is the same in all of them: (M,)."""
        rate = eta * term.factor[k]
        ends, saved, each = _saved(rate, term.momentum[k], term.enough, first, steps, self.batches)
        taken = np.zeros(steps)
        if term.of_weight:
            taken[ends] = np.where(saved == 1, each, -np.expm1(saved * np.log1p(-each)))
        else:
            taken[ends] = saved * each
        return taken


def _moving(rates: np.ndarray, step: np.ndarray, batches: int, term: Term, saved: np.ndarray) -> np.ndarray:
    """The share or amount that each of M steps takes off (M,), where eta changes from step to step.

    rates: each step's r or a (M,); step: the steps' numbers within the epoch (M,); saved: a row of `Term.saved` (2,) as
    of the chunk's start, changed in place to that of its end.
    """
    taken, enough = np.zeros(len(rates)), term.enough
    large = ~(rates < enough)  # steps whose own decay is enough, and is not saved up
    small = np.where(large, 0.0, -np.log1p(-rates) if term.of_weight else rates)
    starts = np.flatnonzero(step == 0)
    for part in np.split(np.arange(len(rates)), starts[starts > 0]):  # of one epoch each
        if step[part[0]] == 0:
            saved[:] = 0
        sums = np.cumsum(np.append(saved[0], small[part]))  # one after another: the same sums wherever chunks are cut
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
    """When a chunk takes off what is saved up, where eta is the same in all its steps.

    Three arrays of equal length: the indices in the chunk of the steps that take something off, the number of steps
    whose decay each of them takes off, and the mean decay of one of these steps.
    rate: eta · factor, such as eta · lambda_ / batches; enough: `Term.enough`; first: the number of the first step.
    """
    full = rate / (1 - momentum)
    together = batches if not full * batches > enough else max(1, int(np.ceil(enough / full)))
    step = (first + np.arange(steps)) % batches  # of the epoch
    ends = np.flatnonzero(((step + 1) % together == 0) | (step + 1 == batches))
    saved = step[ends] % together + 1
    t = first + ends + 1
    missing = (momentum ** (t - saved + 1) - momentum ** (t + 1)) / (1 - momentum) if momentum else 0.0
    return ends, saved, full * (1 - missing / saved)
