"""A run whose last epochs vote, by the commands: stopped, gone on, evaluated."""

import json
from pathlib import Path

import pytest

from src.commands import evaluate, resume
from src.commands.networks import of_run, of_study
from src.runs import checkpoint
from src.runs.checkpoint import read
from src.runs.result_files import read_weights
from tests.commands.test_resume import stopped, the_run
from tests.sweeping import SMALL, command, replaced, study

SNAPSHOTS = ["snapshots=3", "ensemble=1", "optim.eta=1"]


def test_the_vote_of_a_run_that_was_stopped_is_that_of_the_whole_and_of_evaluate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checkpoint, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 1e9)
    (tmp_path / "whole").mkdir()
    arguments = replaced(*SMALL, "max_epochs=6", "optim.momentum=0.5", "data.order=epoch", *SNAPSHOTS)
    assert command(monkeypatch, tmp_path / "whole", *arguments, "tracking=none") == 0
    whole = tmp_path / "whole" / the_run(tmp_path / "whole")
    (wanted,) = json.loads((whole / "result.json").read_text())
    folder = stopped(monkeypatch, tmp_path, *SNAPSHOTS)
    assert read(folder).epochs == 5
    capsys.readouterr()
    assert resume.main([str(folder)]) == 0
    (found,) = json.loads((folder / "result.json").read_text())
    names = ("snapshot_epochs", "snapshots_validation_accuracy", "snapshots_test_accuracy", "test_accuracy")
    assert [found[name] for name in names] == [wanted[name] for name in names]
    assert found["snapshot_epochs"] == [4, 5, 6]
    for snapshot in (1, 2, 3):
        pairs = zip(*(read_weights(one, 0, snapshot).values() for one in (folder, whole)), strict=True)
        assert all(one.equal(other) for one, other in pairs)
    shown = f"{100 * found['snapshots_test_accuracy']:.2f}"
    assert f"test accuracy by the vote of a network's snapshots: {shown} %" in capsys.readouterr().out
    assert [one.name for one in of_run(str(folder), None)] == [f"member 0, epoch {epoch}" for epoch in (4, 5, 6)]
    assert [one.snapshot for one in of_run(str(folder), 1)] == [None]
    assert evaluate.main([f"run={folder}"]) == 0
    assert f"accuracy     {shown} %" in capsys.readouterr().out
    (folder / "member-00" / "snapshot-2.pt").unlink()
    assert evaluate.main([f"run={folder}"]) == 2
    assert "snapshot-2.pt: cannot be read" in capsys.readouterr().err


def test_of_a_study_the_snapshots_of_the_best_network_answer_or_so_many_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = ["snapshots=choice(1,2)", "hydra.sweeper.sampler=grid", "hydra.sweeper.n_trials=2"]
    assert study(monkeypatch, tmp_path, *swept, "hydra.sweeper.storage=sqlite:///studies.db") == 0
    stored = "sqlite:///studies.db"
    best = of_study("small", stored, 1)[0]
    assert best.snapshot is None
    every = of_study("small", stored, None)
    assert [one.snapshot for one in every] == list(range(1, best.result.config["snapshots"] + 1))
    assert {one.folder for one in every} == {best.folder}
    assert [one.snapshot for one in of_study("small", stored, 2)] == [None, None]
