"""hydra/launcher=stacked: Hydra's own rules for launchers, and what becomes of a grid's jobs that train together."""

import re
import signal
from pathlib import Path

import pytest
import torch
from hydra.core.utils import JobStatus
from hydra.test_utils.launcher_common_tests import BatchedSweeperTestSuite, IntegrationTestSuite, LauncherTestSuite
from omegaconf import OmegaConf

from benchmarks.kills import client, tracked
from src.commands.train import train
from src.config.check import parse
from src.sweep import screen, stacks
from src.tracking.record import Record
from tests.sweeping import (
    broken_seed,
    curves,
    folders,
    grid,
    job_returns,
    members,
    one_paragraph,
    room_for,
    stack_sizes,
)
from tests.tracking.test_tracker import empty_store

# Hydra's own suites, all of which apply. Their task functions train nothing, so the launcher runs them job by job. They
# look for a job's files where it works, which is its own folder with chdir only, since Hydra 1.2.


@pytest.mark.parametrize(("launcher_name", "overrides"), [("stacked", ["hydra.job.chdir=true"])])
class TestHydrasLauncherSuite(LauncherTestSuite):
    """As it is."""


@pytest.mark.parametrize(
    ("launcher_name", "overrides"),
    [("stacked", ["hydra.job.chdir=true", "hydra/sweeper=basic", "hydra.sweeper.max_batch_size=2"])],
)
class TestHydrasBatchedSuite(BatchedSweeperTestSuite):
    """As it is."""


@pytest.mark.parametrize(("task_launcher_cfg", "extra_flags"), [({}, ["-m", "hydra/launcher=stacked"])])
class TestHydrasIntegrationSuite(IntegrationTestSuite):
    """As it is."""


# Stacks


def test_a_grid_trains_a_stack_a_structure_and_keeps_its_order(tmp_path, monkeypatch):
    sizes, returned = stack_sizes(monkeypatch), job_returns(monkeypatch)
    assert grid(monkeypatch, tmp_path, "optim.eta=0.1,0.3", "batch_size=10,20") == 0
    assert [max(own) for own in sizes] == [2, 2]
    settings = [(job.cfg.optim.eta, job.cfg.batch_size) for job in returned]
    assert settings == [(0.1, 10), (0.1, 20), (0.3, 10), (0.3, 20)]
    for job, folder, (eta, batch_size) in zip(returned, folders(tmp_path), settings, strict=True):
        (member,) = members(folder)
        assert (member["config"]["optim"]["eta"], member["config"]["batch_size"]) == (eta, batch_size)
        assert Path(job.hydra_cfg.hydra.runtime.output_dir).resolve() == folder


def test_a_job_has_its_own_folder_value_and_status(tmp_path, monkeypatch):
    returned = job_returns(monkeypatch)
    assert grid(monkeypatch, tmp_path, "optim.eta=0.1,1e38,0.3", "repeats=2") == 1
    assert [job.status for job in returned] == [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.COMPLETED]
    for number, (job, folder) in enumerate(zip(returned, folders(tmp_path), strict=True)):
        assert {path.name for path in (folder / ".hydra").iterdir()} == {"config.yaml", "hydra.yaml", "overrides.yaml"}
        assert OmegaConf.load(folder / ".hydra" / "overrides.yaml") == job.overrides
        assert OmegaConf.load(folder / ".hydra" / "config.yaml") == job.cfg
        assert (job.hydra_cfg.hydra.job.num, folder.name) == (number, str(number))
        own = members(folder)
        weights = torch.load(folder / "member-01" / "weights.pt", weights_only=True)
        assert {value.isfinite().all().item() for value in weights.values()} == {True}
        if job.status is JobStatus.COMPLETED:
            accuracies = [member["validation_accuracy"] for member in own]
            assert job.return_value == pytest.approx(sum(accuracies) / 2)
            assert [member["seed"] for member in own] == [0, 1]


def test_a_job_in_a_grid_gives_what_it_gives_alone(tmp_path, monkeypatch):
    swept = ["optim.eta=0.1,0.3", "model.dropout=0,0.4", "seed=3,5"]
    assert grid(monkeypatch, tmp_path, *swept, "data.order=epoch", "optim.momentum=0.2") == 0
    jobs = folders(tmp_path)
    assert len(jobs) == 8
    for folder in jobs[::3]:
        (together,) = members(folder)
        (alone,) = train(parse(together["config"]), tmp_path / "alone" / folder.name)
        assert curves(together) == curves(alone.as_json())
        assert together["test_accuracy"] == alone.test_score
        kept = torch.load(folder / "member-00" / "weights.pt", weights_only=True)
        assert all(torch.equal(value, alone.weights[name]) for name, value in kept.items())


def test_max_members_limits_a_stack_and_freed_places_are_taken(tmp_path, monkeypatch):
    sizes = stack_sizes(monkeypatch)
    assert grid(monkeypatch, tmp_path, "optim.eta=0.1,0.2,0.3,0.4,0.5", "hydra.launcher.max_members=2") == 0
    assert len(sizes) == 1
    assert max(sizes[0]) == 2
    assert [len(members(folder)[0]["history"]) for folder in folders(tmp_path)] == [2] * 5


def test_a_trial_of_more_members_than_a_stack_may_have_trains_without_others(tmp_path, monkeypatch):
    sizes = stack_sizes(monkeypatch)
    assert grid(monkeypatch, tmp_path, "repeats=1,3", "seed=1,2", "hydra.launcher.max_members=2") == 0
    assert [max(own) for own in sizes] == [2, 3]
    assert [len(members(folder)) for folder in folders(tmp_path)] == [1, 1, 3, 3]


def test_a_stack_too_large_for_the_memory_is_halved_and_nothing_is_lost(tmp_path, monkeypatch, capsys):
    sizes = stack_sizes(monkeypatch)
    room_for(monkeypatch, 2)
    assert grid(monkeypatch, tmp_path, "optim.eta=0.1,0.2,0.3,0.4,0.5") == 0
    assert [max(own) for own in sizes] == [2, 1, 2]
    assert [members(folder)[0]["status"] for folder in folders(tmp_path)] == ["FINISHED"] * 5
    assert "each half goes on alone" in capsys.readouterr().out


def test_a_trial_that_is_too_large_by_itself_fails_with_the_reason(tmp_path, monkeypatch, capsys):
    room_for(monkeypatch, 2)
    assert grid(monkeypatch, tmp_path, "repeats=1,3") == 2
    error = capsys.readouterr().err
    assert one_paragraph(error)
    assert "3 members" in error
    assert members(folders(tmp_path)[0])[0]["status"] == "FINISHED"


# Failures


def breaks_at_the_start(monkeypatch):
    broken_seed(monkeypatch, 3)


def breaks_while_it_trains(monkeypatch):
    original = Record.epoch_ended

    def broken(self, rows, so_far):
        if self.config.seed == 3 and rows[0]["epoch"] == 2:
            raise RuntimeError("seed 3 is broken")
        original(self, rows, so_far)

    monkeypatch.setattr(Record, "epoch_ended", broken)


@pytest.mark.parametrize("breaks", [breaks_at_the_start, breaks_while_it_trains])
def test_a_trial_that_raises_takes_no_other_with_it(breaks, tmp_path, monkeypatch, capsys):
    assert grid(monkeypatch, tmp_path, "seed=1,2,3,4") == 0
    whole = [members(folder)[0] for folder in folders(tmp_path)]
    breaks(monkeypatch)
    returned = job_returns(monkeypatch)
    (tmp_path / "again").mkdir()
    capsys.readouterr()
    assert grid(monkeypatch, tmp_path / "again", "seed=1,2,3,4") == 1
    error = capsys.readouterr().err
    assert one_paragraph(error)
    assert "Trial 2 (seed=3) failed: RuntimeError: seed 3 is broken" in error
    assert [job.status is JobStatus.COMPLETED for job in returned] == [True, True, False, True]
    left = folders(tmp_path / "again")
    assert "seed 3 is broken" in (left[2] / "traceback.txt").read_text()
    for number in (0, 1, 3):
        assert curves(members(left[number])[0]) == curves(whole[number])


def test_a_broken_stack_that_cannot_begin_again_leaves_no_run_open(tmp_path, tmp_path_factory, monkeypatch, capsys):
    empty_store(tmp_path / "mlruns", tmp_path_factory)
    breaks_while_it_trains(monkeypatch)
    begun, prepare = [], stacks.prepare

    def only_once(*arguments):
        if begun:
            raise RuntimeError("no second time")
        begun.append(True)
        return prepare(*arguments)

    monkeypatch.setattr(stacks, "prepare", only_once)
    assert grid(monkeypatch, tmp_path, "seed=3,4", "tracking=mlflow") == 1
    assert "no second time" in capsys.readouterr().err
    runs = [run for run in tracked(client(tmp_path)) if run.data.tags.get("kind") == "trial"]
    assert [run.info.status for run in runs] == ["FAILED"] * 2


def interrupt(monkeypatch, times):
    """Ctrl-C, so many times, after the first epoch."""
    sent = []

    def epoch_ended(self, rows, so_far):
        if not sent:
            sent.append(True)
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(screen.SweepScreen, "epoch_ended", epoch_ended)


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_keeps_what_is_there(times, tmp_path, monkeypatch, capsys):
    interrupt(monkeypatch, times)
    swept = ["seed=1,2,3,4", "max_epochs=50", "hydra.launcher.max_members=2"]
    assert grid(monkeypatch, tmp_path, *swept) == 130
    shown = capsys.readouterr()
    assert "what is there will be kept" in shown.out
    assert shown.err == "Stopped.\n"
    begun, waiting = folders(tmp_path)[:2], folders(tmp_path)[2:]
    for folder in begun:
        (member,) = members(folder)
        assert member["status"] == "KILLED"
        assert 1 <= len(member["history"]) < 50
        assert (folder / "member-00" / "weights.pt").is_file()
        assert (member["test_accuracy"] is None) == (times == 2)
    assert not any((folder / "result.json").exists() for folder in waiting)


# Before


def test_a_plan_trains_nothing(tmp_path, monkeypatch, capsys):
    assert grid(monkeypatch, tmp_path, "optim.eta=0.1,0.3", "model.hidden=[8],[6]", "plan=true") == 0
    shown = capsys.readouterr().out
    assert "FC 8 sigmoid" in shown
    assert "FC 6 sigmoid" in shown
    assert "4 trials" in shown
    assert "Nothing was trained: plan=true." in shown
    assert not list(tmp_path.rglob("result.json"))


def test_the_stacked_launcher_is_the_default(tmp_path, monkeypatch):
    sizes = stack_sizes(monkeypatch)
    assert grid(monkeypatch, tmp_path, "seed=1,2") == 0
    assert [max(own) for own in sizes] == [2]


def test_every_batch_names_what_the_command_sweeps(tmp_path, monkeypatch, capsys):
    batches = "hydra.sweeper.max_batch_size=3"  # the second one has a single job
    assert grid(monkeypatch, tmp_path, "optim.eta=0.1,0.2", "seed=5,6", batches) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if re.match(r" +\d.*optim.eta=.*seed=", line)]
    assert sorted((row[0], *row[1:3]) for row in rows) == [
        ("0", "optim.eta=0.1", "seed=5"),
        ("1", "optim.eta=0.1", "seed=6"),
        ("2", "optim.eta=0.2", "seed=5"),
        ("3", "optim.eta=0.2", "seed=6"),
    ]
