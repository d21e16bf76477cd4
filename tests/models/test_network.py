"""Networks against the chapter's numbers and conventions."""

import math

import pytest
import torch

from src.config.shapes import ConvPool, chain, parameter_count
from src.models.dropout import drop, step_key
from src.models.init import initial_weights
from src.models.layers.l2_pool import L2Pool
from src.models.network import Network
from tests import example
from tests.training import twin

MNIST = {"name": "mnist", "dir": None, "height": 28, "width": 28, "classes": 10}


def shapes(**model):
    return example.config(data=MNIST, model={"field": 5, **model}).shapes()


@pytest.mark.parametrize(
    ("model", "count"),
    [
        ({"maps": [1], "hidden": []}, 26),
        ({"maps": [20], "hidden": []}, 520),
        ({"maps": [], "hidden": [30]}, 23_550),
    ],
)
def test_the_chapters_parameter_counts(model, count):
    layers = shapes(**model)
    assert parameter_count(layers[:1]) == count
    network = Network(layers)
    assert sum(p.numel() for p in network.layers[0].parameters()) == count


def test_the_chapters_image_sizes():
    first, second, dense, _ = shapes(maps=[20, 40], hidden=[100])
    assert (first.convolved[1:], first.output[1:]) == ((24, 24), (12, 12))
    assert (second.convolved[1:], second.output[1:]) == ((8, 8), (4, 4))
    assert dense.inputs == 40 * 4 * 4 == 640


@pytest.mark.parametrize("pool", ["max", "l2", "none"])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_forward_pass_equals_the_twins(pool, stride):
    layers = example.config(model={"layers": [{"conv": 3, "pool": pool, "stride": stride}, {"fc": 5}]}).shapes()
    network = Network(layers)
    weights = initial_weights(layers, "chapter", 3)
    network.load_state_dict(weights)
    x = example.split(6, 0).inputs.float() / 255
    torch.testing.assert_close(network(x), twin.forward(layers, weights, x, [0, 0], "inverted"))


def test_l2_pooling_has_gradient_zero_where_the_region_is_zero():
    x = torch.zeros(1, 1, 4, 4, requires_grad=True)
    L2Pool(ConvPool(1, 1, 1, "l2", 2, 2, "none"), 0)(x).sum().backward()
    assert torch.equal(x.grad, torch.zeros(1, 1, 4, 4))


@pytest.mark.parametrize("inverted", [False, True])
def test_dropout_masks_equal_the_twins(inverted):
    x = torch.rand(9, 13) + 1
    key = step_key(torch.tensor(2**32 - 1), torch.tensor(12345))
    p = torch.tensor(0.37)
    expected = x.masked_fill(twin.dropped(2**32 - 1, 12345, 2, (9, 13), 0.37), 0)
    torch.testing.assert_close(drop(x, p, key, 2, inverted), expected / (1 - 0.37) if inverted else expected)


def test_dropout_drops_as_often_as_asked_and_differently_in_every_step_layer_and_seed():
    x, p = torch.ones(100, 1000), torch.tensor(0.3)
    masks = [
        drop(x, p, step_key(torch.tensor(seed), torch.tensor(step)), layer, False)
        for seed, step, layer in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    ]
    for number, mask in enumerate(masks):
        assert float(mask.mean()) == pytest.approx(0.7, abs=0.01)  # 100,000 draws: sd 0.0015
        for other in masks[:number]:
            both = float((mask * other).mean())
            assert both == pytest.approx(0.49, abs=0.01)  # independent


@pytest.mark.parametrize("inverted", [False, True])
def test_evaluation_scales_in_the_chapters_convention_only(inverted):
    layers = shapes(maps=[], hidden=[30])
    network = Network(layers, dropout=[0.5, 0.25], inverted=inverted)
    weights = initial_weights(layers, "chapter", 0)
    weights["layers.1.weight"].normal_()
    network.load_state_dict(weights)
    x = torch.rand(4, 1, 28, 28)
    expected = twin.forward(layers, weights, x, [0.5, 0.25], "inverted" if inverted else "chapter")
    torch.testing.assert_close(network(x), expected)


@pytest.mark.parametrize(
    ("init", "activation", "sd"),
    [
        ("chapter", "sigmoid", math.sqrt(1 / 300)),
        ("fan_in", "sigmoid", math.sqrt(1 / 784)),
        ("he", "relu", math.sqrt(2 / 784)),
        ("glorot", "tanh", math.sqrt(6 / 1084) / math.sqrt(3)),
        ("glorot", "sigmoid", 4 * math.sqrt(6 / 1084) / math.sqrt(3)),
    ],
)
def test_initial_weights_have_the_spread_of_their_rule(init, activation, sd):
    layers = shapes(maps=[], hidden=[300], activation=activation)
    weights = initial_weights(layers, init, 1)
    assert float(weights["layers.0.weight"].std()) == pytest.approx(sd, rel=0.01)  # 235,200 draws: 0.15 %
    biased = init in ("chapter", "fan_in")
    assert float(weights["layers.0.bias"].std()) == pytest.approx(1 if biased else 0, abs=0.15)
    assert not weights["layers.1.weight"].any()
    assert not weights["layers.1.bias"].any()  # the softmax starts at zero


def test_the_chapters_convolution_counts_its_outputs_after_pooling():
    layers = shapes(maps=[2000], hidden=[])
    assert float(initial_weights(layers, "chapter", 0)["layers.0.weight"].std()) == pytest.approx(
        math.sqrt(4 / (2000 * 25)), rel=0.02
    )


def test_initial_weights_depend_on_the_seed_alone():
    layers = shapes(maps=[2], hidden=[3])
    one, again, other = (initial_weights(layers, "chapter", seed) for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["layers.0.weight"], other["layers.0.weight"])


def test_chain_fills_in_sizes_without_touching_its_input():
    layers = shapes(maps=[2], hidden=[3])
    assert chain((1, 28, 28), layers) == layers
