"""Gibbs chains against the exact distribution of a small machine, by its every state."""

import itertools
from itertools import islice

import torch

from src.models.gibbs import machine, samples

CHAINS, STEPS = 10_000, 40


def weights(visible, hidden, seed):
    """A machine's parameters, drawn from a normal distribution; with the buffers that a run keeps beside them."""
    torch.manual_seed(seed)
    shapes = {"layers.0.weight": (hidden, visible), "layers.0.bias": (hidden,), "visible_bias": (visible,)}
    return {name: torch.randn(shape) for name, shape in shapes.items()} | {"chain": torch.zeros(7, hidden)}


def states(count):
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=count)))


def joint(made):
    """The probability of each pair of a visible and a hidden state, by the definition of the energy."""
    v, h = states(len(made["visible_bias"])), states(len(made["layers.0.bias"]))
    minus_energy = (
        (v @ made["visible_bias"])[:, None] + h @ made["layers.0.bias"] + v @ made["layers.0.weight"].t() @ h.t()
    )
    return minus_energy.flatten().softmax(0).view(len(v), len(h))


def test_chains_come_to_a_machines_own_distribution():
    made = weights(5, 4, seed=3)
    mean, drawn = next(samples([machine(made)], torch.zeros(CHAINS, 5), STEPS, seed=0))
    index = (drawn @ 2.0 ** torch.arange(4, -1, -1)).long()
    expected = joint(made).sum(1)
    counts = index.bincount(minlength=32)
    # Each count is binomial: none of the 32 is as far as 4 standard deviations from its mean.
    spread = (CHAINS * expected * (1 - expected)).sqrt()
    assert ((counts - CHAINS * expected).abs() < 4 * spread).all()
    assert drawn.unique().tolist() == [0, 1]
    torch.testing.assert_close(mean.mean(0), expected @ states(5), atol=0.01, rtol=0)


def test_a_deep_belief_net_draws_at_its_top_and_leads_down_by_mean_field():
    low, high = weights(5, 4, seed=4), weights(4, 3, seed=5)
    mean, _ = next(samples([machine(low), machine(high)], torch.zeros(CHAINS, 5), STEPS, seed=0))
    h = states(3)
    middle = (h @ high["layers.0.weight"] + high["visible_bias"]).sigmoid()
    bottom = (middle @ low["layers.0.weight"] + low["visible_bias"]).sigmoid()
    torch.testing.assert_close(mean.mean(0), joint(high).sum(0) @ bottom, atol=0.01, rtol=0)


def test_a_chain_begins_with_the_example_and_depends_on_the_seed_alone():
    held = torch.full((6,), -40.0)
    strong = {"layers.0.weight": 80 * torch.eye(6), "layers.0.bias": held, "visible_bias": held}  # v = h for ever
    start = torch.eye(6)
    for mean, drawn in islice(samples([machine(strong)], start, 10, seed=0), 2):
        assert drawn.equal(start)
        torch.testing.assert_close(mean, start)
    machines, start = [machine(weights(5, 4, seed=3))], torch.zeros(50, 5)
    one, same, other = (list(islice(samples(machines, start, 2, seed), 4)) for seed in (7, 7, 8))
    coarse = list(islice(samples(machines, start, 4, 7), 2))
    assert all(a.equal(b) for (a, _), (b, _) in zip(one, same, strict=True))
    assert not one[0][1].equal(other[0][1])
    assert one[3][1].equal(coarse[1][1])
