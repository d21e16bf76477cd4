"""The quick estimator suggests what Optuna's own suggests, whatever became of the trials before."""

import random
import warnings

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as some
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator
from optuna.trial import TrialState

from src.sweep.studies.samplers import quiet
from src.sweep.studies.tpe import Estimator, QuickTPESampler

SPACE = {
    "eta": FloatDistribution(1e-3, 1, log=True),
    "dropout": FloatDistribution(0, 0.8),
    "momentum": FloatDistribution(0, 0.9, step=0.1),
    "width": IntDistribution(10, 300, log=True),
    "layers": IntDistribution(1, 3),
    "activation": CategoricalDistribution(["sigmoid", "tanh", None]),
}


def _train(sampler, direction, conditional=False, trials=70):
    """A study whose trials complete, fail, are pruned, break constraints and run on; returns what was suggested."""
    study = optuna.create_study(sampler=sampler, direction=direction)
    fate = random.Random(1)
    running = []
    for _ in range(trials):
        trial = study.ask()
        for name, distribution in SPACE.items():
            if not conditional or name != "momentum" or trial.params["eta"] > 0.03:
                trial._suggest(name, distribution)
        value = round(abs(trial.params["eta"] - 0.1) + trial.params["dropout"] + trial.params["layers"], 1)  # some ties
        trial.set_constraint("width", trial.params["width"] - 250)
        outcome = fate.choice(["complete"] * 5 + ["pruned", "nan", "fail"] + ["runs"] * (not conditional))
        if outcome in ("pruned", "nan"):
            trial.report(value if outcome == "pruned" else float("nan"), fate.randint(1, 3))
        states = {"complete": TrialState.COMPLETE, "fail": TrialState.FAIL}
        if outcome == "runs":
            running.append((trial, value))
        else:
            study.tell(trial, value if outcome == "complete" else None, states.get(outcome, TrialState.PRUNED))
        if len(running) > 3:
            study.tell(*running.pop(0))
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("liar", [True, False])
def test_it_suggests_what_optunas_own_sampler_suggests(direction, liar):
    quick, own = (kind(seed=3, constant_liar=liar) for kind in (QuickTPESampler, TPESampler))
    assert _train(quick, direction) == _train(own, direction)


def test_it_suggests_the_same_where_keys_depend_on_others():
    # With none running: for a running trial Optuna also counts drawn values of keys that the trial then does not have.
    with quiet():
        quick, own = (kind(seed=3, multivariate=True, group=True) for kind in (QuickTPESampler, TPESampler))
    assert _train(quick, "minimize", conditional=True) == _train(own, "minimize", conditional=True)


def test_it_suggests_the_same_key_by_key():
    quick, own = (kind(seed=3, multivariate=False) for kind in (QuickTPESampler, TPESampler))
    assert _train(quick, "minimize", trials=30) == _train(own, "minimize", trials=30)


def test_it_suggests_the_same_for_several_objectives():
    suggested = []
    for kind in (QuickTPESampler, TPESampler):
        study = optuna.create_study(sampler=kind(seed=0), directions=["minimize", "maximize"])
        for _ in range(30):
            trial = study.ask(SPACE)
            study.tell(trial, [trial.params["eta"], trial.params["width"]])
        suggested.append([trial.params for trial in study.trials])
    assert suggested[0] == suggested[1]


@given(some.integers(0, 2**32 - 1), some.sampled_from([0, 1, 2, 40]))
def test_its_density_is_optunas(seed, observed):
    rng = np.random.RandomState(seed)
    parameters = TPESampler()._parzen_estimator_parameters

    def draw(count):
        internal = {name: np.empty(count) for name in SPACE}
        for name, distribution in SPACE.items():
            for index in range(count):
                if isinstance(distribution, CategoricalDistribution):
                    internal[name][index] = rng.randint(3)
                elif isinstance(distribution, FloatDistribution) and distribution.step:
                    internal[name][index] = 0.1 * rng.randint(10)
                elif isinstance(distribution, IntDistribution):
                    internal[name][index] = rng.randint(distribution.low, distribution.high + 1)
                else:
                    internal[name][index] = rng.uniform(distribution.low, distribution.high)
        return internal

    observations, candidates = draw(observed), draw(24)
    quick, own = (kind(observations, SPACE, parameters) for kind in (Estimator, _ParzenEstimator))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # Optuna's own takes the logarithm of 0 for far kernels
        expected = own.log_pdf(candidates)
    # Optuna's mass of a far kernel comes from a series, here from scipy: they agree to about 1e-11 of the logarithm.
    np.testing.assert_allclose(quick.log_pdf(candidates), expected, rtol=1e-9, atol=1e-9)
