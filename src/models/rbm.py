"""A restricted Boltzmann machine for one member: V visible and H hidden units that are 0 or 1.

    E(v, h) = −b'·v − b·h − hᵀW v                                                                                   (1)
    F(v) = −ln Σ_h exp(−E(v, h)) = −b'·v − Σ_j ln(1 + exp(b_j + (W v)_j))                 free energy               (2)
    p(h_j = 1 | v) = s((W v + b)_j),  p(v_i = 1 | h) = s((Wᵀ h + b')_i)                   s: logistic sigmoid       (3)

Pixels are probabilities and enter as they are. A chain is k times: v from (3) by chance, then h from v; it begins with
h drawn from the data, or where the member's last step has left it (`persistent`). Pseudo-likelihood of an example, of
which one bit i is flipped [J. Besag, 1975]:

    V · ln s(F(v with bit i flipped) − F(v)),  v rounded to 0 or 1                                                  (4)

In training i moves on by one in each step. In evaluation each example has a bit of its own, by a hash of its pixels, so
that the figure depends neither on the size of mini-batches nor on chance.
Source: [DLT] LISA lab, Deep Learning Tutorials, "Restricted Boltzmann Machines". Legend: B examples.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from src.config.schema import RunConfig
from src.config.shapes import LayerShape, Tied
from src.models.dropout import GIBBS, mix, uniform
from src.models.tied import TiedLayer, cross_entropy, first_tied_state

FREE_ENERGY, LIKELIHOOD, RECONSTRUCTION, DIFFERENCE = range(4)  # columns of a machine's figures


class Rbm(TiedLayer):
    """The machine, with its persistent chains: `chain` (B, H), one for each example of a mini-batch, from 0."""

    chain: Tensor
    flipped: Tensor

    def __init__(self, shape: Tied, batch_size: int) -> None:
        super().__init__(shape)
        self.visible = shape.inputs
        self.register_buffer("chain", torch.zeros(batch_size, shape.outputs))
        self.register_buffer("flipped", torch.zeros((), dtype=torch.int64))  # the bit of the next training step

    def forward(
        self,
        x: Tensor,
        k: Tensor | None = None,
        persistent: Tensor | None = None,
        most: int = 1,
        key: Tensor | None = None,
    ) -> Tensor:
        """(B, …) -> the figures of each example: F, (4), the cross-entropy of its reconstruction; nats (B, 3).

        With a key, that of a training step, a fourth follows: F minus that of its chain's end, which is held constant.
        k: Gibbs steps, of which at most `most` are made; persistent: 1 or 0. Both are scalars, None like 1 and 0.
        """
        x = x.flatten(1)
        z = self.up(x)
        free = self.free_energy(x, z)
        with torch.no_grad():
            reconstruction = cross_entropy(self.down(z.sigmoid()), x)
            likelihood = self._pseudo_likelihood(x.round(), training=key is not None)
        if key is None:
            return torch.stack([free, likelihood, reconstruction], dim=1)
        with torch.no_grad():
            end = self._chain_end(z, k, persistent, most, key)
        return torch.stack([free, likelihood, reconstruction, free - self.free_energy(end, self.up(end))], dim=1)

    def free_energy(self, v: Tensor, z: Tensor) -> Tensor:
        """Equation (2): v (B, V) with z = W v + b (B, H) -> (B,)."""
        return -(v * self.visible_bias).sum(1) - F.softplus(z).sum(1)

    def sample_hidden(self, v: Tensor, key: Tensor, stream: int) -> Tensor:
        """h (B, H), 0 or 1, drawn by (3) from v (B, V) with the random numbers of `key` and `stream`."""
        return drawn(self.up(v), key, stream)

    def sample_visible(self, h: Tensor, key: Tensor, stream: int) -> Tensor:
        """v (B, V), 0 or 1, drawn by (3) from h (B, H) with the random numbers of `key` and `stream`."""
        return drawn(self.down(h), key, stream)

    def _pseudo_likelihood(self, v: Tensor, training: bool) -> Tensor:
        """Equation (4): v (B, V), 0 or 1 -> (B,); in training the flipped bit moves on."""
        if training:
            bits = self.flipped.clone().expand(len(v))
            self.flipped.copy_((self.flipped + 1) % self.visible)
        else:
            bits = own_bits(v)
        change = 1 - 2 * v.gather(1, bits[:, None])  # (B, 1): +1 where the bit is 0
        z = self.up(v)
        weight: Tensor = self.layers[0].weight  # type: ignore[assignment]
        moved = z + change * weight.t()[bits]
        rise = -change[:, 0] * self.visible_bias[bits] - (F.softplus(moved) - F.softplus(z)).sum(1)
        return self.visible * F.logsigmoid(rise)

    def _chain_end(self, z: Tensor, k: Tensor | None, persistent: Tensor | None, most: int, key: Tensor) -> Tensor:
        """The visible units (B, V) at the end of k Gibbs steps; z = W x + b (B, H) of the data. Keeps the chains."""
        h = drawn(z, key, GIBBS)
        if persistent is not None:
            h = torch.where(persistent > 0, self.chain, h)
        end = torch.zeros_like(z[:, :1]).expand(-1, self.visible)
        for step in range(most):
            v = self.sample_visible(h, key, GIBBS + 1 + 2 * step)
            onward = self.sample_hidden(v, key, GIBBS + 2 + 2 * step)
            runs = step < k if k is not None else torch.ones((), dtype=torch.bool, device=z.device)
            h, end = torch.where(runs, onward, h), torch.where(runs, v, end)
        self.chain.copy_(h)
        return end


def drawn(z: Tensor, key: Tensor, stream: int) -> Tensor:
    """1 with probability s(z), else 0, by the random numbers of `key` and `stream`: of z's shape, float32."""
    return (uniform(z.shape, key, stream) < z.sigmoid()).to(z.dtype)


def own_bits(v: Tensor) -> Tensor:
    """A number below V for each example of v (B, V), 0 or 1, by a hash of its values: (B,) int64."""
    weights = torch.arange(1, v.shape[1] + 1, device=v.device)
    return mix((v.long() * weights).sum(1)) % v.shape[1]


class RbmModel:
    """The network of task=contrast."""

    inverted = False

    def __init__(self, plan: Sequence[LayerShape], init: str, batch_size: int) -> None:
        """plan: the one tied layer; init: a rule of src/models/init.py; batch_size: the number of persistent chains."""
        self.plan: Sequence[LayerShape] | None = plan
        self.init, self.batch_size = init, batch_size
        shape = plan[0]
        assert isinstance(shape, Tied)
        self.shape = shape

    def build(self) -> Rbm:
        """One member's module."""
        return Rbm(self.shape, self.batch_size)

    def first_state(self, seed: int) -> dict[str, Tensor]:
        """Weights by the rule `init` from the seed alone; the biases of the visible units, and the chains, are 0."""
        return first_tied_state(self.build(), self.shape, self.init, seed)

    def of(self, config: RunConfig) -> "RbmModel":
        """The same: members differ in hyperparameters only."""
        return self

    def arguments(self, hyper: dict[str, Tensor]) -> dict[str, Tensor | int]:
        """Of the hyperparameters of K members: `k` and `persistent` (K,), and the most Gibbs steps of any of them."""
        k, persistent = hyper["k"].float(), hyper["persistent"].float()
        arguments: dict[str, Tensor | int] = {"k": k, "most": max(k.int().tolist(), default=0)}
        return arguments | ({"persistent": persistent} if persistent.any() else {})
