"""The end of a step: each example's cost and score from the network's outputs, and the cost's gradient in them.

A head serves every task that names it as `Supervised.head`. Its equations are those of the task (src/tasks): with the
outputs o, the targets z at the scale of training and T of them, an example's cost has the gradient

    cross_entropy           q_c · Σ_k t_k w_k − t_c w_c        q the softmax of o; t, w as in classify.py            (1)
    mse                     2 (o − z) / T                                                                            (2)
    mae                     sign(o − z) / T
    huber                   (o − z) / T, cut off at ± delta / T
    poisson                 (exp(o) − y) / T
    binary_cross_entropy    (1 / (1 + exp(−o)) − y) / T

Targets are scaled here, number by number, so that no engine keeps a copy of them. Legend: N examples, B in a
mini-batch, C classes, T numbers or labels.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from src.tasks.classify import Classify
from src.tasks.supervised import Supervised
from src.tasks.task import Task
from src.training.engines.cpu.activations import exp, sigmoid, softplus
from src.training.engines.cpu.kernel import kernel

f32, f64 = np.float32, np.float64

# `Head.kind` is an index into these.
HEADS = ("cross_entropy", "mse", "mae", "huber", "poisson", "binary_cross_entropy")
_CROSS_ENTROPY, _MSE, _MAE, _HUBER, _POISSON, _BINARY = range(6)


class Head(NamedTuple):
    """What is compared with the outputs, and how."""

    kind: int  # which of HEADS
    labels: np.ndarray  # (N,) int64: classes; none where the targets are numbers
    targets: np.ndarray  # (N, T) float32, in their own units; none where they are classes
    mean: np.ndarray  # (T,) float32: at the scale of training a target is (y − mean) / sd
    sd: np.ndarray  # (T,) float32
    table: np.ndarray  # (C, C) float32: t_c w_c of each class; (0, 0): 1 for the class itself, 0 for the others
    delta: np.float32  # of huber
    weights: np.ndarray  # (N,) float32: of each example in the cost and its gradient; (0,): all count the same


def head_of(task: Task, outputs: int, targets: Tensor) -> Head:
    """The head of a task for T or C outputs and these targets, with or without weights, as in Engine.train."""
    assert isinstance(task, Supervised)
    targets, weights = task.parted(targets.cpu(), outputs)
    classes, kind, scaling = not targets.is_floating_point(), HEADS.index(task.head), task.targets.scaling
    own, none = np.ascontiguousarray(targets.numpy()), np.empty((0, 0), np.float32)
    mean, sd = ([0.0] * outputs, [1.0] * outputs) if scaling is None else (scaling.mean, scaling.sd)
    weighted = task if isinstance(task, Classify) and not task.plain else None
    return Head(
        kind,
        own if classes else np.empty(0, np.int64),
        none if classes else own,
        np.array(mean, np.float32),
        np.array(sd, np.float32),
        weighted.table(outputs, torch.device("cpu")).numpy() if weighted else none,
        np.float32(task.delta),
        np.empty(0, np.float32) if weights is None else np.ascontiguousarray(weights.numpy()),
    )


@kernel
def judge(head, values, gradients, stride, units, order, cost, score, training):  # type: ignore[no-untyped-def]
    """`cost` plus a mini-batch's mean cost, of each example times its weight, and `score` plus its examples' scores.

    values: the outputs, rows of `stride` floats of which `units` count. gradients: rows likewise, which become the
    gradient of each example's cost in training, and the task's predictions in evaluation. order: the examples (B,).
    """
    batch = len(order)
    for b in range(batch):
        o, d = values[b * stride : b * stride + units], gradients[b * stride : b * stride + units]
        if head.kind == _CROSS_ENTROPY:
            label = head.labels[order[b]]
            one_cost, right = _softmax(o, label, d)
            one_score = f64(right)
            if len(head.table):
                one_cost = _weighted(o, label, one_cost, head.table[label], d, training)
            elif training:
                d[label] -= f32(1)  # now the gradient of −ln softmax in the logits
        else:
            one_cost, one_score = _numbers(head, order[b], o, d, training)
        if len(head.weights):
            weight = head.weights[order[b]]
            one_cost *= f64(weight)
            for c in range(units):
                d[c] *= weight
        cost, score = cost + one_cost / batch, score + one_score
    return cost, score


@kernel
def _softmax(logits, label, outputs):  # type: ignore[no-untyped-def]
    """Writes the softmax (C,) to `outputs`; returns −ln of the label's output, and whether the answer is right.

    It is right if the label's logit is the largest and all logits are finite.
    """
    largest, best, number = logits[0], 0, True
    for c in range(len(logits)):
        number = number and abs(logits[c]) < f32(np.inf)
        if logits[c] > largest:
            largest, best = logits[c], c
    total = f32(0)
    for c in range(len(logits)):
        outputs[c] = exp(logits[c] - largest)
    for c in range(len(logits)):
        total += outputs[c]
    for c in range(len(logits)):
        outputs[c] /= total
    return np.log(np.float64(total)) - np.float64(logits[label] - largest), number and best == label


@kernel
def _weighted(logits, label, cost, shares, outputs, training):  # type: ignore[no-untyped-def]
    """The cost with t_c w_c as `shares` (C,), from −ln of the label's output; in training `outputs` become (1)."""
    weighted, total = 0.0, f32(0)
    for c in range(len(logits)):
        weighted += f64(shares[c]) * (cost + (f64(logits[label]) - f64(logits[c])))
        total += shares[c]
    if training:
        for c in range(len(logits)):
            outputs[c] = outputs[c] * total - shares[c]
    return weighted


@kernel
def _numbers(head, example, outputs, gradients, training):  # type: ignore[no-untyped-def]
    """The mean over T of an example's costs and of its scores; writes the gradient, or predictions in evaluation."""
    cost, score, count = 0.0, 0.0, len(outputs)
    for t in range(count):
        o, y = outputs[t], head.targets[example, t]
        z = (y - head.mean[t]) / head.sd[t]
        one, slope = _loss(head.kind, o, z, head.delta)
        cost += one
        score += _score(head.kind, o, z, head.sd[t])
        gradients[t] = slope / f32(count) if training else _prediction(head.kind, o, head.mean[t], head.sd[t])
    return cost / count, score / count


@kernel
def _loss(kind, o, z, delta):  # type: ignore[no-untyped-def]
    """The cost of one output, float64, and its slope, float32."""
    error = o - z
    if kind == _MSE:
        return f64(error * error), f32(2) * error
    if kind == _MAE:
        return f64(abs(error)), f32(error > f32(0)) - f32(error < f32(0))
    if kind == _HUBER:
        size = abs(error)
        if size >= delta:
            return f64(delta * (size - f32(0.5) * delta)), delta if error > f32(0) else -delta
        return f64(f32(0.5) * error * error), error
    if kind == _POISSON:
        rate = np.exp(f64(o))  # not activations.exp, which is clamped: a rate may be any number
        return rate - f64(z * o), f32(rate) - z
    return f64(softplus(o) - z * o), sigmoid(o) - z


@kernel
def _prediction(kind, o, mean, sd):  # type: ignore[no-untyped-def]
    """What one output stands for, as in `Task.predictions`."""
    if kind == _BINARY:
        return sigmoid(o)
    return f32(np.exp(f64(o))) if kind == _POISSON else mean + sd * o


@kernel
def _score(kind, o, z, sd):  # type: ignore[no-untyped-def]
    """Whether a label is answered right, as a number; of other targets the squared error, in their own units."""
    if kind == _BINARY:
        return f64((o > f32(0)) == (z > f32(0)) and abs(o) < f32(np.inf))
    error = f32(np.exp(f64(o))) - z if kind == _POISSON else sd * (o - z)
    return f64(error * error)
