"""The start-up benchmark measures what it says, and does not count a command that ended otherwise."""

import json
import sys

import pytest

from benchmarks import startup
from src.config.error import UserError


def test_each_command_gets_its_times_and_its_verdict(monkeypatch, capsys, tmp_path):
    file = tmp_path / "out.json"
    monkeypatch.setattr(sys, "argv", ["startup", "--quick", "--json", str(file)])
    startup.main()
    output = capsys.readouterr().out
    assert "cores usable" in output
    assert "to the first step" in output
    (table,) = json.loads(file.read_text())["tables"]
    assert len(table["raw"]) == len(table["rows"]) == 5
    for taken in table["raw"].values():
        (wall,), (processor,) = taken["wall"], taken["processor"]
        assert 0 < wall < 120
        assert 0 < processor < 120


def test_a_goal_is_met_by_the_median():
    assert startup.Command([], goal=1.0, wall=[0.9, 1.0, 5.0]).verdict() == "1: met"
    assert startup.Command([], goal=1.0, wall=[0.9, 1.1, 1.2]).verdict() == "1: not met"
    assert startup.Command([], wall=[1.0]).verdict() == "–"


def test_a_command_that_ends_otherwise_does_not_count(tmp_path):
    refused = startup.Command(["optim.etta=1"], status=0)
    with pytest.raises(UserError, match="ended with 2 instead of 0"):
        refused.measure(tmp_path)
    assert refused.wall == []
