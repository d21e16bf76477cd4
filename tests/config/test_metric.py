"""A metric's rules agree with one another, whatever its direction."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.config.metric import ACCURACY, Metric

values = st.floats(-1e6, 1e6)
metrics = st.builds(Metric, st.just("score"), st.booleans(), st.booleans())


@given(metrics, values, values)
def test_what_is_better_has_more_merit_a_smaller_error_and_is_the_best_of_both(metric, one, other):
    better = metric.is_better(one, other)
    assert better == (metric.merit(one) > metric.merit(other))
    assert better == (metric.best([one, other]) == one != other)
    assert metric.error(one) <= metric.error(other) or not better
    assert metric.is_as_good(one, other) == (better or one == other)


@given(metrics, values)
def test_nothing_is_worse_than_what_is_missing(metric, value):
    assert metric.merit(None) == metric.merit(math.nan) == metric.merit(metric.worst) < metric.merit(value)
    assert metric.counted(None) == metric.counted(math.nan) == metric.lost
    assert metric.counted(value) == value


@given(metrics)
def test_a_study_keeps_its_score_and_one_that_says_nothing_is_about_accuracy(metric):
    assert Metric.from_json(json.loads(json.dumps(metric.as_json()))) == metric
    assert Metric.from_json(None) == ACCURACY


@pytest.mark.parametrize(
    ("metric", "key", "field", "heading", "axis", "written", "difference", "lost"),
    [
        (ACCURACY, "validation/accuracy", "validation_accuracy", "validation %", "validation accuracy (%)",
         "97.80 %", "+97.80 points", 0.0),
        (Metric("rmse", maximise=False), "validation/rmse", "validation_rmse", "validation rmse", "validation rmse",
         "0.978", "+0.978", math.inf),
    ],
)  # fmt: skip
def test_names_and_numbers_as_files_and_tables_have_them(metric, key, field, heading, axis, written, difference, lost):
    assert (metric.key("validation"), metric.field("validation")) == (key, field)
    assert (metric.heading("validation"), metric.axis("validation")) == (heading, axis)
    assert (metric.written(0.978), metric.difference(0.978), metric.lost) == (written, difference, lost)
