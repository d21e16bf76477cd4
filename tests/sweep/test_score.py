"""A task whose score is to be small: it shows in all that a run and a study decide, write and say."""

import base64
import json
import math
import zlib

import pytest

from benchmarks.kills import client, stored, tracked
from src.commands import report, studies
from src.sweep.studies.study_record import read_study
from src.tracking.view import TAGS
from tests import least_error
from tests.least_error import CHOSEN, MISS
from tests.sweeping import SMALL, command, folders, members, replaced, study
from tests.tracking.test_tracker import empty_store

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)

RATES = [*CHOSEN, "optim.eta=tag(log, interval(0.001, 1))", "tracking=mlflow", "repeats=2", "max_epochs=3"]
PRUNED = ["hydra.sweeper.pruner=median", "hydra.sweeper.pruner_options={n_startup_trials: 2}"]
PRUNED += ["hydra.sweeper.n_trials=8", "hydra.launcher.max_members=4"]


@pytest.fixture(autouse=True)
def known():
    with least_error.known():
        yield


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The folder of a study that has ended."""
    folder = tmp_path_factory.mktemp("study")
    empty_store(folder / "mlruns", tmp_path_factory)
    with pytest.MonkeyPatch.context() as monkeypatch, least_error.known():
        assert study(monkeypatch, folder, *RATES, *PRUNED) == 0
    return folder


def test_the_best_epoch_is_the_one_with_the_smallest_score_and_patience_counts_from_there(
    tmp_path, monkeypatch, capsys
):
    small = [one for one in replaced(*SMALL, *CHOSEN, "max_epochs=12") if not one.startswith("figures")]
    stop = ["stop=patience_epochs", "stop.patience_epochs=2", "optim.eta=1.5"]
    assert command(monkeypatch, tmp_path, *small, *stop, "tracking=none") == 0
    (path,) = (tmp_path / "mlruns" / "hydra").glob("*/*/result.json")
    (member,) = json.loads(path.read_text())
    misses = [row["validation/miss"] for row in member["history"]]
    assert member["validation_miss"] == min(misses) == misses[member["best_epoch"] - 1]
    assert len(misses) == member["best_epoch"] + 2 < 12
    assert 0 < member["test_miss"] < 1
    assert "accuracy" not in path.read_text()
    shown = " ".join(capsys.readouterr().out.split())
    assert f"best validation {min(misses):.4g}" in shown
    assert "test miss: " in shown
    assert {one.name for one in (path.parent / "figures").iterdir()} == {
        "miss.png",
        "overfitting.png",
        "filters_fc1.png",
    }


def test_the_best_trial_is_the_one_with_the_smallest_score(swept):
    trials = stored(swept, "small")
    complete = {trial.user_attrs["place"]: trial.value for trial in trials if trial.state.name == "COMPLETE"}
    found = read_study("small", f"sqlite:///{swept}/mlruns/studies.db")
    assert (found.score, found.objectives, found.maximised) == (MISS, ["validation_miss"], [False])
    assert found.best.value == min(complete.values()) < max(complete.values())
    for trial in trials:
        own = members(swept / trial.user_attrs["folder"])
        assert trial.user_attrs["validation_miss"] == pytest.approx(sum(one["validation_miss"] for one in own) / 2)


def test_the_pruner_ends_trials_whose_score_is_large(swept):
    pruned = [trial for trial in stored(swept, "small") if trial.state.name == "PRUNED"]
    assert pruned
    for trial in pruned:
        epoch = max(trial.intermediate_values)
        others = [one.intermediate_values.get(epoch, math.nan) for one in stored(swept, "small")]
        assert trial.intermediate_values[epoch] > min(others)


def test_mlflow_has_the_score_by_its_name_and_no_error(swept):
    runs = tracked(client(swept))
    (parent,) = [run for run in runs if run.data.tags.get("kind") == "study"]
    best = read_study("small", f"sqlite:///{swept}/mlruns/studies.db").best
    assert parent.data.metrics["best/validation_miss"] == best.value
    (trial,) = [
        run for run in runs if (run.data.tags.get("kind"), run.data.tags.get("trial")) == ("trial", str(best.place))
    ]
    assert {"best/validation_miss", "test/miss", "test/mean", "validation/miss", "train/miss"} <= set(
        trial.data.metrics
    )
    assert not [key for key in trial.data.metrics if "accuracy" in key or "error" in key]
    (saved,) = [
        text for key, text in client(swept).get_experiment(trial.info.experiment_id).tags.items() if TAGS in key
    ]
    state = json.loads(zlib.decompress(base64.b64decode(json.loads(saved)["state"].removeprefix("deflate;"))))
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`best/validation_miss`", True)


def test_the_report_and_the_list_of_studies_speak_of_the_score(swept, monkeypatch, capsys):
    monkeypatch.chdir(swept)
    best = read_study("small").best
    capsys.readouterr()
    assert studies.main([]) == 0
    assert f"{best.value:.4g} (trial {best.place})" in capsys.readouterr().out
    assert report.main(["study=small"]) == 0
    text = (swept / "mlruns/reports/small/report.md").read_text()
    assert f"**Best: trial {best.place}**, validation miss **{best.value:.4g} ± " in text
    assert ", test miss 0." in text
    assert "accurac" not in text.replace("Test accuracies", "")


def test_networks_that_do_not_classify_cannot_vote(swept, monkeypatch, capsys):
    assert command(monkeypatch, swept, *SMALL, *CHOSEN, "tracking=none", "ensemble=3") == 2
    assert "ensemble = 3" in capsys.readouterr().err
    assert command(monkeypatch, swept, "data=digits", "tracking=none", "from_study=small", "top=2") == 2
    assert "do not classify" in capsys.readouterr().err
    assert len(folders(swept)) == 8


def test_objectives_of_a_study_are_those_of_its_task(tmp_path, monkeypatch, capsys):
    assert study(monkeypatch, tmp_path, *RATES, "hydra.sweeper.objectives=[validation_accuracy]") == 2
    assert "must be a list of some of validation_miss, validation_cost, parameters, seconds" in capsys.readouterr().err
    assert study(monkeypatch, tmp_path, *SMALL, "optim.eta=0.1,0.2", "task.name=classify,least_error") == 2
    assert "trials with the scores" in capsys.readouterr().err
