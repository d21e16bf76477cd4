"""The report command: what it writes and says, MLflow, and one clear paragraph for every kind of bad input."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from src.commands import report
from src.config.folder import file_name
from src.tracking.connection import connect
from src.tracking.writer import UID_TAG
from tests.commands.test_startup import LIBRARIES, ROOT
from tests.report.study_example import SPACE, save, trial
from tests.tracking.test_tracker import empty_store

# MLflow 3.17.2 itself uses what its SQLAlchemy (2.1) calls deprecated.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default folders and stores where they disturb nobody."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A study of two trials in the default store."""
    trials = [trial(0, {}, [0.94, 0.95]), trial(1, {}, [0.96, 0.98])]
    (tmp_path / "mlruns").mkdir()
    return save(tmp_path / "mlruns" / "studies.db", trials, settings={"first": [{}]})


@pytest.fixture
def unwritten(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The report's content has tests of its own; here two short files stand for it."""
    seen: dict[str, Any] = {}

    def write(study: Any, folder: Path) -> list[Path]:
        seen.update(study=study, folder=folder)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / "report.html", folder / "report.md", folder / "figures" / "history.png"]
        paths[2].parent.mkdir(exist_ok=True)
        for path in paths:
            path.write_text("x")
        return paths

    monkeypatch.setattr("src.report.study_report.write_report", write)
    return seen


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The message of a command that must fail: on stderr alone, exit 2, one paragraph."""
    assert report.main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Nothing was reported: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.usefixtures("url")
def test_a_report_lies_in_a_folder_of_its_own_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main(["study=activation"]) == 0
    folder = Path("mlruns/reports/activation")
    assert {path.name for path in folder.iterdir()} == {"report.html", "report.md", "figures"}
    said = capsys.readouterr().out
    assert "Best: trial 1, validation accuracy 97.00 ± 12.71 % (n = 2): optim.eta=0.1" in said  # 12.706 · 0.01
    assert f"Report: {folder}/report.html" in said
    assert f"MLflow: not logged, there is no store at {Path.cwd()}/mlruns/mlflow.db" in said


@pytest.mark.usefixtures("url")
def test_the_folder_can_be_chosen(unwritten: dict[str, Any], tmp_path: Path) -> None:
    assert report.main(["study=activation", f"out={tmp_path}/new/one"]) == 0
    assert unwritten["folder"] == tmp_path / "new" / "one"


def test_a_name_that_is_no_folders_name_is_made_one(
    unwritten: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = save(tmp_path / "s.db", [], name="../a study/1")
    assert report.main(["study=../a study/1", f"storage={url}"]) == 0
    assert unwritten["folder"] == Path("mlruns/reports") / file_name("../a study/1")
    assert "No trial is complete yet." in capsys.readouterr().out


def test_an_unknown_study_names_the_existing_ones(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "study=activatoin", f"storage={url}")
    assert "study=activatoin: no such study in" in message
    assert "there are: activation." in message


def test_without_a_store_the_first_sweep_is_proposed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "python -m src.train +sweeps=quick" in refused(capsys, "study=a")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "out=file: cannot be written (" in refused(capsys, "study=activation", "out=file")


@pytest.mark.parametrize(("arguments", "said"), [([], "study= is missing."), (["study"], "'study' is no KEY=VALUE.")])
def test_a_wrong_command_is_answered_with_its_usage(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(capsys, *arguments)
    assert said in message
    assert report.USAGE in message


def test_the_report_is_logged_to_the_studys_own_run(
    url: str,
    unwritten: dict[str, Any],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = empty_store(tmp_path / "mlruns", tmp_path_factory)
    client, experiment = connect(store, "mine")
    made_at = iter(range(1000, 9000, 1000))

    def run(name: str, **tags: str) -> str:
        return str(client.create_run(experiment, next(made_at), tags, name).info.run_id)

    wanted = run("activation", kind="study", study="activation", **{UID_TAG: "0"})
    run("of that name in another storage", kind="study", study="activation", **{UID_TAG: "1"})
    run("other", kind="study", study="width", **{UID_TAG: "2"})
    run("a trial of it", kind="trial", study="activation")

    arguments = ["study=activation", f"storage={url}", f"tracking.uri={store}"]
    assert report.main(arguments) == 0
    assert report.main(arguments) == 0  # a second time does no harm
    assert "MLflow: logged to the run 'activation' as artifact report/" in capsys.readouterr().out
    assert [item.path for item in client.list_artifacts(wanted, "report")] == [
        "report/figures",
        "report/report.html",
        "report/report.md",
    ]
    assert [item.path for item in client.list_artifacts(wanted, "report/figures")] == ["report/figures/history.png"]
    logged = [one for one in client.search_runs([experiment]) if client.list_artifacts(one.info.run_id)]
    assert [one.info.run_id for one in logged] == [wanted]


@pytest.mark.usefixtures("unwritten")
def test_a_study_without_a_uid_is_known_by_its_name_the_latest_of_several(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    store = empty_store(tmp_path / "mlruns", tmp_path_factory)
    client, experiment = connect(store, "mine")
    for time, name in enumerate(["earlier", "later"], start=1):
        client.create_run(experiment, time, {"kind": "study", "study": "hand"}, name)
    assert report.main(["study=hand", f"storage={save(tmp_path / 's.db', [trial(0)], name='hand')}"]) == 0
    assert "MLflow: logged to the run 'later'" in capsys.readouterr().out


@pytest.mark.usefixtures("unwritten")
def test_without_a_run_of_the_study_nothing_is_logged_and_a_line_says_so(
    url: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    empty_store(tmp_path / "mlruns", tmp_path_factory)
    assert report.main(["study=activation", f"storage={url}"]) == 0
    assert (
        f"MLflow: not logged, sqlite:///{tmp_path}/mlruns/mlflow.db has no run of this study" in capsys.readouterr().out
    )


@pytest.mark.usefixtures("unwritten")
def test_a_tracking_store_that_does_not_answer_costs_a_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["study=activation", f"storage={url}", "tracking.uri=http://me:secret@127.0.0.1:9"]
    assert report.main(arguments) == 0
    said = capsys.readouterr().out
    assert "MLflow: not logged (" in said
    assert "secret" not in said
    assert "Report: " in said


@pytest.mark.parametrize("arguments", [["--help"], ["study=a"], ["studdy=a"]])
@pytest.mark.parametrize("command", ["src.commands.report", "src.commands.studies"])
def test_an_answer_without_a_store_loads_no_library(command: str, arguments: list[str], tmp_path: Path) -> None:
    code = f"import sys; from {command} import main; status = main(sys.argv[1:]); print(*sys.modules); sys.exit(status)"
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == (0 if arguments == ["--help"] else 2), ran.stderr
    assert not LIBRARIES & set(ran.stdout.split())


def test_a_study_is_reported_while_it_runs(tmp_path: Path, unwritten: dict[str, Any]) -> None:
    import optuna

    url = save(tmp_path / "s.db", [trial(0)], settings={"n_trials": 3})
    begun = optuna.load_study(study_name="activation", storage=url).ask(dict(SPACE))
    begun.report(0.5, 1)
    assert report.main(["study=activation", f"storage={url}"]) == 0
    assert [one.state for one in unwritten["study"].places] == ["COMPLETE", "RUNNING"]
    assert unwritten["study"].places[1].curve == {1: 0.5}
