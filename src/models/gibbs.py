"""Gibbs sampling: what a restricted Boltzmann machine, or a deep belief net of several, draws by itself.

One step of a chain draws h from v and v from h, by equation (3) of src/models/rbm.py. In a deep belief net the chain is
that of the top machine, whose v are the hidden units of the machine below; from there an example is led down, from
machine to machine, by mean field: each unit is the probability that it is 1.
Source: [DLT] LISA lab, Deep Learning Tutorials, "Restricted Boltzmann Machines" and "Deep Belief Networks".
Legend: N chains, V visible units of the lowest machine.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Generator, Tensor

from src.config.shapes import Tied
from src.models.tied import TiedLayer


def machine(weights: Mapping[str, Tensor]) -> TiedLayer:
    """A trained machine from its weights, as a run keeps them; persistent chains are left out."""
    hidden, visible = weights["layers.0.weight"].shape
    layer = TiedLayer(Tied(hidden, "sigmoid", visible))
    layer.load_state_dict({name: weights[name] for name in layer.state_dict()})
    return layer.requires_grad_(False)


def samples(machines: Sequence[TiedLayer], start: Tensor, steps: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endlessly, after each further `steps` Gibbs steps of N chains: the mean field and what was drawn from it.

    machines: from the bottom to the top; start: examples (N, V) in 0 … 1; steps: 1 or more. Both results are (N, V)
    float32, the first in 0 … 1, the second 0 or 1. The same seed gives the same on one and the same machine.
    """
    generator = Generator().manual_seed(seed)
    *below, top = machines
    v = start
    for one in below:
        v = one.up(v).sigmoid()
    while True:
        for _ in range(steps):
            h = _drawn(top.up(v).sigmoid(), generator)
            mean = top.down(h).sigmoid()
            v = _drawn(mean, generator)
        if not below:
            yield mean, v
            continue
        for one in reversed(below):
            mean = one.down(mean).sigmoid()
        yield mean, _drawn(mean, generator)


def _drawn(p: Tensor, generator: Generator) -> Tensor:
    """1 with probability p, else 0: of p's shape, float32."""
    return (torch.rand(p.shape, generator=generator) < p).to(torch.float32)
