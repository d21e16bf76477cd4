"""Constraints: what is read, what is refused, and when one is broken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.config.limit import Limit

numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(st.sampled_from(["<=", ">="]), numbers, numbers, st.text(" ", max_size=2))
def test_a_limit_is_broken_where_the_written_comparison_is_false(sign, bound, value, space):
    limit = Limit.read(f"{space}seconds{space}{sign}{space}{bound!r}{space}")
    assert limit == Limit("seconds", sign == "<=", bound)
    assert (limit.violation(value) > 0) is not (value <= bound if sign == "<=" else value >= bound)


@pytest.mark.parametrize(
    "text", ["", "seconds", "seconds < 3", "seconds <= ", "seconds <= nan", "seconds <= inf", "<= 3", "seconds <= 3 4"]
)
def test_a_text_that_is_no_limit_is_answered_with_the_form(text):
    with pytest.raises(ValueError, match=r"^must be NAME <= NUMBER or NAME >= NUMBER$"):
        Limit.read(text)


def test_where_names_are_given_no_other_one_is_accepted():
    assert Limit.read("a >= 1", ["a", "b"]) == Limit("a", False, 1.0)
    with pytest.raises(ValueError, match=r"^must be NAME <= NUMBER or NAME >= NUMBER, NAME one of a, b$"):
        Limit.read("c >= 1", ["a", "b"])
