"""A class of the user's by the commands: from a file in the folder of the command, stopped, swept, trained again."""

import json
import sys
from pathlib import Path

import pytest
import torch

from src.commands import rerun, resume
from src.models import own
from src.training.engines import choose
from tests.commands.test_resume import left, left_by_a_whole_run, stopped
from tests.sweeping import command, folders, members, one_paragraph, replaced, slow_where, study

CLASS = '''
import torch
from torch import nn

class Net(nn.Module):
    """Draws noise, which no stack can."""

    def __init__(self, width=4, slope=0.0, noise=0.0, dropout=0.0):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.BatchNorm1d(width), nn.Dropout(dropout))
        self.head, self.noise, self.slope = nn.Linear(width, 10), noise, slope

    def forward(self, x):
        y = nn.functional.leaky_relu(self.body(x), self.slope)
        return self.head(y + self.noise * torch.randn_like(y) if self.noise else y)
'''
OWN = ["model.target=own_nets.Net", "trainer.engine=auto", "trainer.compile=false"]


@pytest.fixture(autouse=True)
def written(tmp_path, monkeypatch):
    """The class in a file that only the command's folder holds; timing takes no time."""
    monkeypatch.setattr(choose, "PROBE_SECONDS", 0.0)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    own._class.cache_clear()
    sys.modules.pop("own_nets", None)
    (tmp_path / "own_nets.py").write_text(CLASS)
    yield
    sys.modules.pop("own_nets", None)


def test_a_run_that_was_stopped_goes_on_to_the_same_numbers_and_a_changed_file_is_told(tmp_path, monkeypatch, capsys):
    # One chunk an epoch: where chunks are cut shows in the last digits of a sum of costs.
    arguments = [*OWN, "model.hidden=[]", "model.args={noise:0.2,dropout:0.1}", "trainer.chunk=20"]
    whole = left_by_a_whole_run(tmp_path, monkeypatch, *arguments)
    folder = stopped(monkeypatch, tmp_path, *arguments)
    (tmp_path / "own_nets.py").write_text(f"{CLASS}\n# another line\n")
    assert resume.main([str(folder)]) == 0
    assert "own_nets.py has changed since this was trained" in capsys.readouterr().out
    assert left(folder) == whole
    kept = json.loads((folder / "result.json").read_text())[0]
    assert kept["config"]["model"]["target"] == "own_nets.Net"
    assert kept["config"]["model"]["args"] == {"noise": 0.2, "dropout": 0.1}


def test_its_arguments_are_swept_and_a_trial_again_alone_agrees(tmp_path, monkeypatch, capsys):
    swept = ["model.args.width=choice(3,5)", "model.args.dropout=choice(0.0,0.4)", "model.per_member=[dropout]"]
    swept += ["hydra.sweeper.sampler=grid"]
    assert study(monkeypatch, tmp_path, *replaced(*OWN, *swept, "model.hidden=[]", "hydra.sweeper.n_trials=4")) == 0
    runs = [members(folder)[0] for folder in folders(tmp_path)]
    assert {run["config"]["model"]["args"]["width"] for run in runs} == {3, 5}
    for run, folder in zip(runs, folders(tmp_path), strict=True):
        weights = torch.load(folder / "member-00" / "weights.pt", weights_only=True)
        assert float(weights["body.3.dropout_p"]) == pytest.approx(run["config"]["model"]["args"]["dropout"])
    assert rerun.main(["study=small", "trial=2", "tracking.kind=none"]) == 0
    assert "agrees with the study" in capsys.readouterr().out
    assert command(monkeypatch, tmp_path, "from_study=small", "top=2", "tracking=none", "figures=false") == 0


def test_an_argument_that_a_stack_cannot_hold_sends_trials_that_join_it_one_by_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(own, "_STRANGERS", {})
    swept = ["model.args.slope=interval(0,0.9)", "model.per_member=[slope]", "hydra.launcher.max_members=1"]
    stacks_win(monkeypatch)
    assert study(monkeypatch, tmp_path, *replaced(*OWN, *swept, "model.hidden=[]", "hydra.sweeper.n_trials=3")) == 0
    out = capsys.readouterr().out
    assert "reaches the network not by its state alone" in out
    assert [run["status"] for folder in folders(tmp_path) for run in members(folder)] == ["FINISHED"] * 3
    assert rerun.main(["study=small", "trial=2", "tracking.kind=none"]) == 0


def stacks_win(monkeypatch):
    slow_where(monkeypatch, choose.OneByOne, "train")


def test_a_class_that_cannot_be_built_is_refused_before_anything_is_trained(tmp_path, monkeypatch, capsys):
    for arguments in (["model.args.widht=3"], ["-m", "model.args.widht=3,4"]):
        assert command(monkeypatch, tmp_path, *arguments, *OWN, "data=digits", "tracking=none") == 2
        err = capsys.readouterr().err
        assert one_paragraph(err)
        assert "unexpected keyword argument 'widht' (own_nets.py, line 5)" in err
    assert not list(Path(tmp_path).rglob("result.json"))


def test_another_run_of_the_class_gives_the_initial_weights_but_not_the_probabilities(tmp_path, monkeypatch):
    plain = [
        *OWN,
        "data=digits",
        "data.train=100",
        "max_epochs=1",
        "tracking=none",
        "figures=false",
        "trainer.threads=1",
    ]
    assert command(monkeypatch, tmp_path, *plain, "hydra.run.dir=first", "model.args.dropout=0.4") == 0
    again = ["hydra.run.dir=second", "model.args.dropout=0.1", "model.start=first", "optim.eta=1e-30"]
    assert command(monkeypatch, tmp_path, *plain, *again) == 0
    first, second = (torch.load(tmp_path / name / "member-00" / "weights.pt") for name in ("first", "second"))
    assert torch.equal(first["body.1.weight"], second["body.1.weight"])
    assert float(second["body.3.dropout_p"]) == pytest.approx(0.1)
