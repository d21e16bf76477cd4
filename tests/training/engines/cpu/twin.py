"""The slow twin of the cpu engine: one member trained by a plain PyTorch loop, as slow and obvious as it gets.

Its forward pass is that of tests/training/twin.py. Legend: K members, B images in a mini-batch, C classes.
"""

from collections.abc import Sequence
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from src.config.schema import OptimConfig
from src.config.shapes import Dense, LayerShape, chain
from src.models.model import LayeredModel
from src.tasks.classify import Classify
from src.training.hyper import Hyper
from src.training.spec import StackSpec
from src.training.update.sgd import Sgd
from tests.training.twin import forward


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
        settings = self.settings
        dropouts = [settings["dropout"]] * len(self.layers)
        seed = None if step is None else int(settings["seed"])
        return forward(self.layers, self.weights, images.float() / 255, dropouts, self.convention, seed, step)

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


PLAIN = {"eta": 0.1, "lambda_": 0.0, "l1": 0.0, "momentum": 0.0, "dropout": 0.0, "seed": 7}
NUMBERS = ("eta", "lambda_", "l1", "momentum")


def make_hyper(count: int, layers: Sequence[LayerShape], **settings: float) -> Hyper:
    """`count` members with the same settings and consecutive seeds."""
    chosen = {**PLAIN, **settings}
    dense = sum(isinstance(layer, Dense) for layer in layers)
    return {
        **{name: torch.full((count,), chosen[name], dtype=torch.float64) for name in NUMBERS},
        "dropout": torch.full((count, dense), chosen["dropout"]),
        "seed": int(chosen["seed"]) + torch.arange(count),
    }


def make_spec(layers: Sequence[LayerShape], batches: int = 5, convention: str = "chapter") -> StackSpec:
    """A network that classifies, trained by SGD."""
    model = LayeredModel(list(layers), inverted=convention == "inverted")
    return StackSpec(model, Classify(), Sgd(OptimConfig(eta=0.1)), batches)


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
