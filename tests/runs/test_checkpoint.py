"""A checkpoint that an earlier version has written."""

import torch

from src.runs.checkpoint import FILE, read


def test_a_checkpoint_of_format_2_is_read_as_one_of_today(tmp_path):
    weights = {"layers.0.weight": torch.ones(2, 3), "layers.0.bias": torch.zeros(2)}
    member = {
        "history": [{"epoch": 1}], "best_epoch": 1, "best_accuracy": 0.5, "seconds": 1.0, "schedule": {"factor": 0.5},
        "stopping": {"best_accuracy": 0.5, "waited": 3}, "weights": weights, "best": weights,
        "velocities": {name: value + 2 for name, value in weights.items()},
    }  # fmt: skip
    run = {"run": "x", "config": {}, "arguments": [], "label": "", "data": "", "checksum": 0, "core_seconds": 0.0}
    torch.save({"format": 2, **run, "ended": {}, "members": {0: member}}, tmp_path / FILE)
    checkpoint = read(tmp_path).members[0]
    assert checkpoint.best_score == 0.5
    assert checkpoint.stopping == {"best_score": 0.5, "waited": 3}
    assert set(checkpoint.state) == {*weights, *(f"velocity:{name}" for name in weights)}
    assert torch.equal(checkpoint.state["velocity:layers.0.bias"], torch.full((2,), 2.0))
    assert set(checkpoint.best) == set(weights)
