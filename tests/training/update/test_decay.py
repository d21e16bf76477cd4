"""Decay: what the weights of both engines lose in an epoch, against a loop in float64."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from src.config.shapes import Dense, chain
from src.training.engines import cpu
from src.training.engines.torch_engine import TorchEngine
from src.training.update.decay import ENOUGH_SHARE, StackDecay
from tests.training.engines.cpu.twin import make_hyper, make_spec

BATCHES, ETA = 250, 10.0  # one step's share is eta · lambda_ / batches, an epoch's eta · lambda_
LAYERS = chain((1, 8, 8), [Dense(40, "sigmoid"), Dense(10, "none")])


def members(lambdas, momentum, l1=0.0):
    count = len(lambdas)
    hyper = make_hyper(count, LAYERS, momentum=momentum, l1=l1)
    return hyper | {"lambda_": torch.tensor(lambdas, dtype=torch.float64)}


def first_layer_after_an_epoch(engine, some):
    """The first layer's weights before and after; the images are black, so that nothing but decay changes them."""
    generator, weights = torch.Generator().manual_seed(0), {}
    for number, layer in enumerate(LAYERS):
        own = 0.1 * torch.randn(1, *layer.weight_shape, generator=generator)
        weights[f"layers.{number}.weight"] = own.repeat(len(some["seed"]), 1, 1)
        weights[f"layers.{number}.bias"] = torch.zeros(len(some["seed"]), layer.outputs)
    if engine == "cpu":
        built = cpu.CpuEngine(make_spec(LAYERS, BATCHES), some, weights, 1)
    else:
        built = TorchEngine(make_spec(LAYERS, BATCHES), some, weights, torch.device("cpu"))
    images, labels = torch.zeros(10, 1, 8, 8, dtype=torch.uint8), torch.arange(10)
    order, eta = torch.arange(2 * BATCHES).view(1, BATCHES, 2) % 10, torch.full((len(some["seed"]),), ETA)
    for start in range(0, BATCHES, 77):
        built.train(images, labels, order[:, start : start + 77], torch.tensor(start), eta)
    return weights["layers.0.weight"].double(), built.state(slots=False)["layers.0.weight"].double()


def shrunk_in_float64(lambda_, momentum):
    """What is left of 1 after an epoch of equations (1) to (3) of src/training/engines/engine.py without a gradient."""
    w, velocity = 1.0, 0.0
    for _ in range(BATCHES):
        velocity = momentum * velocity + lambda_ / BATCHES * w
        w -= ETA * velocity
    return w


@pytest.mark.parametrize("engine", ["cpu", "torch"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_an_epoch_shrinks_weights_as_float64_does_for_every_lambda(engine, momentum):
    lambdas = [1e-7, 1e-6, 1.4e-5, 1e-4, 2.4e-4, 1e-3, 0.01, 0.1, 1.0]  # a step's share is 4e-9 … 0.04
    before, after = first_layer_after_an_epoch(engine, members(lambdas, momentum))
    left = (before * after).sum((1, 2)) / before.square().sum((1, 2))
    for own, lambda_ in zip(left.tolist(), lambdas, strict=True):
        assert 1 - own == pytest.approx(1 - shrunk_in_float64(lambda_, momentum), rel=0.02), lambda_


@pytest.mark.parametrize("engine", ["cpu", "torch"])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("l1", [1e-7, 1e-5, 1e-3])
def test_an_epoch_takes_l1_off_every_weight(engine, momentum, l1):
    before, after = first_layer_after_an_epoch(engine, members([0.0], momentum, l1))
    steps = sum((1 - momentum ** (t + 1)) / (1 - momentum) for t in range(BATCHES))
    amount = ETA * l1 / BATCHES * steps
    far = before.abs() > 2 * amount
    assert float((before - after).mul(before.sign())[far].mean()) == pytest.approx(amount, rel=0.02)
    assert bool((after[~far].abs() <= amount + 4e-6).all())


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_where_a_chunk_begins_changes_no_step_of_decay(momentum):
    some, eta = members([1e-6, 1e-3, 0.5], momentum, l1=1e-5), np.full(3, ETA, np.float32)
    whole = StackDecay(some, BATCHES).of(eta, np.zeros(3, np.int64), 3 * BATCHES)
    for start, end in ((0, 1), (1, 249), (249, 700)):
        part = StackDecay(some, BATCHES).of(eta, np.full(3, start), end - start)
        for one, other in zip(part[:2], whole[:2], strict=True):
            np.testing.assert_array_equal(one, other[:, start:end])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_moving_rate_takes_off_what_float64_does_wherever_chunks_are_cut(momentum):
    """A member by step and one by epoch; the weight hardly moves, so that it is its steps' shares that multiply."""
    some = members([1e-6, 1e-6], momentum, l1=1e-6) | {"weight_decay": torch.tensor([3e-7, 0.03], dtype=torch.float64)}
    some["eta"] = torch.full((2,), ETA, dtype=torch.float64)
    eta = (ETA * np.linspace(0.001, 1, 2 * BATCHES) * np.ones((2, 1))).astype(np.float32)
    eta[1] = eta[1, 0]
    whole = StackDecay(some, BATCHES, by_step=np.array([True, False])).of(eta, np.zeros(2, np.int64), 2 * BATCHES)
    cut = StackDecay(some, BATCHES, by_step=np.array([True, False]))
    ends = [0, 1, 40, 41, 249, 251, 500]
    parts = [cut.of(eta[:, a:b], np.full(2, a), b - a) for a, b in pairwise(ends)]
    for number in range(2):
        np.testing.assert_array_equal(np.concatenate([part[number] for part in parts], 1), whole[number])
    velocity = (1 - momentum ** (np.arange(2 * BATCHES) + 1)) / (1 - momentum)
    for k, decoupled in enumerate([3e-7, 0.03]):
        rates = eta[k].astype(np.float64)
        left = np.prod(1 - rates * 1e-6 / BATCHES * velocity) * np.prod(1 - rates * decoupled)
        assert 1 - np.prod(1 - whole.share[k].astype(np.float64)) == pytest.approx(1 - left, rel=1e-4)
        assert whole.amount[k].sum() == pytest.approx((rates * 1e-6 / BATCHES * velocity).sum(), rel=1e-4)
    single = whole.share[0][whole.share[0] > 0]
    assert len(single) < BATCHES
    assert np.sort(single)[2:].min() > ENOUGH_SHARE / 2  # but for what is left at the ends of two epochs


def test_nothing_is_saved_up_beyond_what_rounding_asks_for():
    some = members([1e-5, 1e-4, 0.5], 0.0)
    found = StackDecay(some, BATCHES).of(np.full(3, ETA, np.float32), np.zeros(3, np.int64), BATCHES)
    times = (found.share > 0).sum(1).tolist()
    assert times == [7, 63, BATCHES]  # every 39th, every fourth, each; and the last
    assert float(found.share.max(1)[0]) == pytest.approx(ENOUGH_SHARE, rel=0.05)
