"""Runs of networks with random weights, as training leaves them, for tests of what reads them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from src.config.check import parse
from src.config.files import write_json
from src.data import own
from src.models.model import model_of
from src.runs.result_files import write_weights
from src.training.result import Result
from tests import example


def weights_of(raw: dict[str, Any], seed: int) -> dict[str, torch.Tensor]:
    """Random weights, the last layer's too, so that answers differ."""
    state = model_of(parse(raw)).first_state(seed)
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(value.shape, generator=generator) * 0.3
        if value.is_floating_point() and value.dim() > 1
        else value
        for name, value in state.items()
    }


def run_in(folder: Path, scores: tuple[float, ...] = (0.5,), dataset: str = "example", **sections: Any) -> Path:
    """The folder of a run with a member a validation score; fields of a result, such as scaling, in `result`."""
    result = sections.pop("result", {})
    raw = example.raw(**sections)
    raw["ensemble"] = sections.get("ensemble", 1)
    results = [
        Result(
            raw, seed, "FINISHED", [{"epoch": 1}], 1, score, None, 1.0, dataset, "cpu", weights_of(raw, seed), **result
        )
        for seed, score in enumerate(scores)
    ]
    write_json(folder / "result.json", [one.as_json() for one in results])
    write_weights(results, folder)
    return folder


def table(rows: int, seed: int = 0, missing: float = 0.1) -> pd.DataFrame:
    """Numbers, one of them large, and categories, of which one is unknown to others; parts of all are missing.

    Targets: level, a text of three, and the numbers price and area.
    """
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "age": draw.normal(40, 12, rows).round(1),
        "time": draw.normal(1.7e9, 1e7, rows).round(),
        "colour": draw.choice(["red", "blue", "light green"], rows),
        "doors": draw.choice(["2", "five", "six"], rows),
    })  # fmt: skip
    frame = frame.mask(draw.random(frame.shape) < missing)
    points = frame["age"].fillna(40) / 12 + (frame["colour"] == "red")
    return frame.assign(
        level=np.where(points > 4, "high", np.where(points > 3, "middle", "low")), price=100 * points, area=7 - points
    )


def table_run(folder: Path, folds: int | None = None, **sections: Any) -> Path:
    """A run of networks on a table of 120 rows, FOLDER.csv, one for each fold; `model=…` and so on replace sections."""
    path = folder.with_suffix(".csv")
    table(120).to_csv(path, index=False)
    data = {
        "name": "table",
        "path": str(path),
        "validation": 0.2,
        "test": 0.2,
        "target": "level",
        "drop": ["price", "area"],
    }
    data |= {"folds": folds} | sections.pop("data", {})
    raw = {**example.raw(**{"model": {"maps": [], "hidden": [6]}} | sections), "data": data}
    config = parse(raw)
    raw, found = config.shown(), own.prepared(config.data, config.task.kind)
    scaling = {"mean": [300.0, 4.0], "sd": [90.0, 1.0]} if config.task.kind == "numbers" else None
    results = [
        Result(
            raw, seed, "FINISHED", [{"epoch": 1}], 1, 0.5, None, 1.0, folder.name, "cpu", weights_of(raw, seed),
            target_scaling=scaling, preprocessing=one.as_json() if one else None,
            class_names=list(found.examples.class_names), repeat=seed,
        )
        for seed, one in enumerate(found.preprocessing)
    ]  # fmt: skip
    write_json(folder / "result.json", [one.as_json() for one in results])
    write_weights(results, folder)
    return folder
