"""The list of studies: state, trials, best, and what to type next."""

import subprocess
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from src.commands import studies
from src.sweep.studies.worker import Worker
from tests.commands.test_startup import ROOT
from tests.report.study_example import made, save, store, trial

RUNNING, FAIL = TrialState.RUNNING, TrialState.FAIL
GONE = {"host": "another machine", "pid": 1, "started": "0", "token": "0"}


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Rows on one line each."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


def failed(place: int, **notes: Any) -> FrozenTrial:
    return trial(place, {}, [], state=FAIL, **notes)


def state(trials: list[FrozenTrial], **settings: Any) -> str:
    return studies.state(made(trials, settings=settings))


def test_a_study_is_done_once_all_places_are() -> None:
    assert state([trial(0), failed(1)], n_trials=2) == "done"
    assert state([trial(0), failed(1)], n_trials=5) == "stopped, 3 left"


def test_a_killed_place_is_still_to_be_done() -> None:
    assert state([trial(0), failed(1, killed=True)], n_trials=2) == "stopped, 1 left"
    assert state([trial(0), failed(1, killed=True), trial(1, attempt=1)], n_trials=2) == "done"


def test_a_reached_target_ends_a_study() -> None:
    assert state([trial(0, {}, [0.9])], n_trials=5, target=0.9) == "done, target 0.9 reached"
    assert state([trial(0, {}, [0.9])], n_trials=5, target=0.95) == "stopped, 4 left"


def test_too_many_failures_are_named() -> None:
    assert state([failed(0), failed(1)], n_trials=5, max_failures=2) == "stopped after 2 failures, 3 left"
    study = made([failed(0), failed(1)], settings={"n_trials": 5, "max_failures": 2})
    assert studies.next_command(study) == study.command("report")


def test_a_study_runs_while_a_living_process_works_on_it() -> None:
    worker = Worker()
    begun = trial(1, {}, [], state=RUNNING, worker=worker.as_json())
    assert state([trial(0), begun], n_trials=5) == "running, 1 now, 3 to start"
    worker.close()
    assert state([trial(0), begun], n_trials=5) == "stopped, 4 left"


def test_places_beyond_a_lowered_budget_count_as_trials_but_not_as_left() -> None:
    worker = Worker()
    begun = [trial(place, {}, [], state=RUNNING, worker=worker.as_json()) for place in (1, 2, 3)]
    study = made([trial(0), *begun], settings={"n_trials": 2})
    assert (study.total, study.left) == (4, {1})
    assert studies.state(study) == "running, 3 now, 0 to start"
    worker.close()
    assert studies.state(study) == "stopped, 1 left"
    assert state([trial(0), trial(1), trial(2)], n_trials=1) == "done"


def test_trials_whose_process_is_gone_were_interrupted() -> None:
    gone = [trial(1, {}, [], state=RUNNING, worker=GONE), failed(2, killed=True)]
    study = made([trial(0), *gone], settings={"n_trials": 5})
    for one in study.trials:
        object.__setattr__(one, "silent", 3600.0)
    assert studies._trials(study) == "1 of 5: 1 complete, 2 interrupted"


@pytest.mark.parametrize(("silent", "said"), [(30.0, "running, 1 now, 3 to start"), (3600.0, "stopped, 4 left")])
def test_of_another_machine_only_signs_of_life_count(silent: float, said: str) -> None:
    study = made([trial(0), trial(1, {}, [], state=RUNNING, worker=GONE)], settings={"n_trials": 5})
    object.__setattr__(study.trials[1], "silent", silent)
    assert studies.state(study) == said


def test_a_study_made_by_hand_has_no_budget() -> None:
    assert studies.state(made([trial(0)])) == "no budget known"


def test_every_study_has_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "s.db", [trial(0), trial(1), trial(2)], name="lowered", settings={"n_trials": 1})
    pruned = trial(2, {}, [0.5], state=TrialState.PRUNED)
    save(tmp_path / "s.db", [trial(0, {}, [0.97]), failed(1), pruned], name="width", settings={"n_trials": 9})
    objectives = {"objectives": ["validation_accuracy", "parameters"]}
    front = [trial(n, {}, [], values=[0.9 + n / 100, 10.0 + n]) for n in range(3)]
    url = save(tmp_path / "s.db", front, name="trade", directions=("maximize", "minimize"), settings=objectives)
    assert studies.main([f"storage={url}"]) == 0
    rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert any(
        row.startswith("width stopped, 6 left 3 of 9: 1 complete, 1 failed, 1 pruned 97.00 % (trial 0) 20")
        for row in rows
    )
    assert any(row.startswith("trade done 3 of 3: 3 complete 92.00 % (trial 2), front of 3 20") for row in rows)
    assert any(row.startswith("lowered done 3 of 3: 3 complete") for row in rows)
    assert rows[-1] == f"Next: python -m src.report study=trade storage={url}"


def test_a_stopped_study_is_gone_on_with_by_its_own_command() -> None:
    typed = "python -m src.train +sweeps=width"
    assert studies.next_command(made([trial(0)], settings={"n_trials": 2}, command=typed)) == typed
    unknown = studies.next_command(made([trial(0)], settings={"n_trials": 2}))
    assert unknown == "the command that started activation, again: it goes on from there"
    assert studies.next_command(made([trial(0)], settings={})) == "python -m src.report study=activation"


def test_an_empty_store_proposes_a_first_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    optuna.storages.RDBStorage(store(tmp_path / "s.db")).engine.dispose()
    assert studies.main([f"storage={store(tmp_path / 's.db')}"]) == 0
    assert capsys.readouterr().out == "No study yet. A first one: python -m src.train +sweeps=quick\n"


@pytest.mark.parametrize("arguments", [[], ["storage=sqlite:///none.db"], ["store=a"]])
def test_without_a_store_one_paragraph_says_what_to_type(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert studies.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Nothing to list: ")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_dashboard_lists_the_studies_and_installs_what_it_needs() -> None:
    words = ["make", "--dry-run", "--assume-old=pyproject.toml", "dashboard", "STORAGE=sqlite:///a.db"]
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    steps = (
        "src.studies 'storage=sqlite:///a.db'",
        ".[dashboard]",
        "bin/python -m src.commands.port 8080) &&",  # the next one that is free
        "optuna-dashboard --host 127.0.0.1 --port $port 'sqlite:///a.db'",
    )
    places = [said.index(step) for step in steps]
    assert places == sorted(places)
