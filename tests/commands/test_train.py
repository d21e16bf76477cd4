"""The command as a user meets it: what a run leaves, what a mistake is answered with, and how it ends early."""

import json
import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from src.commands import help, train
from src.config.check import parse
from src.config.compose import composed
from src.config.schema import RunConfig, StopConfig
from src.models.network import Network
from src.runs import result_files, run_words, terminal
from src.runs.checkpoint import Saved
from src.tracking import record
from src.training.stack import members_of
from tests import example
from tests.sweeping import command as in_process

ROOT = Path(__file__).resolve().parents[2]
TINY = [
    "+exp=shallow",
    "data=digits",
    "max_epochs=1",
    "trainer.engine=torch",
    "trainer.compile=false",
    "trainer.threads=1",
]


def command(*arguments, folder, **environment):
    """Runs the command in `folder` as a process of its own."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", **environment}
    return subprocess.run(
        [sys.executable, "-m", "src.train", *arguments],
        cwd=folder, env=variables, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@pytest.fixture
def shown(monkeypatch):
    """What the terminal shows, as text."""
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    monkeypatch.setattr(terminal, "console", console)
    yield lambda: console.export_text(clear=False)
    console.file.close()


def digits(**sections):
    """A checked configuration on the digits, quick to train."""
    raw = example.raw(
        data={"name": "digits", "height": 28, "width": 28, "classes": 10, "dir": None, "train": 200},
        model={"maps": [], "hidden": [20]},
        batch_size=10,
    )
    for name, value in sections.items():
        raw[name] = {**raw[name], **value} if isinstance(value, dict) else value
    return parse(raw)


def test_a_run_leaves_results_weights_figures_and_says_where(tmp_path, shown):
    results = train.train(digits(repeats=2, figures=True, name="shallow", published=97.8), tmp_path / "run", ["+exp=x"])
    left = json.loads((tmp_path / "run" / "result.json").read_text())
    assert len(left) == 2
    for member, result in zip(left, results, strict=True):
        assert {"config", "history", "best_epoch", "validation_accuracy", "test_accuracy", "seconds"} <= set(member)
        assert 0 <= member["test_accuracy"] <= 1
        assert RunConfig.model_validate(member["config"]) == digits(
            repeats=2, figures=True, name="shallow", published=97.8
        )
        assert member["validation_accuracy"] == result.validation_score
    weights = torch.load(tmp_path / "run" / "member-01" / "weights.pt", weights_only=True)
    Network(digits().shapes()).load_state_dict(weights)
    assert (tmp_path / "run" / "figures" / "accuracy.png").stat().st_size > 1000
    text = shown()
    for words in ("2 repeats", "digits", "FC 20 sigmoid · softmax 10", "estimate", "95 % interval", "Next:"):
        assert words in text
    assert re.search(r"Results: .*result\.json", text)
    assert "97.8" not in text  # the chapter's figure stands beside MNIST only


@pytest.mark.parametrize("convention", ["chapter", "inverted"])
def test_ordinary_layers_give_the_networks_outputs_from_the_file_for_them(convention, tmp_path, shown):
    from torch import nn

    from src.data.load import load

    model = {"maps": [3], "hidden": [12], "field": 5, "dropout": 0.3, "dropout_convention": convention}
    config = digits(model=model)
    (result,) = train.train(config, tmp_path)
    plain = tmp_path / "member-00" / "plain_weights.pt"
    assert plain.exists() == (convention == "chapter")
    weights = torch.load(plain if plain.exists() else plain.with_name("weights.pt"), weights_only=True)
    layers = nn.Sequential(
        nn.Conv2d(1, 3, 5),
        nn.MaxPool2d(2),
        nn.Sigmoid(),
        nn.Flatten(),
        nn.Linear(432, 12),
        nn.Sigmoid(),
        nn.Linear(12, 10),
    )
    layers.load_state_dict(dict(zip(layers.state_dict(), weights.values(), strict=True)))
    with torch.no_grad():
        outputs = layers(load(config.data).test.inputs.float() / 255).softmax(1)
    torch.testing.assert_close(outputs, result.probabilities, atol=1e-5, rtol=1e-4)


PARTS = (
    "model.layers=[{conv: 4, field: 3, padding: same, norm: batch, activation: prelu, pool: avg, pool_size: 3, "
    "pool_stride: 2}, {conv: 4, activation: rrelu, bias: false, dropout: 0.2}, {fc: 20, norm: group, dropout: 0.5}]",
    "data=digits", "data.train=400", "max_epochs=4", "model.init=he", "optim.eta=0.2", "repeats=2", "tracking=none",
    "figures=false", "trainer.compile=false", "trainer.threads=1", "hydra.run.dir=run",
)  # fmt: skip


def test_a_network_of_every_part_is_torchs_own_layers_in_the_end(tmp_path, monkeypatch, capsys):
    from torch import nn

    from src.data.load import load

    assert in_process(monkeypatch, tmp_path, *PARTS) == 0
    assert "engine: torch, eager" in capsys.readouterr().out  # engine=auto: the cpu engine has no kernels for these
    weights = torch.load(tmp_path / "run" / "member-01" / "plain_weights.pt", weights_only=True)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding="same"), nn.BatchNorm2d(4), nn.PReLU(4), nn.AvgPool2d(3, 2),
        nn.Conv2d(4, 4, 5, bias=False), nn.MaxPool2d(2), nn.RReLU(),
        nn.Flatten(), nn.Linear(64, 20), nn.GroupNorm(5, 20), nn.Sigmoid(), nn.Linear(20, 10),
    )  # fmt: skip
    names = [name for name in network.state_dict() if not name.endswith("num_batches_tracked")]
    network.load_state_dict(dict(zip(names, weights.values(), strict=True)))
    (_, result) = json.loads((tmp_path / "run" / "result.json").read_text())
    test = load(RunConfig.model_validate(result["config"]).data).test
    with torch.no_grad():
        answers = network.eval()(test.inputs.float() / 255).argmax(1)
    assert float((answers == test.targets).double().mean()) == result["test_accuracy"] > 0.3


def test_the_published_accuracy_stands_beside_mnist(shown):
    dataset = example.dataset()
    mnist = type(dataset)("mnist", "made up", dataset.train, dataset.validation, dataset.test, 4)
    config = example.config(name="shallow", published=12.34)
    from src.training.fit import prepare, run

    results = run(prepare([config], mnist), [])
    votes, summary = record.conclude(config, results, mnist)
    terminal.table(results, config, mnist)
    terminal.conclusion(config, mnist, votes, summary)
    assert shown().count("12.34") == 2


def test_a_run_that_diverged_has_no_best_validation_accuracy(shown):
    class Prepared:
        members, chunks = members_of([example.config(max_epochs=3, repeats=2)]), SimpleNamespace(batches=1)

    bar = terminal.ProgressBar([Prepared.members[0].config]).begin(0, Prepared, Saved("", {}, None, "", ""))
    diverged, other = ({"epoch": 1, "validation/cost": cost, "validation/accuracy": 0.0} for cost in (math.nan, 2.0))
    bar.epoch_ended({0: diverged, 1: diverged}, None)
    assert shown() == "epoch 1/3  best validation –, mean –; 2 of 2 training\n"
    bar.epoch_ended({0: diverged, 1: {**other, "validation/accuracy": 0.5}}, None)
    assert shown().splitlines()[-1] == "epoch 1/3  best validation 50.00 %, mean 50.00 %; 2 of 2 training"


CONVOLUTION = "model.layers=[{conv: 8, field: 5}, {fc: 50}]"
HALVE, BATCHES = "optim.schedule=halve", "stop=patience_batches"


@pytest.mark.parametrize(
    ("of", "change"),
    [
        ([CONVOLUTION], "model.layers=[{conv: 8, field: 5, stride: 2}, {fc: 50}]"),
        ([CONVOLUTION], "model.layers=[{conv: 8, field: 5, pool: none}, {fc: 50}]"),
        ([CONVOLUTION], "model.layers=[{conv: 8, field: 5, pool_stride: 1}, {fc: 50}]"),
        ([CONVOLUTION], "model.layers=[{conv: 8, field: 5}, {fc: 50, dropout: 0.5}]"),
        *(([CONVOLUTION], f"model.{one}") for one in ("pool=l2", "pool_size=3", "init=he", "dropout=0.1")),
        (["model.dropout=0.1"], "model.dropout_convention=inverted"),
        *(([], f"optim.{one}") for one in ("eta=0.2", "lambda_=0.1", "l1=0.1", "momentum=0.5", "schedule=inverse")),
        (["optim.schedule=inverse"], "optim.decay=0.5"),
        (["optim.schedule=cosine"], "optim.cycles=3"),
        (["optim.schedule=exponential", "optim.eta_end=0.01"], "optim.eta_end=0.02"),
        *(([HALVE], f"optim.{one}") for one in ("plateau_epochs=3", "min_eta_factor=0.5")),
        *(([BATCHES], f"stop.{one}") for one in ("patience_increase=3", "improvement_threshold=0.9")),
        ([], "data.order=epoch"),
        ([], "batch_size=20"),
        ([], "augment=mnist"),
        (["augment=simard"], "augment.sigma=[5,6]"),
        (["augment=mnist"], "augment.half_angle=[1,7]"),
        ([], "augment.test_shift=1"),
        (["stop.keep=last"], "data.refit=true"),
        ([], "average=swa"),
        *((["average=ema"], f"average.{one}") for one in ("decay=0.5", "start=0.5", "every_batches=9")),
    ],
)
def test_the_header_shows_every_setting_that_changes_what_is_trained(of, change):
    def words(*overrides):
        config = parse(composed(list({one.split("=")[0]: one for one in overrides}.values())))
        return run_words.network_words(config) + run_words.training_words(config)

    assert words(*of) != words(*of, change)


def test_digits_that_stand_in_for_mnist_are_announced_in_a_box(shown):
    from dataclasses import replace

    from src.training.fit import prepare

    prepared = prepare([example.config()], replace(example.dataset(), warning="This is NOT MNIST"))
    terminal.header(prepared, example.config(), Path("somewhere"))
    assert "Warning" in shown()
    assert "This is NOT MNIST" in shown()


def test_a_runs_name_shows_what_the_command_line_changed():
    arguments = ["+exp=shallow", "data=digits", "optim.eta=0.3", "repeats=3", "trainer.threads=1", "tracking.uri=x"]
    assert train.shown_in_name(arguments) == "optim.eta=0.3"


def test_an_ensemble_votes_once_a_repeat(tmp_path, shown):
    config = digits(ensemble=3, repeats=2, max_epochs=3)
    results = train.train(config, tmp_path)
    votes = json.loads((tmp_path / "votes.json").read_text())
    assert len(votes) == 2
    for repeat, vote in enumerate(votes):
        members = [result for result in results if result.repeat == repeat]
        assert vote["member_accuracies"] == pytest.approx([member.test_score for member in members])
        assert vote["accuracy"] == pytest.approx(1 - len(vote["errors"]) / 300)
    assert shown().count("3 networks vote") == 2
    assert "n = 2" in shown()


class FakeTracker:
    """Records what it is told; `broken` makes its epochs raise."""

    def __init__(self, broken=None):
        self.told, self.broken = [], broken

    def abort(self, status, reason):
        self.told.append((status, reason))

    def epoch(self, rows):
        if self.broken and rows[0]["epoch"] == 2:
            raise self.broken

    def finish(self, results, summary, artifacts):
        self.told.append(("finish", [path.name for path in artifacts]))


def with_tracker(monkeypatch, tracker):
    monkeypatch.setattr(train, "tracking", lambda *_, **__: tracker)
    return tracker


def test_a_run_that_breaks_is_tracked_as_failed_and_keeps_its_last_results(tmp_path, monkeypatch, shown):
    tracker = with_tracker(monkeypatch, FakeTracker(RuntimeError("broken")))
    with pytest.raises(RuntimeError, match="broken"):
        train.train(digits(max_epochs=3, trainer={"chunk": 5}), tmp_path)
    assert tracker.told == [("FAILED", "RuntimeError('broken')")]
    (member,) = json.loads((tmp_path / "result.json").read_text())
    assert (member["status"], len(member["history"])) == ("FAILED", 2)


def test_a_second_ctrl_c_stops_at_once_as_killed(tmp_path, monkeypatch, shown):
    class Impatient(FakeTracker):
        def epoch(self, rows):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    tracker = with_tracker(monkeypatch, Impatient())
    with pytest.raises(KeyboardInterrupt):
        train.train(digits(max_epochs=3), tmp_path)
    assert [status for status, _ in tracker.told] == ["KILLED"]
    assert json.loads((tmp_path / "result.json").read_text())[0]["status"] == "KILLED"


def test_a_signal_while_the_results_are_told_costs_nothing(tmp_path, monkeypatch, shown):
    class Late(FakeTracker):
        def finish(self, *about):
            signal.raise_signal(signal.SIGTERM)
            super().finish(*about)

    tracker = with_tracker(monkeypatch, Late())
    (result,) = train.train(digits(), tmp_path)
    assert (tracker.told, result.status) == ([("finish", [])], "FINISHED")


def test_figures_that_cannot_be_drawn_lose_nothing(tmp_path, monkeypatch, shown):
    def full(*_):
        raise OSError(28, "No space left on device")

    tracker = with_tracker(monkeypatch, FakeTracker())
    monkeypatch.setattr("src.runs.figures.draw", full)
    train.train(digits(figures=True, ensemble=2), tmp_path)
    assert tracker.told == [("finish", ["votes.json"])]
    assert "could not be drawn" in shown()


def test_results_that_cannot_be_written_end_the_tracked_run_as_failed(tmp_path, monkeypatch, shown):
    tracker = with_tracker(monkeypatch, FakeTracker())
    monkeypatch.setattr(record, "write_weights", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train.train(digits(), tmp_path)
    assert tracker.told[0][0] == "FAILED"


def sweep(monkeypatch, folder, *arguments):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(train, "_statuses", [])
    monkeypatch.setattr(sys, "argv", ["train", "-m", *TINY, "tracking=none", "figures=false", *arguments])
    with pytest.raises(SystemExit) as ended:
        train.main()
    return ended.value.code


def test_a_sweep_goes_on_after_a_trial_that_diverged_and_says_so_at_its_end(tmp_path, monkeypatch, capsys):
    assert sweep(monkeypatch, tmp_path, "optim.eta=1e38,0.1") == 1
    left = sorted((tmp_path / "mlruns" / "hydra").glob("*/*-multirun/*/result.json"))
    assert [json.loads(path.read_text())[0]["status"] for path in left] == ["FAILED", "FINISHED"]
    assert "diverged" in capsys.readouterr().err


def test_a_sweep_with_one_impossible_combination_does_not_start(tmp_path, monkeypatch, capsys):
    assert sweep(monkeypatch, tmp_path, "optim.eta=0.1,-1", "model.dropout=0,1") == 2
    error = capsys.readouterr().err
    assert "nothing was started" in error
    assert "optim.eta = -1: must be greater than 0" in error
    assert "model.dropout = 1: must be less than 1" in error
    assert not list((tmp_path / "mlruns").glob("hydra/*/*/*/result.json"))


def test_results_so_far_are_kept_while_training(tmp_path, monkeypatch):
    monkeypatch.setattr(result_files, "KEEP_SECONDS", 30.0)
    now = [0.0]
    keeper = result_files.ResultsSoFar(tmp_path, clock=lambda: now[0])
    from src.training.fit import prepare, run

    class Clock:
        def progressed(self, *_):
            now[0] += result_files.KEEP_SECONDS / 5  # five looks of a clock apart

        def epoch_ended(self, rows, so_far):
            keeper.epoch_ended(lambda: [so_far(0)])

    run(prepare([example.config(max_epochs=8, trainer={"chunk": 12})], example.dataset()), [Clock()])
    left = json.loads((tmp_path / "result.json").read_text())
    assert left[0]["status"] == "RUNNING"
    assert 4 <= len(left[0]["history"]) < 8
    torch.load(tmp_path / "member-00" / "weights.pt", weights_only=True)


def test_a_member_that_has_ended_stays_what_it_was_whatever_the_others_do(tmp_path, shown, monkeypatch):
    tracker = FakeTracker()
    with_tracker(monkeypatch, tracker)
    early = digits(repeats=3, max_epochs=30, stop={"rule": "patience_epochs", "patience_epochs": 2})
    results = train.train(early, tmp_path)
    assert len({len(result.history) for result in results}) > 1
    kept = json.loads((tmp_path / "result.json").read_text())
    assert {one["status"] for one in kept} == {result.status for result in results} == {"FINISHED"}
    assert None not in [one["test_accuracy"] for one in kept]

    finished = results[0]
    assert finished.ended_as("KILLED") is finished
    with pytest.raises(FrozenInstanceError):
        finished.status = "RUNNING"


def test_the_command_trains_and_tracks(tmp_path):
    done = command(*TINY, "repeats=2", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 repeats" in done.stdout
    (folder,) = (tmp_path / "mlruns" / "hydra").glob("*/*-shallow")
    assert len(json.loads((folder / "result.json").read_text())) == 2
    with sqlite3.connect(tmp_path / "mlruns" / "mlflow.db") as store:
        statuses = [row[0] for row in store.execute("select status from runs")]
    store.close()
    assert statuses == ["FINISHED"] * 3


def test_ctrl_c_keeps_what_is_there_as_killed(tmp_path):
    arguments = [*TINY, "max_epochs=5000", "trainer.chunk=20"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "src.train", *arguments],
        cwd=tmp_path, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # where the tests themselves ignore it
    )  # fmt: skip
    for line in process.stdout:
        if line.startswith("epoch 2/"):
            process.send_signal(signal.SIGHUP)  # as when its terminal is closed
            break
    rest, errors = process.communicate(timeout=200)
    assert process.returncode == 130, errors
    assert "what is there will be kept" in rest
    (path,) = (tmp_path / "mlruns" / "hydra").glob("*/*/result.json")
    (member,) = json.loads(path.read_text())
    assert member["status"] == "KILLED"
    assert len(member["history"]) >= 2
    assert member["test_accuracy"] is not None
    with sqlite3.connect(tmp_path / "mlruns" / "mlflow.db") as store:
        assert [row[0] for row in store.execute("select status from runs")] == ["KILLED"]
    store.close()


def test_two_processes_may_start_at_once(tmp_path):
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "src.train", *TINY, f"seed={seed}", "figures=false"],
            cwd=tmp_path, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for seed in (1, 2)
    ]  # fmt: skip
    errors = [process.communicate(timeout=240)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    with sqlite3.connect(tmp_path / "mlruns" / "mlflow.db") as store:
        assert [row[0] for row in store.execute("select status from runs")] == ["FINISHED"] * 2
    store.close()
    assert len(list((tmp_path / "mlruns" / "hydra").glob("*/*/result.json"))) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["+exp=shalow", "optim.etta=1", "optim.eta=-1"],
            ["exp = 'shalow'", "optim.etta: no such key", "optim.eta = -1"],
        ),
        (["optim.eta=-1", "max_epochs=0"], ["2 problems", "optim.eta = -1: must be greater than 0", "max_epochs = 0"]),
        (["exp=shallow"], ["write +exp=shallow"]),
        (
            ["data=nist"],
            [
                "data = 'nist': no such option; accepted: arrays, auto, cifar10, digits, folder, function, idx, "
                "mnist, table"
            ],
        ),
        (["model.maps=[20"], ["cannot be read"]),
        (["+optim.foo=1"], ["optim.foo: no such key"]),
        (["model.layers=conv"], ["model.layers = 'conv': must be a list of layers"]),
        (["model.layers=[{conv: 20, fc: 9}]"], ["model.layers.0.fc: no such key in a layer of this kind"]),
        (["model.layers=[{conv: 20, drop: 0.5}]"], ["accepted: conv, field, stride, padding, norm"]),
        (["nokey=1"], ["nokey: no such key; python -m src.train --help lists all keys"]),
        (["-m", "+exp=shallow,conv", "optim.etaa=1"], ["optim.etaa: no such key"]),
        (["hydra.run.dir=/proc/nowhere", "data=digits"], ["could not be used"]),
        (["data=mnist", "data.dir=nowhere"], ["nowhere"]),
        (["data=digits", "batch_size=5000"], ["batch_size = 5000: more than the 1197 training images"]),
    ],
)
def test_a_mistake_gets_one_clear_paragraph_and_a_status(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "_statuses", [])
    monkeypatch.setattr(sys, "argv", ["train", *arguments])
    with pytest.raises(SystemExit) as ended:
        train.main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "Error executing job" not in error
    for word in words:
        assert word in error


def test_a_name_that_looks_like_markup_is_shown_as_it_is(shown):
    from src.training.fit import prepare, run

    config, data = example.config(name='"[b]'), example.dataset()
    prepared = prepare([config], data)
    terminal.header(prepared, config, Path("[x]"))
    terminal.table(run(prepared, []), config, data)
    assert shown().count('"[b]') == 2
    assert "[x]" in shown()


def test_a_password_in_the_stores_address_is_in_no_file(tmp_path, shown, monkeypatch):
    with_tracker(monkeypatch, FakeTracker())
    address = "https://me:secret@somewhere"
    train.train(digits(tracking={"uri": address, "kind": "mlflow"}), tmp_path, [f"tracking.uri={address}"])
    assert "secret" not in (tmp_path / "result.json").read_text() + shown()


def test_a_run_whose_member_diverged_ends_with_a_status_and_a_hint(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "_statuses", [])
    monkeypatch.setattr(sys, "argv", ["train", *TINY, "tracking=none", "optim.eta=1e38", "figures=false"])
    with pytest.raises(SystemExit) as ended:
        train.main()
    assert ended.value.code == 1
    assert "Try a smaller optim.eta" in capsys.readouterr().err
    (path,) = (tmp_path / "mlruns" / "hydra").glob("*/*/result.json")
    assert json.loads(path.read_text())[0]["status"] == "FAILED"


def test_help_lists_the_experiments_with_their_published_accuracies():
    lines = help.experiments().splitlines()
    assert len(lines) == len(list((ROOT / "conf" / "exp").glob("*.yaml"))) > 14
    assert any("ensemble" in line and "99.67 %" in line for line in lines)


# Table 1 of the specification: layers, activation, eta, lambda, epochs, data, published accuracy.
CONV1, CONV2 = "conv 20", "conv 40"
TABLE = {
    "shallow": (["FC 100"], "sigmoid", 0.1, 0, 60, "none", 97.80),
    "conv_only": ([CONV1], "sigmoid", 0.1, 0, 60, "none", None),
    "conv": ([CONV1, "FC 100"], "sigmoid", 0.1, 0, 60, "none", 98.78),
    "conv2": ([CONV1, CONV2, "FC 100"], "sigmoid", 0.1, 0, 60, "none", 99.06),
    "conv2_tanh": ([CONV1, CONV2, "FC 100"], "tanh", 0.1, 0, 60, "none", None),
    "conv2_relu": ([CONV1, CONV2, "FC 100"], "relu", 0.03, 0.1, 60, "none", 99.23),
    "expanded": ([CONV1, CONV2, "FC 100"], "relu", 0.03, 0.1, 60, "shifts", 99.37),
    "expanded_fc300": ([CONV1, CONV2, "FC 300"], "relu", 0.03, 0.1, 60, "shifts", 99.46),
    "expanded_fc1000": ([CONV1, CONV2, "FC 1000"], "relu", 0.03, 0.1, 60, "shifts", 99.43),
    "expanded_2fc100": ([CONV1, CONV2, "FC 100", "FC 100"], "relu", 0.03, 0.1, 60, "shifts", 99.43),
    "expanded_2fc300": ([CONV1, CONV2, "FC 300", "FC 300"], "relu", 0.03, 0.1, 60, "shifts", 99.48),
    "expanded_2fc1000": ([CONV1, CONV2, "FC 1000", "FC 1000"], "relu", 0.03, 0.1, 60, "shifts", 99.47),
    "dropout": ([CONV1, CONV2, "FC 1000", "FC 1000"], "relu", 0.03, 0, 40, "shifts", 99.60),
    "ensemble": ([CONV1, CONV2, "FC 1000", "FC 1000"], "relu", 0.03, 0, 40, "shifts", 99.67),
}


# The tutorial's classifiers: layers, mini-batch, eta, lambda, epochs, patience, published accuracy.
TUTORIAL = {
    "logistic": ([], 600, 0.13, 0, 1000, 5000, 92.511),
    "mlp": (["FC 500"], 20, 0.01, 2 * 1e-4 * 50_000 / 20, 1000, 10_000, 98.35),
    "lenet": ([CONV1, "conv 50", "FC 500"], 500, 0.1, 0, 200, 10_000, 99.08),
}


@pytest.mark.parametrize("name", TUTORIAL)
def test_an_experiment_is_what_the_tutorial_trained(name):
    layers, batch, eta, lambda_, epochs, patience, published = TUTORIAL[name]
    config = parse(composed([f"+exp={name}"]))
    assert [run_words.layer_words(layer).split(" (")[0].removesuffix(" tanh") for layer in config.shapes()] == [
        *layers,
        "softmax 10",
    ]
    for layer in config.shapes()[:-1]:
        assert layer.activation == "tanh"
    assert config.model.init == "glorot" or not layers
    assert (config.batch_size, config.max_epochs, config.published, config.name) == (batch, epochs, published, name)
    assert (config.optim.eta, config.optim.lambda_, config.data.order) == (eta, pytest.approx(lambda_), "fixed")
    assert config.stop == StopConfig(rule="patience_batches", patience_batches=patience)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_an_experiment_is_what_the_chapter_trained(name):
    layers, activation, eta, lambda_, epochs, expand, published = TABLE[name]
    config = parse(composed([f"+exp={name}"]))
    assert [run_words.layer_words(layer).split(" (")[0] for layer in config.shapes()] == [
        *(words if words.startswith("conv") else f"{words} {activation}" for words in layers),
        "softmax 10",
    ]
    for layer in config.shapes()[:-1]:
        assert layer.activation == activation
    assert (config.optim.eta, config.optim.lambda_, config.max_epochs) == (eta, lambda_, epochs)
    assert (config.data.expand, config.published, config.name) == (expand, published, name)
    assert (config.batch_size, config.data.order, config.model.init) == (10, "fixed", "chapter")
    dropout = name in ("dropout", "ensemble")
    assert config.model.dropouts() == [0.5 if dropout else 0.0] * (
        len(layers) - layers.count(CONV1) - layers.count(CONV2) + 1
    )
    assert config.model.dropout_convention == "chapter"
    assert config.ensemble == (5 if name == "ensemble" else 1)
