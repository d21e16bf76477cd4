"""A search space: what is sampled, on which condition, and that Hydra reads exactly that back."""

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import RandomSampler

from src.config.compose import composed
from src.config.error import ConfigError
from src.sweep.space.domain import read_domain
from src.sweep.space.space import Space, from_overrides, merged
from tests.sweep.space import domains as texts
from tests.sweep.space.test_override import kinds

KEYS = ["optim.eta", "optim.lambda_", "model.dropout", "model.hidden", "tracking.experiment", "repeats", "data.dir"]

CONDITIONAL = {
    "model.activation": "choice(sigmoid, tanh, relu)",
    "model.hidden": "choice([100], [100,100])",
    "model.dropout": {"space": "range(0, 0.5, 0.1)", "when": {"model.hidden": [100, 100]}},
    "optim.eta": [
        {"space": "tag(log, interval(0.1, 3))", "when": {"model.activation": "sigmoid"}},
        {"space": "tag(log, interval(0.003, 0.1))", "when": {"model.activation": ["relu", "tanh"]}},
    ],
    "optim.momentum": {"space": "0.5,0.9", "when": {"model.dropout": 0.3, "model.activation": "relu"}},
}


def trials(seed=0, count=1):
    study = optuna.create_study(sampler=RandomSampler(seed=seed))
    return [study.ask() for _ in range(count)]


def at(nested, key):
    for part in key.split("."):
        nested = nested[part]
    return nested


def element(space, key, value):
    """What a value that Optuna stores stands for: the element of a choice."""
    domain = next(one.domain for one in space.dimensions if one.key == key)
    return domain.elements[domain.stored.index(value)] if hasattr(domain, "elements") else value


# Optuna's own sampling and Hydra's composition are slow; the values themselves range in test_override.py.
@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from(KEYS), texts.domains, min_size=3), st.integers(0, 99))
def test_hydra_reads_exactly_the_value_that_was_sampled(params, seed):
    space = Space.parse(params)
    (trial,) = trials(seed)
    sample = space.suggest(trial)
    configuration = composed(space.overrides(sample))
    assert list(sample) == list(params)
    for key, value in sample.items():
        assert kinds(at(configuration, key)) == kinds(element(space, key, value))


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from(KEYS), texts.domains, min_size=1), st.integers(0, 99))
def test_a_stored_trial_gives_the_same_overrides_as_its_sampling(params, seed):
    space = Space.parse(params)
    (trial,) = trials(seed)
    sample = space.suggest(trial)
    assert space.params(trial.params) == sample
    assert space.overrides(space.params(trial.params)) == space.overrides(sample)


def test_conditional_keys_appear_exactly_where_their_condition_holds():
    space = Space.parse(CONDITIONAL)
    seen = set()
    for trial in trials(count=300):
        sample = space.suggest(trial)
        two, relu = sample["model.hidden"] == "[100,100]", sample["model.activation"] == "relu"
        assert ("model.dropout" in sample) == two
        assert ("optim.momentum" in sample) == (relu and two and sample.get("model.dropout") == 0.3)
        low, high = (0.1, 3) if sample["model.activation"] == "sigmoid" else (0.003, 0.1)
        assert low <= sample["optim.eta"] <= high
        assert space.params(trial.params) == sample
        seen.add(tuple(sorted(sample)))
    assert len(seen) == 3


def test_a_condition_may_stand_before_the_key_that_it_names():
    params = dict(reversed(CONDITIONAL.items()))
    order = [dimension.key for dimension in Space.parse(params).dimensions]
    assert order.index("model.activation") < order.index("optim.eta")
    assert order.index("model.hidden") < order.index("model.dropout") < order.index("optim.momentum")


def test_domains_of_one_key_have_names_of_their_own_in_optuna():
    names = set(Space.parse(CONDITIONAL).distributions())
    assert {
        "optim.eta when model.activation=sigmoid",
        "optim.eta when model.activation in [relu,tanh]",
        "model.dropout",
    } <= names


@given(st.dictionaries(st.sampled_from(KEYS), texts.domains, min_size=1))
def test_the_ends_reach_each_end_of_each_dimension(params):
    space = Space.parse(params)
    samples = space.ends()
    for dimension in space.dimensions:
        assert {sample[dimension.key] for sample in samples} >= set(dimension.domain.ends())
    assert len(samples) == max(len(dimension.domain.ends()) for dimension in space.dimensions)


def test_the_ends_reach_conditional_dimensions_within_their_conditions():
    space = Space.parse(CONDITIONAL)
    reached = {(name, value) for sample in space.ends() for name, value in space.names(sample).items()}
    assert reached >= {(one.name, end) for one in space.dimensions for end in one.domain.ends()}
    for sample in space.ends():
        assert list(sample) == [one.key for one in space.dimensions if one.applies(sample)]


@given(st.dictionaries(st.sampled_from(KEYS), st.one_of(texts.whole_ranges, texts.choices), min_size=1, max_size=3))
def test_the_size_is_the_product_of_the_sizes(params):
    product = 1
    for text in params.values():
        product *= len(read_domain(text).values())
    assert Space.parse(params).size() == product


def test_a_conditional_space_counts_what_differs():
    params = {**CONDITIONAL, "optim.eta": {"space": "0.1,0.2", "when": {"model.activation": "relu"}}}
    # relu: 2 eta x (1 layer: 1; 2 layers: 4 dropouts, and 0.3 with 2 momenta); others: 2 x (1 + 5)
    assert Space.parse(params).size() == 2 * (1 + 4 + 2) + 2 * (1 + 5)


def test_an_interval_has_no_size():
    assert Space.parse({"optim.eta": "interval(0, 1)", "model.dropout": "0,0.5"}).size() is None


def test_a_grid_lists_all_values():
    grid = Space.parse({"optim.eta": "range(0.1, 0.4, 0.1)", "model.hidden": "[30],[100]"}).grid()
    assert grid == {"optim.eta": [0.1, 0.2, 0.3], "model.hidden": ["[30]", "[100]"]}


def test_a_grid_needs_values_that_can_be_counted_and_no_conditions():
    with pytest.raises(ConfigError, match="2 problems") as caught:
        Space.parse({**CONDITIONAL, "optim.eta": "interval(0.1, 1)"}).grid()
    assert "optim.eta = interval(0.1, 1.0): sampler=grid needs values that can be counted" in str(caught.value)
    assert "`when` has no place" in str(caught.value)


def test_a_grid_that_nobody_can_try_is_refused():
    with pytest.raises(ConfigError, match="has 1,000,000,000 combinations; accepted: at most 100,000"):
        Space.parse({"seed": "int(interval(1, 1000000000))"}).grid()


def test_log_keys_are_those_in_log_scale():
    assert Space.parse({**CONDITIONAL, "optim.lambda_": "interval(0, 1)"}).log_keys() == {"optim.eta"}


def test_a_group_is_swept_by_its_options():
    space = Space.parse({"model": "conv,conv2", "exp": "choice(conv2_relu)", "seed": "1,2"})
    (trial,) = trials()
    sample = space.suggest(trial)
    assert f"model={sample['model']}" in space.overrides(sample)
    assert composed(space.overrides(sample))["name"] == "conv2_relu"


@pytest.mark.parametrize("nested", [{"optim": {"eta": "0.1,0.2"}}, {"optim.eta": "0.1,0.2"}])
def test_keys_may_be_dotted_or_nested(nested):
    assert Space.parse(nested).keys == ["optim.eta"]


# -- the fingerprint


@given(st.dictionaries(st.sampled_from(KEYS), texts.domains, min_size=2))
def test_the_fingerprint_does_not_depend_on_the_order_of_the_keys(params):
    again = dict(reversed(params.items()))
    assert list(Space.parse(params).as_json().items()) == list(Space.parse(again).as_json().items())


def test_the_fingerprint_tells_every_difference():
    variants = [
        {"optim.eta": "interval(0.1, 1)"},
        {"optim.eta": "interval(0.1, 2)"},
        {"optim.eta": "tag(log, interval(0.1, 1))"},
        {"optim.eta": "choice(0.1, 1)"},
        {"optim.lambda_": "interval(0.1, 1)"},
        {"optim.eta": "interval(0.1, 1)", "model.activation": "relu,tanh"},
        {
            "optim.eta": {"space": "interval(0.1, 1)", "when": {"model.activation": "relu"}},
            "model.activation": "relu,tanh",
        },
        {
            "optim.eta": {"space": "interval(0.1, 1)", "when": {"model.activation": "tanh"}},
            "model.activation": "relu,tanh",
        },
    ]
    prints = [Space.parse(params).as_json() for params in variants]
    assert all(one not in prints[:index] for index, one in enumerate(prints))


def test_the_fingerprint_reads_like_the_configuration():
    assert Space.parse({"model.hidden": "[30],[100]", "optim.eta": "tag(log,interval(1e-3,1))"}).as_json() == {
        "model.hidden": "choice([30], [100])",
        "optim.eta": "tag(log, interval(0.001, 1.0))",
    }


# -- fixed first trials


def test_a_first_trial_is_what_optuna_enqueues():
    space = Space.parse(CONDITIONAL)
    (first,) = space.first([{"model": {"activation": "relu", "hidden": [100, 100]}, "optim.eta": 0.03}])
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    study.enqueue_trial(first)
    sample = space.suggest(study.ask())
    assert (sample["model.activation"], sample["model.hidden"], sample["optim.eta"]) == ("relu", "[100,100]", 0.03)
    assert "model.dropout" in sample  # left out above, so sampled


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        ({"model.activation": "elu"}, "first[0].model.activation = 'elu': must be one of sigmoid, tanh, relu"),
        ({"model.activation": "relu", "optim.eta": 1}, "first[0].optim.eta = 1: must be a number from 0.003 to 0.1"),
        ({"seed": 3}, "first[0].seed = 3: is not swept; accepted: model.activation, "),
        ({"optim.eta": 0.03}, "first[0].optim.eta = 0.03: is sampled only where model.activation=sigmoid or "),
        (
            {"model.hidden": [100], "model.dropout": 0.1},
            "model.dropout = 0.1: is sampled only where model.hidden=[100,100]",
        ),
    ],
)
def test_a_first_trial_that_the_space_does_not_hold_is_refused(entry, rule):
    with pytest.raises(ConfigError) as caught:
        Space.parse(CONDITIONAL).first([entry])
    assert rule in str(caught.value)


# -- the custom search space


def test_a_custom_search_space_adds_keys_that_depend_on_what_was_sampled():
    def hook(trial, params):
        return {"model.hidden": [trial.suggest_int("units", 10, 20)] * params["repeats"]}

    space = Space.parse({"repeats": "2,3"}, hook=hook)
    (trial,) = trials()
    sample = space.suggest(trial)
    assert len(sample["model.hidden"]) == sample["repeats"]
    assert composed(space.overrides(sample))["model"]["hidden"] == sample["model.hidden"]
    assert "hook" in space.as_json()["custom_search_space"]
    assert space.size() is None


@pytest.mark.parametrize(
    ("returned", "rule"),
    [
        (None, "accepted: a dictionary"),
        ({"optim.etaa": 1}, "did you mean optim.eta"),
        ({"repeats": 3}, "hydra.sweeper.params sweeps it"),
        ({"optim.eta": object()}, "optim.eta = <object"),
    ],
)
def test_a_custom_search_space_that_returns_something_else_is_refused(returned, rule):
    (trial,) = trials()
    with pytest.raises(ConfigError) as caught:
        Space.parse({"repeats": "2,3"}, hook=lambda trial, params: returned).suggest(trial)
    assert rule in str(caught.value)


def test_a_custom_search_space_that_raises_is_named():
    def hook(trial, params):
        raise KeyError("nothing")

    (trial,) = trials()
    with pytest.raises(ConfigError, match=r"custom_search_space = .*hook: raised KeyError: 'nothing'"):
        Space.parse({"repeats": "2,3"}, hook=hook).suggest(trial)


# -- what is no search space

CHOICE = {"model.activation": "relu,tanh"}


def when(condition, space="0.1,0.2"):
    return {"space": space, "when": condition}


@pytest.mark.parametrize(
    ("params", "rule"),
    [
        ({"optim.etaa": "0.1,0.2"}, "optim.etaa: no such key; did you mean optim.eta"),
        ({"optim": {"etaa": "0.1,0.2"}}, "optim.etaa: no such key; did you mean optim.eta"),
        ({"optim.eta": "interval(1, 0.1)"}, "optim.eta = 'interval(1, 0.1)': low must not be above high"),
        ({"optim.eta": "tag(log, interval(0, 1))"}, "optim.eta = 'tag(log, interval(0, 1))': in log scale"),
        ({"model.hidden": "choice()"}, "model.hidden = 'choice()': empty choice"),
        ({"optim.eta": 0.1}, "optim.eta = 0.1: is one value"),
        ({"optim.eta": [0.1, 0.2]}, "optim.eta = [0.1, 0.2]: is one value"),
        ({"optim.eta": when({"optim.lambda": 1})}, "when optim.lambda = 1: optim.lambda is not swept"),
        ({**CHOICE, "optim.eta": when({"seed": 1})}, "seed is not swept; accepted: model.activation"),
        ({"optim.eta": when({"optim.eta": 0.1})}, "optim.eta: the conditions wait for each other in a circle"),
        (
            {"optim.eta": when({"optim.l1": 0.1}), "optim.l1": when({"optim.eta": 0.1})},
            "optim.eta, optim.l1: the conditions wait for each other in a circle",
        ),
        ({**CHOICE, "optim.eta": when({"model.activation": "elu"})}, "must be one of relu, tanh"),
        ({**CHOICE, "optim.eta": when({"model.activation": []})}, "no value; name one at least"),
        ({**CHOICE, "optim.eta": when({})}, "optim.eta: when = {}: accepted: {KEY: VALUE}"),
        ({**CHOICE, "optim.eta": when("relu")}, "optim.eta: when = 'relu': accepted: {KEY: VALUE}"),
        ({**CHOICE, "optim.eta": {"when": {"model.activation": "relu"}}}, "accepted: {space: DOMAIN, when:"),
        ({**CHOICE, "optim.eta": {"space": "1,2", "where": 3}}, "accepted: {space: DOMAIN, when:"),
        (
            {**CHOICE, "optim.eta": {"space": "tag(log", "interval(0.1": None, "1))": None, "when": {}}},
            'optim.eta: put the domain in quotes: space: "tag(log, interval(0.1, 1))"',
        ),
        ({"optim.l1": "interval(0, 1)", "optim.eta": when({"optim.l1": 0.5})}, "values that can be named"),
        (
            {**CHOICE, "optim.eta": ["0.1,0.2", when({"model.activation": "relu"})]},
            "optim.eta: has two domains where always and model.activation=relu",
        ),
        (
            {**CHOICE, "optim.eta": [when({"model.activation": ["relu", "tanh"]}), when({"model.activation": "relu"})]},
            "let their conditions exclude each other",
        ),
        (
            {
                **CHOICE,
                "optim.l1": when({"model.activation": "relu"}),
                "optim.eta": when({"optim.l1": 0.1, "model.activation": "tanh"}),
            },
            "never holds, what it needs of model.activation excludes itself",
        ),
        (
            {
                **CHOICE,
                "optim.l1": [when({"model.activation": "relu"}), when({"model.activation": "tanh"})],
                "optim.eta": when({"optim.l1": 0.1}),
            },
            "a condition cannot name a key that has several domains",
        ),
        ({}, "nothing is swept"),
    ],
)
def test_what_is_no_search_space_is_refused_on_one_clear_line(params, rule):
    with pytest.raises(ConfigError, match="1 problem in the sweep, nothing was started") as caught:
        Space.parse(params)
    assert rule in str(caught.value)


@pytest.mark.parametrize("fixed", ["optim.eta=0.1", "+optim.eta=0.1", "++optim.eta=0.1", "~optim.eta"])
def test_a_key_is_not_both_fixed_and_swept(fixed):
    with pytest.raises(ConfigError, match=r"optim\.eta: is both fixed and swept; leave one out, or write"):
        Space.parse({"optim.eta": "0.1,0.2"}, fixed=["+exp=conv", fixed])


def test_a_key_in_both_forms_is_refused():
    with pytest.raises(ConfigError, match=r"optim\.eta: is given twice"):
        Space.parse({"optim.eta": "0.1,0.2", "optim": {"eta": "0.1,0.2"}})


def test_all_that_is_wrong_is_reported_in_one_go():
    params = {
        "optim.etaa": "1,2",
        "optim.eta": "interval(1, 0)",
        "optim.l1": "1",
        "model.hidden": when({"seed": 1}, "[1],[2]"),
    }
    with pytest.raises(ConfigError, match="6 problems") as caught:
        Space.parse(params, ["hydra.sweeper.n_trials = 0: must be at least 1"], fixed=["model.hidden=[3]"])
    lines = [line.strip() for line in str(caught.value).splitlines()[1:]]
    assert lines[0].startswith("hydra.sweeper.n_trials")
    assert sorted(line.split(":")[0].split(" ")[0] for line in lines[1:]) == sorted([*params, "model.hidden"])


# -- the command line


def test_the_command_line_sweeps_and_fixes():
    fixed, swept = from_overrides(
        ["+exp=conv2", "optim.eta=0.1,0.2", "model.hidden=[30,30]", "optim.l1=tag(log, interval(1e-5, 1))", "seed="]
    )
    assert fixed == ["+exp=conv2", "model.hidden=[30,30]", "seed="]
    assert swept == {"optim.eta": "0.1,0.2", "optim.l1": "tag(log, interval(1e-5, 1))"}


def test_a_key_is_not_swept_twice_on_the_command_line():
    with pytest.raises(ConfigError, match=r"optim\.eta: is swept twice"):
        from_overrides(["optim.eta=1,2", "optim.eta=3,4"])


def test_the_command_line_replaces_a_domain_and_keeps_its_condition():
    space = Space.parse(merged(CONDITIONAL, {"model.dropout": "0.1,0.3", "optim.lambda_": "0,1"}))
    dropout = next(one for one in space.dimensions if one.key == "model.dropout")
    assert dropout.domain.values() == [0.1, 0.3]
    assert dropout.when == {"model.hidden": ("[100,100]",)}
    assert "optim.lambda_" in space.keys


def test_one_value_holds_a_key_that_a_file_sweeps():
    fixed, swept = from_overrides(["optim.eta=0.1", "model.hidden=[30,30]", "~optim.l1"], ["model.hidden", "optim.l1"])
    assert (fixed, swept) == (["optim.eta=0.1", "~optim.l1"], {"model.hidden": "choice([30,30])"})
