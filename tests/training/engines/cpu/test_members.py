"""A member of the cpu engine does not know its neighbours, its thread or its chunk."""

import pytest
import torch
from torch import Tensor

from src.config.shapes import ConvPool, Dense
from src.training.engines.cpu import CpuEngine
from src.training.hyper import select
from tests.training.engines.cpu.twin import make_images, make_spec, make_weights, with_softmax

IMAGE = (1, 12, 12)
# The second dense layer's inputs are listed in every step, the first one's for members that drop some (dense.py).
LAYERS = with_softmax(
    IMAGE,
    ConvPool(5, 3, 1, "max", 2, 2, "relu"),
    ConvPool(9, 2, 1, "l2", 2, 1, "tanh"),
    Dense(61, "relu"),
    Dense(43, "sigmoid"),
)
IMAGES, LABELS = make_images(70, IMAGE)
STEPS = 12

# Seven members, no two alike; some with momentum, L1 or dropout, some without.
SEVEN = {
    "eta": torch.full((7,), 0.1),
    "lambda_": torch.tensor([0.0, 0.1, 0.0, 0.5, 0.0, 0.0, 0.2]),
    "l1": torch.tensor([0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.1]),
    "momentum": torch.tensor([0.0, 0.0, 0.0, 0.9, 0.0, 0.5, 0.1]),
    "dropout": torch.tensor(
        [
            [0.0, 0.0, 0.0],
            [0.5, 0.0, 0.5],
            [0.0, 0.0, 0.0],
            [0.2, 0.2, 0.2],
            [0.0, 0.5, 0.0],
            [0.0] * 3,
            [0.9, 0.1, 0.0],
        ]
    ),
    "seed": torch.tensor([0, 1, 2**32 - 1, 3, 4, 5, 6]),
}
WEIGHTS = make_weights(7, LAYERS)
ETA = torch.tensor([0.1, 0.2, 0.3, 0.01, 0.05, 0.2, 0.1])
ORDER = torch.randint(0, len(IMAGES), (7, STEPS, 10), generator=torch.Generator().manual_seed(2))


def trained(
    rows: list[int], threads: int = 1, chunks: tuple[int, ...] = (STEPS,), eta: Tensor = ETA
) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor]:
    """Weights, training cost, outputs and validation cost of the members at `rows`, one stack, after all steps."""
    picked = torch.tensor(rows)
    weights = {name: value[picked] for name, value in WEIGHTS.items()}
    engine = CpuEngine(make_spec(LAYERS), select(SEVEN, picked), weights, threads)
    costs, start = torch.zeros(len(rows), dtype=torch.float64), 0
    for steps in chunks:
        cost, _ = engine.train(IMAGES, LABELS, ORDER[picked, start : start + steps], torch.tensor(start), eta[picked])
        costs, start = costs + cost, start + steps
    return engine.state(slots=False), costs, engine.predictions(IMAGES), engine.evaluate(IMAGES, LABELS)[0]


def assert_same(left: tuple, right: tuple, rows: list[int]) -> None:
    """All of `left` equals `right` at its members `rows`, bit for bit."""
    for name, value in left[0].items():
        assert torch.equal(value, right[0][name][rows]), name
    for mine, other in zip(left[1:], right[1:], strict=True):
        assert torch.equal(mine, other[rows])


@pytest.mark.parametrize("member", range(7))
def test_a_member_alone_equals_itself_in_a_stack_bit_for_bit(member: int) -> None:
    assert_same(trained([member]), trained(list(range(7))), [member])


def test_a_member_does_not_depend_on_its_place() -> None:
    order = [3, 6, 0, 5]
    assert_same(trained(order), trained(list(range(7))), order)


@pytest.mark.parametrize("threads", [2, 3, 9])
def test_the_count_of_threads_changes_no_bit(threads: int) -> None:
    assert_same(trained(list(range(7)), threads), trained(list(range(7))), list(range(7)))


@pytest.mark.parametrize("chunks", [(1, 11), (5, 5, 2)])
def test_chunk_boundaries_change_no_bit_of_the_weights(chunks: tuple[int, ...]) -> None:
    pieces, whole = trained(list(range(7)), 2, chunks), trained(list(range(7)))
    assert_same((pieces[0], pieces[2], pieces[3]), (whole[0], whole[2], whole[3]), list(range(7)))
    torch.testing.assert_close(pieces[1], whole[1])  # a sum of float64, added in other groups


@pytest.mark.parametrize("rate", [float("nan"), 1e30, float("inf")])
def test_a_ruined_member_leaves_its_neighbours_alone(rate: float) -> None:
    eta = ETA.clone()
    eta[2] = rate
    others = [0, 1, 3, 4, 5, 6]
    # One thread: all members share its working memory, so nothing may be left behind there either.
    ruined, whole = trained(list(range(7)), eta=eta), trained(list(range(7)))
    assert_same(trained(others), ruined, others)
    assert_same(trained(others), whole, others)


def test_a_nan_is_a_wrong_answer_and_its_cost_is_nan() -> None:
    weights = {name: value.clone() for name, value in WEIGHTS.items()}
    weights["layers.0.weight"][1] = float("nan")
    engine = CpuEngine(make_spec(LAYERS), SEVEN, weights, threads=2)
    cost, accuracy, *_ = engine.evaluate(IMAGES, LABELS)
    assert cost.isnan().tolist() == [False, True, False, False, False, False, False]
    assert accuracy[1] == 0
    assert engine.predictions(IMAGES)[1].isnan().all()
    cost, correct = engine.train(IMAGES, LABELS, ORDER, torch.tensor(0), ETA)
    assert cost.isnan().tolist() == [False, True, False, False, False, False, False]
    assert correct[1] == 0


def test_a_nan_passes_max_pooling() -> None:
    layers = with_softmax(IMAGE, ConvPool(3, 3, 1, "max", 2, 2, "relu"), ConvPool(3, 3, 1, "max", 3, 1, "relu"))
    weights = make_weights(1, layers)
    weights["layers.0.weight"][0, 0, 0, 0, 0] = float("nan")
    engine = CpuEngine(make_spec(layers), select(SEVEN, torch.tensor([0])), weights, threads=1)
    assert engine.predictions(IMAGES).isnan().all()


def test_an_order_for_all_members_equals_the_same_order_for_each() -> None:
    shared = CpuEngine(make_spec(LAYERS), SEVEN, WEIGHTS, threads=2)
    own = CpuEngine(make_spec(LAYERS), SEVEN, WEIGHTS, threads=2)
    first = shared.train(IMAGES, LABELS, ORDER[:1], torch.tensor(0), ETA)
    second = own.train(IMAGES, LABELS, ORDER[:1].expand(7, -1, -1), torch.tensor(0), ETA)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_select_keeps_weights_and_velocities() -> None:
    rows = [3, 5, 0]
    engine = CpuEngine(make_spec(LAYERS), SEVEN, WEIGHTS, threads=2)
    engine.train(IMAGES, LABELS, ORDER[:, :5], torch.tensor(0), ETA)
    engine.select(torch.tensor(rows))
    engine.train(IMAGES, LABELS, ORDER[rows, 5:], torch.tensor(5), ETA[rows])
    whole = trained(list(range(7)))
    for name, value in engine.state(slots=False).items():
        assert torch.equal(value, whole[0][name][rows]), name


def test_weights_come_back_as_they_were_loaded() -> None:
    engine = CpuEngine(make_spec(LAYERS), SEVEN, WEIGHTS, threads=1)
    for name, value in engine.state(slots=False).items():
        assert torch.equal(value, WEIGHTS[name]), name
    engine.train(IMAGES, LABELS, ORDER, torch.tensor(0), ETA)
    engine.load(WEIGHTS)
    engine.train(IMAGES, LABELS, ORDER, torch.tensor(0), ETA)
    for name, value in engine.state(slots=False).items():
        assert torch.equal(value, trained(list(range(7)))[0][name]), name
