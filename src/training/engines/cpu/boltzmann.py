"""The training of a restricted Boltzmann machine (src/models/rbm.py): one member, for a number of steps.

A step moves the parameters against the gradient of mean F(x) − mean F(v), v the end of a chain. With p = σ(W x + b) and
q = σ(W v + b) it is, of one example,

    q vᵀ − p xᵀ in W,  q − p in b,  v − x in b'                                                                    (1)

Legend: B examples in a mini-batch, V inputs (visible units), H hidden units.
"""

from typing import Any

import numpy as np

from src.models.dropout import GIBBS
from src.training.engines.cpu.activations import sigmoid, softplus
from src.training.engines.cpu.autoencoder import reconstruct
from src.training.engines.cpu.draws import draw, mix, step_key
from src.training.engines.cpu.kernel import compiled, kernel
from src.training.engines.cpu.room import place, row, squash, total
from src.training.engines.cpu.tied import (
    down,
    list_by_example,
    list_by_input,
    up,
    update_bias,
    update_listed,
)

f32, u32 = np.float32, np.uint32


@kernel
def _stream(key, number):  # type: ignore[no-untyped-def]
    return mix(u32(key ^ u32(GIBBS + number)))


@kernel
def _pseudo_likelihood(layer, room, batch, bit):  # type: ignore[no-untyped-def]
    """The sum over the mini-batch of equation (4) of src/models/rbm.py, with one bit flipped in all examples."""
    units, stride = layer.inputs, layer.inputs_stride
    z_all = room.hidden[batch * layer.stride :]
    for b in range(batch):
        x, v = row(room.inputs, b, stride, units), row(room.inputs, batch + b, stride, units)
        for i in range(units):
            v[i] = np.rint(x[i])
    list_by_example(layer, room.inputs, batch, batch, room.listed)
    up(layer, room.inputs, batch, batch, room.listed, z_all)
    weights, result = row(layer.weights, bit, layer.stride, layer.outputs), 0.0
    for b in range(batch):
        z, change = (
            row(z_all, b, layer.stride, layer.outputs),
            f32(1) - f32(2) * room.inputs[(batch + b) * stride + bit],
        )
        for j in range(layer.outputs):
            room.terms[j] = softplus(z[j] + change * weights[j]) - softplus(z[j])
        rise = -change * layer.visible[bit] - f32(total(room.terms, layer.outputs))
        result -= units * softplus(-rise)
    return result


@kernel
def _reconstruction(layer, room, batch):  # type: ignore[no-untyped-def]
    """The sum over the mini-batch of the cross-entropy of the data with their reconstruction from p."""
    down(layer, room.hidden, batch, 0, layer.inputs, room.logits)
    result = 0.0
    for b in range(batch):
        a = row(room.logits, b, layer.inputs_stride, layer.inputs)
        x = row(room.inputs, b, layer.inputs_stride, layer.inputs)
        reconstruct(a, layer.visible, x, room.terms)
        result += total(room.terms, layer.inputs)
    return result


@kernel
def _chain(layer, room, batch, k, persistent, chain, key):  # type: ignore[no-untyped-def]
    """k Gibbs steps from p or, if persistent, from `chain` (B, H), which keeps where they end; v stands behind x."""
    h_all, z_all = room.other, room.hidden[batch * layer.stride :]
    units, hidden = layer.inputs, layer.outputs
    for b in range(batch):
        h, p = row(h_all, b, layer.stride, hidden), row(room.hidden, b, layer.stride, hidden)
        if persistent:
            h[:] = chain[b]
        else:
            draw(p, h, _stream(key, 0), u32(b * hidden))
    for step in range(k):
        down(layer, h_all, batch, 0, units, room.logits)
        for b in range(batch):
            a = row(room.logits, b, layer.inputs_stride, units)
            for i in range(units):
                a[i] = sigmoid(a[i] + layer.visible[i])
            v = row(room.inputs, batch + b, layer.inputs_stride, units)
            draw(a, v, _stream(key, 1 + 2 * step), u32(b * units))
        list_by_example(layer, room.inputs, batch, batch, room.listed)
        up(layer, room.inputs, batch, batch, room.listed, z_all)
        for b in range(batch):
            z, h = row(z_all, b, layer.stride, hidden), row(h_all, b, layer.stride, hidden)
            squash(z)
            draw(z, h, _stream(key, 2 + 2 * step), u32(b * hidden))
    for b in range(batch):
        chain[b] = row(h_all, b, layer.stride, hidden)


@kernel
def _step(layer, room, batch, bit, k, persistent, chain, key, numbers, decay_all):  # type: ignore[no-untyped-def]
    """One step on the mini-batch that has been placed; the sums of its costs and of its scores."""
    hidden, share, rate = room.hidden, numbers[0], numbers[1] / f32(batch)
    list_by_example(layer, room.inputs, batch, 0, room.listed)
    up(layer, room.inputs, batch, 0, room.listed, hidden)
    for b in range(batch):
        squash(row(hidden, b, layer.stride, layer.outputs))
    cost, score = _reconstruction(layer, room, batch), _pseudo_likelihood(layer, room, batch, bit)
    _chain(layer, room, batch, k, persistent, chain, key)
    for b in range(batch, 2 * batch):
        q = row(hidden, b, layer.stride, layer.outputs)
        for j in range(layer.outputs):
            q[j] = -q[j]
    list_by_input(layer, 2 * batch, room.listed)
    update_listed(layer, room.inputs, hidden, room.listed, share, rate)
    own = share if decay_all else f32(0)
    update_bias(layer.bias, hidden, layer.stride, 2 * batch, room.terms, own, rate)
    for b in range(batch):
        x = row(room.inputs, b, layer.inputs_stride, layer.inputs)
        v = row(room.inputs, batch + b, layer.inputs_stride, layer.inputs)
        for i in range(layer.inputs):
            x[i] -= v[i]
    update_bias(layer.visible, room.inputs, layer.inputs_stride, batch, room.terms, own, rate)
    return cost, score


def _kernel_of(version: int) -> Any:
    def train(  # type: ignore[no-untyped-def]
        layer,
        room,
        images,  # (N, V) uint8 or float32
        divisor,  # float32 of an image's values: 255 or 1
        order,  # (M, B) int64
        first_step,
        seed,  # uint32
        numbers,  # (M, 2) float32: the share by which weights shrink, and eta
        decay_all,
        k,
        persistent,
        chain,  # (B, H) float32
        bit,  # the first that is flipped
    ):
        """Trains a member on M mini-batches; gives the sum of their mean costs and that of all examples' scores."""
        _ = version
        costs, scores, batch = 0.0, 0.0, order.shape[1]
        for step in range(len(order)):
            for b in range(batch):
                place(images[order[step, b]], divisor, row(room.inputs, b, layer.inputs_stride, layer.inputs))
            key, flipped = step_key(seed, first_step + step), (bit + step) % layer.inputs
            cost, score = _step(layer, room, batch, flipped, k, persistent, chain, key, numbers[step], decay_all)
            costs, scores = costs + cost / batch, scores + score
        return costs, scores

    return train


train = compiled(_kernel_of)
