"""The training of a denoising autoencoder (src/models/autoencoder.py): one member, for a number of steps.

With h = σ(W x̃ + b), z = σ(Wᵀ h + b') and the cost of src/tasks/reconstruct.py, the gradients of one example are

    d = z − x in the reconstruction's logits;  δ = (W d) · h · (1 − h) in those of the hidden units                (1)
    h dᵀ + δ x̃ᵀ in W,  δ in b,  d in b'                                                                            (2)

The two terms of W's gradient are added one after the other: that of d, together with (1), while the weights of a few
inputs are in the cache. With mini-batches of one, reading and writing the weights is what takes the time, so the term
of δ waits for the next step's turn. Legend: B examples in a mini-batch, V inputs, H hidden units.
"""

from typing import Any

import numpy as np

from src.models.dropout import CORRUPTION
from src.training.engines.cpu.activations import exp, log1p
from src.training.engines.cpu.draws import corrupt, mix, step_key
from src.training.engines.cpu.kernel import compiled, kernel
from src.training.engines.cpu.room import place, row, squash, total
from src.training.engines.cpu.tied import (
    back_and_update,
    down,
    list_by_example,
    list_by_input,
    up,
    up_before,
    update_bias,
    update_listed,
)

f32, u32 = np.float32, np.uint32
_ROWS = 32  # inputs whose weights are taken through (1) and (2) together


@kernel
def reconstruct(a, visible, x, terms):  # type: ignore[no-untyped-def]
    """Writes an example's cost by input to `terms`, and replaces a, its logits without biases, by z − x: (n,) each."""
    for i in range(len(x)):
        logit = a[i] + visible[i]
        e = exp(-abs(logit))
        larger = f32(1) / (f32(1) + e)
        terms[i] = (logit if logit > f32(0) else f32(0)) + log1p(e) - x[i] * logit
        a[i] = (larger if logit > f32(0) else f32(1) - larger) - x[i]


@kernel
def _place(layer, room, images, order, divisor, corruption, key):  # type: ignore[no-untyped-def]
    """Places the mini-batch x (B, V) behind x̃, which has been corrupted, and lists the latter."""
    units, stride, batch = layer.inputs, layer.inputs_stride, len(order)
    for b in range(batch):
        x, seen = row(room.inputs, batch + b, stride, units), row(room.inputs, b, stride, units)
        place(images[order[b]], divisor, x)
        corrupt(x, seen, corruption, mix(u32(key ^ u32(CORRUPTION))), u32(b * units))
    list_by_example(layer, room.inputs, batch, 0, room.listed)


@kernel
def _rise(layer, room, batch, rate):  # type: ignore[no-untyped-def]
    """Fills room.hidden with h; rate: that of the update by δ that is still to be done, or 0 for none."""
    if rate != f32(0):
        earlier = room.hidden[layer.stride :]
        up_before(layer, room.inputs, room.listed, room.hidden, room.earlier, earlier, rate)
    else:
        up(layer, room.inputs, batch, 0, room.listed, room.hidden)
    for b in range(batch):
        squash(row(room.hidden, b, layer.stride, layer.outputs))


@kernel
def _fall(layer, room, batch, start, stop):  # type: ignore[no-untyped-def]
    """The cost, and d in room.logits, of the inputs from `start` to before `stop`."""
    down(layer, room.hidden, batch, start, stop, room.logits)
    cost = 0.0
    for b in range(batch):
        a = row(room.logits, b, layer.inputs_stride, stop)[start:]
        x = row(room.inputs, batch + b, layer.inputs_stride, stop)[start:]
        reconstruct(a, layer.visible[start:stop], x, room.terms)
        cost += total(room.terms, stop - start)
    return cost


@kernel
def _update(layer, room, batch, share, rate, rate_before):  # type: ignore[no-untyped-def]
    """The cost of the mini-batch; moves the weights against (2), but for the term of δ.

    δ is left in room.hidden, behind h, and x̃ in room.earlier. rate_before: the rate of the term that the step before
    has left there, or 0 for none.
    """
    hidden, other, cost = room.hidden, room.other, 0.0
    deltas = hidden[batch * layer.stride :]
    row(other, 0, layer.stride, batch * layer.stride)[:] = f32(0)
    for start in range(0, layer.inputs, _ROWS):
        stop = min(start + _ROWS, layer.inputs)
        if rate_before != f32(0):
            update_listed(layer, room.earlier, deltas, room.listed, start, stop, f32(0), rate_before)
        cost += _fall(layer, room, batch, start, stop)
        back_and_update(layer, room.logits, hidden, batch, start, stop, other, share, rate)
    for b in range(batch):
        h, g = row(hidden, b, layer.stride, layer.outputs), row(other, b, layer.stride, layer.outputs)
        delta = row(deltas, b, layer.stride, layer.outputs)
        for j in range(layer.outputs):
            delta[j] = g[j] * h[j] * (f32(1) - h[j])
    list_by_input(layer, batch, room.listed)
    room.earlier[:] = room.inputs[: len(room.earlier)]
    return cost


@kernel
def _finish(layer, room, batch, rate):  # type: ignore[no-untyped-def]
    """The update of the weights by the δ that the last step has left."""
    deltas = room.hidden[batch * layer.stride :]
    update_listed(layer, room.earlier, deltas, room.listed, 0, layer.inputs, f32(0), rate)


def _kernel_of(version: int) -> Any:
    def run(  # type: ignore[no-untyped-def]
        layer,
        room,
        images,  # (N, V) uint8 or float32
        divisor,  # float32 of an image's values: 255 or 1
        order,  # (M, B) int64
        first_step,
        seed,  # uint32
        numbers,  # (M, 2) float32: the share by which weights shrink, and eta; empty in evaluation
        decay_all,
        corruption,  # float32; 0 in evaluation
        training,
        sums,  # (3,) float64
    ):
        """Trains a member on M mini-batches, or evaluates it on them.

        Adds the costs of all examples to the first of `sums` and, as scores, to the second.
        """
        _ = version
        cost, batch, rate_before = 0.0, order.shape[1], f32(0)
        for step in range(len(order)):
            _place(layer, room, images, order[step], divisor, corruption, step_key(seed, first_step + step))
            _rise(layer, room, batch, rate_before)
            if not training:
                cost += _fall(layer, room, batch, 0, layer.inputs)
                continue
            share, rate = numbers[step, 0], -numbers[step, 1] / f32(batch)
            cost += _update(layer, room, batch, share, rate, rate_before)
            own = share if decay_all else f32(0)
            deltas = room.hidden[batch * layer.stride :]
            update_bias(layer.bias, deltas, layer.stride, batch, room.terms, own, rate)
            update_bias(layer.visible, room.logits, layer.inputs_stride, batch, room.terms, own, rate)
            rate_before = rate
            if batch > 1 or step == len(order) - 1:
                _finish(layer, room, batch, rate)
                rate_before = f32(0)
        sums[0] += cost
        sums[1] += cost

    return run


run = compiled(_kernel_of)
