"""What a dimension's text means: its values, its ends, and what is no domain."""

from fractions import Fraction

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.sweep.space.domain import Choice, Interval, Range, read_domain
from tests.sweep.space import domains as texts


def sampled(domain, seed):
    """A value that Optuna samples."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return domain.suggest(study.ask(), "key")


@given(texts.domains)
def test_a_domain_reads_its_own_text(text):
    domain = read_domain(text)
    assert read_domain(domain.text()) == domain


@given(texts.domains, st.integers(0, 99))
def test_a_sampled_value_is_one_of_the_domain(text, seed):
    domain = read_domain(text)
    value = sampled(domain, seed)
    assert domain.encode(value) == value
    values = domain.values()
    assert values is None or value in values


@given(texts.domains)
def test_optuna_accepts_both_ends_and_every_element(text):
    domain = read_domain(text)
    distribution = domain.distribution()
    for end in domain.ends():
        assert distribution._contains(distribution.to_internal_repr(end))
        assert domain.encode(end) == end


@given(texts.domains)
def test_the_size_is_the_number_of_values(text):
    domain = read_domain(text)
    assert domain.size() == (None if domain.values() is None else len(domain.values()))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("int(interval(1, 5))", [1, 2, 3, 4, 5]),  # both ends
        ("range(1, 5)", [1, 2, 3, 4]),  # the stop is excluded, as in Hydra
        ("range(3)", [0, 1, 2]),
        ("range(0, 0.9, 0.3)", [0.0, 0.3, 0.6]),  # 3 · 0.3 < 0.9 in floats, and yet 0.9 stays out
        ("range(0, 0.5, 0.1)", [0.0, 0.1, 0.2, 0.3, 0.4]),  # 0.3, not 0.30000000000000004
        ("range(5, 1, -2)", [3, 5]),
        ("int(range(0, 10, 5))", [0, 5]),
        ("sort(3,1,2)", [1, 2, 3]),
        ("relu,tanh", ["relu", "tanh"]),
        ("choice(relu)", ["relu"]),
        ("choice([100], [100,100], [])", ["[100]", "[100,100]", "[]"]),
        ("null,0.5", [None, 0.5]),
        ("true,false", [True, False]),
        ("choice('1', 1)", ["1", 1]),
        ("interval(2, 2)", [2.0]),
    ],
)
def test_a_domain_has_these_values(text, values):
    found = read_domain(text).values()
    assert [(type(value), value) for value in found] == [(type(value), value) for value in values]


@given(texts.ranges)
def test_a_range_counts_as_exactly_as_its_decimals_say(text):
    start, stop, step = (Fraction(number) for number in text[len("range(") : -1].split(", "))
    exact = []
    while start + len(exact) * step < stop:
        exact.append(start + len(exact) * step)
    assert read_domain(text).values() == [float(number) for number in exact]


def test_an_interval_includes_both_ends_and_nothing_beyond():
    domain = read_domain("interval(0.001, 1)")
    assert (domain.encode(0.001), domain.encode(1)) == (0.001, 1.0)
    for outside in (0.0009, 1.0001, True, "0.5", None, float("nan")):
        with pytest.raises(ValueError, match=r"from 0\.001 to 1\.0"):
            domain.encode(outside)


@pytest.mark.parametrize("text", ["tag(log, int(interval(1, 100)))", "int(tag(log, interval(1, 100)))"])
def test_log_scale_and_whole_numbers_go_together_in_either_order(text):
    assert read_domain(text) == Interval(1, 100, whole=True, log=True)


def test_numbers_in_log_scale_are_sampled_in_log_scale():
    domain = read_domain("tag(log, interval(0.0001, 1))")
    low = sum(sampled(domain, seed) < 0.01 for seed in range(200))
    assert 70 < low < 130  # half of 200: standard deviation 7


def test_a_list_is_found_by_itself_and_by_its_text():
    domain = read_domain("choice([100], [100,100])")
    assert domain.encode([100, 100]) == domain.encode("[100,100]") == "[100,100]"
    assert domain.written("[100,100]") == "[100,100]"


def test_a_boolean_is_no_number():
    with pytest.raises(ValueError, match="one of 1, 2"):
        read_domain("choice(1, 2)").encode(True)


def test_the_rounding_errors_of_a_step_are_taken_away():
    domain = read_domain("range(0, 0.5, 0.1)")
    assert domain.encode(0.1 + 0.2) == 0.3
    assert domain.written(0.1 + 0.2) == "0.3"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("interval(1, 0.1)", "low must not be above high: 1.0 > 0.1"),
        ("interval(0, inf)", "finite"),
        ("interval(nan, 1)", "finite"),
        ("tag(log, interval(0, 1))", "above 0, not 0.0"),
        ("tag(log, interval(-1, 1))", "above 0, not -1.0"),
        ("tag(log, int(interval(0, 9)))", "above 0, not 0"),
        ("tag(logarithm, interval(1, 2))", "no such tag: logarithm; accepted: log"),
        ("tag(log, choice(1, 2))", "only an interval"),
        ("tag(log, range(1, 5))", "only an interval"),
        ("choice()", "empty choice"),
        ("choice(1, 1)", "1 and 1 are the same"),
        ("choice(1, 1.0)", "1 and 1.0 are the same"),
        ("choice(1, true)", "1 and True are the same"),
        ("choice([1], '[1]')", "are the same"),
        ("choice(nan, 1)", "not finite"),
        ("choice(interval(0, 1), 2)", "incompatible"),
        ("choice([interval(0, 1)], 2)", "no"),
        ("${seed},1", "would be resolved"),
        ("range(5, 1)", "no value"),
        ("range(1, 1)", "no value"),
        ("range(0, 1, 0)", "step must not be 0"),
        ("range(0, inf)", "finite"),
        ("range(131072.0, 131072.002, 0.001)", "within 10,000,000 steps of 0"),
        ("shuffle(1,2)", "shuffle"),
        ("shuffle(range(3))", "shuffle"),
        ("glob(*)", "name the options"),
        ("0.1", "one value, not a search space; accepted: interval"),
        ("[1,2]", "one value, not a search space; accepted: interval"),
        ("", "one value"),
        ("interval(0.1", "accepted: interval"),
        ("interval(a, b)", "accepted: interval"),
        ("uniform(0, 1)", "accepted: interval"),
        (0.1, "one value"),
        ([1, 2], "one value"),
        (None, "one value"),
    ],
)
def test_what_is_no_domain_is_refused_on_one_line(text, rule):
    with pytest.raises(ValueError, match=r".") as caught:
        read_domain(text)
    assert rule in str(caught.value)
    assert "\n" not in str(caught.value)


def test_equal_domains_have_equal_texts():
    assert read_domain("interval(0, 1)").text() == read_domain("float(interval(0.0, 1.0))").text()
    assert read_domain("a,b").text() == read_domain("choice(a, 'b')").text()
    assert read_domain("range(3)").text() == read_domain("range(0, 3, 1)").text()
    assert isinstance(read_domain("range(3)"), Range)
    assert isinstance(read_domain("a,b"), Choice)
