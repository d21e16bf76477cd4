"""Losses as a user writes them, some with a mistake."""

import torch
import torch.nn.functional as F


def focal(outputs, targets):
    """A loss for each example."""
    log = F.log_softmax(outputs, -1).gather(-1, targets[:, None])[:, 0]
    return -((1 - log.exp()) ** 2) * log


def mean_cross_entropy(outputs, targets):
    return F.cross_entropy(outputs, targets)


def weighted(outputs, targets):
    return F.cross_entropy(outputs, targets, weight=torch.arange(1.0, 1.0 + outputs.shape[-1]))


_WEIGHTS = torch.ones(10)


def of_one_type(outputs, targets):
    return F.cross_entropy(outputs, targets, weight=_WEIGHTS)


def pinball(outputs, targets):
    error = targets - outputs
    return torch.maximum(0.9 * error, -0.1 * error).mean()


def infinite(outputs, targets):
    return (outputs * torch.inf).mean()


def flat(outputs, targets):
    return (outputs.argmax(-1) != targets).float().mean() + 0 * outputs.sum()


def detached(outputs, targets):
    return float(F.cross_entropy(outputs, targets))


def too_many(outputs, targets):
    return outputs


def raises(outputs, targets):
    raise KeyError("no such thing")


number = 3
