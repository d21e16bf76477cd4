"""A run that was killed goes on: from where, to which numbers, in the same tracked runs; and what is refused."""

import json
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from benchmarks.kills import live
from src.commands import reproduce, resume
from src.config.error import UserError
from src.runs import checkpoint
from src.runs.checkpoint import FILE, Checkpoints, Saved, read
from src.tracking import record
from src.training.checkpoint import Checkpoint
from src.training.interrupt import Interrupt
from tests.sweep.children import start
from tests.sweeping import CURVES, SMALL, command, replaced

EPOCHS = 6
RUN = replaced(*SMALL, f"max_epochs={EPOCHS}", "ensemble=2", "optim.momentum=0.5", "data.order=epoch")


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every epoch."""
    monkeypatch.setattr(checkpoint, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 1e9)


def stops_after(chunks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes behind so many chunks of training."""
    asked: list[None] = []

    def requested(self: Interrupt) -> bool:
        asked.append(None)
        self.requested = len(asked) > chunks
        return self.requested

    monkeypatch.setattr(Interrupt, "__call__", requested)


def stopped(monkeypatch: pytest.MonkeyPatch, folder: Path, *more: str, chunks: int = 9, seconds: float = 0.0) -> Path:
    """The folder of a run that Ctrl-C stopped; an epoch is one chunk. seconds: between checkpoints."""
    with monkeypatch.context() as patched:
        stops_after(chunks, patched)
        patched.setattr(checkpoint, "KEEP_SECONDS", seconds)
        assert command(patched, folder, *replaced(*RUN, "tracking=none", *more)) == 130
    monkeypatch.chdir(folder)
    return the_run(folder)


def the_run(folder: Path) -> Path:
    (path,) = (folder / "mlruns" / "hydra").glob("*/*")
    return path.relative_to(folder)


def left(folder: Path) -> list[object]:
    """What does not depend on the machine, of everything a run leaves."""
    members = json.loads((folder / "result.json").read_text())
    kept = ("seed", "status", "best_epoch", "validation_accuracy", "test_accuracy")
    # The chunks' costs are added up, so where chunks are cut shows in the last digit of the sum.
    curves = [
        [{key: round(row[key], 12 if key == "train/cost" else 99) for key in CURVES} for row in member["history"]]
        for member in members
    ]
    weights = [torch.load(path, weights_only=True) for path in sorted(folder.glob("member-*/weights.pt"))]
    numbers = [{name: value.tolist() for name, value in one.items()} for one in weights]
    return [[{key: member[key] for key in kept} for member in members], curves, numbers, votes(folder)]


def votes(folder: Path) -> object:
    return json.loads((folder / "votes.json").read_text())


def left_by_a_whole_run(folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> list[object]:
    whole = folder / "whole"
    whole.mkdir()
    assert command(monkeypatch, whole, *replaced(*RUN, "tracking=none", *more)) == 0
    return left(whole / the_run(whole))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert resume.main(list(arguments)) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert err.startswith("Nothing was trained: ")
    assert err.count("\n") == 1
    return err


def killed_in_epoch_4(folder: Path, arguments: list[str]) -> None:
    """The command, which kills itself as `kill -9` does before it says that epoch."""
    told = record.Record.epoch_ended

    def epoch_ended(self: record.Record, rows: list[dict[str, float]], so_far: Any) -> None:
        if rows[0]["epoch"] == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        told(self, rows, so_far)

    record.Record.epoch_ended = epoch_ended
    live(folder, arguments)


def test_after_kill_9_a_run_comes_to_what_it_would_have_come_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected, killed = left_by_a_whole_run(tmp_path, monkeypatch), tmp_path / "killed"
    killed.mkdir()
    process = start(killed_in_epoch_4, killed, RUN)
    process.join()
    assert process.exitcode == -signal.SIGKILL, (killed / "printed.txt").read_text()
    folder = killed / the_run(killed)
    assert read(folder).epochs == 3
    assert not (folder / "result.json").exists()  # 30 s are not over

    monkeypatch.chdir(killed)
    capsys.readouterr()
    assert resume.main([str(the_run(killed)), "figures=true"]) == 0
    said = capsys.readouterr().out
    assert "for the 3 after epoch 3" in said
    assert "epoch 4/6" in said
    assert "epoch 3/6" not in said
    assert left(folder) == expected
    assert not list(folder.glob(f"*{FILE}*")) + list(folder.glob(f".{FILE}*"))
    assert (folder / "figures" / "accuracy.png").exists()
    assert resume.main([str(folder)]) == 2

    with closing(sqlite3.connect(killed / "mlruns" / "mlflow.db")) as store:
        runs = store.execute("select run_uuid, status from runs").fetchall()
        points = store.execute("select run_uuid, step, count(*) from metrics where key = 'validation/accuracy'"
                               " and step > 0 group by run_uuid, step").fetchall()  # fmt: skip
        tags = store.execute("select value from tags where key = 'resumed'").fetchall()
    assert [status for _, status in runs] == ["FINISHED"] * 3
    assert sorted(step for _, step, _ in points) == sorted([*range(1, EPOCHS + 1)] * 2)
    assert {count for _, _, count in points} == {1}
    assert tags == [("after epoch 3",)] * 3


def test_after_ctrl_c_a_run_says_how_it_goes_on_and_does_so_time_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected, part = left_by_a_whole_run(tmp_path, monkeypatch), tmp_path / "part"
    part.mkdir()
    folder = stopped(monkeypatch, part, chunks=5)
    first = read(folder)
    assert f"Next: python -m src.resume {folder}     goes on after epoch {first.epochs}\n" in capsys.readouterr().out
    with monkeypatch.context() as patched:
        stops_after(3, patched)
        assert resume.main([str(folder)]) == 130
    again = read(folder)
    assert 0 < first.epochs < again.epochs < EPOCHS
    assert first.run == again.run
    assert 0 < first.core_seconds < again.core_seconds
    assert resume.main([str(folder), "trainer.threads=2", "trainer.chunk=3"]) == 0
    assert left(folder) == expected


@pytest.mark.parametrize("engine", ["cpu", "torch"])
def test_amid_an_epoch_ctrl_c_leaves_the_run_at_the_end_of_the_one_before(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An epoch of 20 mini-batches is three chunks; Ctrl-C is asked for after each, and before others join at its end.
    in_three = ("trainer.chunk=7", f"trainer.engine={engine}", "trainer.compile=false")
    expected, part = left_by_a_whole_run(tmp_path, monkeypatch, *in_three), tmp_path / "part"
    part.mkdir()
    folder = stopped(monkeypatch, part, *in_three, chunks=4 * 4 + 1, seconds=1e9)
    before = read(folder)
    assert before.epochs == 4 == len(json.loads((folder / "result.json").read_text())[0]["history"])
    with monkeypatch.context() as patched:
        stops_after(1, patched)  # in its first epoch: nothing new to go on from
        assert resume.main([str(folder)]) == 130
    assert read(folder).epochs == 4
    assert resume.main([str(folder)]) == 0
    assert left(folder) == expected


def test_tracked_as_killed_a_run_that_goes_on_is_tracked_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = stopped(monkeypatch, tmp_path, "tracking=mlflow", "ensemble=1", seconds=1e9)
    (member,) = json.loads((folder / "result.json").read_text())
    assert read(folder).epochs == len(member["history"])  # stopped at the end of an epoch, with nothing lost
    statuses = "select status from runs"
    with closing(sqlite3.connect("mlruns/mlflow.db")) as store:
        assert store.execute(statuses).fetchall() == [("KILLED",)]
    (folder / "tracking_pending.json").write_text("what the store did not take when the run was stopped")
    somewhere = tmp_path / "somewhere"
    somewhere.mkdir()
    monkeypatch.chdir(somewhere)
    assert resume.main([str(tmp_path / folder)]) == 0
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as store:
        assert store.execute(statuses).fetchall() == [("FINISHED",)]
        assert store.execute("select value from tags where key = 'status'").fetchall() == [("FINISHED",)]
        points = store.execute("select key, step, count(*) from metrics where step > 0 group by key, step").fetchall()
        latest = dict(store.execute("select key, value from latest_metrics where step = 0").fetchall())
    assert {count for _, _, count in points} == {1}
    (member,) = json.loads((tmp_path / folder / "result.json").read_text())
    assert latest["test/accuracy"] == member["test_accuracy"]
    assert not (tmp_path / folder / "tracking_pending.json").exists()
    assert not list(somewhere.iterdir())


def test_what_cannot_go_on_is_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = stopped(monkeypatch, tmp_path)
    capsys.readouterr()
    assert "folder is missing. Usage: python -m src.resume FOLDER" in refused(capsys)
    assert "nosuch: no such folder" in refused(capsys, "nosuch")
    assert f"no {FILE} in it, so there is nothing to go on from" in refused(capsys, str(tmp_path))
    changes = refused(capsys, str(folder), "optim.eta=3", "max_epochs=9", "trainer.precision=tf32")
    assert "trainer.precision" in changes  # on a processor, no configuration has it
    for change in ("optim.eta=3", "max_epochs=9", "seed=1", "repeats=2", "data.train=100"):
        assert f"{change.split('=')[0]}: a run goes on as it began; accepted: figures" in refused(
            capsys, str(folder), change
        )
    assert "'x' is no KEY=VALUE" in refused(capsys, str(folder), "x")
    assert "top: a run goes on as it began" in refused(capsys, str(folder), "top=3")
    assert "tracking=none: is a group; accepted: keys, such as tracking.kind=VALUE" in refused(
        capsys, str(folder), "tracking=none"
    )
    with FileLock(folder / f".{FILE}.lock"):
        assert "another process is training this run" in refused(capsys, str(folder))
    content = torch.load(folder / FILE, weights_only=True)
    torch.save({**content, "checksum": content["checksum"] ^ 1}, folder / FILE)
    assert "trained on digits, 200 training images; here is digits, 200 training images, and not the same" in refused(
        capsys, str(folder)
    )
    torch.save({**content, "format": 0}, folder / FILE)
    assert "another version has written it" in refused(capsys, str(folder))
    (folder / FILE).write_bytes(b"half a file")
    assert "cannot be read" in refused(capsys, str(folder))
    torch.save({**content, "run": ""}, folder / FILE)
    assert "is one trial of a study; with that goes on the study's own command" in refused(capsys, str(folder))


def test_a_password_is_not_in_the_checkpoint_and_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = stopped(monkeypatch, tmp_path)
    saved, uri = read(folder), "postgresql://me:secret@host/runs"
    from src.config.check import parse

    config = parse({**saved.config, "tracking": {**saved.config["tracking"], "kind": "mlflow", "uri": uri}})
    made = checkpoint.begins(config, [f"tracking.uri={uri}"], "")
    (folder / FILE).unlink()
    with Checkpoints(folder, made, print) as checkpoints:
        checkpoints.offered({}, lambda: saved.members, False)
    assert b"secret" not in (folder / FILE).read_bytes()
    capsys.readouterr()
    assert "kept without its password; accepted on this command: tracking.uri=" in refused(capsys, str(folder))


def test_another_run_does_not_begin_where_one_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = stopped(monkeypatch, tmp_path)
    before = (folder / FILE).read_bytes()
    capsys.readouterr()
    assert command(monkeypatch, tmp_path, *RUN, "tracking=none", f"hydra.run.dir={folder}") == 2
    assert f"holds a run that can go on: python -m src.resume {folder}; accepted" in capsys.readouterr().err
    assert (folder / FILE).read_bytes() == before


def test_a_run_that_breaks_says_how_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patched:
        breaks_in_epoch(4, patched)
        assert command(patched, tmp_path, *RUN, "tracking=none") == 2
    said = capsys.readouterr()
    assert "No space left on device" in said.err
    monkeypatch.chdir(tmp_path)
    hint = f"The run can go on after epoch 3: python -m src.resume {the_run(tmp_path)}"
    assert hint in said.out.splitlines()
    assert resume.main([str(the_run(tmp_path))]) == 0
    assert {member["status"] for member in json.loads((the_run(tmp_path) / "result.json").read_text())} == {"FINISHED"}


def breaks_in_epoch(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the disk comes amid the run."""
    told = record.Record.epoch_ended

    def epoch_ended(self: record.Record, rows: dict[int, dict[str, float]], so_far: Any) -> None:
        told(self, rows, so_far)
        if rows[0]["epoch"] == epoch:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(record.Record, "epoch_ended", epoch_ended)


def small(epochs: int) -> dict[int, Checkpoint]:
    return {0: Checkpoint([{"epoch": epoch} for epoch in range(epochs)], None, 0.0, 0.0, {}, {}, {}, {})}


def test_writing_takes_its_share_of_the_time_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "KEEP_SECONDS", 30.0)
    monkeypatch.setattr(checkpoint, "SHARE", 0.02)
    now, written = [0.0], []

    def save(content: dict[str, object], path: Path) -> None:
        written.append(now[0])
        now[0] += 2.0
        path.touch()

    monkeypatch.setattr(torch, "save", save)
    with Checkpoints(tmp_path, Saved("", {"model": {}}, None, "", ""), print, clock=lambda: now[0]) as checkpoints:
        for epoch in range(1, 40):
            now[0] += 10.0
            checkpoints.offered({}, lambda epoch=epoch: small(epoch), False)
        assert written == [30.0, 132.0, 234.0, 336.0]  # 2 s are 2 % of 100 s
        checkpoints.offered({}, lambda: small(40), True)
        assert written[4:] == [now[0] - 2.0]  # the last one whenever it comes


def test_a_folder_that_is_full_ends_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(content: dict[str, object], path: Path) -> None:
        path.write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    said: list[str] = []
    monkeypatch.setattr(torch, "save", full)
    with Checkpoints(tmp_path, Saved("", {"model": {}}, None, "", ""), said.append) as checkpoints:
        checkpoints.offered({}, lambda: small(1), False)
        checkpoints.offered({}, lambda: small(2), False)
    assert said == ["No checkpoint can be written ([Errno 28] No space left on device); training goes on without."]
    assert not list(tmp_path.iterdir())


def test_who_comes_after_the_run_has_ended_is_told_so(tmp_path: Path) -> None:
    with Checkpoints(tmp_path, Saved("", {"model": {}}, None, "", ""), print) as checkpoints:
        checkpoints.offered({}, lambda: small(1), False)
        saved = read(tmp_path)
        with pytest.raises(UserError, match="another process is training"), Checkpoints(tmp_path, saved, print):
            pass
        checkpoints.remove()
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="has just ended this run"), Checkpoints(tmp_path, saved, print):
        pass
    assert not list(tmp_path.iterdir())


def test_the_reproduction_goes_on_amid_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reproduce, "RUNS", {"shallow": ["+exp=shallow", *RUN, "ensemble=1", "tracking=none"]})
    monkeypatch.setattr(reproduce, "TABLE", ("shallow",))
    monkeypatch.setattr(reproduce, "ENSEMBLES", {})
    monkeypatch.setattr(reproduce, "DATA", [])
    docs = ["--docs", str(tmp_path / "docs")]
    with monkeypatch.context() as patched:
        stops_after(3, patched)
        assert reproduce.main(docs) == 130
    said = capsys.readouterr()
    assert "the same command goes on where this one stopped" in said.err
    assert "Next: make reproduce " in said.out
    assert "src.resume" not in said.out
    with monkeypatch.context() as patched:
        breaks_in_epoch(4, patched)
        assert reproduce.main(docs) == 2
    assert not (tmp_path / "docs" / "reproduction" / "shallow.json").exists()
    (folder,) = reproduce.FOLDER.iterdir()
    before = read(folder)
    damaged = reproduce.FOLDER / "shallow-99999999-999999"
    damaged.mkdir()
    (damaged / FILE).write_bytes(b"half a file")
    assert reproduce.main(docs) == 0
    assert f"after epoch {before.epochs}" in capsys.readouterr().out
    assert sorted(reproduce.FOLDER.iterdir()) == [folder, damaged]
    kept = json.loads((tmp_path / "docs" / "reproduction" / "shallow.json").read_text())
    assert [row["epoch"] for row in kept["members"][0]["history"]] == [*range(1, EPOCHS + 1)]
    assert kept["core_seconds"] > before.core_seconds
