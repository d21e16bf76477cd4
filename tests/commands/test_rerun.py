"""A trial again, alone: which trial, with which configuration, and what is refused (test_sweep.py trains)."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from src.commands import rerun
from src.config.files import write_json
from src.config.schema import RunConfig
from tests import example
from tests.report.study_example import save, trial

MASKED = "postgresql://me:***@host/runs"


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[RunConfig, str]]:
    """What was to be trained, with its label; nothing is."""
    seen: list[tuple[RunConfig, str]] = []

    def train(config: RunConfig, folder: Path, arguments: None, label: str) -> list[Any]:
        seen.append((config, label))
        return []

    monkeypatch.setattr("src.commands.train.train", train)
    return seen


def stored(folder: Path, **tracking: Any) -> list[str]:
    """The arguments that name a study whose trial 0 has left its configuration."""
    write_json(folder / "0" / "result.json", [{"config": example.raw(tracking=tracking), "seed": 0, "history": []}])
    return [
        "study=activation",
        f"storage={save(folder / 's.db', [trial(0, space={}, folder=str(folder / '0'))], settings={})}",
    ]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The message of a command that must fail: on stderr alone, exit 2, one line."""
    assert rerun.main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Nothing was trained: ")
    assert err.count("\n") == 1
    return err


def test_an_address_that_was_kept_without_its_password_is_asked_for(
    tmp_path: Path, trained: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    own = stored(tmp_path, kind="mlflow", uri=MASKED)
    message = refused(capsys, *own, "trial=0")
    assert f"tracking.uri = '{MASKED}'" in message
    assert "accepted on this command: tracking.uri=ADDRESS" in message
    assert not trained


@pytest.mark.parametrize(
    ("kept", "changes"),
    [
        ({"kind": "mlflow", "uri": MASKED}, ["tracking.uri=postgresql://me:secret@host/runs"]),
        ({"kind": "mlflow", "uri": MASKED}, ["tracking.kind=none"]),
        ({"kind": "none", "uri": MASKED}, []),
        ({"kind": "mlflow", "uri": "postgresql://me@host/runs"}, []),
    ],
)
def test_an_address_that_is_given_or_not_used_is_not_asked_for(
    kept: dict[str, str], changes: list[str], tmp_path: Path, trained: list[Any]
) -> None:
    assert rerun.main([*stored(tmp_path, **kept), "trial=0", *changes]) == 0
    ((config, _),) = trained
    given = dict(one.removeprefix("tracking.").split("=", 1) for one in changes)
    assert config.tracking.model_dump(include={"kind", "uri"}) == kept | given


def test_a_password_given_is_in_no_name_and_no_message(
    tmp_path: Path, trained: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    given = [*stored(tmp_path), "trial=0", "tracking.uri=postgresql://me:secret@host/runs", "seed=100"]
    assert rerun.main(given) == 0
    assert [label for _, label in trained] == ["rerun of activation trial 0 seed=100"]
    capsys.readouterr()
    assert "secret" not in refused(capsys, *given, "model.hidden=[30")


@pytest.mark.parametrize(
    ("changes", "status", "exit_status", "words"),
    [
        ([], "FINISHED", 0, "agrees with the study"),
        (["trainer.threads=2", "optim.eta=0.1", "repeats=2"], "FINISHED", 0, "agrees with the study"),
        (
            ["optim.eta=3", "max_epochs=9"],
            "FINISHED",
            0,
            "not compared epoch by epoch: optim.eta and max_epochs changed",
        ),
        (["optim.eta=3"], "FAILED", 1, "not compared epoch by epoch: optim.eta changed"),
        (["seed=7"], "FINISHED", 0, "not compared epoch by epoch: other seeds than in the study"),
    ],
)
def test_a_setting_that_was_changed_is_not_compared(
    changes: list[str],
    status: str,
    exit_status: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        "src.commands.train.train", lambda config, *_: [SimpleNamespace(seed=config.seed, history=[], status=status)]
    )
    assert rerun.main([*stored(tmp_path), "trial=0", *changes]) == exit_status
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("data=mnist", "data=mnist: is a group; accepted: keys, such as data.name=VALUE"),
        ("+exp=conv", "+exp=conv: is a group; accepted: keys"),
    ],
)
def test_a_group_is_answered_with_keys(
    change: str, words: str, tmp_path: Path, trained: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(capsys, *stored(tmp_path), "trial=0", change)


def test_a_mistake_is_said_once_to_have_trained_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rerun.main([*stored(tmp_path), "trial=0", "optim.eta=-1"]) == 2
    message = "Nothing was trained: 1 problem in the configuration:\n  optim.eta = -1: must be"
    assert capsys.readouterr().err.startswith(message)


def test_only_finished_trials_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = [trial(place, {}, [], state=TrialState.FAIL) for place in (2, 4)]
    url = save(tmp_path / "s.db", [*(trial(place) for place in (0, 1, 3)), *failed], settings={})
    for place in (2, 9):
        message = refused(capsys, "study=activation", f"storage={url}", f"trial={place}")
        assert message.endswith(f"trial={place}: no finished trial of study activation; accepted: 0 to 1, 3\n")
    url = save(tmp_path / "s.db", failed, name="failed", settings={})
    assert refused(capsys, "study=failed", f"storage={url}", "trial=2").endswith("accepted: none yet\n")


@given(st.sets(st.integers(0, 30)))
def test_places_are_listed_in_ranges_that_hold_them_and_no_other(places: set[int]) -> None:
    named: list[int] = []
    for part in rerun.listed(sorted(places)).split(", ") if places else []:
        first, _, last = part.partition(" to ")
        named += range(int(first), int(last or first) + 1)
        assert int(last or first) + 1 not in places  # no range that could be longer
    assert named == sorted(places)


def test_a_trial_without_a_folder_is_answered_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = save(tmp_path / "s.db", [trial(0, folder=None)], settings={})
    message = refused(capsys, "study=activation", f"storage={url}", "trial=0")
    assert "trial=0: study activation does not say where this trial's results lie" in message
