"""The cpu engine computes what a plain PyTorch loop computes. Legend: B images in a mini-batch, M mini-batches."""

import pytest
import torch
from torch import Tensor

from src.config.shapes import ConvPool, Dense, LayerShape
from src.training.engines.cpu.engine import CpuEngine
from tests.training.engines.cpu.twin import Twin, make_hyper, make_images, make_spec, make_weights, with_softmax

IMAGE = (1, 12, 12)
# Float32 sums of some hundred terms, added in another order, differ by a few units in the last place of values near 1.
ONE_STEP = 1e-6


def conv(
    maps: int = 5,
    field: int = 3,
    stride: int = 1,
    pool: str = "max",
    size: int = 2,
    step: int = 2,
    activation: str = "tanh",
):
    return ConvPool(maps, field, stride, pool, size, step, activation)


NETS = {
    "softmax alone": (IMAGE, []),
    "one dense layer": (IMAGE, [Dense(30, "sigmoid")]),
    "three dense layers": (IMAGE, [Dense(33, "relu"), Dense(7, "tanh"), Dense(130, "sigmoid")]),
    "panels of every width, inputs listed": (IMAGE, [Dense(215, "relu"), Dense(100, "relu"), Dense(37, "relu")]),
    "weights that are asked for ahead": (IMAGE, [Dense(610, "relu"), Dense(600, "relu")]),
    "wide input": ((1, 28, 28), [Dense(101, "sigmoid")]),
    "chapter, one convolution": ((1, 28, 28), [conv(20, 5, activation="sigmoid"), Dense(100, "sigmoid")]),
    "chapter, two convolutions": ((1, 28, 28), [conv(20, 5), conv(40, 5, activation="relu"), Dense(50, "relu")]),
    "three convolutions": (
        (1, 16, 16),
        [conv(6, 3, pool="none", size=1, step=1), conv(9, 3), conv(17, 2), Dense(9, "relu")],
    ),
    "no hidden layer": (IMAGE, [conv()]),
    "three channels": ((3, 12, 11), [conv(), conv(7, 2, size=2, step=1)]),
    "strided": ((2, 13, 13), [conv(stride=2, size=2, step=1)]),
    "overlapping pools": (IMAGE, [conv(size=3, step=2), conv(8, 2, size=2, step=1)]),
    "gaps between pools": (IMAGE, [conv(size=2, step=3)]),
    "field as wide as the image": ((2, 5, 5), [conv(9, 5, size=1, step=1)]),
    "field 1": ((3, 6, 6), [conv(9, 1), conv(9, 1)]),
    "many maps": (IMAGE, [conv(70, 3), conv(33, 3)]),
    "many maps, odd sizes": ((1, 13, 13), [conv(70, 3, size=3, step=2), conv(50, 2, size=2, step=1)]),
    "many maps, odd sizes, L2": ((1, 9, 9), [conv(130, 3, pool="l2", size=3, step=2)]),
    "L2 pooling": (IMAGE, [conv(pool="l2"), conv(8, 2, pool="l2", size=2, step=1)]),
    "no pooling": (IMAGE, [conv(pool="none", size=1, step=1)]),
}
for name in ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu"):
    NETS[name] = (IMAGE, [conv(activation=name), Dense(20, name)])


def float32(hyper: dict[str, Tensor]) -> dict[str, Tensor]:
    """As the engine computes with them."""
    return {name: value.float() for name, value in hyper.items()}


def largest_difference(
    image: tuple[int, int, int],
    hidden: list[LayerShape],
    steps: int,
    batch: int,
    convention: str,
    eta: float,
    **settings: float,
) -> float:
    """Between the weights (and costs) of engine and twin after `steps` mini-batches."""
    layers = with_softmax(image, *hidden)
    images, labels = make_images(4 * batch + 1, image)
    weights, members = make_weights(1, layers), make_hyper(1, layers, **settings)
    order = torch.randint(0, len(images), (1, steps, batch), generator=torch.Generator().manual_seed(1))
    engine = CpuEngine(make_spec(layers, convention=convention), members, weights, threads=1)
    cost, correct = engine.train(images, labels, order, torch.tensor(3), torch.tensor([eta]))
    one = {name: value.flatten()[0].item() for name, value in {**float32(members), "seed": members["seed"]}.items()}
    twin = Twin(layers, {name: value[0] for name, value in weights.items()}, one, 5, convention)
    expected = [twin.step(images[rows], labels[rows], 3 + t, eta) for t, rows in enumerate(order[0])]
    assert cost.item() == pytest.approx(sum(expected), rel=1e-5)
    assert 0 <= correct.item() <= steps * batch
    trained = engine.state(slots=False)
    assert trained.keys() == twin.weights.keys()
    return max((trained[name][0] - value).abs().max().item() for name, value in twin.weights.items())


@pytest.mark.parametrize("net", NETS)
def test_one_step_equals_the_twin(net: str) -> None:
    assert largest_difference(*NETS[net], steps=1, batch=10, convention="chapter", eta=0.3, lambda_=0.1) < ONE_STEP


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 9, 10, 32, 101])
def test_one_step_equals_the_twin_at_any_mini_batch(batch: int) -> None:
    assert largest_difference(IMAGE, [conv(), Dense(20, "relu")], 1, batch, "chapter", 0.3) < ONE_STEP


SETTINGS = {
    "lambda_": {"lambda_": 0.05},
    "l1": {"l1": 0.01},
    "momentum": {"momentum": 0.9},
    "dropout": {"dropout": 0.4},
    "all": {"lambda_": 0.05, "l1": 0.01, "momentum": 0.8, "dropout": 0.3, "seed": 2**32 - 1},
}


@pytest.mark.parametrize("convention", ["chapter", "inverted"])
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("net", ["one dense layer", "three channels", "L2 pooling"])
def test_one_step_equals_the_twin_with_any_setting(net: str, name: str, convention: str) -> None:
    assert largest_difference(*NETS[net], 1, 10, convention, 0.1, **SETTINGS[name]) < ONE_STEP


@pytest.mark.parametrize(
    ("net", "settings"),
    [
        ("one dense layer", "all"),
        ("three dense layers", "dropout"),
        ("three channels", "all"),
        ("L2 pooling", "lambda_"),
        ("gelu", "momentum"),
    ],
)
def test_200_steps_stay_with_the_twin(net: str, settings: str) -> None:
    # Rounding differences grow with the steps; a wrong term would grow to the size of the weights.
    assert largest_difference(*NETS[net], 200, 10, "chapter", 0.02, **SETTINGS[settings]) < 1e-4


@pytest.mark.parametrize("convention", ["chapter", "inverted"])
@pytest.mark.parametrize("net", NETS)
def test_evaluation_equals_the_twin(net: str, convention: str) -> None:
    image, hidden = NETS[net]
    layers = with_softmax(image, *hidden)
    images, labels = make_images(507, image)  # one block of 500 and a small one
    weights, members = make_weights(2, layers), make_hyper(2, layers, dropout=0.4)
    engine = CpuEngine(make_spec(layers, convention=convention), members, weights, threads=2)
    cost, accuracy, *_ = engine.evaluate(images, labels)
    outputs = engine.predictions(images)
    for k in range(2):
        twin = Twin(
            layers,
            {name: value[k] for name, value in weights.items()},
            {"dropout": members["dropout"][k, 0].item()},
            5,
            convention,
        )
        with torch.no_grad():
            logits = twin.logits(images, None)
        torch.testing.assert_close(outputs[k], logits.softmax(1), rtol=1e-5, atol=1e-6)
        assert cost[k].item() == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)
        assert accuracy[k].item() == pytest.approx((logits.argmax(1) == labels).double().mean().item(), abs=1.5 / 507)


def test_l2_pooling_of_a_black_region_has_gradient_zero() -> None:
    layers = with_softmax(IMAGE, conv(pool="l2"))
    images, labels = torch.zeros(10, *IMAGE, dtype=torch.uint8), torch.arange(10)
    weights = make_weights(1, layers)
    engine = CpuEngine(make_spec(layers), make_hyper(1, layers), weights, threads=1)
    engine.train(images, labels, torch.arange(10).view(1, 1, 10), torch.tensor(0), torch.tensor([0.1]))
    assert torch.equal(engine.state(slots=False)["layers.0.weight"], weights["layers.0.weight"])
