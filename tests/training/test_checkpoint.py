"""Members that go on from their checkpoints come to what they would have come to, bit for bit."""

import copy
from dataclasses import replace

import pytest
import torch

from src.training.fit import prepare, run_roster
from src.training.roster import Everyone
from src.training.stack import members_of
from tests import example

# Chunks are cut by time unless that is set, and costs are summed a chunk at a time: the cut shows in the last digit.
ENGINES = {"torch": {"engine": "torch", "chunk": 5}, "cpu": {"engine": "cpu", "threads": 2, "chunk": 5}}


def trained(config, checkpoints=None):
    """Results by seed, and by epoch the checkpoints after it, by seed; `checkpoints`: of those that go on, alone."""
    members = [replace(member, checkpoint=(checkpoints or {}).get(member.seed)) for member in members_of([config])]
    members = [member for member in members if checkpoints is None or member.checkpoint]
    data = replace(example.dataset(), sampling=config.data.sampling)
    prepared, everyone, kept = prepare([config], data, lambda line: None, members), Everyone(), {}

    def keep(take, last):
        assert not last
        made = {members[number].seed: checkpoint for number, checkpoint in take().items()}
        (epoch,) = {checkpoint.epochs for checkpoint in made.values()}
        kept[epoch] = made

    run_roster(prepared, everyone, [], offer=keep)
    return {result.seed: result for result in everyone.results.values()}, kept


def assert_same(results, others):
    timing = ("seconds", "history", "weights", "probabilities", "snapshot_weights")
    assert results.keys() == others.keys()
    for number, one in results.items():
        other = others[number]
        assert {k: v for k, v in vars(one).items() if k not in timing} == {
            k: v for k, v in vars(other).items() if k not in timing
        }
        rows = [[{k: v for k, v in row.items() if k != "images_per_second"} for row in r.history] for r in (one, other)]
        assert rows[0] == rows[1]
        assert torch.equal(one.probabilities, other.probabilities)
        states = [[result.weights, *result.snapshot_weights] for result in (one, other)]
        for mine, theirs in zip(*states, strict=True):
            assert all(torch.equal(value, theirs[name]) for name, value in mine.items())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "sections",
    [
        {"stop": {"rule": "patience_epochs", "patience_epochs": 2}},
        {"stop": {"rule": "patience_batches", "patience_batches": 20, "patience_increase": 4}},  # looks within epochs
        {"optim": {"eta": 0.5, "schedule": "halve", "plateau_epochs": 1, "momentum": 0.5, "lambda_": 0.1}},
        {"optim": {"eta": 0.5, "schedule": "exponential", "eta_end": 0.01, "l1": 0.01}, "data": {"order": "once"}},
        {"average": {"rule": "ema", "every_batches": 3, "start": 0.1}},
        {"average": {"rule": "swa"}, "optim": {"momentum": 0.5}},
        {
            "augment": {"shift": 1.0, "alpha": [3.0, 6.0], "sigma": 2.0},
            "stop": {"rule": "patience_epochs", "patience_epochs": 2},
        },
        {"data": {"order": "epoch", "sampling": "under"}, "optim": {"eta": 0.5, "lambda_": 0.1, "schedule": "cosine"}},
        {"snapshots": 3, "average": {"rule": "ema"}},
        {"optim": {"rule": "adam", "schedule": "one_cycle", "eta": 0.02, "warmup_steps": 20, "weight_decay": 1e-4}},
    ],
    ids=[
        "patience_epochs",
        "patience_batches",
        "halve-momentum",
        "exponential-l1",
        "ema",
        "swa",
        "augment",
        "under-cosine",
        "snapshots",
        "adam-one_cycle",
    ],
)
def test_from_the_end_of_any_epoch_they_go_on_as_if_nothing_had_happened(engine, sections):
    own = {"data": {"order": "epoch"}, "optim": {"eta": 0.9}, "model": {"dropout": 0.2, "hidden": [8]}}
    config = example.config(trainer=ENGINES[engine], max_epochs=6, repeats=4, **{**own, **sections})
    whole, kept = trained(config)
    assert list(kept) == list(range(1, len(kept) + 1))
    assert len(kept) > 1
    for epoch, checkpoints in kept.items():
        results, later = trained(config, copy.deepcopy(checkpoints))
        assert_same(results, {seed: whole[seed] for seed in checkpoints})
        assert list(later) == [one for one in kept if one > epoch]
    if "stop" in sections:  # some left before others, so the stack had shrunk
        assert len({len(result.history) for result in whole.values()}) > 1


def test_running_statistics_go_on_with_their_members():
    config = example.config(model={"norm": "batch"}, trainer=ENGINES["torch"], max_epochs=3, repeats=2)
    whole, kept = trained(config)
    assert "layers.0.norm.running_var" in kept[1][0].best
    norms = [name for name in whole[0].history[0] if name.startswith("weight_norm/")]
    assert norms == [f"weight_norm/layers.{number}.weight" for number in range(3)]  # not of what a norm scales by
    results, _ = trained(config, kept[1])
    assert_same(results, whole)


def test_a_checkpoint_is_a_copy():
    _, kept = trained(example.config(max_epochs=3, optim={"eta": 0.5, "momentum": 0.5}))
    first, second = (one for checkpoints in kept.values() for one in checkpoints.values())
    for name in ("layers.0.weight", "velocity:layers.0.weight"):
        assert not torch.equal(first.state[name], second.state[name])
        assert first.state[name].untyped_storage().nbytes() == first.state[name].nbytes
    assert [one.epochs for one in (first, second)] == [1, 2]
