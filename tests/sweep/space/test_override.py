"""What is written for Hydra is what Hydra reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.sweep.space.override import parsed, read, written

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True).filter(
    lambda name: name.lower() not in ("null", "true", "false", "inf", "nan")
)
texts = st.text(max_size=12).filter(lambda text: "${" not in text and text != "???")
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts, names
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=6,
)


def kinds(value):
    """`value` with every scalar beside its type: 1, 1.0 and true are equal, but not the same."""
    if isinstance(value, list):
        return [kinds(item) for item in value]
    if isinstance(value, dict):
        return {name: kinds(item) for name, item in value.items()}
    return type(value), value


@given(values)
def test_a_written_value_is_read_back_as_itself(value):
    assert kinds(read(written(value))) == kinds(value)


@pytest.mark.parametrize(
    "text", ["1", "1e-3", "true", "null", "nan", "", " a ", "a,b", "[1]", "it's", 'a"b', "a\\", "a\\'"]
)
def test_a_text_that_looks_like_something_else_stays_a_text(text):
    assert read(written(text)) == text


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), "${data.name}", "???", {1: 2}, {"a b": 1}, {"null": 1}, object(), [object()]]
)
def test_what_no_override_holds_is_refused(value):
    with pytest.raises(ValueError, match=r"."):
        written(value)


@pytest.mark.parametrize("text", ["interval(1", "choice()", "interval(1,2) more", "what(1)", "interval(a,b)", "[1"])
def test_what_hydra_cannot_read_is_one_line(text):
    with pytest.raises(ValueError, match=r".") as caught:
        parsed(text)
    assert "\n" not in str(caught.value)
