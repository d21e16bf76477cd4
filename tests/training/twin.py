"""The slow and obvious twin of every engine: one member, plain PyTorch, one mini-batch after the other.

It shares no code with src/models or src/training: layers, cost, decay and dropout are written out again.
"""

import numpy as np
import torch
import torch.nn.functional as F

PLAIN = {
    "sigmoid": lambda z: 1 / (1 + torch.exp(-z)),
    "tanh": torch.tanh,
    "relu": F.relu,
    "leaky_relu": lambda z: torch.where(z > 0, z, 0.01 * z),
    "elu": lambda z: torch.where(z > 0, z, torch.exp(z.clamp(max=0)) - 1),
    "gelu": lambda z: z * 0.5 * (1 + torch.erf(z / 2**0.5)),
    "silu": lambda z: z / (1 + torch.exp(-z)),
    "none": lambda z: z,
}


def lowbias32(x):
    """C. Wellons' hash of numpy uint32 values."""
    x = np.atleast_1d(np.asarray(x, dtype=np.uint32)).copy()
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def uniform(seed, step, layer, shape):
    """The numbers in 0…1 of equation (4) of src/training/engines/engine.py; (B, U)."""
    key = lowbias32(lowbias32(lowbias32(seed) ^ np.uint32(step)) ^ np.uint32(layer))
    index = np.arange(np.prod(shape), dtype=np.uint64) * np.uint64(0x9E3779B9)
    bits = lowbias32(key + index.astype(np.uint32))
    return torch.from_numpy(((bits >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)).reshape(shape))


def dropped(seed, step, layer, shape, p):
    """Where that equation zeroes an input; bool (B, U)."""
    return uniform(seed, step, layer, shape) < np.float32(p)


def forward(layers, weights, x, dropouts, convention, seed=None, step=None):
    """Logits (B, C); with a seed in training, without one in evaluation."""
    dense = 0
    for number, layer in enumerate(layers):
        w, b = weights[f"layers.{number}.weight"], weights[f"layers.{number}.bias"]
        if hasattr(layer, "maps"):
            z = F.conv2d(x, w, stride=layer.stride)
            if layer.pool == "max":
                z = F.max_pool2d(z, layer.pool_size, layer.pool_stride)
            if layer.pool == "l2":
                windows = z.unfold(2, layer.pool_size, layer.pool_stride).unfold(3, layer.pool_size, layer.pool_stride)
                z = windows.square().sum((-1, -2)).sqrt()
            x = PLAIN[layer.activation](z + b.view(1, -1, 1, 1))
            continue
        x = x.reshape(len(x), -1)
        p = dropouts[dense]
        if seed is None:
            x = x if convention == "inverted" else x * (1 - p)
        else:
            x = x.masked_fill(dropped(seed, step, dense, tuple(x.shape), p), 0)
            x = x / (1 - p) if convention == "inverted" else x
        x = PLAIN[layer.activation](x @ w.T + b)
        dense += 1
    return x


def train(layers, weights, images, labels, order, eta, optim, batches, dropouts, convention, seed):
    """`order` (M, B); returns the weights after M mini-batches and the summed cost."""
    weights = {name: value.clone().requires_grad_() for name, value in weights.items()}
    velocity = {name: torch.zeros_like(value) for name, value in weights.items()}
    total = 0.0
    for step, rows in enumerate(order):
        x = images[rows].float() / 255 if images.dtype == torch.uint8 else images[rows]
        logits = forward(layers, weights, x, dropouts, convention, seed, step)
        cost = -torch.log_softmax(logits, 1)[torch.arange(len(rows)), labels[rows]].mean()
        total += cost.item()
        decayed = [value for name, value in weights.items() if name.endswith("weight")]
        penalty = sum(0.5 * optim.lambda_ * w.square().sum() + optim.l1 * w.abs().sum() for w in decayed) / batches
        gradients = torch.autograd.grad(cost + penalty, list(weights.values()))
        with torch.no_grad():
            for (name, value), gradient in zip(weights.items(), gradients, strict=True):
                velocity[name] = optim.momentum * velocity[name] + gradient
                value -= eta * velocity[name]
    return {name: value.detach() for name, value in weights.items()}, total
