"""What trained networks predict for inputs as a data set stores them: the mean of their predictions.

Each network sees the inputs as it saw them in training: bytes as value / 255, then scaled by its own means and standard
deviations, or whitened by its own matrix, if it was trained so; the columns of a table through its own preprocessing.
Predictions are those of the task: probabilities of classes or labels, or numbers in the targets' units. A module of
torch.nn, so that what is exported is what is computed here.
Legend: N examples, C classes, labels or numbers, D columns of a table.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from src.data.columns import Columns
from src.data.scaling import Scaling, as_seen
from src.data.views import answer
from src.models.model import trained_network
from src.runs.features import Features
from src.runs.trained import Trained
from src.tasks.targets import Targets
from src.tasks.task import task_of

EVALUATION_BATCH = 500  # examples at once
ROWS = 2  # dimensions of inputs that are rows of numbers


class Member(nn.Module):
    """One network, from stored inputs to predictions."""

    scaling: Tensor | None
    dropout: Tensor | None

    def __init__(self, trained: Trained, columns: Columns | None = None) -> None:
        """columns: of a table, as the inputs have them; None: the inputs are what the network sees but for scaling."""
        super().__init__()
        result, model = trained.result, trained.config.model
        self.network = trained_network(trained.config, result.weights).requires_grad_(False)
        scaling = Scaling(**result.scaling).on(torch.device("cpu")) if result.scaling else result.whitening
        own = trained.preprocessing
        self.features = Features(own, columns) if own is not None and columns is not None else None
        self.register_buffer("scaling", scaling)
        self.register_buffer("dropout", None if model.target else torch.tensor(model.dropouts()))
        targets = Targets(scaling=Scaling(**result.target_scaling) if result.target_scaling else None)
        self.task, self.augment = task_of(trained.config.task, targets), trained.config.augment

    def outputs(self, inputs: Tensor) -> Tensor:
        """(N, channels, height, width) uint8 or float32 -> the network's outputs (N, C), such as logits."""
        own = {} if self.dropout is None else {"dropout": self.dropout}
        outputs: Tensor = self.network(as_seen(inputs, self.scaling), **own)
        return outputs

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, channels, height, width) uint8 or float32, or columns (N, D) float64 -> predictions (N, C)."""
        if self.features is not None:
            inputs = self.features(inputs)
        if inputs.dim() == ROWS:
            inputs = inputs[..., None, None]
        return answer(lambda view: self.task.predictions(self.outputs(view)), inputs, self.augment)


class Predictor(nn.Module):
    """Several networks, each by itself; the answer is the mean of theirs. columns: those of a table, else None.

    Raises DataError where networks of tables have a column of other kinds.
    """

    def __init__(self, networks: Sequence[Trained]) -> None:
        super().__init__()
        own = [one.preprocessing for one in networks]
        self.columns = Columns.of([one for one in own if one is not None]) if any(own) else None
        self.members = nn.ModuleList(Member(one, self.columns) for one in networks)
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        """Mean predictions (N, C) for inputs as data store them.

        (N, channels, height, width) or rows (N, channels), uint8 or float32; of a table its columns as
        src/data/columns.py gives them, (N, D) float64.
        """
        return torch.stack([member(inputs) for member in self.members]).mean(0)


def predictions(predictor: Predictor, inputs: Tensor) -> Tensor:
    """The predictions (N, C) for any number of inputs (N, …), computed a part at a time."""
    with torch.no_grad():
        return torch.cat([predictor(part) for part in inputs.split(EVALUATION_BATCH)])
