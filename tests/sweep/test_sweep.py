"""hydra/sweeper=optuna as a user meets it: what a study leaves, how it goes on, what it refuses, what it survives."""

import json
import re
import shutil
import signal
from pathlib import Path
from statistics import fmean

import optuna
import pytest

from benchmarks.kills import client, disagreements, status, stored, tracked
from src.commands import report, rerun
from src.config.compose import CONF
from src.config.error import StoreError
from src.config.metric import ACCURACY
from src.sweep import fault, screen
from src.sweep.studies.store import Store
from src.sweep.studies.study import Study
from src.training import fit
from src.training.engines.cpu import CpuEngine
from tests.sweep.studies.test_halving import twin_goes_on
from tests.sweeping import (
    PARAMETERS,
    SMALL,
    broken_seed,
    command,
    folders,
    members,
    one_paragraph,
    room_for,
    spy,
    stack_sizes,
    study,
)
from tests.tracking.test_tracker import empty_store

# MLflow 3.17.2 itself uses what its SQLAlchemy (2.1) calls deprecated.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)

TRACKED = "tracking=mlflow"
RATES = ["optim.eta=tag(log, interval(0.02, 1))", "model.activation=sigmoid,tanh"]
PRUNED = [
    "hydra.sweeper.pruner=asha",
    "hydra.sweeper.pruner_options={min_resource: 1, reduction_factor: 2}",
    "hydra.launcher.max_members=3",
    "max_epochs=3",
]
TRIALS = 8


def tracked_study(monkeypatch, folder, *arguments):
    """The study that most tests look at, recorded in MLflow."""
    return study(monkeypatch, folder, TRACKED, *RATES, *PRUNED, *arguments)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a study that has ended; not to be changed."""
    folder = tmp_path_factory.mktemp("study")
    empty_store(folder / "mlruns", tmp_path_factory)
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert tracked_study(monkeypatch, folder, f"hydra.sweeper.n_trials={TRIALS}") == 0
    return folder


@pytest.fixture
def study_copy(trained, tmp_path, monkeypatch):
    """A copy of it, in which the test stands."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# What a study leaves


def test_optuna_mlflow_and_the_folders_agree_on_every_trial(trained):
    assert disagreements(trained, TRIALS, "small") == []


def test_a_pruned_trial_has_trained_less_and_was_not_tested(trained):
    trials = stored(trained, "small")
    pruned = [trial for trial in trials if trial.state.name == "PRUNED"]
    assert pruned
    for trial in trials:
        (member,) = members(trained / trial.user_attrs["folder"])
        was_pruned = trial in pruned
        assert (len(member["history"]) < 3) == was_pruned
        assert (member["test_accuracy"] is None) == was_pruned
        assert member["status"] == ("PRUNED" if was_pruned else "FINISHED")
        assert trial.user_attrs["epochs"] == len(member["history"]) == len(trial.intermediate_values)


def test_a_trials_value_is_the_best_validation_accuracy(trained):
    for trial in stored(trained, "small"):
        if trial.state.name == "COMPLETE":
            (member,) = members(trained / trial.user_attrs["folder"])
            assert trial.value == member["validation_accuracy"]
            assert trial.value == max(trial.intermediate_values.values())


def test_only_the_parent_carries_the_best_and_trials_are_its_children(trained):
    runs = tracked(client(trained))
    (parent,) = (run for run in runs if run.data.tags.get("kind") == "study")
    best = max((trial for trial in stored(trained, "small") if trial.values), key=lambda trial: trial.value)
    assert parent.data.metrics["best/validation_accuracy"] == best.value
    assert {tag: text for tag, text in parent.data.tags.items() if tag.startswith("best.")} == {
        f"best.{key}": str(value) for key, value in best.params.items()
    }
    for run in runs:
        if run.data.tags.get("kind") == "trial":
            assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
            assert "best/trial" not in run.data.metrics
            assert run.info.run_name.startswith(f"#{run.data.tags['trial']} eta=")


def test_trials_with_repeats_have_their_mean_for_a_value(tmp_path, monkeypatch):
    sizes = stack_sizes(monkeypatch)
    assert study(monkeypatch, tmp_path, RATES[0], "repeats=2", "hydra.sweeper.n_trials=2") == 0
    assert [max(own) for own in sizes] == [4]
    for trial in stored(tmp_path, "small"):
        own = members(tmp_path / trial.user_attrs["folder"])
        assert [member["seed"] for member in own] == [0, 1]
        assert trial.value == pytest.approx(sum(member["validation_accuracy"] for member in own) / 2)


def test_the_quick_sweep_runs_from_its_file(tmp_path, monkeypatch, capsys):
    short = ["data.train=200", "model.maps=[]", "max_epochs=2", "tracking=none", "hydra.sweeper.n_trials=3"]
    assert command(monkeypatch, tmp_path, "+sweeps=quick", *short) == 0
    trials = stored(tmp_path, "quick")
    assert len(trials) == 3
    published = {"model.activation": "sigmoid", "model.hidden": "[100]", "optim.eta": 0.1}
    assert {key.split()[0]: value for key, value in trials[0].params.items()} == published
    shown = capsys.readouterr().out
    assert "study quick: all 3 trials are done" in shown
    assert "python -m src.report study=quick" in shown


# It goes on


def test_a_study_goes_on_to_a_larger_total(study_copy, monkeypatch, capsys):
    before = {trial.number: trial.params for trial in stored(study_copy, "small")}
    assert tracked_study(monkeypatch, study_copy, f"hydra.sweeper.n_trials={TRIALS + 2}") == 0
    assert f"study small goes on: {TRIALS} of {TRIALS + 2} trials are done" in capsys.readouterr().out
    after = {trial.number: trial.params for trial in stored(study_copy, "small")}
    assert len(after) == TRIALS + 2
    assert before.items() <= after.items()
    assert disagreements(study_copy, TRIALS + 2, "small") == []


def test_a_study_that_is_done_trains_nothing_more(study_copy, monkeypatch, capsys):
    assert tracked_study(monkeypatch, study_copy, f"hydra.sweeper.n_trials={TRIALS}") == 0
    assert len(stored(study_copy, "small")) == TRIALS
    said = capsys.readouterr().out
    assert f"all {TRIALS} trials are done" in said
    assert len(re.findall("FINISHED|PRUNED|DIVERGED", said)) == TRIALS  # the table is the study's
    assert "Best: trial " in said
    assert tracked_study(monkeypatch, study_copy, "hydra.sweeper.n_trials=3") == 0
    assert f"study small goes on: {TRIALS} trials, more than n_trials=3, are done" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["optim.eta=tag(log, interval(0.02, 2))"], ["optim.eta", "interval(0.02, 1", "interval(0.02, 2"]),
        (["max_epochs=4"], ["max_epochs", "3", "4"]),
        (["data.train=150"], ["data.train", "200", "150"]),
        (
            ["hydra.sweeper.objectives=[seconds]", "hydra.sweeper.pruner=none", "hydra.sweeper.pruner_options=null"],
            ["objectives", "validation_accuracy", "seconds"],
        ),
    ],
)
def test_a_changed_study_is_refused_with_the_difference(changes, words, study_copy, monkeypatch, capsys):
    assert tracked_study(monkeypatch, study_copy, "hydra.sweeper.n_trials=20", *changes) == 2
    error = capsys.readouterr().err
    assert one_paragraph(error)
    for word in (*words, "study_name"):
        assert word in error
    assert len(stored(study_copy, "small")) == TRIALS


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_keeps_the_study_and_the_same_command_goes_on(times, study_copy, monkeypatch, capsys):
    more = f"hydra.sweeper.n_trials={TRIALS + 4}"
    with pytest.MonkeyPatch.context() as once:

        def epoch_ended(self, rows, so_far):
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)

        once.setattr(screen.SweepScreen, "epoch_ended", epoch_ended)
        assert tracked_study(monkeypatch, study_copy, more) == 130
    assert capsys.readouterr().err == "Stopped.\n"
    trials = stored(study_copy, "small")
    killed = [trial for trial in trials if status(trial) == "KILLED"]
    assert killed
    statuses = {
        run.data.tags["number"]: run.info.status for run in tracked(client(study_copy)) if "number" in run.data.tags
    }
    assert {statuses[str(trial.number)] for trial in killed} == {"KILLED"}
    assert tracked_study(monkeypatch, study_copy, more) == 0
    assert disagreements(study_copy, TRIALS + 4, "small") == []
    again = [trial for trial in stored(study_copy, "small") if trial.user_attrs["attempt"] == 1]
    assert [trial.params for trial in again] == [trial.params for trial in killed]


def test_a_target_ends_a_study(tmp_path, monkeypatch, capsys):
    arguments = [RATES[0], "hydra.sweeper.target=0.1", "hydra.launcher.max_members=1"]
    assert study(monkeypatch, tmp_path, *arguments) == 0
    assert len(stored(tmp_path, "small")) < 20
    assert "target 0.1 reached" in capsys.readouterr().out


# Failures


def test_a_trial_that_raises_is_recorded_and_the_study_goes_on(tmp_path, tmp_path_factory, monkeypatch, capsys):
    empty_store(tmp_path / "mlruns", tmp_path_factory)
    broken_seed(monkeypatch, 2)
    assert study(monkeypatch, tmp_path, TRACKED, "hydra.sweeper.sampler=grid", "seed=0,1,2,3") == 1
    error = capsys.readouterr().err
    assert one_paragraph(error)
    assert "1 trial failed" in error
    assert "RuntimeError: seed 2 is broken" in error
    states = {trial.params["seed"]: status(trial) for trial in stored(tmp_path, "small")}
    assert states == {0: "FINISHED", 1: "FINISHED", 2: "FAILED", 3: "FINISHED"}
    (failed,) = (trial for trial in stored(tmp_path, "small") if status(trial) == "FAILED")
    assert "Traceback" in failed.user_attrs["reason"]
    assert "seed 2 is broken" in failed.user_attrs["reason"]
    store = client(tmp_path)
    runs = {run.data.tags.get("number"): run for run in tracked(store)}
    assert {runs[str(trial.number)].data.tags["status"] for trial in stored(tmp_path, "small")} == {
        "FINISHED",
        "FAILED",
    }
    run = runs[str(failed.number)]
    assert (run.info.status, run.data.tags["status"]) == ("FAILED", "FAILED")
    assert run.data.tags["reason"] == "RuntimeError: seed 2 is broken"
    assert "traceback.txt" in [one.path for one in store.list_artifacts(run.info.run_id)]


def test_max_failures_stops_a_study(tmp_path, monkeypatch, capsys):
    broken_seed(monkeypatch, 0)
    limits = ["hydra.sweeper.max_failures=2", "hydra.launcher.max_members=1"]
    assert study(monkeypatch, tmp_path, RATES[0], *limits) == 1
    assert [status(trial) for trial in stored(tmp_path, "small")] == ["FAILED"] * 2
    assert "2 trials failed (hydra.sweeper.max_failures=2)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong", ["batch_size=10,5000,20", "trainer.threads=4096", "trainer.accelerator=mps trainer.engine=torch"]
)
def test_what_this_machine_or_the_images_cannot_serve_is_refused_before_a_place_is_lost(
    wrong, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert study(monkeypatch, tmp_path, "seed=0,1", *wrong.split()) == 2
    error = capsys.readouterr().err
    assert one_paragraph(error)
    assert error.startswith(("batch_size = 5000: more than the 200", "trainer.threads = 4096", "trainer.accelerator"))
    assert not (tmp_path / "mlruns/studies.db").exists()
    assert not list(tmp_path.rglob("*-multirun"))


def large(trial, params):
    """A search space of a user's own that asks for too much where the first choice is 1."""
    return {"batch_size": 5000 if params["seed"] == 1 else 10}


def test_a_configuration_that_cannot_run_fails_alone(tmp_path, monkeypatch, capsys):
    hook = f"hydra.sweeper.custom_search_space={__name__}.large"
    first = ["hydra.sweeper.first=[{seed: 0}, {seed: 1}, {seed: 2}]", "hydra.sweeper.n_trials=3"]
    assert study(monkeypatch, tmp_path, hook, "seed=0,1,2", *first) == 1
    states = {trial.params["seed"]: status(trial) for trial in stored(tmp_path, "small")}
    assert states == {0: "FINISHED", 1: "FAILED", 2: "FINISHED"}
    error = capsys.readouterr().err
    assert one_paragraph(error)
    assert "batch_size = 5000: more than the 200 training images" in error


def misspelt(trial, params):
    return {"model.hiden": [1]}


def test_a_search_space_of_ones_own_is_tried_before_the_study_is_made(tmp_path, monkeypatch, capsys):
    assert study(monkeypatch, tmp_path, f"hydra.sweeper.custom_search_space={__name__}.misspelt", "seed=0,1") == 2
    assert "model.hiden: no such key; did you mean model.hidden" in capsys.readouterr().err
    assert not (tmp_path / "mlruns/studies.db").exists()


def test_what_is_wrong_in_every_trial_is_not_laid_to_the_search_space(tmp_path, monkeypatch, capsys):
    assert study(monkeypatch, tmp_path, "optim.eta=-1", "seed=0,1") == 2
    assert capsys.readouterr().err.startswith("1 problem in the configuration, nothing was started:\n  optim.eta = -1")


def unlucky(trial, params):
    """A search space of a user's own that is wrong where the first choice is 1."""
    return {"optim.eta": -1.0 if params["seed"] == 1 else 0.1}


def test_a_sample_that_cannot_be_composed_fails_alone(tmp_path, monkeypatch, capsys):
    hook = f"hydra.sweeper.custom_search_space={__name__}.unlucky"
    first = ["hydra.sweeper.first=[{seed: 0}, {seed: 1}, {seed: 2}]", "hydra.sweeper.n_trials=3"]
    assert study(monkeypatch, tmp_path, hook, "seed=0,1,2", *first) == 1
    error = capsys.readouterr().err
    assert one_paragraph(error)
    assert "optim.eta = -1" in error
    states = {(trial.params["seed"], status(trial)) for trial in stored(tmp_path, "small")}
    assert states == {(0, "FINISHED"), (1, "FAILED"), (2, "FINISHED")}


def only(trial, params):
    return {"optim.eta": trial.suggest_float("optim.eta", 0.1, 1.0)}


def test_a_search_space_may_be_the_users_own_alone(tmp_path, monkeypatch):
    hook = f"hydra.sweeper.custom_search_space={__name__}.only"
    assert study(monkeypatch, tmp_path, hook, "hydra.sweeper.n_trials=2") == 0
    assert [status(trial) for trial in stored(tmp_path, "small")] == ["FINISHED"] * 2


def test_an_error_while_asking_for_a_trial_ends_none_that_trains(tmp_path, monkeypatch, capsys):
    ask, calls = Study.ask, []

    def busy(self, count, **how):
        calls.append(count)
        if len(calls) == 2:
            raise StoreError("another process has held the study's lock")
        return ask(self, count, **how)

    monkeypatch.setattr(Study, "ask", busy)
    arguments = [RATES[0], *PRUNED, "hydra.sweeper.n_trials=5"]  # a trial that is pruned lets the next one be asked for
    assert study(monkeypatch, tmp_path, *arguments) == 2
    assert one_paragraph(error := capsys.readouterr().err)
    assert "held the study's lock" in error
    assert sorted({status(trial) for trial in stored(tmp_path, "small")}) == ["FINISHED", "PRUNED"]
    assert len(stored(tmp_path, "small")) == 3
    assert study(monkeypatch, tmp_path, *arguments) == 0
    assert sorted(trial.user_attrs["place"] for trial in stored(tmp_path, "small")) == list(range(5))


def test_a_study_knows_what_a_key_is_where_it_is_not_swept(tmp_path, monkeypatch):
    params = "+hydra.sweeper.params={model.dropout: {space: 'interval(0.1, 0.5)', when: {model.activation: tanh}}}"
    assert study(monkeypatch, tmp_path, "model.activation=tanh,sigmoid", params, "hydra.sweeper.n_trials=1") == 0
    kept = optuna.load_study(study_name="small", storage=f"sqlite:///{tmp_path}/mlruns/studies.db").user_attrs
    shared = kept["sweepstack"]["identity"]["config"]
    assert shared["model.dropout (where it is not swept)"] == 0.0
    assert not {"model.dropout", "model.activation", "model.activation (where it is not swept)"} & set(shared)


@pytest.mark.parametrize("limit", ["0", "-1", "lots", "2.5", "true"])
@pytest.mark.parametrize("sweep", [["optim.eta=0.1,0.2"], ["hydra/sweeper=optuna", "optim.eta=interval(0.1, 1)"]])
def test_a_limit_that_is_none_is_refused(sweep, limit, tmp_path, monkeypatch, capsys):
    assert command(monkeypatch, tmp_path, "-m", *SMALL, f"hydra.launcher.max_members={limit}", *sweep) == 2
    error = capsys.readouterr().err
    assert one_paragraph(error)
    assert "hydra.launcher.max_members = " in error
    assert "accepted: at least 1 (or null)" in error


def test_a_space_that_cannot_run_at_one_end_is_refused_before_anything_starts(tmp_path, monkeypatch, capsys):
    assert study(monkeypatch, tmp_path, "model.dropout=interval(0, 1)", "optim.eta=0.1,-1") == 2
    error = capsys.readouterr().err
    assert one_paragraph(error)
    assert "model.dropout = 1" in error
    assert "optim.eta = -1" in error
    assert not (tmp_path / "mlruns" / "studies.db").exists()


def test_a_diverged_trial_counts_as_pruned(tmp_path, monkeypatch, capsys):
    assert study(monkeypatch, tmp_path, "hydra.sweeper.sampler=grid", "optim.eta=0.1,1e38") == 0
    states = {trial.params["optim.eta"]: status(trial) for trial in stored(tmp_path, "small")}
    assert states == {0.1: "FINISHED", 1e38: "PRUNED"}
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "eta=1e+38" in line and "FINISHED" not in line)
    assert line.split()[-1] == "DIVERGED"


def test_a_study_too_large_for_the_memory_is_halved_and_stays_small(tmp_path, monkeypatch):
    sizes = stack_sizes(monkeypatch)
    room_for(monkeypatch, 2)
    assert study(monkeypatch, tmp_path, RATES[0], "hydra.sweeper.n_trials=7", "hydra.launcher.max_members=4") == 0
    assert max(size for own in sizes for size in own) == 2
    assert sorted(trial.user_attrs["place"] for trial in stored(tmp_path, "small")) == list(range(7))
    assert {status(trial) for trial in stored(tmp_path, "small")} == {"FINISHED"}


# Kinds of studies


def test_wilcoxon_trains_repeats_one_after_another_and_spares_the_rest_of_a_bad_trial(
    tmp_path, tmp_path_factory, monkeypatch
):
    empty_store(tmp_path / "mlruns", tmp_path_factory)
    sizes = stack_sizes(monkeypatch)
    chosen = [
        "hydra.sweeper.pruner=wilcoxon",
        "hydra.sweeper.pruner_options={p_threshold: 0.3, n_startup_steps: 2}",
        "hydra.sweeper.first=[{optim.eta: 0.5}]",
        "hydra.sweeper.n_trials=3",
        "hydra.launcher.max_members=1",
        "optim.eta=0.5,1e-6",
        "hydra.sweeper.sampler=random",
        "hydra.sweeper.seed=1",
        "repeats=5",
        TRACKED,
    ]
    assert study(monkeypatch, tmp_path, *chosen) == 0
    assert max(size for own in sizes for size in own) == 1
    trials = stored(tmp_path, "small")
    counts = {(trial.params["optim.eta"], len(members(tmp_path / trial.user_attrs["folder"]))) for trial in trials}
    assert (0.5, 5) in counts
    pruned = [trial for trial in trials if status(trial) == "PRUNED"]
    assert pruned
    for trial in pruned:
        assert len(members(tmp_path / trial.user_attrs["folder"])) < 5
    runs = tracked(client(tmp_path))
    for trial in trials:
        own = [run for run in runs if run.data.tags.get("number") == str(trial.number)]
        (run,) = (one for one in own if one.data.tags["kind"] == "trial")
        assert run.data.tags["status"] == status(trial)
        assert all(one.info.status == "FINISHED" for one in own)


def test_wilcoxon_is_refused_where_it_could_never_prune(tmp_path, monkeypatch, capsys):
    assert study(monkeypatch, tmp_path, "hydra.sweeper.pruner=wilcoxon", "seed=0,9", "repeats=4") == 2
    error = capsys.readouterr().err
    assert one_paragraph(error)
    assert "4 networks a trial are too few" in error
    assert "repeats=5 or more" in error
    never = "hydra.sweeper.pruner_options={p_threshold: 0}"
    assert study(monkeypatch, tmp_path, "hydra.sweeper.pruner=wilcoxon", "seed=0,9", never, "repeats=9") == 2
    assert "accepted: a larger hydra.sweeper.pruner_options.p_threshold" in capsys.readouterr().err
    plain = ["hydra.sweeper.n_trials=1", "seed=0,9", "repeats=5"]
    assert study(monkeypatch, tmp_path, "hydra.sweeper.pruner=wilcoxon", *plain) == 0


def test_several_objectives_end_in_trials_with_several_values(tmp_path, monkeypatch):
    objectives = "hydra.sweeper.objectives=[validation_accuracy,parameters]"
    assert study(monkeypatch, tmp_path, objectives, "hydra.sweeper.sampler=grid", "batch_size=10", "seed=0,1") == 0
    for trial in stored(tmp_path, "small"):
        (member,) = members(tmp_path / trial.user_attrs["folder"])
        assert trial.values == [member["validation_accuracy"], PARAMETERS]


def test_several_objectives_end_the_trials_that_others_dominate(tmp_path, monkeypatch):
    """Networks of two sizes, so two stacks: after its first epoch each trial is compared with those before it."""
    names = ("validation_f1", "validation_cost", "parameters")
    objectives = f"hydra.sweeper.objectives=[{','.join(names)}]"
    halving = ["hydra.sweeper.pruner=asha", "hydra.sweeper.pruner_options={reduction_factor: 2}"]
    sizes = ["hydra.sweeper.sampler=grid", "optim.eta=0.5,0.1,0.02", "model.hidden=[4],[8]", "repeats=2"]
    assert study(monkeypatch, tmp_path, objectives, "task.metrics=[f1]", *sizes, *halving) == 0
    there, states = [], set()
    for trial in sorted(stored(tmp_path, "small"), key=lambda trial: trial.params["model.hidden"]):
        first = [member["history"][0] for member in members(tmp_path / trial.user_attrs["folder"])]
        known = {name: fmean(row[name.replace("_", "/")] for row in first) for name in names[:2]}
        own = [*known.values(), trial.user_attrs["parameters"]]
        assert trial.system_attrs["completed_rung_0"] == own
        there.append([-own[0], *own[1:]])
        assert trial.state.name == ("COMPLETE" if twin_goes_on(there, 2) else "PRUNED")
        complete = trial.state.name == "COMPLETE"
        assert trial.values == ([trial.user_attrs[name] for name in names] if complete else None)
        states.add(trial.state.name)
    assert states == {"COMPLETE", "PRUNED"}
    monkeypatch.chdir(tmp_path)
    assert report.main(["study=small"]) == 0
    (page,) = (tmp_path / "mlruns").glob("**/report.md")
    assert "Pruning (pruner: asha) ended" in page.read_text()


def test_a_constraint_keeps_a_trial_from_being_the_best(tmp_path, monkeypatch, capsys):
    shown = []
    spy(monkeypatch, screen.SweepScreen, "table", lambda _, self, outcomes: shown.append(self.best))
    rule = 'hydra.sweeper.constraints=["parameters <= 4000"]'
    sizes = ["model.hidden=[4],[16]", "hydra.sweeper.sampler=tpe", "hydra.sweeper.n_trials=6", "optim.eta=0.5"]
    assert study(monkeypatch, tmp_path, *sizes, rule) == 0
    trials = stored(tmp_path, "small")
    assert {trial.params["model.hidden"] for trial in trials} == {"[4]", "[16]"}
    small_places = [trial.user_attrs["place"] for trial in trials if trial.params["model.hidden"] == "[4]"]
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "src.rerun" in line)
    assert any(f"trial={place} " in line for place in small_places)
    assert study(monkeypatch, tmp_path, *sizes, rule) == 0  # it is done: nothing is trained
    assert len(set(shown)) == 1
    assert any(f"% (trial {place}: hidden=[4]" in shown[0] for place in small_places)


def test_a_constraint_may_be_on_the_accuracy_where_that_is_no_objective(tmp_path, monkeypatch):
    rules = ["hydra.sweeper.objectives=[parameters]", 'hydra.sweeper.constraints=["validation_accuracy >= 0"]']
    assert study(monkeypatch, tmp_path, RATES[0], "hydra.sweeper.n_trials=2", *rules) == 0
    for trial in stored(tmp_path, "small"):
        assert trial.value == PARAMETERS
        assert trial.constraints["validation_accuracy >= 0"] == -trial.user_attrs["validation_accuracy"]


def test_another_launcher_knows_every_objective_and_constraint(tmp_path, monkeypatch):
    rules = ["hydra.sweeper.objectives=[parameters]", 'hydra.sweeper.constraints=["validation_accuracy >= 0"]']
    assert study(monkeypatch, tmp_path, RATES[0], "hydra.sweeper.n_trials=2", "hydra/launcher=basic", *rules) == 0
    assert {trial.value for trial in stored(tmp_path, "small")} == {PARAMETERS}
    for trial in stored(tmp_path, "small"):
        place = trial.user_attrs["place"]
        assert members(tmp_path / trial.user_attrs["folder"])[0]["seed"] == trial.user_attrs["members"][0]["seed"]
        monkeypatch.chdir(tmp_path)
        assert rerun.main(["study=small", f"trial={place}", "tracking.kind=none"]) == 0


def test_another_launcher_trains_the_trials_job_by_job(tmp_path, monkeypatch, capsys):
    basic = ["hydra/launcher=basic", "hydra.sweeper.n_trials=3"]
    assert study(monkeypatch, tmp_path, *RATES, *basic) == 0
    trials, jobs = stored(tmp_path, "small"), folders(tmp_path)
    assert [trial.value for trial in trials] == [members(job)[0]["validation_accuracy"] for job in jobs]
    assert "all 3 trials are done" in capsys.readouterr().out
    assert study(monkeypatch, tmp_path, *RATES, *basic, "hydra.sweeper.pruner=asha", name="other") == 2
    error = capsys.readouterr().err
    assert one_paragraph(error)
    assert "only the stacked launcher prunes" in error


def test_with_another_launcher_a_trial_that_raises_has_failed_too(tmp_path, monkeypatch, capsys):
    broken_seed(monkeypatch, 1)
    basic = ["hydra/launcher=basic", "hydra.sweeper.sampler=grid", "seed=0,1,2"]
    assert study(monkeypatch, tmp_path, *basic) == 1
    states = {trial.params["seed"]: status(trial) for trial in stored(tmp_path, "small")}
    assert states == {0: "FINISHED", 1: "FAILED", 2: "FINISHED"}


def test_with_another_launcher_a_batch_that_the_surroundings_broke_keeps_what_ended(tmp_path, monkeypatch, capsys):
    broken_seed(monkeypatch, 1)
    monkeypatch.setattr(fault, "is_of_surroundings", lambda error, probe: True)
    ask = Study.ask
    monkeypatch.setattr(Study, "ask", lambda self, count: ask(self, 3))  # as with a launcher that runs three at once
    basic = ["hydra/launcher=basic", "hydra.sweeper.sampler=grid", "seed=0,1,2"]
    assert study(monkeypatch, tmp_path, *basic) != 0
    assert "it goes on" in capsys.readouterr().err
    trials = {trial.params["seed"]: trial for trial in stored(tmp_path, "small")}
    assert {seed: status(trial) for seed, trial in trials.items()} == {0: "FINISHED", 1: "KILLED", 2: "FINISHED"}
    assert trials[1].user_attrs["stopped"]


# After, and before


def test_every_trial_trained_alone_agrees_exactly(study_copy, capsys):
    for trial in stored(study_copy, "small"):
        assert rerun.main(["study=small", f"trial={trial.user_attrs['place']}", "tracking.kind=none"]) == 0
        shown = capsys.readouterr().out
        gaps = ", ".join(f"{key} 0" for key in rerun.compared(ACCURACY))
        assert f"largest differences from the study: {gaps}." in shown
        assert "agrees with the study" in shown


def test_a_trial_that_is_not_there_cannot_be_trained_again(study_copy, capsys):
    assert rerun.main(["study=small", "trial=99"]) == 2
    error = capsys.readouterr().err
    assert one_paragraph(error)
    assert f"accepted: 0 to {TRIALS - 1}" in error


def test_the_best_of_a_study_vote_without_training(study_copy, monkeypatch, capsys):
    complete = [trial for trial in stored(study_copy, "small") if trial.state.name == "COMPLETE"]
    top = len(complete)
    best_first = sorted(complete, key=lambda trial: -trial.value)
    tested = [members(study_copy / trial.user_attrs["folder"])[0]["test_accuracy"] for trial in best_first]
    for trial in complete:  # whoever chose by what is kept of the test set would take them the other way round
        path = study_copy / trial.user_attrs["folder"] / "result.json"
        path.write_text(json.dumps([{**one, "test_accuracy": 1 - trial.value} for one in members(path.parent)]))
    ensemble = ["+exp=ensemble", "data=digits", "from_study=small", "tracking=none", "figures=false"]
    assert command(monkeypatch, study_copy, *ensemble, f"top={top}") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"best {top} of small on digits" in shown
    assert all(f"trial {trial.user_attrs['place']} " in shown for trial in complete)
    (path,) = (study_copy / "mlruns" / "hydra").glob("*/*-ensemble/votes.json")
    (vote,) = json.loads(path.read_text())
    assert sorted(vote["member_accuracies"]) == pytest.approx(sorted(tested))
    assert [member["validation_accuracy"] for member in members(path.parent)] == [one.value for one in best_first]
    assert command(monkeypatch, study_copy, *ensemble, f"top={top + 1}") == 2
    error = capsys.readouterr().err
    assert one_paragraph(error)
    assert f"accepted: 1 to {top}" in error


def test_what_votes_stands_in_mlflow_as_it_was_trained(study_copy, monkeypatch):
    store = client(study_copy)
    before = {run.info.run_id for run in tracked(store)}
    assert command(monkeypatch, study_copy, "from_study=small", "top=2", "figures=false") == 0
    members = [run for run in tracked(store) if run.info.run_id not in before and run.data.tags["kind"] == "member"]
    trials = {trial.user_attrs["place"]: trial for trial in stored(study_copy, "small")}
    assert len(members) == 2
    for run in members:
        place = int(re.search(r"trial (\d+)", run.info.run_name)[1])
        assert float(run.data.params["optim.eta"]) == trials[place].params["optim.eta"]
        assert run.data.params["model.hidden"] == "[8]"


@pytest.mark.parametrize("argument", ["data=mnist", "optim.eta=0.3", "model=conv", "repeats=3", "data.train=100"])
def test_a_vote_refuses_what_it_would_not_follow(argument, study_copy, monkeypatch, capsys):
    assert command(monkeypatch, study_copy, "+exp=ensemble", "from_study=small", "top=1", argument) == 2
    error = capsys.readouterr().err
    assert one_paragraph(error)
    assert f"{argument} would change nothing" in error


@pytest.mark.parametrize("typed", ["from_study=smal", "from_storage=sqlite:///nowhere.db"])
def test_a_study_that_is_not_there_cannot_vote(typed, study_copy, monkeypatch, capsys):
    assert (
        command(monkeypatch, study_copy, *{"from_study": "from_study=small", typed.split("=")[0]: typed}.values()) == 2
    )
    error = capsys.readouterr().err
    assert one_paragraph(error)
    assert error.startswith(f"{typed}: ")


def test_trials_that_break_the_constraints_do_not_vote(tmp_path, monkeypatch, capsys):
    rule = 'hydra.sweeper.constraints=["parameters <= 10"]'
    assert study(monkeypatch, tmp_path, RATES[0], "hydra.sweeper.n_trials=2", rule) == 0
    assert command(monkeypatch, tmp_path, "+exp=ensemble", "from_study=small", "top=1", "tracking=none") == 2
    assert "has left 0 networks of complete trials that keep its constraints" in capsys.readouterr().err


def test_a_plan_trains_nothing_and_makes_no_study(tmp_path, monkeypatch, capsys):
    assert study(monkeypatch, tmp_path, *RATES, "plan=true", "hydra.sweeper.n_trials=6") == 0
    shown = capsys.readouterr().out
    assert "Nothing was trained: plan=true." in shown
    assert "6 trials" in shown
    assert "FC 8 sigmoid" in shown
    assert "FC 8 tanh" in shown
    assert not list(tmp_path.rglob("result.json"))
    assert not list(Path(tmp_path).rglob("studies.db"))


def test_the_plan_of_a_grid_shows_its_points(tmp_path, monkeypatch, capsys):
    sizes = ["hydra.sweeper.sampler=grid", "model.hidden=[4],[5]", "optim.eta=0.1,0.2,0.3", "repeats=2"]
    assert study(monkeypatch, tmp_path, *sizes, "plan=true", "hydra.launcher.max_members=5") == 0
    shown = capsys.readouterr().out
    rows = [line.split() for line in shown.splitlines() if "FC" in line]
    assert [row[-7:-4] for row in rows] == [["3", "6", "4"]] * 2, shown  # two trials of two networks fit
    assert "6 trials, " in shown


def test_a_study_that_is_done_has_not_failed_however_many_trials_did(tmp_path, monkeypatch, capsys):
    broken_seed(monkeypatch, 1)
    arguments = ["hydra.sweeper.sampler=grid", "seed=0,1", "hydra.sweeper.max_failures=1"]
    assert study(monkeypatch, tmp_path, *arguments) == 1
    assert study(monkeypatch, tmp_path, *arguments) == 0
    assert "all 2 trials are done" in capsys.readouterr().out


def test_a_spent_budget_stops_trials_that_wait_too(tmp_path, monkeypatch, capsys):
    broken_seed(monkeypatch, 0)
    widths = "model.hidden=[4],[5],[6],[7],[8],[9]"  # each a stack of its own
    arguments = ["hydra.sweeper.sampler=grid", "hydra.sweeper.max_failures=2", "hydra.launcher.max_members=6", widths]
    assert study(monkeypatch, tmp_path, *arguments) == 1
    states = sorted(status(trial) for trial in stored(tmp_path, "small"))
    assert states == ["FAILED"] * 2 + ["KILLED"] * 4
    capsys.readouterr()
    assert study(monkeypatch, tmp_path, *arguments) == 1  # a script must not take that for success
    error = capsys.readouterr().err
    assert "hydra.sweeper.max_failures=2" in error
    assert "python -m src.report study=small" in error


def test_a_store_that_fails_costs_no_trial_and_says_so(tmp_path, monkeypatch, capsys):
    finish, calls = Store.finish, []

    def once(self, *about, **more):
        calls.append(about)
        if len(calls) == 2:
            raise StoreError("the study's store does not answer (gone)")
        return finish(self, *about, **more)

    monkeypatch.setattr(Store, "finish", once)
    arguments = [RATES[0], "hydra.sweeper.n_trials=4"]
    assert study(monkeypatch, tmp_path, *arguments) == 2
    assert "does not answer (gone)" in capsys.readouterr().err
    assert "FAILED" not in {status(trial) for trial in stored(tmp_path, "small")}
    assert study(monkeypatch, tmp_path, *arguments) == 0
    done = [trial.user_attrs["place"] for trial in stored(tmp_path, "small") if status(trial) == "FINISHED"]
    assert sorted(done) == [0, 1, 2, 3]


class AcceleratorError(RuntimeError):
    """As torch calls an error of a GPU behind which no call succeeds."""


def broken_down(*_, **__):
    raise AcceleratorError("an illegal memory access")


def unset(*_, **__):
    raise RuntimeError("the cluster's variables contradict each other")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ((CpuEngine, "evaluate", broken_down), "the device broke down (an illegal memory access); start the same"),
        ((fit, "Trainer", unset), "the surroundings are: RuntimeError: the cluster's variables contradict each other"),
    ],
)
def test_what_the_surroundings_break_fails_no_trial_and_the_same_command_goes_on(
    broken, words, tmp_path, monkeypatch, capsys
):
    arguments = [RATES[0], "hydra.sweeper.n_trials=4", "hydra.launcher.max_members=4"]
    with monkeypatch.context() as patched:
        patched.setattr(*broken)
        assert study(monkeypatch, tmp_path, *arguments) == 2
    assert one_paragraph(error := capsys.readouterr().err)
    assert words in error
    assert {status(trial) for trial in stored(tmp_path, "small")} == {"KILLED"}
    assert study(monkeypatch, tmp_path, *arguments) == 0
    done = [trial.user_attrs["place"] for trial in stored(tmp_path, "small") if status(trial) == "FINISHED"]
    assert sorted(done) == [0, 1, 2, 3]


def test_a_study_without_a_value_is_no_success_however_often_it_is_started(tmp_path, monkeypatch, capsys):
    arguments = ["hydra.sweeper.sampler=grid", "optim.eta=1e30,1e31"]
    for _ in range(2):
        assert study(monkeypatch, tmp_path, *arguments) == 1
        assert "no trial has a value (2 pruned or diverged); all 2 trials are done" in capsys.readouterr().err


@pytest.mark.parametrize("sweep", [["optim.eta=0.1,0.2"], ["hydra/sweeper=optuna", "optim.eta=interval(0.1, 1)"]])
def test_networks_that_were_trained_cannot_be_swept_over(sweep, tmp_path, monkeypatch, capsys):
    assert command(monkeypatch, tmp_path, "-m", "data=digits", "from_study=small", *sweep) == 2
    assert "from_study: votes once" in capsys.readouterr().err
    assert not list(tmp_path.rglob("result.json"))


def test_a_rerun_that_is_stopped_does_not_say_that_it_agrees(study_copy, monkeypatch, capsys):
    monkeypatch.setattr("src.training.interrupt.Interrupt.__call__", lambda self: True)
    assert rerun.main(["study=small", "trial=0", "tracking.kind=none"]) == 130
    assert "agrees" not in capsys.readouterr().out


def test_a_rerun_answers_what_it_cannot_read(study_copy, capsys):
    assert rerun.main(["study=small", "trial=0", "model.hidden=[30"]) == 2
    assert one_paragraph(capsys.readouterr().err)


def test_a_sweep_without_its_mode_is_refused_instead_of_training_one_network(tmp_path, monkeypatch, capsys):
    assert command(monkeypatch, tmp_path, *SMALL, "tracking=none", "hydra/sweeper=optuna") == 2
    assert "mode: MULTIRUN" in capsys.readouterr().err
    assert not list(tmp_path.rglob("result.json"))


def own_sweep(monkeypatch, folder, content, *arguments):
    """The status of a sweep with a file of the user's own."""
    (folder / "sweeps").mkdir()
    (folder / "sweeps" / "mine.yaml").write_text(content)
    return command(monkeypatch, folder, "--config-dir", str(folder), "+sweeps=mine", *SMALL, "plan=true", *arguments)


def test_the_whole_sweep_file_of_the_documents_runs(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```yaml\n(.*?)```", (CONF.parent / "docs" / "sweeps.md").read_text("utf-8"), re.DOTALL)
    (whole,) = (block for block in blocks if block.startswith("# @package _global_"))
    assert own_sweep(monkeypatch, tmp_path, whole, "tracking=none") == 0
    assert "20 trials" in capsys.readouterr().out


def test_an_interval_in_the_file_of_a_grid_is_refused_by_its_key(tmp_path, monkeypatch, capsys):
    grid = "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: {optim.eta: 'interval(0.1, 1)'}}}"
    assert own_sweep(monkeypatch, tmp_path, grid, "tracking=none") == 2
    assert capsys.readouterr().err.startswith("optim.eta: an interval has no end of values for a grid")
