"""Splits, folds and outer folds of a table: who sees whom, and what is fitted on whom."""

import numpy as np
import pandas as pd
import pytest
import torch

from src.config.check import parse
from src.data.load import load
from tests import example

NUMBERS = np.random.default_rng(0)
ROWS = pd.DataFrame(
    {
        "height": NUMBERS.normal(170, 10, 60).round(1),
        "colour": NUMBERS.choice(["red", "green", "blue"], 60),
        "group": np.arange(60) // 5,
        "day": pd.date_range("2026-01-01", periods=60).astype(str),
        "kind": NUMBERS.choice(["cat", "dog"], 60),
        "price": NUMBERS.normal(5, 2, 60),
    }
)


def config(task="classify", **data):
    """The checked configuration of own data; sizes are found in them."""
    raw = example.raw(model={"maps": [], "hidden": [4]}, task={"name": task})
    return parse({**raw, "data": {"order": "epoch", "validation": 0.25, "test": 0.2, **data}})


def loaded(task="classify", **data):
    checked = config(task, **data)
    return checked, load(checked.data, checked.task.kind)


def table(path, frame=ROWS, **data):
    (frame.to_parquet if path.suffix == ".parquet" else frame.to_csv)(path, index=False)
    return {"name": "table", "path": str(path), "target": "kind", **data}


def test_splits_follow_shares_groups_and_time(tmp_path):
    _, data = loaded(**table(tmp_path / "a.csv", drop=["day"], columns=["height", "price"]))
    shares = [float(split.targets.float().mean()) for split in (data.train, data.validation, data.test)]
    assert max(shares) - min(shares) < 0.1
    _, data = loaded("regress", **table(tmp_path / "b.csv", target="price", columns=["height"], time="day"))
    last = torch.tensor(ROWS.price[48:].to_numpy(), dtype=torch.float32)
    assert data.test.targets[:, 0].equal(last)
    own = table(tmp_path / "c.csv", target="price", columns=["height"], group="group", folds=4)
    _, data = loaded("regress", **own)
    groups = dict(zip(ROWS.price.round(4), ROWS.group, strict=True))
    for fold in data.folds:
        splits = [
            {groups[round(y, 4)] for y in split.targets[:, 0].tolist()} for split in (fold.train, fold.validation)
        ]
        assert not splits[0] & splits[1]


def test_each_outer_fold_tests_once_and_the_inner_folds_never_see_it(tmp_path):
    own = table(tmp_path / "a.csv", target="price", columns=["height"], outer_folds=3, folds=2)
    tested = []
    for outer in range(3):
        _, data = loaded("regress", **own, outer_fold=outer)
        tested += data.test.targets[:, 0].tolist()
        for fold in data.folds:
            seen = [*fold.train.targets[:, 0].tolist(), *fold.validation.targets[:, 0].tolist()]
            assert not set(seen) & set(data.test.targets[:, 0].tolist())
    assert sorted(tested) == pytest.approx(sorted(ROWS.price))


def test_each_fold_is_standardised_by_its_own_training_rows(tmp_path):
    frame = ROWS.copy()
    frame.loc[7, "height"] = 1e6  # whoever was fitted with this row would show it
    frame.loc[9, "colour"] = "violet"
    _, data = loaded(
        "regress", **table(tmp_path / "a.csv", frame, target="price", columns=["height", "colour"], folds=3)
    )
    assert len({fold.train.inputs.shape[1] for fold in data.folds}) == 1
    for fold in data.folds:
        x = fold.train.inputs[:, 0].flatten()
        assert float(x.mean()) == pytest.approx(0, abs=1e-4)
        assert float(x.std(correction=0)) == pytest.approx(1, abs=1e-4)
