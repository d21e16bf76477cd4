"""Each benchmark runs in its quick form and gives numbers; the networks compared are the same; wrong input is told."""

import json
import math
import runpy
import sys

import pytest
import pytorch_lightning as pl
import torch

from benchmarks import by_hand, images, measure, nets, peer, plain, stack, trials
from src.config.shapes import parameter_count
from src.models.init import initial_weights
from src.training.engines.torch_engine import TorchEngine


@pytest.fixture(autouse=True)
def digits(monkeypatch):
    monkeypatch.delenv("MNIST_DIR", raising=False)


def command(name, *arguments, monkeypatch):
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_module(f"benchmarks.{name}", run_name="__main__")


def numbers(content):
    """Every number below `content`."""
    if isinstance(content, dict):
        content = list(content.values())
    if isinstance(content, list):
        return [number for item in content for number in numbers(item)]
    return [content] if isinstance(content, int | float) else []


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("augment", []),
        ("fast", []),
        ("engine", ["--nets", "a,c"]),
        ("evaluate", ["--nets", "a,c"]),
        ("own", ["--nets", "mlp"]),
        ("scaling", []),
        ("sweep", ["--nets", "a"]),
        ("tutorial", ["--models", "logistic,rbm"]),
    ],
)
def test_a_benchmark_prints_its_machine_and_positive_numbers(name, arguments, monkeypatch, capsys, tmp_path):
    file = tmp_path / "out.json"
    if name == "scaling":
        arguments = ["--figure", str(tmp_path / "scaling.png")]
    command(name, "--quick", "--json", str(file), *arguments, monkeypatch=monkeypatch)
    output = capsys.readouterr().out
    assert f"torch {torch.__version__}" in output
    assert "cores usable" in output
    assert "| --- |" in output
    content = json.loads(file.read_text())
    raw = [table["raw"] for table in content["tables"] if table["raw"] is not None]
    taken = numbers(raw)
    assert len(taken) >= 2
    assert all(math.isfinite(number) for number in taken)
    assert all(number > 0 for number in numbers([one for one in raw if name != "sweep"]))
    if name == "scaling":
        assert (tmp_path / "scaling.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("engine", ["--nets", "e"], "accepted: any of a, b, c, d"),
        ("tutorial", ["--models", "dbm"], "accepted: any of logistic, mlp, lenet, dae, rbm, sda"),
        ("evaluate", ["--rounds", "0"], "accepted: a whole number from 1"),
        ("sweep", ["--peer-trials", "17"], "accepted: 1 to 16"),
        ("scaling", ["--json", "no/such/folder/out.json"], "accepted: a file in a folder that exists"),
        ("gpu", ["--device", "cpu"], "--quick only"),
        ("engine", ["--speed"], "nrecognized arguments: --speed"),
    ],
)
def test_wrong_input_is_answered_with_one_paragraph_and_a_bad_exit(name, arguments, told, monkeypatch, capsys):
    with pytest.raises(SystemExit) as stopped:
        command(name, *arguments, monkeypatch=monkeypatch)
    said = capsys.readouterr()
    assert stopped.value.code == 2
    assert told in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert said.out == ""


def test_gpu_says_where_there_is_no_gpu(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as stopped:
        command("gpu", monkeypatch=monkeypatch)
    assert stopped.value.code == 2
    assert "no CUDA device" in capsys.readouterr().err


def test_a_folder_without_mnist_is_told(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("MNIST_DIR", str(tmp_path))
    with pytest.raises(SystemExit) as stopped:
        command("evaluate", "--quick", monkeypatch=monkeypatch)
    assert stopped.value.code == 2
    assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize("net", nets.TITLES)
@pytest.mark.parametrize("rows", [1, 3])
def test_the_step_written_by_hand_trains_as_the_engines_own(net, rows):
    config = nets.config(net, repeats=3, hidden=[12] * (2 if net == "d" else 1), optim={"eta": 0.1, "lambda_": 0.5})
    data = images.dataset().train
    order = torch.randint(0, len(data), (rows, 6, 10), generator=torch.Generator().manual_seed(1))
    engines = [stack.torch_engine(config, 120, kind=kind) for kind in (TorchEngine, by_hand.ByHand)]
    taken = [
        engine.train(data.inputs, data.targets, order, torch.tensor(5), torch.tensor([0.02, 0.03, 0.05]))
        for engine in engines
    ]
    torch.testing.assert_close(taken[1], taken[0], rtol=1e-5, atol=1e-6)
    for name, value in engines[0].state(slots=False).items():
        torch.testing.assert_close(engines[1].state(slots=False)[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and none is here")
@pytest.mark.parametrize("net", nets.TITLES)
@pytest.mark.parametrize("rows", [1, 3])
def test_on_cuda_the_step_written_by_hand_trains_as_the_engines_own_eager_and_replayed(net, rows):
    config = nets.config(net, repeats=3, hidden=[12] * (2 if net == "d" else 1), optim={"eta": 0.1, "lambda_": 0.5})
    split = images.dataset().train.to(torch.device("cuda"))
    order = torch.randint(0, len(split), (rows, 46, 10), generator=torch.Generator().manual_seed(1))
    engines = [
        stack.torch_engine(config, 120, split.targets.device, kind=kind)
        for kind in (TorchEngine, *[by_hand.ByHand] * 2)
    ]
    engines[0].recorder = engines[1].recorder = None
    for engine in engines:
        engine.train(split.inputs, split.targets, order, torch.tensor(5), torch.tensor([0.02, 0.03, 0.05]))
    assert engines[2].recorder is not None  # it was captured
    for name, value in engines[0].state(slots=False).items():
        for engine in engines[1:]:
            torch.testing.assert_close(engine.state(slots=False)[name], value, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("net", nets.TITLES)
def test_the_plain_network_has_our_parameters_and_gives_our_logits(net):
    config = nets.config(net)
    network = plain.network(config)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameter_count(config.shapes())
    shapes = [tuple(parameter.shape) for parameter in network.parameters()]
    assert shapes == [shape for layer in config.shapes() for shape in (layer.weight_shape, layer.weight_shape[:1])]
    if net == "d":
        return  # nn.Dropout rescales while training, the chapter's convention when evaluating
    weights = {name: value + 0.01 for name, value in initial_weights(config.shapes(), "he", 1).items()}
    module = peer.start_from(peer.Peer(config), weights)
    ours = stack.cpu_engine(config, batches=1)
    ours.load({name: value[None] for name, value in weights.items()})
    split = images.filled(images.dataset().test, 40)
    pixels = peer.floats(split).tensors[0]
    # float32 in another order of summation
    torch.testing.assert_close(module(pixels).softmax(1), ours.predictions(split.inputs)[0], rtol=1e-3, atol=1e-5)


def test_the_peer_learns():
    losses = []

    class Watch(pl.Callback):
        def on_train_batch_end(self, trainer, module, out, batch, index):
            losses.append(float(out["loss"]))

    data, config = images.dataset(), nets.config("a")
    torch.manual_seed(0)
    module = peer.Peer(config)
    trainer = peer.fit(module, peer.loader(peer.floats(data.train), config), max_epochs=2, callbacks=[Watch()])
    assert sum(losses[-50:]) < 0.7 * sum(losses[:50])
    assert peer.test(trainer, module, peer.evaluation_loader(peer.floats(data.test))) > 0.6


def test_the_bare_loop_learns():
    data, config = images.dataset(), nets.config("a")
    torch.manual_seed(0)
    network, (pixels, labels) = plain.network(config), peer.floats(data.train).tensors
    before, _ = plain.evaluate(network, pixels, labels, 500)
    seconds = plain.train(network, pixels, labels, torch.randperm(len(labels))[:1190].view(-1, 10), 0.1)
    assert seconds > 0
    assert plain.evaluate(network, pixels, labels, 500)[0] < 0.9 * before


def test_every_round_runs_every_contender_once_and_starts_with_another():
    ran = []

    def contender(name):
        def run(steps):
            ran.append(name)
            return steps * 1e-3

        return measure.Contender(name, run, members=2)

    taken = measure.interleaved([contender("x"), contender("y")], rounds=3, seconds=0.02)
    assert "".join(ran[4:]) == "xyyxxy"  # the first four find out how many steps to take
    assert taken["x"].values == pytest.approx((500, 500, 500))  # microseconds a step and member


def test_a_ratio_is_taken_round_by_round():
    ratio = measure.Sample((10.0, 30.0, 20.0)).over(measure.Sample((1.0, 2.0, 4.0)))
    assert (ratio.values, ratio.median, ratio.spread) == ((10, 15, 5), 10, (5, 15))


@pytest.mark.parametrize(("ratio", "verdict"), [(4.9, "not met"), (5, "least met"), (20, "goal met")])
def test_a_goal_is_met_from_its_own_value_on(ratio, verdict):
    assert measure.Goal(5, 20).verdict(ratio) == verdict


def test_the_trials_learning_rates_span_their_range():
    rates = trials.etas("a")
    assert len(rates) == 16
    assert rates[0] == pytest.approx(trials.RANGES["a"][0])
    assert rates[-1] == pytest.approx(trials.RANGES["a"][1])
