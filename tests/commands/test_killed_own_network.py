"""Networks of the user's that are killed (`kill -9`) amid an epoch come to what they would have come to."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from benchmarks.kills import live
from src.commands import rerun, resume
from src.runs import checkpoint
from src.runs.checkpoint import read
from src.training.engines import choose
from src.training.interrupt import Interrupt
from tests.commands.test_own_network import stacks_win
from tests.commands.test_resume import RUN, left, left_by_a_whole_run, the_run
from tests.sweep.children import start
from tests.sweeping import replaced, study

NETWORKS = {"Mlp": "dropout:0.3,leak:0.1", "Branching": "width:5", "Noisy": "width:5"}
# An epoch of 20 mini-batches is three chunks, and whether to stop is asked after each, and once more at its end.
OWN = ["trainer.engine=auto", "trainer.compile=false", "trainer.chunk=7", "model.hidden=[]"]
AMID_EPOCH_5 = 4 * 4 + 2


def own(network: str) -> list[str]:
    arguments = f"model.args={{inputs:784,outputs:10,{NETWORKS[network]}}}"
    return [*OWN, f"model.target=tests.own_networks.{network}", arguments]


@pytest.fixture(autouse=True)
def choices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every epoch; what can be stacked is, and timing takes no time."""
    monkeypatch.setattr(checkpoint, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 1e9)
    chosen(monkeypatch)


def chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "PROBE_SECONDS", 0.0)
    stacks_win(monkeypatch)


def killed(folder: Path, arguments: list[str]) -> None:
    """The command, which kills itself as `kill -9` does amid the fifth epoch."""
    chosen(pytest.MonkeyPatch())
    asked: list[Any] = []

    def kill(self: Interrupt) -> bool:
        asked.append(None)
        if len(asked) == AMID_EPOCH_5:
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    Interrupt.__call__ = kill  # type: ignore[method-assign]
    live(folder, arguments)


@pytest.mark.parametrize("network", NETWORKS)
def test_after_kill_9_a_run_of_it_comes_to_what_it_would_have_come_to(
    network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    process = start(killed, folder, replaced(*RUN, "tracking=none", *own(network)))
    expected = left_by_a_whole_run(tmp_path, monkeypatch, *own(network))
    assert ("cannot be stacked" in capsys.readouterr().out) == (network != "Mlp")
    process.join()
    assert process.exitcode == -signal.SIGKILL, (folder / "printed.txt").read_text()
    run = folder / the_run(folder)
    assert read(run).epochs == 4
    assert resume.main([str(run)]) == 0
    assert left(run) == expected


def test_a_trial_of_each_trained_again_alone_agrees_with_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    targets = ",".join(f"tests.own_networks.{network}" for network in NETWORKS)
    swept = [
        *OWN,
        f"model.target=choice({targets})",
        "model.args={inputs:784,outputs:10}",
        "hydra.sweeper.sampler=grid",
    ]
    assert study(monkeypatch, tmp_path, *replaced(*swept, "hydra.sweeper.n_trials=3")) == 0
    for trial in range(3):
        assert rerun.main(["study=small", f"trial={trial}", "tracking.kind=none"]) == 0
        assert "agrees with the study" in capsys.readouterr().out
