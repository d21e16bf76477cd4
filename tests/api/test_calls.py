"""Train and sweep in Python: they do what the command does, return it, and leave the program as it was."""

import asyncio
import json
import logging
import os
import signal
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

import src.sweep.launch  # noqa: F401  (loads the package, which `from src import sweep` finds from then on)
from src import Stopped, load_run, load_study, sweep, train
from src.config.error import UserError
from tests.sweeping import command, curves, members

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = [
    "data=digits",
    "data.train=200",
    "model.maps=[]",
    "model.hidden=[8]",
    "max_epochs=2",
    "trainer.engine=torch",
]
SETTINGS += ["trainer.compile=false", "trainer.threads=1", "tracking=none", "figures=false"]
SMALL = {
    "data": "digits",
    "data.train": 200,
    "model": {"maps": [], "hidden": [8]},
    "max_epochs": 2,
    "trainer": {"engine": "torch", "compile": False, "threads": 1},
    "tracking": "none",
    "figures": False,
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def state():
    """What a call must leave as it was."""
    root = logging.getLogger()
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    hydra, full = GlobalHydra.instance().hydra, os.environ.get("HYDRA_FULL_ERROR")
    return sys.argv, Path.cwd(), handlers, hydra, full, root.handlers[:], root.level, torch.get_num_threads()


def test_a_run_is_the_commands_bit_for_bit_and_leaves_the_program_as_it_was(folder, monkeypatch):
    assert command(monkeypatch, folder, *SETTINGS, "repeats=2", "optim.eta=0.3", "hydra.run.dir=typed") == 0
    before = state()
    run = train(SMALL, repeats=2, optim={"eta": 0.3})
    assert state() == before
    typed = members(Path("typed"))
    assert [curves(one) for one in members(run.folder)] == [curves(one) for one in typed]
    assert [one["config"] for one in members(run.folder)] == [one["config"] for one in typed]
    for member in (0, 1):
        weights = torch.load(f"typed/member-0{member}/weights.pt", weights_only=True)
        assert all(torch.equal(weights[name], value) for name, value in run.weights(member).items())


def test_a_runs_tables_hold_its_members_and_epochs():
    run = train(SMALL, repeats=2, seed=7)
    assert train(SMALL, plan=True) is None
    frame, history = run.frame(), run.history()
    assert list(frame["seed"]) == [7, 8]
    assert list(frame["optim.eta"]) == [0.1, 0.1]
    assert list(frame["test_accuracy"]) == [one.test_score for one in run.results]
    assert {"status", "best_epoch", "validation_accuracy", "seconds", "model.hidden", "batch_size"} <= set(frame)
    assert len(history) == 4
    assert {"member", "seed", "epoch", "train/cost", "validation/accuracy"} <= set(history)
    assert "FINISHED" in run._repr_html_()
    assert load_run(str(run.folder)).frame().equals(frame)


def test_a_sweep_is_the_commands_bit_for_bit(folder, monkeypatch):
    space = ["-m", "hydra/sweeper=optuna", "hydra.sweeper.study_name=typed", "hydra.sweeper.n_trials=3"]
    assert command(monkeypatch, folder, *space, *SETTINGS, "optim.eta=tag(log, interval(0.01,1))") == 0
    before = state()
    study = sweep(SMALL, study="here", trials=3, optim={"eta": "tag(log, interval(0.01,1))"})
    assert state() == before
    typed, frame = load_study("typed", "mlruns/studies.db"), study.frame()
    same = ["status", "validation_accuracy", "optim.eta", "epochs"]
    assert frame[same].equals(typed.frame()[same])
    assert list(frame.index) == [0, 1, 2]
    assert study.best.value == frame["validation_accuracy"].max()
    assert study.run().results[0].validation_score == study.best.value
    assert "optim.eta" in study._repr_html_()
    assert sweep(SMALL, study="here", trials=3, optim={"eta": "tag(log, interval(0.01,1))"}).frame().equals(frame)


def test_calls_from_threads_and_with_an_event_loop_run_one_after_the_other():
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda seed: train(SMALL, seed=seed), (0, 0))

    async def cell():
        return train(SMALL)

    here = asyncio.run(cell())
    assert one.folder != other.folder
    assert curves(members(one.folder)[0]) == curves(members(other.folder)[0]) == curves(members(here.folder)[0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: train(exp="nope"), "exp = 'nope': no such option"),
        (lambda: train(SMALL, optim={"etta": 1}), "did you mean optim.eta"),
        (lambda: train(SMALL, batch_size=0), "batch_size = 0"),
        (lambda: train(SMALL, batch_size=201), "more than the 200 training images"),
        (lambda: train(sweeps="quick"), "sweep"),
        (lambda: sweep(SMALL), "nothing is swept"),
        (lambda: sweep(SMALL, sampler="tpee", seed="1,2"), "tpee"),
        (lambda: load_run("nowhere"), "holds no run"),
        (lambda: load_study("none"), "there is no store yet"),
    ],
)
def test_a_mistake_is_one_paragraph_and_trains_nothing(call, words, folder):
    before = state()
    with pytest.raises(UserError, match=words) as raised:
        call()
    assert "\n\n" not in str(raised.value)
    assert state() == before
    assert not list(folder.rglob("result.json"))


def test_the_commands_own_message_is_the_errors(folder, monkeypatch, capsys):
    assert command(monkeypatch, folder, *SETTINGS, "batch_size=0", "optim.etta=1") == 2
    with pytest.raises(UserError) as raised:
        train(SMALL, batch_size=0, optim={"etta": 1})
    assert str(raised.value).strip() == capsys.readouterr().err.strip()


def test_ctrl_c_keeps_what_was_computed(monkeypatch):
    from src.runs import terminal

    def interrupts(self, rows, so_far):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(terminal.ProgressBar, "epoch_ended", interrupts)
    before = state()
    with pytest.raises(Stopped) as stopped:
        train(SMALL, max_epochs=50)
    assert state() == before
    run = stopped.value.kept
    assert run.status == "KILLED"
    assert len(run.history()) == 1
    assert json.loads((run.folder / "result.json").read_text())[0]["status"] == "KILLED"


def test_a_notebook_has_one_progress_bar_that_moves_and_needs_no_widgets(monkeypatch, capsys):
    from types import SimpleNamespace

    from rich.console import Console

    from src.runs import terminal

    shown = []
    output = SimpleNamespace(update=lambda content, raw: shown.append(content["text/plain"]))

    def display(content, raw, display_id):
        shown.append(content["text/plain"])
        return output

    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    monkeypatch.setattr(terminal, "REFRESHES_A_SECOND", 1e9)
    notebook = Console(file=sys.stdout)
    notebook.is_jupyter = True
    monkeypatch.setattr(terminal, "console", notebook)
    monkeypatch.setattr("rich.jupyter.display", lambda segments, text: None)
    train(SMALL)
    assert shown[0].startswith("epoch 1/2")
    assert "100 %" in shown[-1]
    assert "best validation" in shown[-1]
    assert "epoch" not in capsys.readouterr().out


def test_the_example_notebook_runs(monkeypatch):
    """Its code cells in one namespace, as a kernel would run them; a kernel is not among the dependencies."""
    notebook = json.loads((ROOT / "examples" / "from_python.ipynb").read_text(encoding="utf-8"))
    monkeypatch.syspath_prepend(str(ROOT))
    namespace = {}
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), namespace)
    assert len(namespace["run"].frame()) == 3
    assert len(namespace["study"].frame()) == 8


def test_the_readmes_example_runs():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    example = text[text.index("    from src import train") :].split("\n\n")[0]
    exec(compile(textwrap.dedent(example), "README.md", "exec"), {})
