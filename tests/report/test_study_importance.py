"""What mattered: the parameter that decides comes first, chance is called chance, and too few trials say nothing."""

import math
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from src.report import study_importance
from src.report.study_dimension import dimensions, keys, settings
from src.report.study_importance import Importance, explained, importances, samples
from src.sweep.studies.study_record import Study
from tests.report.study_example import diverged, made, sampled, trial


def weighed(study: Study) -> list[Importance]:
    return importances(study, samples(study))


def fit(study: Study) -> float | None:
    return explained(study, samples(study)[0])


def test_the_parameter_that_decides_comes_first() -> None:
    study = made(sampled(40, lambda params, _: 0.9 if params["model.activation"] == "relu" else 0.8), settings={})
    first, *others = weighed(study)
    assert first.dimension.label == "model.activation"
    assert first.shares[0] == pytest.approx(1, abs=0.02)
    assert all((one.shares[0] or 0) < 0.02 for one in others)
    assert fit(study) == pytest.approx(1, abs=0.02)


def test_a_parameter_in_log_scale_counts_over_the_space_as_it_was_searched() -> None:
    # Below 0.01, two thirds of the space in log scale, and 1 % of it in a linear one.
    study = made(sampled(60, lambda params, _: 0.9 if params["optim.eta"] < 0.01 else 0.5), settings={})
    assert weighed(study)[0].dimension.label == "optim.eta"
    assert (weighed(study)[0].shares[0] or 0) > 0.9


def test_of_pure_chance_nothing_is_explained() -> None:
    study = made(sampled(40, lambda _, chance: 0.9 + 0.01 * float(chance.normal())), settings={})
    found = fit(study)
    assert found is not None
    assert found < 0.2


def test_the_better_half_is_judged_by_itself() -> None:
    def accuracy(params: dict[str, Any], _: np.random.Generator) -> float:
        failed = params["optim.eta"] > 0.1
        return 0.1 if failed else 0.9 + 0.1 * params["model.dropout"]

    found = {one.dimension.short: one for one in weighed(made(sampled(60, accuracy), settings={}))}
    assert (found["eta"].shares[0] or 0) > 0.9
    assert (found["dropout"].shares[1] or 0) > 0.7


def test_below_the_fewest_trials_no_share_is_given() -> None:
    trials = sampled(study_importance.FEWEST, lambda params, _: params["model.dropout"])
    assert all(one.shares[0] is not None and one.shares[1] is None for one in weighed(made(trials, settings={})))
    assert all(one.shares[0] is None for one in weighed(made(trials[1:], settings={})))
    assert fit(made(trials, settings={})) is None


def test_where_trials_were_pruned_all_are_compared_at_an_epoch_that_all_reached() -> None:
    study = made(sampled(30, lambda params, _: 0.9 - params["model.dropout"], pruned=12), settings={})
    first, second = samples(study)
    assert first.words == "after epoch 3, pruned trials included"
    assert len(first.points) == 30
    assert first.points[0][1] == max(trial.curve[3] for trial in study.places)
    assert (second.words, len(second.points)) == ("at the end, complete trials", 18)
    found = weighed(study)[0]
    assert (found.dimension.label, found.trials) == ("model.dropout", 30)
    assert all((share or 0) > 0.9 for share in found.shares)


def test_trials_that_diverged_are_not_compared_at_the_epoch_of_their_end() -> None:
    trials = sampled(30, lambda params, _: 0.9 - params["model.dropout"], pruned=12)
    first, _ = samples(made([*trials, diverged(30)], settings={"pruner": "asha"}))
    assert (first.words, len(first.points)) == ("after epoch 3, pruned trials included", 30)
    whole = sampled(30, lambda params, _: 0.9 - params["model.dropout"])
    first, second = samples(made([*whole, diverged(30)], settings={}))
    assert (first.words, second.words) == ("complete trials", "their better half")


@pytest.mark.parametrize("settings", [{"pruner": "wilcoxon"}, {"objectives": ["seconds"]}])
def test_where_reports_are_not_the_value_by_epoch_complete_trials_are_compared(settings: dict[str, Any]) -> None:
    trials = sampled(30, lambda params, _: 0.9 - params["model.dropout"], pruned=12)
    first, _ = samples(made(trials, settings=settings))
    assert (first.words, len(first.points)) == ("complete trials", 18)


def test_equal_values_have_no_shares() -> None:
    study = made(sampled(12, lambda *_: 0.9), settings={})
    assert [one.shares[0] for one in weighed(study)] == [None] * 4
    assert fit(study) is None


def test_what_varies_alone_has_no_share() -> None:
    """It would have all, whether or not it matters: 100 % is no finding."""
    trials = sampled(40, lambda params, _: params["model.dropout"])
    for one in trials:
        alone = {"model.dropout": one.params["model.dropout"]}
        one._distributions = {"model.dropout": one.distributions["model.dropout"]}
        one.params = alone
    assert [one.shares for one in weighed(made(trials, settings={}))] == [[None, None]]


def test_no_more_trials_are_fitted_than_the_forest_can_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_importance, "MOST", 10)
    study = made(sampled(40, lambda params, _: params["model.dropout"]), settings={})
    points = samples(study)[0].points
    some = study_importance._some(points)
    assert len(some) == 10
    assert (some[0], some[-1]) == (points[0], points[-1])
    assert weighed(study)[0].shares[0] is not None


RELU, SIGMOID = "optim.eta when model.activation=relu", "optim.eta when model.activation=sigmoid"


def conditional() -> Any:
    """Each activation has an eta of its own; only that of relu matters."""
    chance, trials = np.random.default_rng(0), []
    for place in range(40):
        name = (RELU, SIGMOID)[place % 2]
        activation = name.rsplit("=", 1)[1]
        ends = (0.003, 0.1) if activation == "relu" else (0.1, 3.0)
        eta = float(10 ** chance.uniform(*map(math.log10, ends)))
        space = {
            "model.activation": CategoricalDistribution(["relu", "sigmoid"]),
            name: FloatDistribution(*ends, log=True),
            "batch_size": IntDistribution(1, 9),
        }
        params = {"model.activation": activation, name: eta, "batch_size": int(chance.integers(1, 10))}
        value = 0.9 + (0.01 * math.log10(eta) if activation == "relu" else 0.03)
        trials.append(trial(place, params, [value], space=space))
    return made(trials, settings={})


def test_a_parameter_that_only_some_trials_have_is_assessed_among_those() -> None:
    found = {one.dimension.label: one for one in weighed(conditional())}
    assert found["model.activation"].trials == 40
    assert (found[RELU].trials, found[SIGMOID].trials) == (20, 20)
    assert (found[RELU].shares[0] or 0) > 0.9
    assert found[SIGMOID].shares[0] is None  # these trials all have the same value


def test_domains_of_one_key_are_dimensions_of_their_own_and_one_key() -> None:
    study = conditional()
    assert [one.label for one in dimensions(study)] == ["model.activation", "batch_size", RELU, SIGMOID]
    assert [one.short for one in dimensions(study)][2] == "eta when model.activation=relu"
    eta = keys(study)[2]
    assert (eta.label, eta.short, eta.names) == ("optim.eta", "eta", (RELU, SIGMOID))
    assert (eta.low, eta.high, eta.log) == (0.003, 3.0, True)
    assert " optim.eta=0.0" in settings(study.trials[0])


def test_a_key_that_is_a_choice_in_some_trials_is_a_choice_of_all_that_occurred() -> None:
    values: list[tuple[Any, Any]] = [
        (None, CategoricalDistribution([None, True, "[100,100]"])),
        (0.25, FloatDistribution(0, 1)),
    ]
    trials = [trial(n, {"x": value}, [0.9], space={"x": space}) for n, (value, space) in enumerate(values)]
    (found,) = dimensions(made(trials, settings={}))
    assert found.choices == ("null", "true", "[100,100]", "0.25")
    assert [found.number(one) for one in made(trials).trials] == [0, 3]
    assert [found.fraction(place) for place in (0, 3)] == [0, 1]
