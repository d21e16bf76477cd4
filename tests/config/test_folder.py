"""A folder is one run's, or one trial's: nothing is overwritten, and nothing leaves its place."""

import errno
import shlex
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from src.commands import rerun
from src.config.error import UserError
from src.config.folder import claim, file_name, is_name, owned, refuse_shared, trial_folder
from src.config.wording import command as typed
from src.runs import terminal
from src.tracking import record
from tests.sweeping import SMALL, command, grid, members, one_paragraph, study

ONE_EPOCH = ["max_epochs=1", "tracking=none"]
RUN = [*(one for one in SMALL if not one.startswith("max_epochs")), *ONE_EPOCH]


@pytest.mark.parametrize(
    "name", ["", " ", ".", "..", "a/b", "/etc/x", "a\\b", "a\nb", "a\0b", "x ", "a" * 201, "\udcff"]
)
def test_a_folders_name_is_one_part_of_a_path_that_every_file_system_takes(name):
    assert not is_name(name)


def test_texts_that_differ_have_files_that_differ_all_in_one_folder():
    texts = ["activation", "Größe", "a b", "a/b", "a_b", "..", ".", "../x", "x" * 600, "x" * 601]
    names = [file_name(text) for text in texts]
    assert names[:2] == texts[:2]
    assert len(set(names)) == len(texts)
    assert all(is_name(name) for name in names)


@pytest.mark.parametrize("below", ["", ".", "..", "../x", "a/../b", "/tmp/x", "a ", "a./b", "a" * 300])
def test_a_trials_folder_lies_inside_its_sweeps(below):
    with pytest.raises(UserError, match=r"hydra\.sweep\.subdir"):
        trial_folder("sweep", below)


@pytest.mark.parametrize("pair", [("a", "a"), ("relu", "ReLU"), ("a", "a/b")])
def test_two_trials_have_two_folders(pair):
    with pytest.raises(UserError, match="accepted"):
        refuse_shared([Path("sweep", one) for one in pair])


def test_a_folder_is_its_first_owners(tmp_path):
    claim(tmp_path / "run", "run 1")
    claim(tmp_path / "run", "run 1")
    with pytest.raises(UserError, match="run 1"):
        claim(tmp_path / "run", "run 2")
    (tmp_path / "result.json").touch()  # of a version that named no owner
    with pytest.raises(UserError, match="an earlier run"):
        claim(tmp_path, "run 1")
    claim(tmp_path, "run 1", goes_on=True)


@pytest.mark.parametrize(("sweep", "subdir"), [(grid, "all"), (study, "${model.activation}")])
def test_a_sweep_whose_trials_would_share_a_folder_is_refused_before_it_begins(
    sweep, subdir, monkeypatch, tmp_path, capsys
):
    ends = ["model.activation=tanh,relu", "optim.eta=0.1,1"]
    assert sweep(monkeypatch, tmp_path, *ends, f"hydra.sweep.subdir={subdir}") == 2
    assert one_paragraph(capsys.readouterr().err)
    assert not list(tmp_path.rglob("*.json"))
    assert not list(tmp_path.rglob("multirun.yaml"))


def test_another_launcher_is_refused_as_well_and_before_its_first_job(monkeypatch, tmp_path):
    chosen = ["hydra/launcher=basic", "hydra.sweep.subdir=all", "hydra.sweeper.max_batch_size=1", "seed=1,2"]
    assert grid(monkeypatch, tmp_path, *chosen) == 2
    assert not list(tmp_path.rglob("result.json"))


def test_runs_and_sweeps_leave_each_others_folders_alone(monkeypatch, tmp_path, capsys):
    assert command(monkeypatch, tmp_path, *RUN, "hydra.run.dir=one") == 0
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert command(monkeypatch, tmp_path, *RUN, "hydra.run.dir=one", "seed=1") == 2
    assert command(monkeypatch, tmp_path, *RUN, "hydra.run.dir=${name}", "name=../x") == 2
    assert grid(monkeypatch, tmp_path, *ONE_EPOCH, "seed=1", "hydra.sweep.dir=.", "hydra.sweep.subdir=one") == 2
    assert "run " in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == kept


def test_a_study_goes_on_in_its_folder_which_no_other_sweep_gets(monkeypatch, tmp_path, capsys):
    fixed = [*ONE_EPOCH, "hydra.sweep.dir=here", "optim.eta=0.1,1", "hydra.sweeper.sampler=grid"]
    assert study(monkeypatch, tmp_path, *fixed, "hydra.sweeper.n_trials=1") == 0
    assert study(monkeypatch, tmp_path, *fixed, "hydra.sweeper.n_trials=2") == 0
    rates = {members(tmp_path / "here" / str(place))[0]["config"]["optim"]["eta"] for place in range(2)}
    assert rates == {0.1, 1}
    capsys.readouterr()
    assert study(monkeypatch, tmp_path, *fixed, "hydra.sweeper.n_trials=2", name="other") == 2
    assert "study small" in capsys.readouterr().err
    assert grid(monkeypatch, tmp_path, *ONE_EPOCH, "optim.eta=3,4", "hydra.sweep.dir=here") == 2

    # What lies there is checked all the same.
    (tmp_path / "here" / "0").rename(tmp_path / "here" / "was 0")
    (tmp_path / "here" / "1").rename(tmp_path / "here" / "0")
    assert rerun.main(["study=small", "trial=0"]) == 2
    assert command(monkeypatch, tmp_path, "+exp=ensemble", "from_study=small", "top=1", "tracking=none") == 2
    (tmp_path / "here" / "0" / ".owner").unlink()
    capsys.readouterr()
    assert rerun.main(["study=small", "trial=0"]) == 2
    assert "optim.eta is" in capsys.readouterr().err


def test_a_study_of_a_version_that_named_no_owner_goes_on_in_its_folder(monkeypatch, tmp_path):
    fixed = [*ONE_EPOCH, "hydra.sweep.dir=here", "seed=0,1", "hydra.sweeper.sampler=grid", "hydra.sweeper.n_trials=1"]
    assert study(monkeypatch, tmp_path, *fixed) == 0
    (tmp_path / "here" / "0" / ".owner").unlink()
    with closing(sqlite3.connect(tmp_path / "mlruns" / "studies.db")) as store, store:  # as if it had been killed
        store.execute("update trials set state = 'FAIL'")
        store.execute("insert into trial_user_attributes (trial_id, key, value_json) values (1, 'killed', 'true')")
    assert study(monkeypatch, tmp_path, *fixed) == 0
    assert "study small" in (tmp_path / "here" / "0" / ".owner").read_text()


def test_paths_are_meant_from_where_the_command_was_typed(monkeypatch, tmp_path):
    assert command(monkeypatch, tmp_path, *RUN, "hydra.job.chdir=true", "hydra.run.dir=one") == 0
    assert (tmp_path / "one" / "result.json").is_file()


# What the disk does not take, and what is taken away


def test_a_full_disk_at_a_runs_end_leaves_its_results_and_no_drafts(monkeypatch, tmp_path, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(record, "write_weights", full)
    assert command(monkeypatch, tmp_path, *RUN, "hydra.run.dir=one") == 1
    shown = capsys.readouterr()
    assert "test accuracy" in shown.out
    assert "No space left on device" in shown.err
    assert one_paragraph(shown.err)
    assert members(tmp_path / "one")[0]["status"] == "FINISHED"
    assert not [path for path in (tmp_path / "one").iterdir() if path.name.startswith(".result")]


def removed_at_the_end(monkeypatch, folder):
    """All that a command leaves in mlruns is removed when the first trial has ended."""
    original = record.Record.conclude

    def conclude(self, dataset):
        shutil.rmtree(folder / "mlruns", ignore_errors=True)
        self.folder.mkdir(parents=True)  # as it is when results are kept on the way
        (self.folder / "result.json").touch()
        return original(self, dataset)

    monkeypatch.setattr(record.Record, "conclude", conclude)


def test_a_folder_that_was_removed_is_noticed_and_the_results_are_written_anew(monkeypatch, tmp_path, capsys):
    removed_at_the_end(monkeypatch, tmp_path)
    assert command(monkeypatch, tmp_path, *RUN, "hydra.run.dir=mlruns/one") == 1
    assert "was removed while the run trained" in capsys.readouterr().err
    assert members(tmp_path / "mlruns" / "one")[0]["status"] == "FINISHED"


def test_a_study_whose_store_was_removed_stops(monkeypatch, tmp_path, capsys):
    removed_at_the_end(monkeypatch, tmp_path)
    assert study(monkeypatch, tmp_path, *ONE_EPOCH, "seed=range(6)", "hydra.launcher.max_members=2") != 0
    error = capsys.readouterr().err
    assert "removed" in error
    assert one_paragraph(error)


# What is to be typed next


@pytest.mark.parametrize("text", ["my run (1)", "Größe", "a'b", "$HOME", "*", ""])
def test_a_command_that_is_shown_can_be_copied(text):
    assert shlex.split(typed("resume", text)) == ["python", "-m", "src.resume", text]


def test_the_ui_that_is_named_is_the_stores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert terminal.ui_command("sqlite:///mlruns/mlflow.db") == "make ui"
    other = shlex.split(terminal.ui_command("sqlite:///my runs.db"))
    assert other == ["python", "-m", "src.ui", f"sqlite:///{tmp_path}/my runs.db"]
    assert terminal.ui_command("http://host:5000") == "open http://host:5000"


def test_a_run_that_leaves_nothing_gives_its_folder_back(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no images"), owned(tmp_path, "run a"):
        raise ValueError("no images")
    with owned(tmp_path, "run b"):
        (tmp_path / "result.json").write_text("[]")
    with pytest.raises(UserError, match="holds what run b left"), owned(tmp_path, "run c"):
        pass
