"""Each sampler and pruner of the settings works on a study, and goes on where it was interrupted."""

import pytest
from optuna.trial import TrialState

from src.config.error import ConfigError
from src.sweep.space.settings import StudySettings
from src.sweep.studies.samplers import make_pruner, make_sampler
from tests.sweep.children import PARAMS, check_finished, in_file, opened, stored, train, work

NUMBERS = {"optim.eta": "tag(log, interval(0.001, 1))", "model.dropout": "interval(0, 0.8)"}  # no choice among them
SAMPLERS = {
    "tpe": {"n_startup_trials": 4},
    "random": {},
    "gp": {"n_startup_trials": 4},
    "cmaes": {},
    "qmc": {},
    "nsga2": {"population_size": 4},
}


def _params(sampler):
    return NUMBERS if sampler == "cmaes" else PARAMS


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sampler_goes_on_after_an_interruption_as_without_one(tmp_path, sampler):
    changes = {"sampler": sampler, "sampler_options": SAMPLERS[sampler], "n_trials": 14}
    whole, parts = in_file(tmp_path / "whole", **changes), in_file(tmp_path / "parts", **changes)
    work(whole, 2, _params(sampler))
    while True:
        with opened(parts, _params(sampler)) as study:
            for _ in range(2):
                for ask in study.ask(2):
                    train(study, ask)
            if study.counts().places_left == 0:
                break
    check_finished(parts)
    suggested = [trial.params for trial in stored(whole)]
    if sampler != "gp":  # its fits start from the last one, which an interruption forgets: nearly the same
        assert [trial.params for trial in stored(parts)] == suggested
    assert len({tuple(params.items()) for params in suggested}) >= 12  # a child may equal a parent


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sampler_knows_the_trials_of_another_process(tmp_path, sampler):
    settings = in_file(tmp_path, sampler=sampler, sampler_options=SAMPLERS[sampler], n_trials=16)
    with opened(settings, _params(sampler)) as one, opened(settings, _params(sampler)) as two:
        for study in (one, two) * 4:
            for ask in study.ask(2):
                train(study, ask)
    check_finished(settings)
    assert len({tuple(trial.params.items()) for trial in stored(settings)}) >= 14


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2", "random"])
def test_samplers_take_several_objectives_and_constraints(tmp_path, sampler):
    settings = in_file(
        tmp_path,
        sampler=sampler,
        sampler_options=SAMPLERS[sampler],
        objectives=["validation_accuracy", "parameters"],
        constraints=["seconds <= 1"] if sampler != "random" else [],
        n_trials=8,
    )
    with opened(settings) as study:
        while asks := study.ask(3):
            for ask in asks:
                eta = ask.params["optim.eta"]
                study.report(ask, 1, eta)
                if ask.place == 3:  # such as one that diverged
                    study.tell(ask, "PRUNED")
                else:
                    study.tell(ask, "COMPLETE", [eta, 10 * eta], {"seconds": 2 * eta})
        assert study.counts().complete == 7
    with opened(settings.model_copy(update={"n_trials": 10})) as study:
        assert len(study.ask(2)) == 2
        assert len(study.front()) > 1


def test_the_tree_estimator_finds_the_best_where_random_search_does_not(tmp_path):
    best = {}
    for sampler in ("tpe", "random"):
        settings = in_file(tmp_path / sampler, sampler=sampler, n_trials=60)
        with opened(settings) as study:
            while asks := study.ask(4):
                for ask in asks:
                    train(study, ask)
            best[sampler] = study.best()[1][0]
    assert best["tpe"] > best["random"]
    assert best["tpe"] > 0.99


def test_running_trials_keep_the_sampler_from_asking_for_the_same_again(tmp_path):
    with opened(in_file(tmp_path, n_trials=60)) as study:
        while study.counts().complete < 40 and (asks := study.ask(1)):
            for ask in asks:
                train(study, ask)
        etas = [ask.params["optim.eta"] for ask in study.ask(8)]
    assert max(etas) / min(etas) > 1.05


def test_running_trials_count_as_what_they_have_whether_or_not_the_study_was_read_anew(tmp_path):
    sometimes = {"space": "interval(0.1, 0.9)", "when": {"model.activation": "sigmoid"}}
    space = {"model.activation": "sigmoid,relu", "optim.momentum": sometimes, "optim.eta": "interval(0, 1)"}
    asked = []
    for anew in (False, True):
        with opened(in_file(tmp_path / str(anew), n_trials=40), space) as study:
            for ask in study.ask(14):
                study.tell(ask, "COMPLETE", [ask.params.get("optim.momentum", 0.5) * ask.params["optim.eta"]])
            study.ask(6)
            study._stale = anew
            asked.append([ask.params for ask in study.ask(6)])
    assert asked[0] == asked[1]


def test_a_grid_has_every_point_in_the_order_of_the_space(tmp_path):
    space = {"model.activation": "sigmoid,relu", "optim.eta": "range(0.1, 0.4, 0.1)"}
    settings = in_file(tmp_path, sampler="grid", n_trials=20)
    with opened(settings, space) as study:
        asks = study.ask(20)
        assert [(ask.params["model.activation"], ask.params["optim.eta"]) for ask in asks] == [
            (activation, eta) for activation in ("sigmoid", "relu") for eta in (0.1, 0.2, 0.3)
        ]
        study.tell(asks[0], "KILLED")
        for ask in asks[1:]:
            study.tell(ask, "COMPLETE", [0.5])
        for _ in range(2):  # a grid has no other point to offer: the killed one is tried until it ends
            (again,) = study.ask(20)
            assert again.params == asks[0].params
            study.tell(again, "KILLED")
        (again,) = study.ask(20)
        study.tell(again, "COMPLETE", [0.5])
        assert study.reason_to_stop() == "all 6 trials are done"


def test_a_grid_beyond_the_budget_is_walked_at_random_and_completed_later(tmp_path):
    space = {"model.activation": "sigmoid,relu", "model.dropout": "range(0, 0.8, 0.1)"}
    with opened(in_file(tmp_path, sampler="grid", n_trials=5), space) as study:
        some = [ask.params for ask in study.ask(99)]
        for number, params in enumerate(some):
            assert params["model.activation"] in ("sigmoid", "relu"), number
        assert len({params["model.activation"] for params in some}) == 2
    with opened(in_file(tmp_path, sampler="grid", n_trials=99), space) as study:
        every = [tuple(ask.params.items()) for ask in study.ask(99)]
    assert len(every) == len(set(every)) == 16


def test_fixed_trials_count_among_the_points_of_a_grid(tmp_path):
    space = {"model.activation": "sigmoid,relu", "model.dropout": "0.0,0.5"}
    first = {"model.activation": "relu", "model.dropout": 0.0}
    with opened(in_file(tmp_path, sampler="grid", n_trials=9, first=first), space) as study:
        asks = [ask.params for ask in study.ask(9)]
    assert asks[0] == first
    assert len(asks) == 4
    assert asks.count(first) == 1


@pytest.mark.parametrize("first", [{"model.activation": "relu"}, {"model.activation": "relu", "model.dropout": 0.5}])
def test_fixed_trials_of_a_grid_that_are_alike_take_no_point_from_it(tmp_path, first):
    space = {"model.activation": "sigmoid,relu", "model.dropout": "0.0,0.5"}
    with opened(in_file(tmp_path, sampler="grid", n_trials=9, first=[first, first]), space) as study:
        asks = [tuple(ask.params.items()) for ask in study.ask(9)]
    assert len(asks) == len(set(asks)) == 4
    assert first.items() <= dict(asks[0]).items()


PRUNERS = {
    "median": {"n_startup_trials": 2},
    "percentile": {"n_startup_trials": 2},
    "asha": {"min_resource": 1, "reduction_factor": 2},
    "hyperband": {"min_resource": 1, "max_resource": 8, "reduction_factor": 2},
    "wilcoxon": {"p_threshold": 0.2},
}


@pytest.mark.parametrize("pruner", PRUNERS)
def test_a_pruner_ends_bad_trials_and_no_good_one(tmp_path, pruner):
    settings = in_file(tmp_path, pruner=pruner, pruner_options=PRUNERS[pruner], n_trials=40)
    with opened(settings) as study:
        for ask in study.ask(40):
            quality = (ask.place * 7 % 40) / 40
            for epoch in range(1, 9):
                if study.report(ask, epoch, quality + epoch / 1000):
                    study.tell(ask, "PRUNED")
                    break
            else:
                study.tell(ask, "COMPLETE", [quality + 8 / 1000])
        _, values, _ = study.best()
        assert values == [39 / 40 + 8 / 1000]
        assert 5 < study.counts().pruned < 39
    pruned = [trial for trial in stored(settings) if trial.state == TrialState.PRUNED]
    assert all(len(trial.intermediate_values) < 9 for trial in pruned)


def test_without_a_pruner_nothing_is_pruned(tmp_path):
    with opened(in_file(tmp_path)) as study:
        asks = study.ask(2)
        assert not any(study.report(ask, epoch, -float(ask.place)) for ask in asks for epoch in range(1, 9))


@pytest.mark.parametrize(
    ("changes", "make"),
    [
        ({"sampler": "tpe", "sampler_options": {"group": True, "multivariate": False}}, make_sampler),
        ({"pruner": "asha", "pruner_options": {"bootstrap_count": 3}}, make_pruner),
    ],
)
def test_options_that_optuna_refuses_are_an_error_of_the_configuration(changes, make):
    settings = StudySettings(study_name="study", **changes)
    with pytest.raises(ConfigError, match=r"hydra.sweeper.\w+_options: \w+ refuses them"):
        make(settings, conditional=False) if make is make_sampler else make(settings)
