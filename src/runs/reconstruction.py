"""Images beside what an autoencoder, or a restricted Boltzmann machine by mean field, makes of them.

Legend: N images, C channels, H × W pixels.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from src.config.kept_config import recalled
from src.models import gibbs
from src.models.autoencoder import Autoencoder
from src.models.dropout import CORRUPTION, drop, step_key
from src.models.model import model_of


@torch.no_grad()
def reconstructions(config: Mapping[str, Any], weights: Mapping[str, Tensor], images: Tensor) -> dict[str, Tensor]:
    """Rows of images by their labels: the test images, the same corrupted if task.corruption says so, reconstructed.

    config: a run's as kept, of a task with tied weights; images: (N, C, H, W) in 0 … 1, of which all rows have the
    shape. Which pixels are corrupted is the same in every call.
    """
    checked = recalled(config)
    rows, x = {"test image": images}, images.flatten(1)
    if checked.task.corruption:
        nought = torch.tensor(0)
        x = drop(x, checked.task.corruption, step_key(nought, nought), CORRUPTION, inverted=False)
        rows["corrupted"] = x.view_as(images)
    network = model_of(checked).build()
    if isinstance(network, Autoencoder):
        network.load_state_dict(weights)
        logits: Tensor = network(x)
    else:
        machine = gibbs.machine(weights)
        logits = machine.down(machine.up(x).sigmoid())
    return rows | {"reconstruction": logits.sigmoid().view_as(images)}
