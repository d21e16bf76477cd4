"""The training of a restricted Boltzmann machine (src/models/rbm.py): one member, for a number of steps.

A step moves the parameters against the gradient of mean F(x) − mean F(v), v the end of a chain. With p = σ(W x + b) and
q = σ(W v + b) it is, of one example,

    q vᵀ − p xᵀ in W,  q − p in b,  v − x in b'                                                                    (1)

Legend: B examples in a mini-batch, V inputs (visible units), H hidden units.
"""

from typing import Any

import numpy as np

from src.models.dropout import GIBBS
from src.training.engines.cpu.activations import softplus
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
def _own_bits(layer, room, batch):  # type: ignore[no-untyped-def]
    """Fills room.bits as `own_bits` of src/models/rbm.py does, from the rounded examples behind the mini-batch."""
    for b in range(batch):
        v, number = row(room.inputs, batch + b, layer.inputs_stride, layer.inputs), 0
        for i in range(layer.inputs):
            number += np.int64(v[i]) * (i + 1)
        room.bits[b] = np.int64(mix(u32(number))) % layer.inputs


@kernel
def _pseudo_likelihood(layer, room, batch, training, bit):  # type: ignore[no-untyped-def]
    """The sum over the mini-batch of equation (4) of src/models/rbm.py; in training with number `bit` flipped."""
    units, stride = layer.inputs, layer.inputs_stride
    z_all = room.hidden[batch * layer.stride :]
    for b in range(batch):
        x, v = row(room.inputs, b, stride, units), row(room.inputs, batch + b, stride, units)
        for i in range(units):
            v[i] = np.rint(x[i])
    room.bits[:batch] = bit
    if not training:
        _own_bits(layer, room, batch)
    list_by_example(layer, room.inputs, batch, batch, room.listed)
    up(layer, room.inputs, batch, batch, room.listed, z_all)
    result = 0.0
    for b in range(batch):
        bit = room.bits[b]
        z, weights = row(z_all, b, layer.stride, layer.outputs), row(layer.weights, bit, layer.stride, layer.outputs)
        change = f32(1) - f32(2) * room.inputs[(batch + b) * stride + bit]
        for j in range(layer.outputs):
            room.terms[j] = softplus(z[j] + change * weights[j]) - softplus(z[j])
        rise = -change * layer.visible[bit] - f32(total(room.terms, layer.outputs))
        result -= units * softplus(-rise)
    return result


@kernel
def _free_energy(layer, room, batch):  # type: ignore[no-untyped-def]
    """The sum over the mini-batch of F(x), with W x + b in room.hidden."""
    result = 0.0
    for b in range(batch):
        x, z = (
            row(room.inputs, b, layer.inputs_stride, layer.inputs),
            row(room.hidden, b, layer.stride, layer.outputs),
        )
        for i in range(layer.inputs):
            room.terms[i] = x[i] * layer.visible[i]
        result -= total(room.terms, layer.inputs)
        for j in range(layer.outputs):
            room.terms[j] = softplus(z[j])
        result -= total(room.terms, layer.outputs)
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
    """k Gibbs steps from p or, if persistent, from `chain` (B, H), which keeps where they end.

    v comes to stand behind x, and q behind p.
    """
    units, hidden = layer.inputs, layer.outputs
    h_all, z_all = room.other, room.hidden[batch * layer.stride :]
    for b in range(batch):
        h = row(h_all, b, layer.stride, hidden)
        if persistent:
            h[:] = chain[b]
        else:
            draw(row(room.hidden, b, layer.stride, hidden), h, _stream(key, 0), u32(b * hidden))
    for step in range(k):
        down(layer, h_all, batch, 0, units, room.logits)
        for b in range(batch):
            p = row(room.logits, b, layer.inputs_stride, units)
            v = row(room.inputs, batch + b, layer.inputs_stride, units)
            for i in range(units):
                p[i] += layer.visible[i]
            squash(p)
            draw(p, v, _stream(key, 1 + 2 * step), u32(b * units))
        list_by_example(layer, room.inputs, batch, batch, room.listed)
        up(layer, room.inputs, batch, batch, room.listed, z_all)
        for b in range(batch):
            q, h = row(z_all, b, layer.stride, hidden), row(h_all, b, layer.stride, hidden)
            squash(q)
            draw(q, h, _stream(key, 2 + 2 * step), u32(b * hidden))
    for b in range(batch):
        chain[b] = row(h_all, b, layer.stride, hidden)


@kernel
def _update(layer, room, batch, numbers, decay_all):  # type: ignore[no-untyped-def]
    """Moves the parameters against (1), averaged over the mini-batch."""
    hidden, share, rate = room.hidden, numbers[0], numbers[1] / f32(batch)
    own = share if decay_all else f32(0)
    for b in range(batch, 2 * batch):
        q = row(hidden, b, layer.stride, layer.outputs)
        for j in range(layer.outputs):
            q[j] = -q[j]
    list_by_input(layer, 2 * batch, room.listed)
    update_listed(layer, room.inputs, hidden, room.listed, 0, layer.inputs, share, rate)
    update_bias(layer.bias, hidden, layer.stride, 2 * batch, room.terms, own, rate)
    for b in range(batch):
        x = row(room.inputs, b, layer.inputs_stride, layer.inputs)
        v = row(room.inputs, batch + b, layer.inputs_stride, layer.inputs)
        for i in range(layer.inputs):
            x[i] -= v[i]
    update_bias(layer.visible, room.inputs, layer.inputs_stride, batch, room.terms, own, rate)


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
        k,
        persistent,
        chain,  # (B, H) float32
        bit,  # the first that is flipped in training
        training,
        sums,  # (3,) float64
    ):
        """Trains a member on M mini-batches, or evaluates it on them.

        Adds to `sums` the costs and the scores of all examples and, in evaluation, their free energies.
        """
        _ = version
        batch = order.shape[1]
        for step in range(len(order)):
            for b in range(batch):
                place(images[order[step, b]], divisor, row(room.inputs, b, layer.inputs_stride, layer.inputs))
            list_by_example(layer, room.inputs, batch, 0, room.listed)
            up(layer, room.inputs, batch, 0, room.listed, room.hidden)
            if not training:
                sums[2] += _free_energy(layer, room, batch)
            for b in range(batch):
                squash(row(room.hidden, b, layer.stride, layer.outputs))
            sums[0] += _reconstruction(layer, room, batch)
            sums[1] += _pseudo_likelihood(layer, room, batch, training, (bit + step) % layer.inputs)
            if training:
                _chain(layer, room, batch, k, persistent, chain, step_key(seed, first_step + step))
                _update(layer, room, batch, numbers[step], decay_all)

    return run


run = compiled(_kernel_of)
