"""What trained networks predict for inputs as a data set stores them: the mean of their predictions.

Each network sees the inputs as it saw them in training: bytes as value / 255, then scaled by its own means and standard
deviations if it was trained so. Predictions are those of the task: probabilities of classes or labels, or numbers in
the targets' units. A module of torch.nn, so that what is exported is what is computed here.
Legend: N examples, C classes, labels or numbers, M networks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from src.data.scaling import Scaling, as_seen
from src.models.model import trained_network
from src.runs.trained import Trained
from src.tasks.targets import Targets
from src.tasks.task import task_of

EVALUATION_BATCH = 500  # examples at once


class Member(nn.Module):
    """One network, from stored inputs to predictions."""

    scaling: Tensor | None
    dropout: Tensor | None

    def __init__(self, trained: Trained) -> None:
        super().__init__()
        result, model = trained.result, trained.config.model
        self.network = trained_network(trained.config, result.weights).requires_grad_(False)
        scaling = Scaling(**result.scaling).on(torch.device("cpu")) if result.scaling else None
        self.register_buffer("scaling", scaling)
        self.register_buffer("dropout", None if model.target else torch.tensor(model.dropouts()))
        targets = Targets(scaling=Scaling(**result.target_scaling) if result.target_scaling else None)
        self.task = task_of(trained.config.task, targets)

    def outputs(self, inputs: Tensor) -> Tensor:
        """(N, channels, height, width) uint8 or float32 -> the network's outputs (N, C), such as logits."""
        own = {} if self.dropout is None else {"dropout": self.dropout}
        outputs: Tensor = self.network(as_seen(inputs, self.scaling), **own)
        return outputs

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, channels, height, width) uint8 or float32 -> predictions (N, C)."""
        return self.task.predictions(self.outputs(inputs))


class Predictor(nn.Module):
    """Several networks, each by itself; the answer is the mean of theirs."""

    def __init__(self, networks: Sequence[Trained]) -> None:
        super().__init__()
        self.members = nn.ModuleList(Member(one) for one in networks)
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, channels, height, width), or rows (N, channels), uint8 or float32 -> mean predictions (N, C)."""
        if inputs.dim() == 2:
            inputs = inputs[..., None, None]
        return torch.stack([member(inputs) for member in self.members]).mean(0)


def predictions(predictor: Predictor, inputs: Tensor) -> Tensor:
    """The predictions (N, C) for any number of inputs (N, …), computed a part at a time."""
    with torch.no_grad():
        return torch.cat([predictor(part) for part in inputs.split(EVALUATION_BATCH)])
