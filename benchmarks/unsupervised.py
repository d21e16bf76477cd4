"""Plain PyTorch for the tutorial's models without labels: as anyone would write them, and bare loops over mini-batches.

A denoising autoencoder, trained by autograd, and a restricted Boltzmann machine, trained by hand with persistent
contrastive divergence; `cost` is what a framework that differentiates minimises. Neither loop watches its progress,
which the product does in every step of a Boltzmann machine. Equations: src/models/autoencoder.py and rbm.py.
Legend: N images, M mini-batches of B, V inputs of an image, H hidden units.
"""

import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.config.schema import RunConfig


class Tied(nn.Module):
    """Weights W (H, V) and biases of both sides; images are flat, (B, V)."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        bound = 4 * (6 / (inputs + hidden)) ** 0.5
        self.weight = nn.Parameter(torch.empty(hidden, inputs).uniform_(-bound, bound))
        self.bias, self.visible_bias = nn.Parameter(torch.zeros(hidden)), nn.Parameter(torch.zeros(inputs))

    def up(self, x: Tensor) -> Tensor:
        """(B, V) -> (B, H) before the sigmoid."""
        return F.linear(x, self.weight, self.bias)

    def down(self, h: Tensor) -> Tensor:
        """(B, H) -> (B, V) before the sigmoid."""
        return F.linear(h, self.weight.t(), self.visible_bias)

    def reconstruction_cost(self, x: Tensor, seen: Tensor) -> Tensor:
        """The mean cross-entropy, nats an image, of x and its reconstruction from `seen`."""
        logits = self.down(self.up(seen).sigmoid())
        return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)

    def evaluate(self, images: Tensor, batch: int) -> float:
        """The mean cross-entropy of images (N, V) and their reconstructions, in mini-batches of `batch`."""
        with torch.inference_mode():
            return sum(float(self.reconstruction_cost(x, x)) * len(x) for x in images.split(batch)) / len(images)


class Autoencoder(Tied):
    """A denoising autoencoder."""

    def __init__(self, config: RunConfig, inputs: int) -> None:
        super().__init__(inputs, config.model.hidden[0])
        self.corruption = config.task.corruption

    def cost(self, x: Tensor) -> Tensor:
        """The cost of a mini-batch (B, V), to be differentiated."""
        return self.reconstruction_cost(x, x * (torch.rand_like(x) >= self.corruption))

    def train_on(self, images: Tensor, order: Tensor, eta: float) -> float:
        """Trains on the mini-batches in `order` (M, B) of images (N, V); returns the seconds."""
        parameters = list(self.parameters())
        start = time.perf_counter()
        for rows in order:
            self.cost(images[rows]).backward()
            with torch.no_grad():
                for parameter in parameters:
                    assert parameter.grad is not None
                    parameter.sub_(parameter.grad, alpha=eta)
                    parameter.grad = None
        return time.perf_counter() - start


class Boltzmann(Tied):
    """A restricted Boltzmann machine with persistent chains."""

    def __init__(self, config: RunConfig, inputs: int) -> None:
        super().__init__(inputs, config.model.hidden[0])
        self.k = config.task.k
        self.chain = torch.zeros(config.batch_size, config.model.hidden[0])

    @torch.no_grad()
    def chain_end(self) -> Tensor:
        """v (B, V) after k Gibbs steps, from which the chains go on in the next training step."""
        v = self.chain
        for _ in range(self.k):
            v = torch.bernoulli(self.down(self.chain).sigmoid())
            self.chain = torch.bernoulli(self.up(v).sigmoid())
        return v

    def free_energy(self, v: Tensor) -> Tensor:
        """(B, V) -> (B,)."""
        return -v @ self.visible_bias - F.softplus(self.up(v)).sum(1)

    def cost(self, x: Tensor) -> Tensor:
        """The difference of free energies whose gradient is that of contrastive divergence."""
        end = self.chain_end()
        return self.free_energy(x).mean() - self.free_energy(end).mean()

    @torch.no_grad()
    def train_on(self, images: Tensor, order: Tensor, eta: float) -> float:
        """Trains on the mini-batches in `order` (M, B) of images (N, V); returns the seconds."""
        start = time.perf_counter()
        for rows in order:
            x, end = images[rows], self.chain_end()
            data, model = self.up(x).sigmoid(), self.up(end).sigmoid()
            rate = eta / len(rows)
            self.weight.addmm_(data.t(), x, alpha=rate).addmm_(model.t(), end, alpha=-rate)
            self.bias.add_((data - model).sum(0), alpha=rate)
            self.visible_bias.add_((x - end).sum(0), alpha=rate)
        return time.perf_counter() - start


def network(config: RunConfig, inputs: int) -> Autoencoder | Boltzmann:
    """The network of a configuration with task=reconstruct or task=contrast, for images of so many pixels."""
    return (Autoencoder if config.task.name == "reconstruct" else Boltzmann)(config, inputs)
