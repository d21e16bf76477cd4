"""What the cpu engine accepts, and how it shares out its work."""

from dataclasses import replace

import pytest
import torch

from src.config.shapes import ConvPool, Dense
from src.tasks.classify import Classify
from src.training.engines.cpu import CpuEngine, unsupported
from src.training.engines.cpu.queue import Queue
from tests import example
from tests.training.engines.cpu.twin import make_hyper, make_spec, make_weights, with_softmax


def test_every_network_of_the_schema_is_served() -> None:
    assert unsupported(with_softmax((1, 28, 28), ConvPool(20, 5, 1, "max", 2, 2, "relu"), Dense(30, "elu"))) is None
    assert unsupported([Dense(10, "none", 784)]) is None


def test_what_is_not_served_is_named() -> None:
    assert unsupported([]) == "no dense layer at the end"
    assert unsupported([Dense(5, "mish", 4), Dense(10, "none", 5)]) == "activation mish"
    layers = with_softmax((1, 4, 4), Dense(5, "mish"))
    with pytest.raises(ValueError, match="cannot serve activation mish"):
        CpuEngine(make_spec(layers), make_hyper(1, layers), make_weights(1, layers), 1)


def test_a_task_that_inherits_from_classify_is_refused() -> None:
    class Other(Classify):
        pass

    spec = replace(make_spec(with_softmax((1, 4, 4))), task=Other())
    assert CpuEngine.refuses(spec) == "another task than task=classify, regress or multilabel"


def test_the_description_names_the_threads() -> None:
    layers = with_softmax((1, 4, 4))
    engine = CpuEngine(make_spec(layers), make_hyper(1, layers), make_weights(1, layers), 2)
    assert engine.description == "cpu, 2 threads"
    assert engine.resize_seconds == 0


def test_the_mini_batch_may_grow_and_shrink_between_chunks() -> None:
    layers = with_softmax((1, 4, 4), Dense(40, "relu"), Dense(33, "tanh"))
    members, weights = make_hyper(1, layers, dropout=0.3), make_weights(1, layers)
    images = torch.randint(0, 256, (99, 1, 4, 4), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    images[images < 128] = 0
    labels, eta = torch.arange(99) % 10, torch.tensor([0.1])
    grown = CpuEngine(make_spec(layers), members, weights, 1)
    for step, batch in enumerate((3, 99, 10)):
        fresh = CpuEngine(make_spec(layers), members, weights, 1)  # nothing left in its memory
        order = torch.arange(batch).view(1, 1, batch)
        costs = [engine.train(images, labels, order, torch.tensor(step), eta)[0] for engine in (grown, fresh)]
        assert torch.equal(*costs)
        weights = fresh.state(slots=False)
        for name, value in grown.state(slots=False).items():
            assert torch.equal(value, weights[name])


def test_a_member_is_held_by_one_thread_at_a_time_and_its_pieces_keep_their_order() -> None:
    queue = Queue(2, range(3))
    first, second = queue.next(None), queue.next(None)
    assert {first, second} == {(0, 0), (1, 0)}
    assert queue.next(None) is None
    assert queue.next(first) == (0, 1)
    assert queue.next(second) == (1, 1)


def test_five_members_keep_two_threads_busy_to_the_end() -> None:
    queue, held, rounds = Queue(5, range(8)), [None, None], 0
    while True:
        held = [queue.next(task) for task in held]
        if held == [None, None]:
            break
        rounds += 1
    assert rounds == 5 * 8 / 2


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ({"padding": "same"}, "a padded convolution"),
        ({"pool": "avg"}, "pooling avg"),
        ({"dropout": 0.2}, "dropout of a convolution's inputs"),
        ({"norm": "group"}, "norm group"),
        ({"activation": "rrelu"}, "activation rrelu"),
        ({"bias": False}, "a layer without biases"),
        ({"order": ["activation", "pool"]}, "pooling behind the activation"),
    ],
)
def test_parts_without_a_kernel_are_refused_by_name(layer, words) -> None:
    assert unsupported(example.config(model={"layers": [{"conv": 3, **layer}]}).shapes()) == words
