"""The slow twin of the cpu engine: one member trained by a plain PyTorch loop, as slow and obvious as it gets.

Legend: K members, B images in a mini-batch, O outputs, I inputs of a dense layer.
"""

from collections.abc import Sequence
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from src.nets.shapes import ConvPool, Dense, LayerShape, chain
from src.training.engine import Members

ACTIVATION = {
    "none": lambda z: z,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "gelu": F.gelu,
    "silu": F.silu,
}


def mix(x: Tensor) -> Tensor:
    """lowbias32 on int64 values below 2^32."""
    x = x ^ (x >> 16)
    x = (x * 0x7FEB352D) & 0xFFFFFFFF
    x = x ^ (x >> 15)
    x = (x * 0x846CA68B) & 0xFFFFFFFF
    return x ^ (x >> 16)


def keep_mask(seed: int, step: int, dense: int, batch: int, units: int, p: float) -> Tensor:
    """(B, U) bool: which inputs stay; equation (4) of src/training/engine.py."""
    state = mix(mix(mix(torch.tensor(seed)) ^ step) ^ dense)
    index = torch.arange(batch * units)
    hashed = mix((state + 0x9E3779B9 * index) & 0xFFFFFFFF)
    return ((hashed >> 8).float() * 2.0**-24 >= torch.tensor(p, dtype=torch.float32)).reshape(batch, units)


class Twin:
    """One member; `weights` without the leading axis."""

    def __init__(
        self,
        layers: Sequence[LayerShape],
        weights: dict[str, Tensor],
        settings: dict[str, float],
        batches: int,
        convention: str,
    ) -> None:
        self.layers, self.settings, self.batches, self.convention = layers, settings, batches, convention
        self.weights = {name: value.clone().requires_grad_() for name, value in weights.items()}
        self.velocity = {name: torch.zeros_like(value) for name, value in weights.items()}

    def logits(self, images: Tensor, step: int | None) -> Tensor:
        """(B, C); step None: evaluation."""
        x, dense = images.float() / 255, 0  # (B, C, H, W)
        for number, layer in enumerate(self.layers):
            weight, bias = self.weights[f"layers.{number}.weight"], self.weights[f"layers.{number}.bias"]
            if isinstance(layer, ConvPool):
                x = F.conv2d(x, weight, stride=layer.stride)
                if layer.pool == "max":
                    x = F.max_pool2d(x, layer.pool_size, layer.pool_stride)
                elif layer.pool == "l2":
                    size = layer.pool_size
                    x = (F.avg_pool2d(x * x, size, layer.pool_stride) * size**2).sqrt()
                x = x + bias[:, None, None]
            else:
                x, p = x.flatten(1), self.settings["dropout"]
                if p > 0 and step is not None:
                    x = x * keep_mask(int(self.settings["seed"]), step, dense, *x.shape, p)
                    x = x / (1 - p) if self.convention == "inverted" else x
                elif p > 0 and self.convention == "chapter":
                    x = x * (1 - p)
                x = x @ weight.T + bias
                dense += 1
            x = ACTIVATION[layer.activation](x)
        return x

    def step(self, images: Tensor, labels: Tensor, number: int, eta: float) -> float:
        """One mini-batch; its mean cost."""
        cost = F.cross_entropy(self.logits(images, number), labels)
        gradients = torch.autograd.grad(cost, list(self.weights.values()))
        with torch.no_grad():
            for (name, w), g in zip(self.weights.items(), gradients, strict=True):
                if name.endswith("weight"):
                    g = g + self.settings["lambda_"] / self.batches * w + self.settings["l1"] / self.batches * w.sign()
                v = self.velocity[name]
                v.mul_(self.settings["momentum"]).add_(g)
                w.sub_(eta * v)
        return cost.item()


PLAIN = {"lambda_": 0.0, "l1": 0.0, "momentum": 0.0, "dropout": 0.0, "seed": 7}


def make_members(count: int, layers: Sequence[LayerShape], **settings: float) -> Members:
    """`count` members with the same settings and consecutive seeds."""
    chosen = {**PLAIN, **settings}
    dense = sum(isinstance(layer, Dense) for layer in layers)
    return Members(
        lambda_=torch.full((count,), chosen["lambda_"]),
        l1=torch.full((count,), chosen["l1"]),
        momentum=torch.full((count,), chosen["momentum"]),
        dropout=torch.full((count, dense), chosen["dropout"]),
        seed=int(chosen["seed"]) + torch.arange(count),
    )


def make_weights(count: int, layers: Sequence[LayerShape]) -> dict[str, Tensor]:
    """(K, …) random weights, every member's its own."""
    generator, weights = torch.Generator().manual_seed(5), {}
    for number, layer in enumerate(layers):
        shape = layer.weight_shape
        scale = prod(shape[1:]) ** -0.5
        weights[f"layers.{number}.weight"] = scale * torch.randn(count, *shape, generator=generator)
        weights[f"layers.{number}.bias"] = 0.1 * torch.randn(count, shape[0], generator=generator)
    return weights


def make_images(count: int, image: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """(N, C, H, W) uint8 with black margins, as digits have, and labels (N,) of 10 classes."""
    generator = torch.Generator().manual_seed(6)
    images = torch.randint(0, 256, (count, *image), generator=generator, dtype=torch.uint8)
    images[..., :2] = 0
    return images, torch.randint(0, 10, (count,), generator=generator)


def with_softmax(image: tuple[int, int, int], *layers: LayerShape) -> list[LayerShape]:
    """The layers with their sizes and a softmax of 10 outputs behind them."""
    return chain(image, [*layers, Dense(10, "none")])
