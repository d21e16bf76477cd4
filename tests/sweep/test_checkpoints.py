"""Trials of a study that are killed amid their training go on, to the numbers they would have come to."""

import os
import re
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from benchmarks.kills import live, stored
from src.commands import report
from src.config.error import StoreError
from src.runs import checkpoint
from src.runs.checkpoint import FILE, Saved, read
from src.sweep import stacks, trials
from src.sweep.checkpoints import TrialCheckpoints
from src.sweep.studies import study as studies
from src.sweep.studies.study_cache import StudyCache
from src.sweep.trial_roster import TrialRoster
from tests.commands.test_resume import stops_after
from tests.sweep.children import start
from tests.sweeping import SMALL, command, curves, members, replaced, spy
from tests.tracking.test_tracker import empty_store

EPOCHS = 6
# Four trials, two at a time.
STUDY = replaced(
    "-m",
    *SMALL,
    "hydra/sweeper=optuna",
    "hydra.sweeper.study_name=small",
    "hydra.sweeper.sampler=grid",
    "hydra.launcher.max_members=4",
    "tracking=none",
    f"max_epochs={EPOCHS}",
    "repeats=2",
    "optim.momentum=0.5",
    "data.order=epoch",
    "model.dropout=0.2",
    "optim.eta=0.1,0.3,0.5,0.7",
)


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every epoch."""
    monkeypatch.setattr(checkpoint, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 1e9)


def left(folder: Path) -> dict[int, object]:
    """By place what does not depend on the machine, of everything that the trials that count left."""
    found = {}
    for trial in stored(folder, "small"):
        if trial.state.name not in ("COMPLETE", "PRUNED"):
            continue
        own = folder / trial.user_attrs["folder"]
        weights = [torch.load(path, weights_only=True) for path in sorted(own.glob("member-*/weights.pt"))]
        kept = ("seed", "status", "best_epoch", "validation_accuracy", "test_accuracy")
        found[trial.user_attrs["place"]] = (
            trial.params,
            trial.values,
            trial.intermediate_values,
            [{key: member[key] for key in kept} for member in members(own)],
            [
                [{**row, "train/cost": round(row["train/cost"] or 0.0, 12)} for row in curves(one)]
                for one in members(own)
            ],
            [{name: value.tolist() for name, value in one.items()} for one in weights],
        )
    return found


def checkpoints(folder: Path) -> list[Path]:
    """All files of that kind."""
    return sorted((folder / "mlruns" / "hydra").glob(f"**/*{FILE}*"))


def killed_in_epoch(epoch: int, folder: Path, arguments: list[str]) -> None:
    """The command, which kills itself as `kill -9` does once a trial has told so many epochs."""
    told = trials.Trials.reported

    def reported(self: trials.Trials, job: Any, step: int, value: float) -> Any:
        if step == epoch:
            os.kill(os.getpid(), signal.SIGKILL)
        return told(self, job, step, value)

    trials.Trials.reported = reported
    live(folder, arguments)


def killed_while_it_builds(folder: Path, arguments: list[str]) -> None:
    """The command, which dies while it builds a stack, as of networks that are too large."""
    stacks.prepare = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    live(folder, arguments)


def killed(way: Callable[..., None], *arguments: Any) -> None:
    """Calls one of the two above in a process of its own, which is killed."""
    process = start(way, *arguments)
    process.join()
    assert process.exitcode == -signal.SIGKILL, (arguments[-2] / "printed.txt").read_text()


def trained_rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Fills with the epoch of every row of every member."""
    rows: list[int] = []

    def told(result: None, seats: TrialRoster, own: dict[int, dict[str, float]], so_far: object) -> None:
        rows.extend(int(row["epoch"]) for row in own.values())

    spy(monkeypatch, TrialRoster, "epoch_ended", told)
    return rows


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[int, object]:
    """What the study leaves that nobody has disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        assert command(patch, folder, *STUDY) == 0
    return left(folder)


def test_after_kill_9_trials_come_to_what_they_would_have_come_to(
    whole: dict[int, object],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    empty_store(tmp_path / "mlruns", tmp_path_factory)
    tracked = replaced(*STUDY, "tracking=mlflow")
    killed(killed_in_epoch, 4, tmp_path, tracked)
    assert [read(path.parent).epochs for path in checkpoints(tmp_path)] == [3, 3]
    killed(killed_in_epoch, 6, tmp_path, tracked)
    assert [read(path.parent).epochs for path in checkpoints(tmp_path)] == [5, 5]  # and those before are gone
    rows = trained_rows(monkeypatch)
    assert command(monkeypatch, tmp_path, *tracked) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "stack 1: 2 trials, 4 networks, 2 trials go on after epoch 5, " in said
    assert left(tmp_path) == whole
    assert sorted(rows) == sorted([*range(1, EPOCHS + 1)] * 4 + [6] * 4)
    assert not checkpoints(tmp_path)
    attempts = [(trial.user_attrs["place"], trial.user_attrs["attempt"]) for trial in stored(tmp_path, "small")]
    assert attempts == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 0), (3, 0)]

    curves_of = (
        "select cast(number.value as integer), step, count(*), resumed.value from metrics"
        " join tags number on number.run_uuid = metrics.run_uuid and number.key = 'number'"
        " join tags kind on kind.run_uuid = metrics.run_uuid and kind.key = 'kind' and kind.value = 'trial'"
        " left join tags resumed on resumed.run_uuid = metrics.run_uuid and resumed.key = 'resumed'"
        " where metrics.key = 'validation/accuracy' and step > 0 group by 1, 2 order by 1, 2"
    )
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as store:
        values = store.execute(curves_of).fetchall()
    resumed = {4: "after epoch 5", 5: "after epoch 5", 6: None, 7: None}
    assert [value for value in values if value[0] in resumed] == [
        (number, epoch, 1, tag) for number, tag in resumed.items() for epoch in range(1, EPOCHS + 1)
    ]


def test_after_kill_9_trials_are_ended_by_several_objectives_as_they_would_have_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All four train together, the best ones first; rungs are after epochs 2 and 4, and the kill is amid the second."""
    objectives = "hydra.sweeper.objectives=[validation_accuracy,validation_cost]"
    halving = ["hydra.sweeper.pruner=asha", "hydra.sweeper.pruner_options={min_resource: 2, reduction_factor: 2}"]
    more = ["hydra.launcher.max_members=8", "optim.eta=0.5,0.7,0.3,0.1"]
    arguments = replaced(*STUDY, *more, objectives, *halving)
    folders = [tmp_path / name for name in ("whole", "killed")]
    for folder in folders:
        folder.mkdir()
    assert command(monkeypatch, folders[0], *arguments) == 0
    killed(killed_in_epoch, 4, folders[1], arguments)
    assert command(monkeypatch, folders[1], *arguments) == 0
    assert left(folders[1]) == left(folders[0])
    assert {trial.state.name for trial in stored(folders[0], "small")} == {"COMPLETE", "PRUNED"}


def interrupted(folder: Path, monkeypatch: pytest.MonkeyPatch, chunks: int) -> None:
    """The study, stopped by Ctrl-C behind so many chunks."""
    with monkeypatch.context() as patched:
        stops_after(chunks, patched)
        assert command(patched, folder, *STUDY) == 130


def stopped_again_and_again(folder: Path, monkeypatch: pytest.MonkeyPatch, chunks: int, *arguments: str) -> int:
    """The command until it ends by itself, each time stopped by Ctrl-C behind so many chunks; how often it was."""
    times = 0
    with monkeypatch.context() as patched:
        while stops_after(chunks, patched) or command(patched, folder, *arguments):
            times += 1
            assert times < 40  # or it comes no further
    return times


def test_after_ctrl_c_amid_an_epoch_too(
    whole: dict[int, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = replaced(*STUDY, "trainer.chunk=7")  # an epoch is three of them
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "KEEP_SECONDS", 1e9)
        stops_after(1 + 3 * 4, patched)  # asked at the start, after each chunk, and at an epoch's end
        assert command(patched, tmp_path, *study) == 130
    assert [read(path.parent).epochs for path in checkpoints(tmp_path)] == [3, 3]
    assert command(monkeypatch, tmp_path, *study) == 0
    assert left(tmp_path) == whole


def test_after_ctrl_c_time_and_again_too(
    whole: dict[int, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stopped_again_and_again(tmp_path, monkeypatch, 4, *STUDY) >= 4
    assert left(tmp_path) == whole
    assert not checkpoints(tmp_path)

    # The report counts no epoch twice.
    monkeypatch.chdir(tmp_path)
    assert report.main(["study=small"]) == 0
    (page,) = (tmp_path / "mlruns").glob("**/report.md")
    words = page.read_text()
    assert re.search(rf"networks' epochs trained +\| +{4 * 2 * EPOCHS} \|", words)
    assert "Killed, and gone on after the last checkpoint: trials 0, 1" in words


@pytest.mark.parametrize(
    "more",
    [
        ["stop.rule=patience_epochs", "stop.patience_epochs=1", "optim.eta=0.5,1.5,3.0,4.0"],  # members end one by one
        ["hydra.sweeper.pruner=asha", "hydra.sweeper.sampler=tpe", "hydra.sweeper.n_trials=1", "seed=3"],
    ],
    ids=["patience", "asha"],
)
def test_whatever_ends_members(more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders, arguments = [tmp_path / name for name in ("whole", "stopped")], replaced(*STUDY, *more)
    for folder in folders:
        folder.mkdir()
    seen = list[set[int]]()  # of each checkpoint the members that had ended
    spy(monkeypatch, Saved, "write", lambda _, saved, folder: seen.append(set(saved.ended)))
    assert command(monkeypatch, folders[0], *arguments) == 0
    assert any(seen) == ("patience" in str(more))
    assert stopped_again_and_again(folders[1], monkeypatch, 3, *arguments) >= 2
    assert left(folders[1]) == left(folders[0])
    assert not checkpoints(folders[1])


def test_repeats_that_follow_one_another_go_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [tmp_path / name for name in ("whole", "stopped")]
    arguments = replaced(
        *STUDY, "hydra.sweeper.pruner=wilcoxon", "repeats=6", "max_epochs=2", "hydra.launcher.max_members=2",
        "optim.eta=0.3,0.5",
    )  # fmt: skip
    for folder in folders:
        folder.mkdir()
    assert command(monkeypatch, folders[0], *arguments) == 0
    assert stopped_again_and_again(folders[1], monkeypatch, 3, *arguments) >= 3
    assert left(folders[1]) == left(folders[0])
    assert not checkpoints(folders[1])


def test_what_cannot_go_on_begins_anew_and_says_so(
    whole: dict[int, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted(tmp_path, monkeypatch, 4)
    first, second = checkpoints(tmp_path)
    first.write_bytes(b"half a file")
    content = torch.load(second, weights_only=True)
    torch.save({**content, "checksum": content["checksum"] ^ 1}, second)
    capsys.readouterr()
    assert command(monkeypatch, tmp_path, *STUDY) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "trial 0 (eta=0.1) begins anew: mlruns/hydra/" in said
    assert "trial 1 (eta=0.3) begins anew: data changed since it was killed" in said
    assert "stack 1: 2 trials, 4 networks, about" in said
    assert left(tmp_path) == whole
    assert not checkpoints(tmp_path)


def test_a_lost_checkpoint_is_no_loss_but_of_time(
    whole: dict[int, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(tmp_path, monkeypatch, 4)
    for path in checkpoints(tmp_path):
        path.unlink()
    assert command(monkeypatch, tmp_path, *STUDY) == 0
    assert left(tmp_path) == whole


def test_a_stack_that_breaks_goes_on_where_it_was(
    whole: dict[int, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from src.sweep.trial_roster import TrialRoster

    told, broken = TrialRoster.epoch_ended, []

    def epoch_ended(self: TrialRoster, rows: dict[int, dict[str, float]], so_far: Any) -> None:
        if not broken and any(row["epoch"] == 4 for row in rows.values()):
            broken.append(True)
            raise RuntimeError("a cosmic ray")
        told(self, rows, so_far)

    monkeypatch.setattr(TrialRoster, "epoch_ended", epoch_ended)
    rows = trained_rows(monkeypatch)
    assert command(monkeypatch, tmp_path, *STUDY) == 0
    assert left(tmp_path) == whole
    assert rows.count(3) == 8  # as if nothing had happened
    assert not checkpoints(tmp_path)


def test_while_the_study_does_not_know_of_a_checkpoint_the_one_before_stays(
    whole: dict[int, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(tmp_path, monkeypatch, 4)
    before, note = checkpoints(tmp_path), studies.Study.note

    def fails(self: studies.Study, ask: Any, attrs: dict[str, Any]) -> None:
        if "checkpoint" in attrs:
            raise StoreError("the store does not answer")
        note(self, ask, attrs)

    with monkeypatch.context() as patched:
        patched.setattr(studies.Study, "note", fails)
        interrupted(tmp_path, patched, 1)
    assert set(before) < set(checkpoints(tmp_path))
    assert command(monkeypatch, tmp_path, *STUDY) == 0
    assert left(tmp_path) == whole
    assert not checkpoints(tmp_path)


def test_whoever_only_waited_is_not_to_blame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = replaced(
        *STUDY, "hydra.sweeper.sampler=random", "hydra.sweeper.seed=1", "hydra.sweeper.n_trials=4", "repeats=1",
        "optim.eta=interval(0.1, 1)", "model.activation=sigmoid,tanh",
    )  # fmt: skip
    for _ in range(2):
        killed(killed_while_it_builds, tmp_path, arguments)
    monkeypatch.setattr(stacks, "prepare", None)
    assert command(monkeypatch, tmp_path, *replaced(*arguments, "hydra.sweeper.max_failures=9")) == 1
    trials = {(trial.user_attrs["place"], trial.user_attrs["attempt"]): trial for trial in stored(tmp_path, "small")}
    first = trials[0, 0].params["model.activation"]
    waited = [place for place in range(4) if trials[place, 0].params["model.activation"] != first]
    assert 0 < len(waited) < 4
    for place in range(4):
        assert trials[place, 1].params == trials[place, 0].params
        assert (trials[place, 2].params == trials[place, 0].params) == (place in waited)


def test_a_repeat_that_diverged_says_nothing_to_the_pruner_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / name for name in ("whole", "stopped")]
    arguments = replaced(
        *STUDY, "hydra.sweeper.pruner=wilcoxon", "hydra.launcher.max_members=1", "repeats=6", "max_epochs=2",
        "model.init=glorot", "model.activation=leaky_relu", "optim.eta=0.1,12.0", "optim.momentum=0.0",
        "model.dropout=0.0",
    )  # fmt: skip
    for folder in folders:
        folder.mkdir()
    assert command(monkeypatch, folders[0], *arguments) == 0
    assert any(one["status"] == "FAILED" for path in folder_of_trials(folders[0]) for one in members(path))
    assert stopped_again_and_again(folders[1], monkeypatch, 3, *arguments) >= 3
    assert left(folders[1]) == left(folders[0])


def folder_of_trials(folder: Path) -> list[Path]:
    return [folder / trial.user_attrs["folder"] for trial in stored(folder, "small")]


def test_a_folder_that_cannot_be_written_to_keeps_no_other_trial_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = Saved.write

    def full(self: Saved, folder: Path) -> None:
        if folder.name == "0":
            raise OSError(28, "No space left on device")
        write(self, folder)

    with monkeypatch.context() as patched:
        patched.setattr(Saved, "write", full)
        interrupted(tmp_path, patched, 2)
    assert [path.parent.name for path in checkpoints(tmp_path)] == ["1"]
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("No checkpoint can be written") == 1
    assert "-multirun/0: [Errno 28] No space left on device); training goes on without." in said


def test_one_that_another_version_wrote_spoils_no_stack(
    whole: dict[int, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted(tmp_path, monkeypatch, 2)
    for path in checkpoints(tmp_path):
        content = torch.load(path, weights_only=True)
        content["config"]["trainer"]["gone"] = 1
        torch.save(content, path)
    assert command(monkeypatch, tmp_path, *STUDY) == 0
    assert "trial 0 (eta=0.1) begins anew" in " ".join(capsys.readouterr().out.split())
    assert left(tmp_path) == whole


@pytest.mark.parametrize("when", ["written", "told"])
def test_no_moment_of_a_kill_leaves_a_file_behind(
    when: str, whole: dict[int, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """As if the process were gone: nothing of it is told or removed."""

    def dies(*_: object, **__: object) -> Any:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(trials.Trials, "failed", lambda *_: None)
        patched.setattr(trials.Trials, "finish", lambda *_: None)
        patched.setattr(studies.Study, "close", lambda self: self._worker.close())
        if when == "written":
            patched.setattr(trials.Trials, "kept", dies)
        else:
            patched.setattr(TrialCheckpoints, "remove", dies)
        with pytest.raises(Killed):
            command(patched, tmp_path, *STUDY)
    assert checkpoints(tmp_path)
    assert command(monkeypatch, tmp_path, *STUDY) == 0
    assert left(tmp_path) == whole
    assert not checkpoints(tmp_path)


def test_who_was_taken_over_leaves_the_checkpoint_to_the_other_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = studies.Study.tell

    def too_late(self: studies.Study, *told: Any) -> bool:
        tell(self, *told)
        return False

    monkeypatch.setattr(studies.Study, "tell", too_late)
    assert command(monkeypatch, tmp_path, *STUDY) == 0
    assert [path.parent.name for path in checkpoints(tmp_path)] == ["0", "1", "2", "3"]


def test_a_killed_attempt_is_no_competitor_of_its_successor() -> None:
    mirror = StudyCache("small", [StudyDirection.MAXIMIZE])
    for number, killed in enumerate((True, False)):
        attrs = {"place": 0, "attempt": number, **({"killed": True} if killed else {})}
        notes = {"completed_rung_0": 0.5, "fixed_params": {}}
        trial = create_trial(state=TrialState.FAIL, user_attrs=attrs, system_attrs=notes)
        trial.number = number
        mirror.put(trial)
    assert [list(trial.system_attrs) for trial in mirror.all()] == [["fixed_params"], list(notes)]
