"""Muon's step for hidden matrices, against a plain loop and torch's own; and which matrices are hidden."""

import numpy as np
import pytest
import torch
from torch import nn

from src.config.error import ConfigError
from src.config.schema import OptimConfig
from src.models.hidden import hidden_matrices
from src.models.network import Network
from src.models.own import check_networks
from src.training.hyper import hyper_of
from src.training.spec import spec_of
from src.training.update.numbers import StepNumbers
from src.training.update.rule import rule_of
from tests import example
from tests.training.update.muon_twin import MuonTwin

STEPS = 30
OWN = [{"eta": 0.01, "momentum": 0.9}, {"eta": 0.003, "momentum": 0.0}, {"eta": 0.1, "momentum": 0.5}]


def drawn(shape):
    """Three members' first weights and all gradients, float64."""
    generator = torch.Generator().manual_seed(3)
    gradients = torch.randn(STEPS, len(OWN), *shape, generator=generator, dtype=torch.float64)
    return torch.randn(len(OWN), *shape, generator=generator, dtype=torch.float64), gradients


def stepped(start, gradients, nesterov):
    rule, w = rule_of(OptimConfig(rule="muon", eta=1.0, nesterov=nesterov)), start.clone()
    slots = {slot: torch.zeros_like(w) for slot in rule.slots({})}
    column = {"eta_hidden": [own["eta"] for own in OWN], "momentum": [own["momentum"] for own in OWN]}
    numbers = {
        name: torch.tensor(each, dtype=torch.float64).view(-1, *[1] * (w.dim() - 1)) for name, each in column.items()
    }
    for gradient in gradients:
        rule.step(w, gradient.clone(), slots, numbers, hidden=True)
    return w


def looped(optimiser_of, start, gradients):
    """One member's weights (rows, …) after the steps of an optimiser of torch."""
    w = start.clone().requires_grad_()
    optimiser = optimiser_of(w)
    for gradient in gradients:
        w.grad = gradient.clone()
        optimiser.step()
    return w.detach()


def twin_of(own, nesterov):
    def made(w):
        first, last = (torch.zeros(2, 2, requires_grad=True) for _ in range(2))
        twin = MuonTwin([first, w, last], {**own, "nesterov": nesterov})
        twin.param_groups[0]["params"] = [w]
        return twin

    return made


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (5, 5), (6, 2, 3, 3)])
def test_a_hidden_matrix_steps_as_in_a_plain_loop(shape, nesterov):
    start, gradients = drawn(shape)
    found = stepped(start, gradients, nesterov)
    for k, own in enumerate(OWN):
        expected = looped(twin_of(own, nesterov), start[k], gradients[:, k])
        torch.testing.assert_close(found[k], expected, rtol=1e-9, atol=1e-9)


def test_the_plain_loop_is_torchs_within_its_bfloat16():
    start, gradients = drawn((8, 5))
    own = OWN[0]
    settings = {"weight_decay": 0.0, "momentum": own["momentum"], "adjust_lr_fn": "match_rms_adamw"}
    theirs = looped(lambda w: torch.optim.Muon([w], own["eta"], **settings), start[0], gradients[:, 0])
    ours = looped(twin_of(own, True), start[0], gradients[:, 0])
    assert (theirs - ours).norm() < 0.02 * (ours - start[0]).norm()


@pytest.mark.parametrize("own", [None, 0.5])
def test_the_rest_follows_its_own_rate_and_the_same_schedule(own):
    """Where no member has a rate of its own, it is eta; eta halves in the second of two steps."""
    config = example.config(optim={"rule": "muon", "eta": 0.1, "eta_adamw": own, "beta1": 0.0, "beta2": 0.0})
    numbers = StepNumbers(spec_of(config, 2), hyper_of([config], [0])).of(
        torch.tensor([[0.1, 0.05]]), torch.zeros(1), 2
    )
    each = dict(zip(numbers.names, numbers.values[0], strict=True))
    np.testing.assert_allclose(each["eta_hidden"], [0.1, 0.05], rtol=1e-6)
    np.testing.assert_allclose(each["eta"], [own or 0.1, (own or 0.1) / 2], rtol=1e-6)


class Embedded(nn.Module):
    """Positions, embeddings, attention with a norm, and a head that shares the embedding's weights."""

    def __init__(self):
        super().__init__()
        self.positions = nn.Parameter(torch.zeros(1, 5, 4))
        self.words, self.kinds = nn.Embedding(9, 4), nn.Embedding(3, 4)
        self.attention, self.norm = nn.MultiheadAttention(4, 2), nn.LayerNorm(4)
        self.gate, self.head = nn.Linear(4, 1), nn.Linear(4, 9)
        self.head.weight = self.words.weight


def test_hidden_are_the_matrices_between_the_first_and_the_last():
    shapes = example.config(model={"maps": [3, 2], "field": 3, "hidden": [6, 5], "norm": "batch"}).shapes()
    assert hidden_matrices(Network(shapes)) == {"layers.1.weight", "layers.2.weight", "layers.3.weight"}
    assert hidden_matrices(Embedded()) == {"attention.in_proj_weight", "attention.out_proj.weight"}
    assert hidden_matrices(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))) == set()
    recurrent = nn.Sequential(nn.LSTM(3, 4), nn.Linear(4, 2))
    assert hidden_matrices(recurrent) == {"0.weight_hh_l0"}


def test_a_network_without_a_hidden_matrix_is_refused():
    with pytest.raises(ConfigError, match=r"optim.rule = 'muon': .* accepted: two hidden layers or more"):
        example.config(model={"maps": []}, optim={"rule": "muon"})
    own = {"maps": [], "hidden": [], "target": "tests.own_networks.Plain"}
    config = example.config(model=own, optim={"rule": "muon"})
    with pytest.raises(ConfigError, match=r"optim.rule = 'muon': .*Plain' has none; accepted: a class with three"):
        check_networks([example.config(model=own), config])
