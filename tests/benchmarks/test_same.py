"""The comparison of two revisions finds one bit, and says where it is."""

import json
import shutil

import optuna
import pytest
import torch

from benchmarks.first_difference import LAST, compare
from benchmarks.replays import ENGINES, Replay, replays

GRID = Replay("a grid", ("-m", "optim.eta=0.1,0.3"))
STUDY = Replay("a study", ("-m", "hydra/sweeper=optuna"))


def member(seed):
    rows = [
        {"epoch": epoch, "train/cost": 0.1 / epoch, "weight_norm/layers.0.weight": 2.0, "images_per_second": 5.0}
        for epoch in (1, 2)
    ]
    return {"config": {}, "seed": seed, "history": rows, "best_epoch": 2, "validation_accuracy": 0.9, "seconds": 1.0}


def left_by(replay, side):
    """Two trials of two members each; returns `side`."""
    for trial in range(2):
        folder = side / replay.folder / str(trial)
        (folder / ".hydra").mkdir(parents=True)
        (folder / ".hydra" / "overrides.yaml").write_text(f"- seed=0\n- optim.eta={trial}\n")
        (folder / "result.json").write_text(json.dumps([member(0), member(1)]))
        for number in range(2):
            weights = {"layers.0.weight": torch.zeros(2, 3), "layers.1.weight": torch.full((4,), float("nan"))}
            (folder / f"member-{number:02d}").mkdir()
            torch.save(weights, folder / f"member-{number:02d}" / "weights.pt")
    return side


@pytest.fixture
def sides(tmp_path):
    """What a grid left twice, all of it the same."""
    old = left_by(GRID, tmp_path / "old")
    shutil.copytree(old, tmp_path / "new")
    return old, tmp_path / "new"


def changed(folder, change):
    """Lets `change` edit the results in a trial's folder."""
    results = json.loads((folder / "result.json").read_text())
    change(results)
    (folder / "result.json").write_text(json.dumps(results))


def test_the_same_bits_are_identical_whatever_the_clock_says_and_what_only_one_side_has_is_named(sides):
    def later(results):
        results[0]["seconds"] = results[0]["history"][1]["images_per_second"] = 9.0
        results[1]["config"] = {"optim": 1}
        results[1]["history"][0]["score"] = 0.5

    changed(sides[1] / GRID.folder / "1", later)
    comparison = compare(GRID, *sides)
    assert (comparison.trials, comparison.networks, comparison.differing, comparison.first) == (2, 4, 0, None)
    assert comparison.unmatched == {"history: score (only here)"}


def test_one_bit_of_a_layer_is_found(sides):
    path = sides[1] / GRID.folder / "1" / "member-01" / "weights.pt"
    weights = torch.load(path)
    weights["layers.0.weight"][1, 2] = -0.0
    torch.save(weights, path)
    comparison = compare(GRID, *sides)
    first = comparison.first
    assert (first.trial, first.member, first.epoch) == ("1 optim.eta=1", "1", LAST)
    assert first.layer == "layers.0.weight (1 of 6 values; 1 of 2 differ)"
    assert (first.what, str(first.old), str(first.new)) == ("weights.pt", "0.0", "-0.0")
    assert comparison.differing == 1


def test_the_earliest_epoch_of_all_trials_is_the_first_difference(sides):
    def second(results):
        results[0]["history"][1]["train/cost"] = 0.06

    def first(results):
        results[1]["history"][0]["train/cost"] += 2**-56  # one bit of 0.1
        results[1]["history"][0]["weight_norm/layers.0.weight"] = 3.0

    changed(sides[1] / GRID.folder / "0", second)
    changed(sides[1] / GRID.folder / "1", first)
    comparison = compare(GRID, *sides)
    found = comparison.first
    assert (comparison.differing, found.trial, found.member, found.epoch) == (2, "1 optim.eta=1", "1", 1)
    assert (found.what, found.layer) == ("train/cost (first of 2 fields)", "layers.0.weight (its norm)")
    assert (found.old, found.new) == (0.1, 0.1 + 2**-56)


@pytest.mark.parametrize("missing", ["0/result.json", "1/result.json"])
def test_a_trial_that_one_side_lacks_differs(sides, missing):
    (sides[0] / GRID.folder / missing).unlink()
    first = compare(GRID, *sides).first
    assert (first.what, first.old, first.new) == ("result.json", "missing", "there")


def test_the_first_trial_of_a_study_that_differs_is_found(tmp_path):
    eta = optuna.distributions.FloatDistribution(0, 1)
    for side, value in (("old", 0.5), ("new", 0.5 + 2**-53)):
        left_by(STUDY, tmp_path / side)
        study = optuna.create_study(storage=f"sqlite:///{tmp_path / side / STUDY.store}", study_name="one")
        for number in range(3):
            reported = {1: 0.25, 2: value if number == 1 else 0.5}
            trial = optuna.trial.create_trial(
                params={"eta": 0.1}, distributions={"eta": eta}, value=0.5, intermediate_values=reported
            )
            study.add_trial(trial)
        study._storage.remove_session()
        study._storage._backend.engine.dispose()
    first = compare(STUDY, tmp_path / "old", tmp_path / "new").first
    assert (first.trial, first.epoch, first.what) == ("1", 2, "study: value after epoch 2")
    assert (first.old, first.new) == (0.5, 0.5 + 2**-53)


def test_every_run_has_a_name_and_a_folder_of_its_own():
    listed = replays(["shallow", "conv"])
    assert len({one.folder for one in listed}) == len(listed)
    assert {one.name.split()[0] for one in listed} == set(ENGINES)
    assert "+exp=shallow,conv" in listed[0].command()
