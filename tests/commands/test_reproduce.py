"""The reproduction: runs are kept as they end, a second call goes on from there, and the page shows what is there."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from src.commands import reproduce, train
from src.config.compose import CONF
from src.config.files import write_json
from src.config.metric import ACCURACY, Metric
from src.config.schema import RunConfig
from src.report.reproduction import Kept, curves, read
from src.report.reproduction_page import TUTORIAL_COLUMNS, Row, Table, page
from src.training.result import Result

SMALL = ["max_epochs=2", "tracking=none", "model.hidden=[8]", "model.maps=[2]", "figures=true"]


@pytest.fixture
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The chapter in small: two networks for the curves and two ensembles of two, on the digits."""
    monkeypatch.chdir(tmp_path)
    single = {name: [f"+exp={name}", "repeats=2", *SMALL] for name in ("conv2", "conv2_tanh")}
    small = [*SMALL, "data.expand=none", "model.dropout=0.1", "ensemble=2"]
    votes = {name: ["+exp=ensemble", seed, *small] for name, seed in reproduce.ENSEMBLES.items()}
    runs = single | votes
    monkeypatch.setattr(reproduce, "RUNS", {name: [o for o in runs[name] if "maps" not in o] for name in runs})
    monkeypatch.setattr(reproduce, "TABLE", tuple(single))
    monkeypatch.setattr(reproduce, "DATA", ["data=digits", "model.maps=[2,2]"])
    return tmp_path / "docs"


def test_all_runs_are_made_kept_and_shown_and_a_second_call_does_nothing(
    docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce.main(["--docs", str(docs)]) == 0
    assert "0 of 5 runs are there" in capsys.readouterr().out
    kept = read("conv2", docs / "reproduction")
    assert kept is not None
    assert [member.seed for member in kept.members] == [0, 1]
    assert kept.members[0].config["task"]["name"] == "classify"  # by which the names of its scores are read
    assert all(set(row) == set(curves(ACCURACY)) for member in kept.members for row in member.history)
    text = (docs / "reproduction.md").read_text()
    accuracies = [member.test_score or 0 for member in kept.members]
    best = max(kept.members, key=lambda member: member.validation_score or 0).test_score or 0
    # These are not the networks whose accuracy was published.
    assert f"| `conv2` | not given | {100 * best:.2f} | {100 * sum(accuracies) / 2:.2f} ± " in text
    assert "| `dropout` | 99.60 |" in text
    assert " | 6 | " in text  # dropout: two networks of each of three ensembles
    assert "Still to be made" not in text
    for name in ("conv2_tanh_curves.png", "ensemble_1_filters_conv1.png", "ensemble_1_errors.png"):
        assert (docs / "reproduction" / name).stat().st_size > 1000
        assert name in text

    assert reproduce.main(["--docs", str(docs)]) == 0
    assert "5 of 5 runs are there; to do now: nothing" in capsys.readouterr().out


def test_a_run_stopped_by_the_user_is_not_kept_and_those_before_it_are(
    docs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = train.train

    def stopped(config: RunConfig, folder: Path, arguments: list[str], **more: object) -> object:
        results = whole(config, folder, arguments)
        if config.name == "conv2_tanh":  # as a run does that was asked to stop
            results[0] = replace(results[0], status="KILLED")
            write_json(folder / "result.json", [result.as_json() for result in results])
        return results

    monkeypatch.setattr(train, "train", stopped)
    assert reproduce.main(["--docs", str(docs)]) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert [path.name for path in sorted((docs / "reproduction").glob("*.json"))] == ["conv2.json"]
    text = (docs / "reproduction.md").read_text()
    assert "Still to be made: conv2_tanh, ensemble_1" in text
    assert "| `conv2_tanh` | not given | | | | 0 |" in text


def test_a_run_that_was_trained_is_kept_even_if_tracking_it_fails(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train.train

    def failing(config: RunConfig, folder: Path, arguments: list[str], **more: object) -> object:
        whole(config, folder, arguments)
        raise OSError("the store is full")

    monkeypatch.setattr(train, "train", failing)
    assert reproduce.main(["ensemble_1", "--docs", str(docs)]) == 2
    kept = read("ensemble_1", docs / "reproduction")
    assert kept is not None
    assert len(kept.votes) == 1
    assert len(kept.members) == 2


def test_a_run_that_was_trained_otherwise_is_made_anew(docs: Path) -> None:
    assert reproduce.main(["conv2", "--docs", str(docs)]) == 0
    kept = read("conv2", docs / "reproduction")
    assert kept is not None
    config = reproduce.configuration("conv2")
    assert kept.answers(config.shown())
    assert not kept.answers(config.model_copy(update={"max_epochs": 3}).shown())
    assert kept.answers(config.model_copy(update={"published": 12.0, "figures": False}).shown())
    del kept.config["optim"]["l1"]  # as if the key had come later
    assert kept.answers(config.shown())
    kept.config["optim"]["gone"] = 1
    assert not kept.answers(config.shown())


def test_networks_that_diverged_are_counted(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {"conv2": [*reproduce.RUNS["conv2"], "optim.eta=1e30"]}
    monkeypatch.setattr(reproduce, "RUNS", runs)
    monkeypatch.setattr(reproduce, "TABLE", ("conv2",))
    monkeypatch.setattr(reproduce, "ENSEMBLES", {})
    assert reproduce.main(["--docs", str(docs)]) == 1
    assert "| 0 (2 diverged) |" in (docs / "reproduction.md").read_text()
    assert reproduce.main(["--docs", str(docs)]) == 1  # nothing to do, and still not well


def test_what_cannot_be_read_is_named_in_a_paragraph(docs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce.main(["nosuch", "--docs", str(docs)]) == 2
    assert "nosuch: no such run; accepted: conv2, " in capsys.readouterr().err
    (docs / "reproduction").mkdir(parents=True)
    (docs / "reproduction" / "conv2.json").write_text(json.dumps({"run": "conv2"}))
    assert reproduce.main(["--docs", str(docs)]) == 2
    assert "conv2.json: cannot be read" in capsys.readouterr().err


RECORDS = {"simard", "ciresan", "modern", "fast", "cifar10"}  # what was measured stands in their headers


def test_every_experiment_of_the_chapter_and_the_tutorial_is_reproduced() -> None:
    experiments = {path.stem for path in (CONF / "exp").glob("*.yaml")}
    tutorial = {model.experiment or name for name, model in reproduce.TUTORIAL.items()}
    assert {*reproduce.TABLE, "dropout", "ensemble", *tutorial} == experiments - RECORDS
    runs = {*reproduce.TABLE, *reproduce.ENSEMBLES, *reproduce.ORDERS, *reproduce.TUTORIAL}
    assert runs == set(reproduce.RUNS)


def test_a_classifier_of_the_tutorial_is_shown_by_its_error_counted_both_ways(
    docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ["+exp=logistic", "max_epochs=2", "batch_size=10", "tracking=none", "figures=false"]
    monkeypatch.setattr(reproduce, "RUNS", {"logistic": small})
    monkeypatch.setattr(reproduce, "DATA", ["data=digits"])
    for name in ("TABLE", "ENSEMBLES", "ORDERS"):
        monkeypatch.setattr(reproduce, name, {})
    assert reproduce.main(["--docs", str(docs)]) == 0
    kept = read("logistic", docs / "reproduction")
    assert kept is not None
    (member,) = kept.members
    test, validation = member.test_score, member.validation_score
    assert test is not None
    assert validation is not None
    images = kept.counted["images"]  # of the digits all of the smaller set, so that its count is the score itself
    wrong = kept.counted["wrong"]
    assert images < 9600
    assert min(abs(wrong[split][0] - images * (1 - s)) for split, s in (("test", test), ("validation", validation))) < 1
    text = (docs / "reproduction.md").read_text()
    assert f"| `logistic` | test error (%) | not given | {100 * (1 - test):.2f} | | 1 | " in text
    assert f"| {member.best_epoch} of 2 | " in text
    assert f"over the first {images:,} images of each set, as the tutorial counts: validation error " in text
    assert f"and test error {100 * wrong['test'][0] / images:.2f} %" in text


def test_a_row_may_have_another_score_than_an_accuracy() -> None:
    score = Metric("pseudo-likelihood", maximise=True)
    values = [-63.25, -61.75]
    members = [Result({}, n, "FINISHED", [{"epoch": 1}], 1, v, v, 60.0, "mnist", "cpu") for n, v in enumerate(values)]
    kept = Kept("rbm", {}, "2026-11-26", "cpu", 60.0, 90.0, members, [], "abc")
    row = Row("rbm", -62.0, values, values, [kept], score=score)
    text = page([Table("## Models", TUTORIAL_COLUMNS, [row])], {}, [])
    assert "| `rbm` | test pseudo-likelihood | -62 | -62.5 ± 1.061 | -72.03–-52.97 | 2 | 1 of 1, 1 of 1 | 1.0 " in text
