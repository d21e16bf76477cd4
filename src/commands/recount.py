"""The wrong answers of a run's networks among the first images of the validation and the test set.

Some sources leave incomplete mini-batches out in evaluation too, so their figures are over fewer images than there are
[DLT, logistic_sgd.py: 16 mini-batches of 600].
"""

from pathlib import Path
from typing import Any

import torch

from src.config.schema import RunConfig
from src.data.dataset import Split
from src.data.load import load
from src.runs.predictor import Member
from src.runs.result_files import results_in
from src.runs.trained import networks_in
from src.training.result import Result


def recount(folder: Path, config: RunConfig, images: int) -> dict[str, Any]:
    """The count from the weights of each member in the run's folder: {"images": …, "wrong": {split: [one a member]}}.

    images: how many images of each set count, the first ones; networks with dropout are not meant. Raises UserError
    where results or weights cannot be read.
    """
    dataset = load(config.data.as_stored, config.task.kind)
    splits = {"validation": dataset.validation, "test": dataset.test}
    results = [Result.from_kept(one) for one in results_in(folder)]
    networks = [Member(one.read()) for one in networks_in(folder, results)]
    images = min(images, *map(len, splits.values()))

    def wrong(split: Split, network: Member) -> int:
        with torch.no_grad():
            outputs = network.outputs(split.inputs[:images])
        return images - int(network.task.scores(outputs, split.targets[:images]))

    return {
        "images": images,
        "wrong": {name: [wrong(split, one) for one in networks] for name, split in splits.items()},
    }
