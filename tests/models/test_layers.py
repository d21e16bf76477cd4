"""The parts of layers against torch.nn's own modules, and what does not fit."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import grad_and_value, vmap

from src.config.error import ConfigError
from src.config.shapes import parameter_count
from src.models.dropout import CONVOLUTIONS, SLOPES, step_key, uniform
from src.models.init import initial_weights
from src.models.layers.convolution import products
from src.models.network import Network
from tests import example

KEY = step_key(torch.tensor(3), torch.tensor(7))
RELU, MAX = nn.ReLU, nn.MaxPool2d(2)


def shapes(*layers, **model):
    return example.config(model={"layers": list(layers), "activation": "relu", **model}).shapes()


def network(*layers, **model):
    """With every parameter drawn, so that no term is 0."""
    built = Network(shapes(*layers, **model))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in built.parameters():
            value.normal_(0, 0.5, generator=generator)
    return built


def problem(*layers, **sections):
    with pytest.raises(ConfigError) as caught:
        example.config(model={"layers": list(layers)}, **sections)
    return str(caught.value).splitlines()[1].strip()


def in_torch(layer, like):
    """torch.nn's modules, of which those that have parameters take the layer's under the same names."""
    weights = layer.state_dict()
    prefixes = {nn.BatchNorm2d: "norm.", nn.GroupNorm: "norm.", nn.PReLU: "activation."}
    for module in like:
        name = prefixes.get(type(module), "")
        module.load_state_dict({key: weights[name + key] for key in module.state_dict() if name + key in weights})
    return nn.Sequential(*like).double()


@pytest.mark.parametrize(
    ("layer", "like"),
    [
        ({"padding": "same"}, [nn.Conv2d(1, 4, 3, padding=1), MAX, RELU()]),
        ({"padding": 2, "stride": 2}, [nn.Conv2d(1, 4, 3, 2, padding=2), MAX, RELU()]),
        ({"pool": "avg", "pool_size": 3, "pool_stride": 2}, [nn.Conv2d(1, 4, 3), nn.AvgPool2d(3, 2), RELU()]),
        ({"order": ["activation", "pool"], "pool": "avg"}, [nn.Conv2d(1, 4, 3), RELU(), nn.AvgPool2d(2)]),
        ({"bias": False}, [nn.Conv2d(1, 4, 3, bias=False), MAX, RELU()]),
        ({"activation": "prelu"}, [nn.Conv2d(1, 4, 3), MAX, nn.PReLU(4)]),
        ({"norm": "batch"}, [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), RELU(), MAX]),
        ({"norm": "group"}, [nn.Conv2d(1, 4, 3), nn.GroupNorm(1, 4), RELU(), MAX]),
        (
            {"norm": "group", "groups": 4, "order": ["pool", "norm", "activation"]},
            [nn.Conv2d(1, 4, 3), MAX, nn.GroupNorm(4, 4), RELU()],
        ),
    ],
)
def test_a_convolution_equals_torchs_modules_one_after_the_other(layer, like):
    built = network({"conv": 4, "field": 3, **layer}).double().layers[0]
    modules, x = in_torch(built, like), torch.rand(6, 1, 12, 12, dtype=torch.float64)
    built(x, KEY).square().sum().backward()
    modules(x).square().sum().backward()
    for own, torchs in zip(built.parameters(), modules.parameters(), strict=True):
        torch.testing.assert_close(own.grad, torchs.grad)
    torch.testing.assert_close(built(x), modules.eval()(x))  # a norm's statistics are those of the training before


def test_a_fully_connected_layer_equals_torchs_modules_one_after_the_other():
    built = network({"fc": 6, "norm": "group", "groups": 3}).double().layers[0]
    modules, x = in_torch(built, [nn.Linear(144, 6), nn.GroupNorm(3, 6), RELU()]), torch.rand(5, 144).double()
    torch.testing.assert_close(built(x), modules(x))


@pytest.mark.parametrize(("units", "groups"), [(1, None), (2, 1), (11, 1), (16, 4), (64, 8), (100, 5)])
def test_group_norm_has_up_to_eight_groups_of_four_or_more(units, groups):
    if groups is None:
        assert "layer 1: norm = 'group' has a single value to work on" in problem({"fc": units, "norm": "group"})
    else:
        assert shapes({"fc": units, "norm": "group"})[0].groups == groups


def test_the_inputs_of_a_convolution_are_dropped_by_a_stream_of_their_own():
    inverted = Network(shapes({"conv": 4, "field": 3, "dropout": 0.4}), inverted=True)
    inverted.load_state_dict(initial_weights(shapes({"conv": 4, "field": 3}), "he", 1))
    inverted.layers[1].weight.data.normal_()
    x = torch.rand(6, 1, 12, 12)
    plain = Network(shapes({"conv": 4, "field": 3}))
    plain.load_state_dict(inverted.state_dict())
    kept = x * (uniform(x.shape, KEY, CONVOLUTIONS) >= 0.4) / 0.6
    torch.testing.assert_close(inverted(x, key=KEY), plain(kept))
    torch.testing.assert_close(inverted(x), plain(x))
    chapters = Network(shapes({"conv": 4, "field": 3, "dropout": 0.4}))
    chapters.load_state_dict(inverted.state_dict())
    torch.testing.assert_close(chapters(x), plain(x * 0.6))


def test_a_random_rectifiers_slopes_are_drawn_in_training_and_are_their_mean_in_evaluation():
    first, second = network({"fc": 2000, "activation": "rrelu"}, {"fc": 2000, "activation": "rrelu"}).layers[:2]
    z = -torch.ones(9, 2000)
    assert torch.equal(first.activation(z), nn.RReLU().eval()(z))
    one, again, deeper = (-layer.activation(z, KEY) for layer in (first, first, second))
    assert torch.equal(one, again)
    torch.testing.assert_close(one, 1 / 8 + (1 / 3 - 1 / 8) * uniform(z.shape, KEY, SLOPES))
    for drawn in (one, deeper):
        assert 1 / 8 <= drawn.min() < drawn.max() < 1 / 3
        assert float(drawn.mean()) == pytest.approx(11 / 48, abs=2e-3)  # 18,000 draws: sd 4.5e-4
    assert abs(float(torch.corrcoef(torch.stack([one.ravel(), deeper.ravel()]))[0, 1])) < 0.05
    assert torch.equal(first.activation(-z, KEY), -z)


def test_a_layers_words_replace_the_models_and_the_softmax_keeps_its_bias():
    first, second, dense, softmax = shapes(
        {"conv": 4, "field": 3, "padding": 0}, {"conv": 2, "field": 3}, {"fc": 3, "bias": True},
        padding="same", bias=False, order=["activation", "pool"],
    )  # fmt: skip
    assert (first.padding, second.padding, second.parts) == (0, 1, ("activation", "pool"))
    assert (first.bias, dense.bias, softmax.bias) == (False, True, True)


def test_every_number_that_is_learnt_is_counted():
    layers = shapes(
        {"conv": 4, "field": 3, "bias": False}, {"fc": 6, "norm": "group"}, {"fc": 3, "activation": "prelu"}
    )
    assert parameter_count(layers) == sum(value.numel() for value in Network(layers).parameters())


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (
            {"conv": 4, "field": 4, "padding": "same"},
            "model: layer 1: padding = 'same' needs a field with a pixel in its middle, which field = 4 has not; "
            "accepted: an odd field, or a number of pixels, 0 to 3",
        ),
        ({"conv": 4, "padding": 3}, "layer 1: padding = 3 is more than a field of 3 can reach over; accepted: 0 to 2"),
        ({"conv": 4, "padding": 1, "pool_size": 13}, "accepted: a pool_size of at most 12"),
        ({"conv": 4, "order": ["pool", "pool", "activation"]}, "order = [pool, pool, activation] names pool twice"),
        ({"conv": 4, "order": ["activation"]}, "layer 1: order = [activation] leaves out pool, which the layer has"),
        ({"conv": 6, "norm": "group", "groups": 4}, "groups = 4 of 6 maps does not divide them; accepted: 1, 2, 3, 6"),
        ({"fc": 4, "norm": "group", "groups": 4}, "leaves a single value in each group; accepted: 1, 2"),
        ({"conv": 4, "dropout": 1.0}, "model.layers.0.dropout = 1.0: must be less than 1"),
        ({"conv": 4, "padding": "valid"}, "model.layers.0.padding = 'valid': must be same, or a number of pixels"),
        ({"conv": 4, "pool": "mean"}, "model.layers.0.pool = 'mean': must be 'max', 'l2', 'avg' or 'none'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_layer_value_and_what_is_accepted(layer, words):
    assert words in problem(layer)


def test_batch_norm_needs_two_values_of_each_map_or_unit_in_a_mini_batch():
    example.config(model={"layers": [{"conv": 4, "norm": "batch"}]}, batch_size=1)  # 100 pixels of each map
    words = "batch_size = 1: layer 1 has norm = 'batch', which needs two examples or more in a mini-batch"
    assert words in problem({"fc": 4, "norm": "batch"}, batch_size=1)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (1, 2), (3, 0)])
@pytest.mark.parametrize("shared", [False, True])
def test_a_convolution_by_products_is_torchs_own_with_its_gradients_in_a_stack(stride, padding, shared):
    generator = torch.Generator().manual_seed(1)
    members, options = 3, {"stride": stride, "padding": padding}
    x = torch.randn(*([] if shared else [members]), 5, 2, 11, 13, dtype=torch.float64, generator=generator)
    weight = torch.randn(members, 4, 2, 3, 3, dtype=torch.float64, generator=generator)

    def by(convolve):
        def loss(weight, x):
            return (convolve(x, weight, **options).relu() ** 2).sum()

        return vmap(grad_and_value(loss, argnums=(0, 1)), (0, None if shared else 0))(weight, x)

    torch.testing.assert_close(by(products), by(F.conv2d))
