"""What hydra.sweeper refuses, and that it says so: field, value, rule, what is accepted; all in one go."""

import inspect
import math
import subprocess
import sys

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_core import PydanticUndefined

from src.config.error import ConfigError
from src.config.limit import Limit
from src.config.metric import metric_named
from src.sweep.space.options import PRUNERS, SAMPLERS
from src.sweep.space.settings import StudySettings, parse

words = st.text(alphabet="abcdefgxyz", min_size=1, max_size=8).map(lambda word: f"{word}_")
not_finite = st.sampled_from([math.nan, math.inf, -math.inf])
no_number = st.one_of(words, st.lists(st.integers(), max_size=2), st.booleans(), not_finite)
no_option = st.one_of(words, st.integers(), st.none(), st.lists(words, max_size=1))
no_text = st.one_of(st.integers(), st.lists(words, max_size=1), st.booleans())
no_options = st.one_of(words, st.integers(), st.lists(st.integers(), max_size=2))
no_dictionary = st.one_of(no_options, st.none())


def at_least(low):
    return st.one_of(no_number, st.none(), st.floats(0.1, 0.9), st.integers(max_value=low - 1))


BAD = {
    "study_name": st.one_of(no_text, st.none(), st.just(""), st.just("x" * 513)),
    "storage": st.one_of(no_text, st.none(), words, st.just("studies.db")),
    "n_trials": at_least(1),
    "timeout_minutes": st.one_of(no_number, st.floats(max_value=0, allow_nan=False)),
    "target": st.one_of(no_number, st.floats(1, 100, exclude_min=True), st.floats(max_value=0, allow_nan=False)),
    "sampler": no_option,
    "sampler_options": no_options,
    "seed": st.one_of(at_least(0), st.integers(min_value=2**32)),
    "pruner": no_option,
    "pruner_options": no_options,
    "objectives": st.one_of(no_dictionary, st.just([]), st.lists(words, min_size=1, max_size=2), st.just({})),
    "constraints": st.one_of(words, st.integers(), st.none(), st.lists(words, min_size=1, max_size=2)),
    "first": st.one_of(words, st.integers(), st.lists(st.integers(), min_size=1, max_size=2)),
    "params": st.one_of(words, st.integers(), st.none(), st.lists(st.integers(), max_size=2)),
    "custom_search_space": st.one_of(no_text, words, st.just("math.no_such_function"), st.just("math.pi")),
    "max_failures": at_least(0),
    "nested": st.one_of(at_least(2), st.integers(min_value=1001)).filter(lambda value: value is not None),
}  # fmt: skip

GOOD = {
    "study_name": "a study",
    "params": {"optim.eta": "tag(log, interval(0.01, 1))", "optim.lambda_": "interval(0, 1)"},
}


def settings(**changes):
    return parse({**GOOD, **changes}).settings


def problems(overrides=(), **changes):
    """The lines of the error that these settings raise."""
    with pytest.raises(ConfigError) as caught:
        parse({**GOOD, **changes}, overrides)
    head, *lines = str(caught.value).splitlines()
    assert head == f"{len(lines)} problem{'s' if len(lines) > 1 else ''} in the sweep, nothing was started:"
    return [line.strip() for line in lines]


def test_every_field_has_its_bad_values_here():
    assert set(BAD) == set(StudySettings.model_fields)


@pytest.mark.parametrize("field", sorted(BAD))
def test_a_bad_value_is_refused_by_the_name_of_its_field(field):
    @given(BAD[field])
    def refused(value):
        lines = problems(**{field: value})
        assert any(line.startswith(f"hydra.sweeper.{field}") for line in lines), lines

    refused()


@given(st.lists(st.sampled_from(sorted(set(BAD) - {"params"})), min_size=2, max_size=6, unique=True))
def test_all_that_is_wrong_is_reported_in_one_go(fields):
    lines = problems(**dict.fromkeys(fields, 1.5 + 2j), params={"optim.etaa": "1,2"})
    for field in fields:
        assert any(line.startswith(f"hydra.sweeper.{field} ") for line in lines), lines
    assert any(line.startswith("optim.etaa: no such key") for line in lines)


def test_the_problems_of_settings_space_and_first_trials_come_together():
    lines = problems(["optim.l1=interval(1,0)", "+exp=conv"], n_trials=0, sampler="tpee")
    assert [line.split()[0] for line in lines] == ["hydra.sweeper.n_trials", "hydra.sweeper.sampler", "optim.l1"]
    lines = problems(target=99, sampler="grid", first={"optim.eta": 3})
    assert [line.split()[0] for line in lines] == [
        "hydra.sweeper.target",
        "optim.eta",
        "optim.lambda_",
        "hydra.sweeper.first[0].optim.eta",
    ]


CHAIN = {
    "params": {
        "model.activation": "choice(sigmoid, tanh, relu)",
        "repeats": "range(1, 4)",
        "optim.eta": [
            {"space": "interval(0.1, 1)", "when": {"model.activation": ["sigmoid", "tanh"]}},
            {"space": "interval(0.01, 0.1)", "when": {"model.activation": "relu"}},
        ],
        "optim.l1": {"space": "0,0.1", "when": {"model.activation": ["relu", "sigmoid"]}},
        "optim.momentum": {"space": "0,0.9", "when": {"optim.l1": 0.1, "model.activation": ["relu", "tanh"]}},
        "optim.lambda_": {"space": "0,1", "when": {"repeats": [2, 3]}},
    },
    "first": [{"model.activation": "sigmoid", "optim.eta": 0.5}, {"repeats": 2}],
}


@pytest.mark.parametrize(
    ("typed", "gone", "first"),
    [
        ("model.activation=relu", ["optim.eta when model.activation=[sigmoid,tanh]", "first[0]"], [1]),
        ("model.activation=choice(relu)", ["optim.eta when model.activation=[sigmoid,tanh]", "first[0]"], [1]),
        (
            "model.activation=choice(sigmoid,tanh)",
            ["optim.eta when model.activation=relu", "optim.momentum when optim.l1=0.1 and model.activation=tanh"],
            [0, 1],
        ),
        (
            "model.activation=tanh",
            [
                "optim.eta when model.activation=relu",
                "optim.l1 when model.activation=[relu,sigmoid]",
                "optim.momentum when optim.l1=0.1 and model.activation=tanh",
                "first[0]",
            ],
            [1],
        ),
        ("repeats=range(1,2)", ["optim.lambda_ when repeats=[2,3]", "first[1]"], [0]),
        ("optim.l1=0", ["optim.momentum when optim.l1=0.1 and model.activation in [relu,tanh]"], [0, 1]),
        ("optim.eta=0.3", [], [1]),
    ],
)
def test_what_the_command_makes_impossible_is_left_out_and_named(typed, gone, first):
    sweep = parse({**GOOD, **CHAIN}, [typed])
    assert set(sweep.left_out) - {"first[0]"} == set(gone) - {"first[0]"}
    assert sweep.settings.first == [CHAIN["first"][number] for number in first]


def test_a_condition_that_a_file_itself_can_never_meet_stays_an_error():
    params = {**CHAIN["params"], "seed": {"space": "1,2", "when": {"model.activation": "elu"}}}
    lines = problems(["model.activation=relu"], params=params)
    assert any(line.startswith("seed: when model.activation = 'elu': must be one of relu") for line in lines)
    (line,) = problems(["model.activation=relu"], **{**CHAIN, "first": [{"model.activation": "elu"}]})
    assert line.startswith("hydra.sweeper.first[0].model.activation = 'elu': must be one of relu")


def test_defaults_are_sound_and_the_target_class_is_no_setting():
    sweep = parse({"_target_": "hydra_plugins.optuna.Sweeper", **GOOD}, ["+exp=conv", "seed=1,2"])
    assert sweep.settings.storage == "sqlite:///mlruns/studies.db"
    assert sweep.settings.directions == ["maximize"]
    assert sweep.space.keys == ["optim.eta", "optim.lambda_", "seed"]
    assert (sweep.fixed, sweep.settings.first) == (["+exp=conv"], [])


def test_an_unknown_key_names_the_near_ones():
    assert problems(n_trails=3)[0].startswith(
        "hydra.sweeper.n_trails: no such key; did you mean hydra.sweeper.n_trials"
    )


def test_a_password_in_a_refused_address_is_not_shown():
    assert not any("secret" in line for line in problems(storage="Post gres://me:secret@host/name"))


def test_one_first_trial_needs_no_list():
    sweep = parse({**GOOD, "first": {"optim.eta": 0.03}})
    assert sweep.space.first(sweep.settings.first) == [{"optim.eta": 0.03}]
    assert parse({**GOOD, "first": None}).settings.first == []
    sweep = parse({**GOOD, "first": [{"optim.eta": 0.03}, {"optim": {"lambda_": 1}}]})
    assert sweep.space.first(sweep.settings.first)[1] == {"optim.lambda_": 1.0}


# -- samplers and pruners

CONSTRUCTORS = {
    "tpe": optuna.samplers.TPESampler,
    "gp": optuna.samplers.GPSampler,
    "cmaes": optuna.samplers.CmaEsSampler,
    "qmc": optuna.samplers.QMCSampler,
    "nsga2": optuna.samplers.NSGAIISampler,
    "median": optuna.pruners.MedianPruner,
    "percentile": optuna.pruners.PercentilePruner,
    "asha": optuna.pruners.SuccessiveHalvingPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
    "wilcoxon": optuna.pruners.WilcoxonPruner,
}
# Where Optuna has no default, or one that is deprecated or unsuitable.
OWN_DEFAULTS = {("percentile", "percentile"), ("qmc", "scramble"), ("tpe", "multivariate")}


@pytest.mark.parametrize("name", sorted(CONSTRUCTORS))
def test_every_option_is_optunas_with_its_default(name):
    schema = (SAMPLERS | PRUNERS)[name]
    parameters = inspect.signature(CONSTRUCTORS[name].__init__).parameters
    for option, field in schema.model_fields.items():
        assert option in parameters
        assert field.default is not PydanticUndefined
        if (name, option) not in OWN_DEFAULTS:
            assert field.default == parameters[option].default


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"sampler_options": {"n_startup_trial": 3}},
            "hydra.sweeper.sampler_options.n_startup_trial: no such key; did you",
        ),
        ({"sampler_options": {"n_startup_trials": -1}}, "sampler_options.n_startup_trials = -1: must be greater than"),
        ({"sampler_options": {"group": "yes"}}, "sampler_options.group = 'yes': must be true or false"),
        ({"sampler": "random", "sampler_options": {"a": 1}}, "sampler_options.a: no such key; there is nothing to set"),
        ({"sampler": "qmc", "sampler_options": {"qmc_type": "x"}}, "qmc_type = 'x': must be 'sobol' or 'halton'"),
        ({"pruner": "asha", "pruner_options": {"factor": 2}}, "hydra.sweeper.pruner_options.factor: no such key"),
        ({"pruner": "asha", "pruner_options": {"min_resource": 0}}, "min_resource = 0: must be auto or a whole number"),
        (
            {"pruner": "asha", "pruner_options": {"min_resource": "x"}},
            "min_resource = 'x': must be auto or a whole number",
        ),
        ({"pruner": "asha", "pruner_options": {"bootstrap_count": 2}}, "bootstrap_count needs a number of epochs"),
        ({"pruner": "hyperband", "pruner_options": {"min_resource": 9, "max_resource": 3}}, "above max_resource = 3"),
        ({"pruner": "percentile", "pruner_options": {"percentile": 101}}, "accepted: at least 0 and at most 100"),
        ({"pruner": "median", "pruner_options": {"percentile": 10}}, "pruner_options.percentile: no such key"),
        (
            {"pruner": "median", "pruner_options": {"min_resource": 3}},
            "pruner_options=null leaves out what",
        ),
    ],
)
def test_an_option_is_checked_against_its_sampler_or_pruner(changes, line):
    (found,) = problems(**changes)
    assert line in found


@pytest.mark.parametrize("options", [{"min_resource": 2, "reduction_factor": 2}, {"min_resource": "auto"}, {}])
def test_sound_options_are_kept(options):
    assert settings(pruner="asha", pruner_options=options).pruner_options == options


SEVERAL = ["validation_accuracy", "parameters"]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"objectives": SEVERAL, "pruner": "hyperband"}, "pruner = 'hyperband': judges the validation accuracy"),
        ({"objectives": ["seconds"], "pruner": "median"}, "accepted with other objectives: none or asha"),
        ({"objectives": SEVERAL, "sampler": "cmaes"}, "hydra.sweeper.sampler = 'cmaes': follows one objective"),
        ({"objectives": ["parameters", "parameters"]}, "each objective once"),
        ({"constraints": ["parameters < 3"]}, "constraints[0] = 'parameters < 3': must be NAME <= NUMBER"),
        (
            {"constraints": ["test_accuracy >= 0.9"]},
            "NAME one of validation_accuracy, validation_cost, parameters, seconds",
        ),
        ({"constraints": ["seconds <= nan"]}, "must be NAME <= NUMBER"),
        ({"constraints": ["seconds <= 60"], "sampler": "qmc"}, "does not look at constraints; accepted with them: tpe"),
        ({"target": 99.5}, "hydra.sweeper.target = 99.5: is an accuracy"),
        ({"custom_search_space": "no_such_module.f"}, "cannot be imported: ModuleNotFoundError"),
        ({"custom_search_space": "math.pi"}, "is no function"),
        ({"sampler": "cmaes", "params": {"optim.eta": "interval(0, 1)"}}, "needs two intervals or ranges"),
        ({"sampler": "cmaes", "params": {"optim.eta": "0.1,0.2"}}, "none is one"),
        (
            {"sampler": "grid", "params": {"optim.eta": "interval(0.1, 1)"}},
            "sampler=grid needs values that can be counted",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes, line):
    assert any(line in found for found in problems(**changes))


def test_a_target_of_another_objective_is_no_accuracy():
    assert settings(objectives=["parameters"], target=10_000).target == 10_000


def test_a_sampler_without_its_package_says_which(monkeypatch):
    monkeypatch.setattr("src.sweep.space.settings.find_spec", lambda name: None)
    assert problems(sampler="cmaes") == ["hydra.sweeper.sampler = 'cmaes': needs the package cmaes; pip install cmaes"]


def test_constraints_are_read():
    assert settings(constraints=["seconds <= 3"]).limits == [Limit("seconds", True, 3.0)]


def hook(trial, params):
    """A custom search space."""
    return {"optim.l1": trial.suggest_float("optim.l1", 0, params["optim.eta"])}


def test_the_custom_search_space_is_imported_and_asked():
    sweep = parse({**GOOD, "custom_search_space": f"{__name__}.hook"})
    trial = optuna.trial.FixedTrial({"optim.eta": 0.5, "optim.lambda_": 0.0, "optim.l1": 0.25})
    assert sweep.space.suggest(trial) == {"optim.eta": 0.5, "optim.lambda_": 0.0, "optim.l1": 0.25}
    assert parse({"study_name": "s", "custom_search_space": f"{__name__}.hook"}).space.keys == []


def test_settings_are_frozen():
    with pytest.raises(ValidationError):
        settings().n_trials = 3


def test_checking_a_study_imports_nothing_heavy():
    code = (
        "import sys; from src.sweep.space.settings import parse; "
        "parse({'study_name': 's', 'params': {'optim.eta': '0.1,0.2'}, 'first': {'optim.eta': 0.1}}, ['seed=1,2']); "
        "sys.exit(','.join({'optuna', 'torch', 'mlflow', 'numba'} & set(sys.modules)) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.strip()) == (0, "")


def test_metrics_that_the_task_reports_may_be_objectives_in_their_own_direction():
    metrics = [metric_named("auroc"), metric_named("cross_entropy")]
    wanted = ["validation_auroc", "validation_cross_entropy", "validation_accuracy"]
    sweep = parse({**GOOD, "objectives": wanted}, metrics=metrics)
    assert sweep.settings.directions == ["maximize", "minimize", "maximize"]
    with pytest.raises(ConfigError, match=r"some of validation_accuracy, .*; task\.metrics adds others"):
        parse({**GOOD, "objectives": wanted})
