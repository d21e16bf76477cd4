"""Plain PyTorch: a benchmark's network as anyone would write it, and a bare eager loop over mini-batches.

The network is nn.Sequential with PyTorch's own layers: the parameters, and up to rounding the outputs, of the
product's. Activation stands behind the pooling: the same result as before it, for a quarter of the work. Dropout is
nn.Dropout. The loop holds the images as floats, picks mini-batches by index and moves the weights itself, which was
faster here than torch.optim.SGD in any of its variants: nothing else happens in it.
"""

import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.config.schema import RunConfig
from src.config.shapes import ConvPool

_ACTIVATIONS: dict[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "tanh": nn.Tanh}


def network(config: RunConfig) -> nn.Sequential:
    """The network of a configuration: (B, 1, H, W) floats -> (B, classes) logits."""
    modules, dropouts, flat = list[nn.Module](), iter(config.model.dropouts()), False
    for layer in config.shapes():
        if isinstance(layer, ConvPool):
            modules.append(nn.Conv2d(layer.input[0], layer.maps, layer.field, layer.stride))
            modules.append(nn.MaxPool2d(layer.pool_size, layer.pool_stride))
        else:
            if not flat:
                modules.append(nn.Flatten())
                flat = True
            probability = next(dropouts)
            if probability > 0:
                modules.append(nn.Dropout(probability))
            modules.append(nn.Linear(layer.inputs, layer.outputs))
        if layer.activation != "none":
            modules.append(_ACTIVATIONS[layer.activation]())
    return nn.Sequential(*modules)


def train(network: nn.Sequential, images: Tensor, labels: Tensor, order: Tensor, eta: float) -> float:
    """Trains on the mini-batches in `order` (M, B); returns the seconds. images (N, 1, H, W) in 0…1, labels (N,)."""
    parameters = list(network.parameters())
    network.train()
    start = time.perf_counter()
    for rows in order:
        F.cross_entropy(network(images[rows]), labels[rows]).backward()
        with torch.no_grad():
            for parameter in parameters:
                assert parameter.grad is not None
                parameter.sub_(parameter.grad, alpha=eta)
                parameter.grad = None
    return time.perf_counter() - start


def step(network: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    """Trains on one mini-batch as anyone would write it with torch's optimisers."""
    optimiser.zero_grad()
    F.cross_entropy(network(x), y).backward()
    optimiser.step()


def evaluate(network: nn.Sequential, images: Tensor, labels: Tensor, batch: int) -> tuple[float, float]:
    """The mean cost and the accuracy over the images, evaluated in mini-batches of `batch`."""
    cost, correct = 0.0, 0
    network.eval()
    with torch.inference_mode():
        for x, y in zip(images.split(batch), labels.split(batch), strict=True):
            logits = network(x)
            cost += float(F.cross_entropy(logits, y, reduction="sum"))
            correct += int((logits.argmax(1) == y).sum())
    return cost / len(labels), correct / len(labels)
