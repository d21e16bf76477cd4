"""The figures by which predictions are judged, each of K networks at once from their predictions for a whole split.

With P positive examples, and R_i the rank of example i's score among the N of a network, from 1, ties at their mean:

    auroc               (Σ_positive R_i − P (P + 1) / 2) / (P (N − P))                                              (1)
    average precision   mean over the positive i of (positive examples scored s_i or more) / (examples so scored)   (2)
    f1                  2 · hits / (examples of the class + answers of the class)                                   (3)
    r2                  1 − Σ (p − y)² / Σ (y − mean y)², of each number; 0 where y is constant and p is not        (4)

(1) to (3) are means over classes, each against the rest, or over labels: over those for which they are defined, for (3)
those that are met in targets or answers. Where they are defined for none, as auroc with a single class, a network gets
the worst value. A network with a prediction that is not finite gets NaN. They agree with torchmetrics or scikit-learn.

Legend: K networks, N examples, C classes or labels, T numbers.
"""

import re
from collections.abc import Callable

import torch
from torch import Tensor

from src.config.task import Kind

# Predictions, (K, N, C) probabilities or (K, N, T) numbers, and targets, (N,), (N, C) or (N, T), -> (K,) float64.
Measure = Callable[[Tensor, Tensor], Tensor]

LEAST = torch.finfo(torch.float32).tiny  # a probability whose logarithm is taken is at least this


def measure(name: str, kind: Kind) -> Measure:
    """The figure of this name (src/config/metric.py) for targets of this kind."""
    of = _top_k(int(found[1])) if (found := re.fullmatch(r"top_(\d+)_accuracy", name)) else MEASURES[kind][name]

    def finite_only(predictions: Tensor, y: Tensor) -> Tensor:
        finite = predictions.isfinite().flatten(1).all(1)
        return torch.where(finite, of(predictions, y).double(), torch.nan)

    return finite_only


def _mean_of_defined(values: Tensor, defined: Tensor) -> Tensor:
    """The mean over the last axis of values (K, C) where they are defined (K, C); 0 where none is."""
    kept = torch.where(defined, values.double(), 0.0)
    return kept.sum(-1) / defined.sum(-1).clamp_min(1)


def _one_hot(y: Tensor, classes: int) -> Tensor:
    """Classes (N,) -> (N, C), 1 at the right class."""
    return torch.nn.functional.one_hot(y, classes)


def _by_class(predictions: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Scores (K, C, N), and whether an example is one of the class: (C, N) bool."""
    return predictions.movedim(-1, -2).contiguous(), positive.bool().movedim(-1, -2)


def auroc(predictions: Tensor, positive: Tensor) -> Tensor:
    """Equation (1): scores (K, N, C), positive (N, C) 0 or 1 -> (K,)."""
    scores, own = _by_class(predictions, positive)
    ordered = scores.sort(-1).values
    ranks = (torch.searchsorted(ordered, scores) + torch.searchsorted(ordered, scores, right=True) + 1).double() / 2
    count = own.sum(-1).double()  # (C,)
    pairs = count * (own.shape[-1] - count)
    value = ((ranks * own).sum(-1) - count * (count + 1) / 2) / pairs.clamp_min(1)
    return _mean_of_defined(value, (pairs > 0).expand_as(value))


def average_precision(predictions: Tensor, positive: Tensor) -> Tensor:
    """Equation (2): scores (K, N, C), positive (N, C) 0 or 1 -> (K,)."""
    scores, own = _by_class(predictions, positive)

    def as_high(of: Tensor) -> Tensor:
        """How many of these have a score of at least each example's."""
        return of.shape[-1] - torch.searchsorted(of.sort(-1).values, scores)

    precision = as_high(scores.masked_fill(~own, -torch.inf)) / as_high(scores).double()
    count = own.sum(-1)
    value = (precision * own).sum(-1) / count.clamp_min(1)
    return _mean_of_defined(value, (count > 0).expand_as(value))


def _f1(answers: Tensor, positive: Tensor) -> Tensor:
    """Equation (3): answers (K, N, C) and positive (N, C), 0 or 1 -> (K,)."""
    met = answers.sum(-2) + positive.sum(-2)  # (K, C)
    return _mean_of_defined(2 * (answers * positive).sum(-2).double() / met.clamp_min(1), met > 0)


def _accuracy(predictions: Tensor, y: Tensor) -> Tensor:
    return (predictions.argmax(-1) == y).double().mean(-1)


def _top_k(k: int) -> Measure:
    """The share of examples whose class is among the k most probable; of equals the first ones come first."""

    def accuracy(predictions: Tensor, y: Tensor) -> Tensor:
        own = predictions.gather(-1, y.expand(predictions.shape[:-1])[..., None])
        earlier = torch.arange(predictions.shape[-1], device=y.device) < y[..., None]
        before = (predictions > own) | ((predictions == own) & earlier)
        return (before.sum(-1) < k).double().mean(-1)

    return accuracy


def _balanced_accuracy(predictions: Tensor, y: Tensor) -> Tensor:
    """The mean, over the classes that there are, of the share of their examples that is found."""
    positive = _one_hot(y, predictions.shape[-1])
    right = (predictions.argmax(-1) == y)[..., None]
    count = positive.sum(-2)
    value = (right * positive).sum(-2) / count.clamp_min(1).double()
    return _mean_of_defined(value, (count > 0).expand_as(value))


def _cross_entropy(predictions: Tensor, y: Tensor) -> Tensor:
    """The mean of −ln of the right class's probability."""
    own = predictions.gather(-1, y.expand(predictions.shape[:-1])[..., None])[..., 0]
    return -own.double().clamp_min(LEAST).log().mean(-1)


def _label_cross_entropy(predictions: Tensor, y: Tensor) -> Tensor:
    """The mean over examples and labels of −ln of the right answer's probability."""
    own = torch.where(y > 0, predictions, 1 - predictions)
    return -own.double().clamp_min(LEAST).log().mean((-1, -2))


def _r2(predictions: Tensor, y: Tensor) -> Tensor:
    """Equation (4), the mean over the numbers."""
    known = y.double()
    left = (predictions.double() - known).square().sum(-2)  # (K, T)
    spread = (known - known.mean(-2, keepdim=True)).square().sum(-2)
    constant = (left > 0).logical_not().double()  # all right: 1, else 0
    return torch.where(spread > 0, 1 - left / spread.where(spread > 0, 1.0), constant).mean(-1)


def _errors(predictions: Tensor, y: Tensor) -> Tensor:
    return predictions.double() - y.double()


MEASURES: dict[Kind, dict[str, Measure]] = {
    "classes": {
        "accuracy": _accuracy,
        "balanced_accuracy": _balanced_accuracy,
        "f1": lambda p, y: _f1(_one_hot(p.argmax(-1), p.shape[-1]), _one_hot(y, p.shape[-1])),
        "auroc": lambda p, y: auroc(p, _one_hot(y, p.shape[-1])),
        "average_precision": lambda p, y: average_precision(p, _one_hot(y, p.shape[-1])),
        "cross_entropy": _cross_entropy,
    },
    "labels": {
        "accuracy": lambda p, y: ((p > 0.5) == (y > 0.5)).double().mean((-1, -2)),
        "f1": lambda p, y: _f1((p > 0.5).long(), y.long()),
        "auroc": auroc,
        "average_precision": average_precision,
        "cross_entropy": _label_cross_entropy,
    },
    "numbers": {
        "rmse": lambda p, y: _errors(p, y).square().mean((-1, -2)).sqrt(),
        "mae": lambda p, y: _errors(p, y).abs().mean((-1, -2)),
        "r2": _r2,
    },
}


def defined(name: str, y: Tensor) -> bool:
    """Whether targets, classes (N,) or labels (N, L), allow the figure: auroc needs examples within and without."""
    if name not in ("auroc", "average_precision"):
        return True
    if y.dim() == 1:
        return name == "average_precision" or bool((y != y[0]).any())
    count = y.sum(0)
    within = count > 0 if name == "average_precision" else (count > 0) & (count < len(y))
    return bool(within.any())
