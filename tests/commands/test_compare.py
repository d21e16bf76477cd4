"""The compare command: its table, its figure, and one clear paragraph for every kind of bad input."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest

from src.commands.compare import differences, legend, main, read_run, read_runs
from src.config.files import write_json


def member(name: str = "conv2", activation: str = "sigmoid", **changes: Any) -> dict[str, Any]:
    """One object of a result.json."""
    config = {"name": name, "published": 99.06, "model": {"activation": activation, "maps": [20, 40]}, "seed": 0}
    history = [{"epoch": e, "validation/accuracy": 0.9 + e / 100} for e in range(1, 4)]
    return {
        "config": config,
        "seed": 0,
        "status": "FINISHED",
        "history": history,
        "best_epoch": 3,
        "validation_accuracy": 0.93,
        "test_accuracy": 0.9275,
        "seconds": 1.0,
        "dataset": "mnist",
        "device": "cpu",
        "repeat": 0,
        "vote": 0,
    } | changes


def run_folder(folder: Path, *members: dict[str, Any]) -> str:
    write_json(folder / "result.json", list(members))
    return str(folder)


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Rows on one line each, and the default figure where it disturbs nobody."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The message of a command that must fail: on stderr alone, exit 2, one paragraph."""
    assert main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Nothing was compared: ")
    assert err.count("\n") == 1
    return err


def test_two_runs_give_a_row_each_and_a_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sigmoid = run_folder(tmp_path / "a", member(), member(seed=1, test_accuracy=0.9375, status="KILLED"))
    tanh = run_folder(tmp_path / "b", member("conv2_tanh", "tanh"))
    assert main([sigmoid, tanh, "-o", str(tmp_path / "new" / "both.png")]) == 0
    rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "conv2 model.activation=sigmoid 2 (1 unfinished) 93.00 ± 0.00 93.25 ± 0.71 mnist" in rows
    assert "conv2_tanh model.activation=tanh 1 93.00 92.75 mnist" in rows
    assert rows[-1] == f"Figure: {tmp_path / 'new' / 'both.png'}"
    assert matplotlib.image.imread(tmp_path / "new" / "both.png")[..., :3].min() < 0.5


def test_votes_of_snapshots_and_a_refit_show_in_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    voted = run_folder(tmp_path / "a", member(snapshots_test_accuracy=0.9550))
    refit = member("refit")
    refit["config"] |= {"data": {"refit": True}}
    assert main([voted, run_folder(tmp_path / "b", refit), "-o", str(tmp_path / "both.png")]) == 0
    rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert any(row.startswith("conv2 ") and row.endswith(" 1 93.00 92.75 95.50 mnist") for row in rows)
    assert any(row.startswith("refit ") and row.endswith(" 1 93.00 (trained on) 92.75 none mnist") for row in rows)


def test_the_figure_shows_both_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = {}
    monkeypatch.setattr(
        "src.runs.curves.compare_figure", lambda runs, path, title: seen.update({title: runs, "path": path})
    )
    assert main([run_folder(tmp_path / "a", member()), run_folder(tmp_path / "b", member("conv2_tanh"))]) == 0
    runs = seen["conv2 and conv2_tanh on mnist: validation accuracy by epoch"]
    assert [one.history[-1]["validation/accuracy"] for members in runs.values() for one in members] == [0.93, 0.93]
    assert seen["path"] == Path("mlruns/comparison.png")
    assert "Figure: mlruns/comparison.png" in capsys.readouterr().out


def test_what_differs_leaves_out_names_and_equal_settings(tmp_path: Path) -> None:
    other = member("other", "tanh")
    other["config"]["optim"] = {"eta": 0.1}
    runs = read_runs([Path(run_folder(tmp_path / "a", member())), Path(run_folder(tmp_path / "b", other))])
    assert differences(runs) == {
        "conv2": {"model.activation": "sigmoid", "optim.eta": "-"},
        "other": {"model.activation": "tanh", "optim.eta": "0.1"},
    }


def test_runs_of_one_experiment_are_told_apart_by_their_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c = (Path(run_folder(tmp_path / place, member())) for place in ("x/1", "x/2", "y/1"))
    assert list(read_runs([a, b])) == ["conv2 (1)", "conv2 (2)"]
    assert list(read_runs([a, c])) == ["conv2 (x/1)", "conv2 (y/1)"]
    monkeypatch.chdir(tmp_path)
    assert list(read_runs([Path("x/1"), c])) == ["conv2 (x/1)", "conv2 (y/1)"]


def test_the_legend_shows_what_differs_where_the_experiment_is_the_same(tmp_path: Path) -> None:
    one, other = member(), member(activation="tanh")
    folders = [Path(run_folder(tmp_path / name, own)) for name, own in (("1", one), ("2", other), ("3", one))]
    assert legend(read_runs(folders[:2])) == ["conv2: activation=sigmoid", "conv2: activation=tanh"]
    assert legend(read_runs([folders[0], folders[2]])) == ["conv2 (1)", "conv2 (3)"]  # nothing differs


def test_a_folders_name_repeats_nothing(tmp_path: Path) -> None:
    plain = [Path(run_folder(tmp_path / f"14-03-22-{n}-conv2", member())) for n in "12"]
    assert list(read_runs(plain)) == ["conv2 (14-03-22-1)", "conv2 (14-03-22-2)"]
    jobs = [Path(run_folder(tmp_path / f"14-03-22-{n}-multirun" / "0", member())) for n in "12"]
    assert list(read_runs(jobs)) == ["conv2 (14-03-22-1/0)", "conv2 (14-03-22-2/0)"]
    alike = [Path(run_folder(tmp_path / place, member())) for place in ("7", "7-conv2")]
    assert list(read_runs(alike)) == [f"conv2 ({folder})" for folder in alike]


def test_a_name_is_whole_on_a_narrow_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    places = [f"2026-11-21/{time}-123456-shallow" for time in ("14-03-22", "15-03-22")]
    runs = [
        run_folder(tmp_path / place, *(member("shallow", activation, seed=seed) for seed in (0, 1)))
        for place, activation in zip(places, ("sigmoid", "tanh"), strict=True)
    ]
    assert main(runs) == 0
    shown = capsys.readouterr().out
    assert "(14-03-22-123456)" in shown
    assert "(15-03-22-123456)" in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("first", "second", "texts"),
    [(0.1234567, 0.3, ("0.1235", "0.3")), (0.1234567, 0.1234568, ("0.1234567", "0.1234568")), (0.0, 1, ("0", "1"))],
)
def test_numbers_are_rounded_where_that_hides_no_difference(
    tmp_path: Path, first: float, second: float, texts: tuple[str, str]
) -> None:
    folders = []
    for name, eta in (("a", first), ("b", second)):
        one = member(name)
        one["config"]["optim"] = {"eta": eta}
        folders.append(Path(run_folder(tmp_path / name, one)))
    assert tuple(run["optim.eta"] for run in differences(read_runs(folders)).values()) == texts


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("digits", "Different data (mnist, digits): these accuracies cannot be compared."),
        ("mnist-expanded", "Different training data (mnist, mnist-expanded), the same test images."),
    ],
)
def test_different_data_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], other: str, said: str) -> None:
    assert main([run_folder(tmp_path / "a", member()), run_folder(tmp_path / "b", member("b", dataset=other))]) == 0
    assert said in capsys.readouterr().out


def test_a_failed_member_has_no_accuracy_and_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = [{"epoch": 1, "validation/accuracy": None}]
    dead = member("[dead]", status="FAILED", history=history, validation_accuracy=None, test_accuracy=None)
    assert main([run_folder(tmp_path / "a", member()), run_folder(tmp_path / "b", dead)]) == 0
    rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "[dead] nothing 1 (1 unfinished) none none mnist" in rows


def test_fields_of_a_later_version_are_ignored(tmp_path: Path) -> None:
    (read,) = read_run(Path(run_folder(tmp_path / "a", member(invented=1))))
    assert read.test_score == 0.9275


def test_every_bad_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    message = refused(capsys, str(tmp_path / "gone"), str(tmp_path / "empty"), run_folder(tmp_path / "a", member()))
    assert f"{tmp_path / 'gone'}: no such folder." in message
    assert f"{tmp_path / 'empty'}: holds no result.json" in message


def test_a_sweeps_folder_is_answered_with_its_trials(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for trial in ("10", "9", "8", "7"):
        run_folder(tmp_path / "multirun" / trial, member())
    message = refused(capsys, str(tmp_path / "multirun"), run_folder(tmp_path / "a", member()))
    trials = ", ".join(str(tmp_path / "multirun" / trial) for trial in "789")
    assert f"multirun: a sweep's folder; accepted: those of its trials, such as {trials}, …." in message


def test_a_result_may_be_named_instead_of_its_folder(tmp_path: Path) -> None:
    one, other = run_folder(tmp_path / "a", member("a")), run_folder(tmp_path / "b", member("b"))
    assert main([one, str(Path(other) / "result.json")]) == 0


@pytest.mark.parametrize("same", [1, 2])
def test_one_run_is_nothing_to_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str], same: int) -> None:
    folder = run_folder(tmp_path / "a", member())
    assert "accepted: the folders of two or more different runs" in refused(capsys, *[folder] * same)


def test_runs_without_an_epoch_are_nothing_to_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [run_folder(tmp_path / name, member(history=[])) for name in "ab"]
    assert "no run has a validation accuracy" in refused(capsys, *folders)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is no valid JSON"),
        (b"\xff", "is no valid JSON"),
        (b"[]", "must be a list with one object per network"),
        (b"{}", "must be a list with one object per network"),
        (b"[1]", "network 1: must be an object"),
        (b'[{"config": {}}]', "network 1: lacks seed, status, history"),
        (json.dumps([member(history=1)]).encode(), "history a list"),
        (json.dumps([member(dataset=None)]).encode(), "dataset a text"),
        (json.dumps([member(history=[1])]).encode(), "one object per epoch"),
        (json.dumps([member(), member(test_accuracy="0.9")]).encode(), "network 2: accuracies and the figures"),
    ],
)
def test_a_damaged_result_is_refused_with_the_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "result.json").write_bytes(content)
    message = refused(capsys, run_folder(tmp_path / "a", member()), str(tmp_path / "bad"))
    assert said in message
    assert str(tmp_path / "bad") in message


def test_an_unreadable_result_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: Any, **__: Any) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", locked)
    assert "cannot be read (Permission denied)" in refused(capsys, run_folder(tmp_path / "a", member()))


@pytest.mark.parametrize(("output", "said"), [("x.jpg", "ends in .png"), ("file/x.png", "cannot be written there")])
def test_a_figure_that_cannot_be_written_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str, said: str
) -> None:
    (tmp_path / "file").write_text("not a folder")
    folders = [run_folder(tmp_path / name, member(name)) for name in "ab"]
    assert said in refused(capsys, *folders, "-o", output)


def test_help_waits_for_nothing_heavy() -> None:
    code = (
        "import sys\nfrom src.compare import main\n"
        "try: main(['--help'])\nexcept SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'matplotlib', 'rich', 'scipy', 'numpy'} & set(sys.modules)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert "RUN_FOLDER" in done.stdout
