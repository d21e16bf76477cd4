"""The orchestration benchmark measures every part of a trial."""

import json
import sys

import pytest

from benchmarks import orchestration


def test_each_part_of_a_trial_gets_its_time(monkeypatch, capsys, tmp_path):
    file = tmp_path / "out.json"
    monkeypatch.setattr(sys, "argv", ["orchestration", "--quick", "--json", str(file)])
    orchestration.main()
    assert "numbers mean nothing" in capsys.readouterr().out
    plain, tracked = json.loads(file.read_text())["tables"]
    assert set(plain["raw"]) == {"24", "24, Optuna alone"}
    for parts, log in ((plain["raw"]["24"], []), (tracked["raw"]["24"], ["log"])):
        assert set(parts) == {"ask", "reports", "tell", *log, "all", "asking", "processor"}
        assert all(min(values) > 0 for values in parts.values())
        assert {len(values) for values in parts.values()} == {6, 24}  # by the clock, in processor time
        for index, whole in enumerate(parts["all"]):
            assert sum(parts[name][index] for name in ("ask", "reports", "tell", *log)) <= whole


def test_the_goal_is_met_by_the_median():
    meter = orchestration.Meter()
    meter.parts["all"] = [1.0, 20.0, 90.0]
    assert meter.verdict() == "met"
    meter.parts["all"] = [1.0, 20.1, 90.0]
    assert meter.verdict() == "not met"


def test_the_test_function_has_its_best_point():
    best = {
        "optim.eta": 0.1,
        "optim.lambda_": 1.0,
        "optim.momentum": 0.5,
        "model.dropout": 0.3,
        "batch_size": 10,
        "model.activation": "relu",
    }
    assert orchestration.value_of(best) == pytest.approx(1)
    for key, value in (("optim.eta", 0.2), ("batch_size", 11), ("model.activation", "tanh")):
        assert orchestration.value_of(best | {key: value}) < 1
