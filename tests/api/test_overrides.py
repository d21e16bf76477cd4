"""A configuration of Python as overrides: what is written means what was given."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from src.api.overrides import flat, overrides
from src.config.error import ConfigError


def read(text):
    return OverridesParser.create().parse_override(text).value()


def written(config=None, sweeps=False, **keywords):
    return overrides(flat(config, keywords), sweeps)


def test_dicts_dotted_keys_and_keywords_mean_the_same():
    expected = ["+exp=shallow", "optim.eta=0.1", "model.hidden=[30,10]"]
    assert written({"exp": "shallow", "optim": {"eta": 0.1}, "model.hidden": [30, 10]}) == expected
    assert written(exp="shallow", optim={"eta": 0.1}, model={"hidden": (30, 10)}) == expected
    assert (
        written({"+exp": "shallow", "optim.eta": 3}, **{"optim.eta": 0.1, "model.hidden": np.array([30, 10])})
        == expected
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (True, "true"), (np.bool_(False), "false"), (np.float64(0.1), "0.1"), (np.int64(3), "3"),
     (torch.tensor(2), "2"), (1e-7, "1e-07"), (Path("a b/c"), '"a b/c"'), ("null", '"null"'), ("", '""'),
     ({"fc": 20, "norm": None}, "{fc:20,norm:null}"), (range(2), "[0,1]")],
)  # fmt: skip
def test_a_value_is_written_as_the_command_line_has_it(value, text):
    assert written({"data.dir": value}) == [f"data.dir={text}"]


@given(st.text())
def test_any_text_arrives_as_it_was(text):
    if not text.startswith("~/"):
        assert read(written({"name": text})[0]) == text


def test_texts_of_several_values_are_a_space_in_a_sweep_and_refused_in_a_run():
    space = {"optim.eta": "tag(log, interval(0.01, 1))", "model.hidden": "choice([30], [100])", "seed": "1,2"}
    assert written(space, sweeps=True) == [f"{key}={text}" for key, text in space.items()]
    with pytest.raises(ConfigError, match=r"(?s)optim\.eta = 'tag.*model\.hidden.*seed.*sweep"):
        written(space)
    assert written({"name": "a,b"}) == ['name="a,b"']


@pytest.mark.parametrize(
    "config", [3, {3: 4}, {"model.hidden": {1, 2}}, {"a b": 1}, {"": 1}, {"x=y": 1}, {"a": object()}]
)
def test_what_cannot_be_written_is_refused_in_words(config):
    with pytest.raises(ConfigError, match="accepted"):
        written(config)
