"""Runs of networks with random weights, as training leaves them, for tests of what reads them."""

from pathlib import Path
from typing import Any

import torch

from src.config.check import parse
from src.config.files import write_json
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
