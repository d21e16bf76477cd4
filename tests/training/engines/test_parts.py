"""The parts of layers in a stack: each member as by torch's own modules and optimiser, and as it is alone."""

import copy

import pytest
import torch
from torch import nn

from src.models.init import initial_weights
from src.training.engines.torch_engine import TorchEngine
from src.training.spec import spec_of
from src.training.stack import first_state, hyper_of_stack, members_of
from tests import example

ETAS = (0.02, 0.05, 0.1)
STEPS, BATCH = 30, 5

CONV = nn.Conv2d(1, 4, 3, padding=1)
POOL, HEAD = nn.AvgPool2d(3, 2), nn.Linear(6, 4)
LAYERS = {
    "padding, average pooling": (
        [{"conv": 4, "padding": "same"}, {"fc": 6}],
        [CONV, POOL, nn.Tanh(), nn.Flatten(), nn.Linear(100, 6), nn.Tanh(), HEAD],
    ),
    "order, no bias": (
        [{"conv": 4, "padding": 1, "order": ["activation", "pool"], "bias": False}, {"fc": 6, "bias": False}],
        [
            nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.Tanh(), POOL,
            nn.Flatten(), nn.Linear(100, 6, bias=False), nn.Tanh(), HEAD,
        ],
    ),
    "group norm": (
        [{"conv": 4, "padding": 1, "norm": "group", "groups": 2}, {"fc": 6, "norm": "group"}],
        [
            CONV, nn.GroupNorm(2, 4), nn.Tanh(), POOL,
            nn.Flatten(), nn.Linear(100, 6), nn.GroupNorm(1, 6), nn.Tanh(), HEAD,
        ],
    ),
    "batch norm": (
        [{"conv": 4, "padding": 1, "norm": "batch", "bias": False}, {"fc": 6, "norm": "batch"}],
        [
            nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.Tanh(), POOL,
            nn.Flatten(), nn.Linear(100, 6), nn.BatchNorm1d(6), nn.Tanh(), HEAD,
        ],
    ),
    "PReLU": (
        [{"conv": 4, "padding": 1, "activation": "prelu"}, {"fc": 6, "activation": "prelu"}],
        [CONV, POOL, nn.PReLU(4), nn.Flatten(), nn.Linear(100, 6), nn.PReLU(6), HEAD],
    ),
}  # fmt: skip


def configs(layers, **model):
    shared = {"pool": "avg", "pool_size": 3, "pool_stride": 2, "activation": "tanh", "init": "he", **model}
    return [
        example.config(seed=seed, model={"layers": layers, **shared}, optim={"eta": eta})
        for seed, eta in enumerate(ETAS)
    ]


def engine_of(configs):
    stack, spec = members_of(configs), spec_of(configs[0], 12)
    return TorchEngine(spec, hyper_of_stack(stack), first_state(stack, spec.model), torch.device("cpu"))


def orders(steps=STEPS):
    return torch.randint(0, 60, (len(ETAS), steps, BATCH), generator=torch.Generator().manual_seed(7))


def train(engine, order, configs, start=0):
    split, eta = example.dataset().train, torch.tensor([config.optim.eta for config in configs])
    engine.train(split.inputs, split.targets, order, torch.tensor(start), eta)
    return engine


def by_torch(modules, state, order, eta):
    """A plain loop; torch.nn's modules begin with the values of a network's state, in the order in which they stand."""
    network = nn.Sequential(*copy.deepcopy(modules)).train()
    with torch.no_grad():
        for value, own in zip(learnt(network.state_dict()), learnt(state), strict=True):
            value.copy_(own)
    optimiser, split = torch.optim.SGD(network.parameters(), eta), example.dataset().train
    for rows in order:
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(split.inputs[rows].float() / 255), split.targets[rows]).backward()
        optimiser.step()
    return network


def learnt(state):
    return [value for name, value in state.items() if not name.endswith("num_batches_tracked")]


@pytest.mark.parametrize("name", LAYERS)
def test_each_member_of_a_stack_trains_as_torchs_own_modules_do(name):
    layers, modules = LAYERS[name]
    each, order = configs(layers), orders()
    trained = train(engine_of(each), order, each)
    test = example.dataset().test.inputs
    for place, config in enumerate(each):
        first = initial_weights(config.shapes(), "he", config.seed)
        expected = by_torch(modules, first, order[place], config.optim.eta)
        own = [trained.state(slots=False)[key][place] for key in first]
        for value, torchs in zip(own, learnt(expected.state_dict()), strict=True):
            # 30 steps of float32 in another order of summation; a wrong term shows at 1e-2.
            torch.testing.assert_close(value, torchs, rtol=2e-3, atol=2e-4)
        with torch.no_grad():
            outputs = expected.eval()(test.float() / 255).softmax(1)
        torch.testing.assert_close(trained.predictions(test)[place], outputs, rtol=2e-3, atol=2e-4)


EVERYTHING = [
    {"conv": 4, "padding": "same", "norm": "batch", "dropout": 0.2},
    {"fc": 6, "norm": "group", "dropout": 0.3, "activation": "rrelu"},
]


def test_a_member_alone_equals_the_same_member_in_a_stack_with_every_part():
    each, order = configs(EVERYTHING), orders()
    stacked = train(engine_of(each), order, each).state()
    for place in range(len(ETAS)):
        alone = train(engine_of(each[place : place + 1]), order[place : place + 1], each[place : place + 1]).state()
        for name, value in alone.items():
            torch.testing.assert_close(stacked[name][place], value[0], rtol=2e-3, atol=2e-4)


def test_running_statistics_stay_with_their_members():
    each, order = configs(EVERYTHING), orders()
    whole = train(engine_of(each), order, each).state()
    engine = train(engine_of(each), order[:, :12], each)
    kept = {name: value[:1].clone() for name, value in engine.state().items()}  # as a checkpoint holds it
    rows = torch.tensor([2, 1])
    engine.select(rows)
    train(engine, order[rows, 12:20], [each[2], each[1]], start=12)
    newcomer = engine_of(each[:1])
    newcomer.load(kept)
    train(newcomer, order[:1, 12:20], each[:1], start=12)
    engine.add(newcomer.hyper, newcomer.state())
    train(engine, order[[2, 1, 0], 20:], [each[2], each[1], each[0]], start=20)
    assert whole["layers.0.norm.running_mean"].any()
    for name, value in engine.state().items():
        torch.testing.assert_close(value, whole[name][[2, 1, 0]], rtol=2e-3, atol=2e-4)
