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
from src.data.scaling import as_seen
from src.models.model import trained_network
from src.tasks.task import task_of


def recount(folder: Path, config: RunConfig, images: int) -> dict[str, Any]:
    """The count from the weights of each member in the run's folder: {"images": …, "wrong": {split: [one a member]}}.

    images: how many images of each set count, the first ones; networks with dropout are not meant. Raises OSError
    where weights are missing.
    """
    dataset = load(config.data, config.task.kind)
    scaling = dataset.scaling.on(dataset.test.inputs.device) if dataset.scaling else None
    splits = {"validation": dataset.validation, "test": dataset.test}
    weights = [torch.load(path, weights_only=True) for path in sorted(folder.glob("member-*/weights.pt"))]
    images = min(images, *map(len, splits.values()))

    def wrong(split: Split, state: dict[str, torch.Tensor]) -> int:
        network, task = trained_network(config, state), task_of(config.task)
        with torch.no_grad():
            outputs = network(as_seen(split.inputs[:images], scaling))
        return images - int(task.scores(outputs, split.targets[:images]))

    return {
        "images": images,
        "wrong": {name: [wrong(split, state) for state in weights] for name, split in splits.items()},
    }
