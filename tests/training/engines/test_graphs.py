"""Blocks of mini-batches captured and replayed: the same numbers as the plain loop, and nothing that a graph forbids.

A stand-in for CUDA graphs repeats the captured calls, so that all but the capture itself runs on any machine.
"""

import gc

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from src.training.engines.graphs import BLOCK, CudaRecorder, Steps, no_sums
from src.training.engines.torch_engine import TorchEngine
from src.training.fit import prepare, run
from src.training.spec import spec_of
from src.training.stack import first_state, hyper_of_stack, members_of
from tests import example
from tests.training.engines.test_engines import BATCHES, build, orders, seven

SPLIT = example.dataset().train
ETA = torch.tensor([config.optim.eta for config in seven()])


class Repeater:
    """Repeats what was captured by calling it again."""

    def __init__(self):
        self.captures = 0

    def warm_up(self, call):
        call()

    def capture(self, call):
        self.captures += 1
        return call


class Failing(Repeater):
    def capture(self, call):
        self.captures += 1
        raise RuntimeError("operation not permitted when stream is capturing\nand more")


def pair(**model):
    """The plain engine and one that replays."""
    plain, replaying = build("torch", seven(**model)), build("torch", seven(**model))
    replaying.recorder = Repeater()
    return plain, replaying


def train(engine, order, first_step=0, eta=ETA):
    return engine.train(SPLIT.inputs, SPLIT.targets, order, torch.tensor(first_step), eta)


def assert_same(engine, other):
    state, others = engine.state(), other.state()
    assert state.keys() == others.keys()
    for name, value in state.items():
        torch.testing.assert_close(value, others[name], rtol=0, atol=0)


@pytest.mark.parametrize("lengths", [[1], [BLOCK - 1], [BLOCK], [BLOCK + 1], [2 * BLOCK + 5, 3, BLOCK]])
@pytest.mark.parametrize("rows", [1, 7])
def test_replayed_blocks_equal_the_plain_loop_bit_for_bit(lengths, rows):
    engines, first = pair(), 100
    order = orders(rows, sum(lengths))
    for part in order.split(lengths, dim=1):
        eta = ETA / (first - 98)  # another one for each chunk
        (cost, correct), (other_cost, other_correct) = (train(engine, part, first, eta) for engine in engines)
        torch.testing.assert_close(other_correct, correct, rtol=0, atol=0)
        torch.testing.assert_close(other_cost, cost, rtol=1e-5, atol=0)  # added up in another order
        first += part.shape[1]
    assert_same(*engines)
    assert engines[1].recorder.captures == 2  # a block and a single mini-batch, once for all chunks


def test_convolutions_by_products_train_as_torchs_own():
    engines = pair(norm="batch")
    engines[1].convolve_by_products(True)
    for engine in engines:
        train(engine, orders(7, BLOCK + 3))
    for name, value in engines[0].state().items():
        torch.testing.assert_close(engines[1].state()[name], value, rtol=1e-4, atol=1e-5)
    assert not torch.equal(engines[0].state()["layers.0.weight"], engines[1].state()["layers.0.weight"])


def test_the_dropout_of_a_replayed_step_is_that_of_its_number():
    plain, replaying = pair()
    order = orders(7, BLOCK)
    train(replaying, order, 0)
    train(plain, order, 0)
    train(replaying, order, 1_000)
    train(plain, order, 0)
    assert not torch.equal(plain.state()["layers.1.weight"][1], replaying.state()["layers.1.weight"][1])  # dropout
    assert torch.equal(
        plain.state(slots=False)["layers.1.weight"][0], replaying.state(slots=False)["layers.1.weight"][0]
    )  # none


def test_the_warm_up_trains_nobody():
    engine = build("torch", seven(norm="batch"))
    before = {name: value.clone() for name, value in engine.state(slots=False).items()}
    train(engine, orders(7, 3))
    after = {name: value.clone() for name, value in engine.state().items()}
    assert any(name.startswith("velocity:") for name in after)
    engine.load(before)
    engine.recorder = Failing()  # after its warm-up
    engine.say = lambda line: None
    train(engine, orders(7, 3))
    for name, value in engine.state().items():
        torch.testing.assert_close(value, after[name], rtol=0, atol=0)


def test_loaded_weights_are_trained_on_without_another_capture():
    plain, replaying = pair(norm="batch")
    weights = {name: value + 0.01 for name, value in plain.state(slots=False).items()}
    for engine in (plain, replaying):
        train(engine, orders(7, BLOCK + 2))
        engine.load(weights)
        train(engine, orders(7, BLOCK + 2))
    assert_same(plain, replaying)
    assert replaying.recorder.captures == 2


def test_after_members_have_left_the_others_are_captured_anew():
    engines, rows = pair(), torch.tensor([5, 1, 3])
    for engine in engines:
        train(engine, orders(7, BLOCK + 2))
        engine.select(rows)
        train(engine, orders(3, BLOCK + 2), BLOCK + 2, ETA[rows])
    assert_same(*engines)
    assert engines[1].recorder.captures == 4
    assert engines[1].resize_seconds > 0


def test_other_images_and_other_mini_batches_are_captured_anew():
    engine = pair()[1]
    train(engine, orders(1, 5))
    train(engine, orders(1, 9))
    assert engine.recorder.captures == 2
    train(engine, orders(7, 5))
    assert engine.recorder.captures == 4
    train(engine, orders(7, 5)[..., :4])
    assert engine.recorder.captures == 6
    engine.train(SPLIT.inputs.clone(), SPLIT.targets, orders(7, 5)[..., :4], torch.tensor(0), ETA)
    assert engine.recorder.captures == 8


def test_where_capturing_fails_training_goes_on_with_one_line():
    plain, failing = pair()
    lines = []
    failing.recorder, failing.say = Failing(), lines.append
    for engine in (plain, failing):
        train(engine, orders(7, BLOCK + 2))
        train(engine, orders(7, 4), BLOCK + 2)
    assert_same(plain, failing)
    assert lines == [
        "CUDA graphs do not work here (operation not permitted when stream is capturing); going on without them."
    ]
    assert "eager" in failing.description


class FailingTwice(Failing):
    """As torch.cuda.graph fails: its end raises as well."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def capture(self, call):
        try:
            raise self.error
        finally:
            super().capture(call)


def test_the_line_says_what_was_raised_first():
    engine, lines = build("torch", seven()), []
    engine.recorder, engine.say = FailingTwice(RuntimeError("cudaErrorNotPermitted")), lines.append
    train(engine, orders(7, 3))
    assert lines == ["CUDA graphs do not work here (cudaErrorNotPermitted); going on without them."]


def test_a_capture_that_lacks_memory_is_no_reason_to_go_on_without_graphs():
    engine = build("torch", seven())
    engine.recorder = FailingTwice(torch.OutOfMemoryError("80 GiB are taken"))
    with pytest.raises(torch.OutOfMemoryError, match="80 GiB"):
        train(engine, orders(7, 3))


@pytest.mark.parametrize("recorder", [Repeater, Failing])
def test_a_whole_run_has_the_same_history_replayed(recorder):
    stop = {"rule": "patience_epochs", "patience_epochs": 2}
    trials = [example.config(stop=stop, max_epochs=6, optim={"eta": eta}, seed=3) for eta in (1e-9, 0.5)]
    histories = []
    for chosen in (None, recorder()):
        prepared = prepare(trials, example.dataset(), say=lambda line: None)
        prepared.engine.recorder = chosen
        results = run(prepared, [])
        histories.append([[row["validation/cost"] for row in result.history] for result in results])
    assert histories[0] == histories[1]


def test_the_header_says_that_steps_are_replayed():
    engine = pair()[1]
    assert engine.description == "torch, CUDA graph, 1 thread"
    engine._compiled_step = engine._plain_step
    assert engine.description == "torch, compiled, CUDA graph, 1 thread"


class CpuOperations(TorchDispatchMode):
    """Notes what is computed with a tensor on the CPU."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        result = function(*arguments, **(named or {}))
        tensors = [leaf for leaf in tree_leaves((arguments, named, result)) if isinstance(leaf, torch.Tensor)]
        if any(tensor.device.type == "cpu" for tensor in tensors):
            self.seen.append(str(function))
        return result


@pytest.mark.parametrize("momentum", [0, 0.5])
@pytest.mark.parametrize("shared", [True, False])
def test_a_block_neither_asks_the_device_for_a_value_nor_brings_one_from_the_host(momentum, shared):
    """On the meta device a value that is asked for raises; a graph allows neither."""
    layers = [
        {"conv": 3, "field": 3, "norm": "batch", "dropout": 0.2},
        {"conv": 2, "field": 2, "pool": "l2", "activation": "prelu"},
        {"fc": 6, "norm": "group", "activation": "rrelu", "dropout": 0.5},
    ]
    config = example.config(
        model={"layers": layers}, optim={"momentum": momentum, "lambda_": 0.1, "l1": momentum}, repeats=2
    )
    stack, meta = members_of([config]), torch.device("meta")
    spec = spec_of(config, BATCHES)
    engine = TorchEngine(spec, hyper_of_stack(stack), first_state(stack, spec.model), meta)
    images, labels = SPLIT.inputs.to(meta), SPLIT.targets.to(meta)
    order = torch.empty(3, 1 if shared else len(stack), 5, dtype=torch.int64, device=meta)
    keys = torch.empty(3, len(stack), dtype=torch.int64, device=meta)
    steps = Steps(order, keys, torch.empty(3, len(engine.numbers.names), len(stack), device=meta))
    with CpuOperations() as operations, torch.no_grad():
        engine._block(images, labels, steps, *no_sums(steps))
    assert operations.seen == []


def test_mini_batches_lie_in_memory_alike_whatever_the_chunks_length():
    """A compiled step is compiled again for other strides."""
    engine, seen = build("torch", seven()), set()
    plain = engine._plain_step

    def step(images, labels, order, *rest):
        seen.add((order.shape, order.stride()))
        return plain(images, labels, order, *rest)

    engine._plain_step = step
    for length in (3, 7, BLOCK + 1):
        train(engine, orders(7, length))
    assert seen == {((7, 5), (5, 1))}


@pytest.mark.parametrize(
    "layers",
    [
        [],
        [{"fc": 5, "dropout": 0.3}, {"fc": 4}],
        [{"conv": 3, "field": 3}, {"fc": 5}],
        [{"conv": 3, "field": 3, "pool": "l2"}, {"conv": 3, "field": 2, "pool": "none"}],
    ],
)
@pytest.mark.parametrize("shared", [True, False])
def test_a_dense_layers_update_in_one_product_equals_that_by_its_gradient(layers, shared):
    trials = [example.config(model={"layers": layers}, optim={"lambda_": 0.4 * seed}, seed=seed) for seed in range(3)]
    product, gradient = build("torch", trials), build("torch", trials)
    gradient._fused_layers = lambda: []
    assert product._fused_layers() != []
    for engine in (product, gradient):
        train(engine, orders(1 if shared else 3, 1), eta=ETA[:3])
    for name, value in product.state(slots=False).items():
        torch.testing.assert_close(value, gradient.state(slots=False)[name], rtol=1e-6, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*CUDA is not available.*")
def test_an_engines_precision_ends_with_its_work():
    def flags():
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark

    engine, before = build("torch", seven()), flags()
    engine.device = torch.device("cuda")
    for precision, expected in (("tf32", True), (32, False), ("bf16", False)):
        engine.precision = precision
        with engine.arithmetic():
            assert flags() == (expected, expected, True)
        assert flags() == before


def on_cuda(configs, say):
    """An engine on the GPU, and the training images there."""
    stack, device = members_of(configs), torch.device("cuda")
    spec = spec_of(configs[0], BATCHES)
    state, hyper = first_state(stack, spec.model), hyper_of_stack(stack)
    return TorchEngine(spec, hyper, state, device, say=say), SPLIT.to(device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and none is here")
def test_on_cuda_graphs_keep_their_memory_while_others_free_and_take_theirs():
    """As Lightning does when it starts: it frees what cuBLAS and the allocator keep."""
    configs = [example.config(model={"hidden": [700, 700]}, optim={"eta": 0.03}, seed=seed) for seed in range(3)]
    (eager, split), (replaying, _) = (on_cuda(configs, print) for _ in range(2))
    eager.recorder = None  # nothing that it uses outlives a step
    for first in range(0, 60, 30):
        for engine in (eager, replaying):
            order = orders(3, 30)
            engine.train(split.inputs, split.targets, order, torch.tensor(first), torch.full((3,), 0.03))
        torch._C._cuda_clearCublasWorkspaces()
        torch.cuda.empty_cache()
        taken = [torch.full((2**26,), float("nan"), device="cuda") for _ in range(8)]  # 2 GiB
        del taken
    for name, value in eager.state(slots=False).items():
        torch.testing.assert_close(replaying.state(slots=False)[name], value, rtol=2e-3, atol=2e-4)
        assert value.isfinite().all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and none is here")
def test_on_cuda_a_capture_outlives_graphs_that_nobody_holds_any_more(monkeypatch):
    """As in a sweep, whose last stack is garbage, and in circles, while the next one is captured."""

    class Circle:
        pass

    lines, recorder, before = [], CudaRecorder(torch.device("cuda")), gc.get_threshold()
    here = torch.zeros(3, device="cuda")
    recorder.warm_up(lambda: here.add_(1))
    engine, split = on_cuda(seven(), lines.append)
    warm_up = engine.recorder.warm_up

    def littered(call):
        warm_up(call)
        for _ in range(20):
            circle = Circle()
            circle.itself, circle.graph = circle, recorder.capture(lambda: here.add_(1))

    monkeypatch.setattr(engine.recorder, "warm_up", littered)
    gc.set_threshold(50, 1, 1)
    try:
        engine.train(split.inputs, split.targets, orders(7, 2 * BLOCK), torch.tensor(0), ETA)
    finally:
        gc.set_threshold(*before)
    assert lines == []
    assert engine.description == "torch, CUDA graph"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and none is here")
@pytest.mark.parametrize("optim", [{"eta": 0.1, "lambda_": 0.5}, {"eta": 0.1, "momentum": 0.9}])
def test_on_cuda_a_whole_run_learns_what_it_learns_on_the_cpu(optim):
    def trained(accelerator):
        trainer = {"accelerator": accelerator}
        config = example.config(repeats=3, max_epochs=3, optim=optim, model={"dropout": 0.2}, trainer=trainer)
        return run(prepare([config], example.dataset(200), lines.append), [])

    lines = []
    for on_gpu, on_cpu in zip(trained("cuda"), trained("cpu"), strict=True):
        for row, other in zip(on_gpu.history, on_cpu.history, strict=True):
            assert row["train/cost"] == pytest.approx(other["train/cost"], rel=2e-3)
            assert row["validation/cost"] == pytest.approx(other["validation/cost"], rel=2e-3)
        assert abs(on_gpu.test_score - on_cpu.test_score) <= 0.05
    assert lines == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and none is here")
@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_on_cuda_a_coarser_precision_learns_about_the_same_as_graphs(precision):
    costs, lines = [], []
    for chosen in (32, precision):
        trainer = {"accelerator": "cuda", "precision": chosen}
        prepared = prepare(
            [example.config(repeats=3, max_epochs=3, trainer=trainer)], example.dataset(200), lines.append
        )
        costs.append([result.history[-1]["train/cost"] for result in run(prepared, [])])
        assert "CUDA graph" in prepared.engine.description
    assert costs[1] == pytest.approx(costs[0], rel=0.05)
    assert lines == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and none is here")
@pytest.mark.parametrize("rows", [1, 7])
def test_on_cuda_replayed_steps_equal_eager_ones(rows):
    lines = []
    engines = [on_cuda(seven(), lines.append)[0] for _ in range(2)]
    split = SPLIT.to(torch.device("cuda"))
    engines[1].recorder = None
    order, first = orders(rows, 2 * BLOCK + 30), 0
    for part in order.split([2 * BLOCK + 5, 3, BLOCK, 2], dim=1):
        results = [engine.train(split.inputs, split.targets, part, torch.tensor(first), ETA) for engine in engines]
        torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-3, atol=1e-3)
        first += part.shape[1]
    assert lines == []
    assert engines[0].description == "torch, CUDA graph"
    for name, value in engines[0].state(slots=False).items():
        # Some of cuDNN's kernels add up in no fixed order.
        torch.testing.assert_close(value, engines[1].state(slots=False)[name], rtol=2e-3, atol=2e-4)
