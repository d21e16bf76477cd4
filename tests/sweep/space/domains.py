"""Domains as texts, for hypothesis."""

from hypothesis import strategies as st

from src.sweep.space.override import written

numbers = st.floats(-1e6, 1e6).map(lambda number: round(number, 6))
above_0 = st.floats(1e-9, 1e6)
steps = st.sampled_from([0.1, 0.25, 0.3, 1e-3, 7.0])
starts = numbers.map(lambda number: round(number / 200, 6))  # within ten million of the smallest steps
texts = st.text(max_size=6).filter(lambda text: "${" not in text and text != "???" and not text.startswith("["))
elements = st.one_of(
    st.booleans(),
    st.integers(2, 99),
    st.floats(2, 9).filter(lambda number: number % 1 > 0),
    texts,
    st.lists(st.integers(1, 300), max_size=3),
)


def _interval(ends, form="interval({}, {})"):
    low, high = sorted(ends)
    return form.format(repr(low), repr(high))


intervals = st.tuples(numbers, numbers).map(_interval)
log_intervals = st.tuples(above_0, above_0).map(lambda ends: _interval(ends, "tag(log, interval({}, {}))"))
whole_intervals = st.tuples(st.integers(-99, 99), st.integers(-99, 99)).map(
    lambda ends: _interval(ends, "int(interval({}, {}))")
)
whole_log_intervals = st.tuples(st.integers(1, 999), st.integers(1, 999)).map(
    lambda ends: _interval(ends, "tag(log, int(interval({}, {})))")
)
ranges = st.builds(
    lambda start, count, step: f"range({start!r}, {start + count * step!r}, {step!r})",
    starts,
    st.integers(1, 30),
    steps,
)
whole_ranges = st.builds(
    lambda start, more, step: f"range({start}, {start + more}, {step})",
    st.integers(-50, 50),
    st.integers(1, 60),
    st.integers(1, 7),
)
choices = st.lists(elements, min_size=1, max_size=4, unique_by=lambda item: str(item).lower()).map(
    lambda items: f"choice({','.join(written(item) for item in items)})"
)
domains = st.one_of(
    intervals, log_intervals, whole_intervals, whole_log_intervals, ranges, whole_ranges, choices, st.just("null,0.5")
)
