"""What the history says of each layer where trainer.watch is on: how far its weights move, and its activations.

    update_ratio/NAME            |w' − w| / |w| of a weight's tensor over the last mini-batch before the look      (1)
    activation_mean/LAYER        of all its values for the first validation examples, and
    activation_sd/LAYER          their standard deviation
    activation_zero/LAYER        the share of values that are exactly 0, as ReLU's are where it does not learn
    activation_saturated/LAYER   of sigmoid and tanh: the share of values within 1 % of the range from one of its ends

Euclidean norms. A ratio of about 0.001 is a rule of thumb for SGD: [CS231n] A. Karpathy et al., notes, "Neural Networks
Part 3". Whatever engine trains: the figures come from its state, and the network is called by torch.
Legend: K members, N examples.
"""

import torch
from torch import Tensor

from src.data.dataset import Dataset
from src.data.scaling import as_seen
from src.models.layer_outputs import ends_of, layer_outputs, weights_of
from src.models.model import trained_network
from src.training.engines.engine import Engine, State
from src.training.result import Row
from src.training.stack import Member

EXAMPLES = 200  # of the validation set
NEAR = 0.01  # of the range of an activation, from its ends


class Watch:
    """Compares an engine's weights before and after a mini-batch, and looks at its members' activations."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._names = weights_of(engine.spec.model.build())
        self._before: State = {}

    def begin(self) -> None:
        """Keeps the weights as they are before the mini-batch that comes."""
        state = self._engine.state(slots=False)
        self._before = {name: state[name].clone() for name in self._names}

    def row(self, k: int, member: Member, state: State, dataset: Dataset) -> Row:
        """The figures of the member at position k for its row of the history; state: after the mini-batch, (K, …)."""
        row = {f"update_ratio/{name}": _ratio(self._before[name][k], state[name][k]) for name in self._names}
        split = dataset.of_fold(member.fold).validation.first(EXAMPLES)
        inputs = split.inputs[k] if split.by_member else split.inputs
        scaling = self._engine.spec.scaling
        network = trained_network(member.config, {name: value[k] for name, value in state.items()})
        layered = member.config.model.target is None and not member.config.task.tied
        own = {"dropout": torch.tensor(member.config.model.dropouts(), device=inputs.device)} if layered else {}
        x = as_seen(inputs, scaling.on(inputs.device) if scaling else None)
        network = network.to(inputs.device)
        for name, values in layer_outputs(network, x, **own).items():
            row |= {f"activation_{what}/{name}": one for what, one in _figures(values, ends_of(network, name)).items()}
        return row


def _ratio(before: Tensor, after: Tensor) -> float:
    """Equation (1); of weights that were all 0, as a softmax layer's are at first, relative to what they became."""
    size = before.norm() if bool(before.any()) else after.norm()
    return float((after - before).norm() / size) if bool(size) else 0.0


def _figures(values: Tensor, ends: tuple[float, float] | None) -> Row:
    """Mean, standard deviation and shares of a layer's outputs (N, …)."""
    figures = {"mean": values.mean(), "sd": values.std(unbiased=False), "zero": (values == 0).float().mean()}
    if ends:
        near = NEAR * (ends[1] - ends[0])
        figures["saturated"] = ((values < ends[0] + near) | (values > ends[1] - near)).float().mean()
    return {name: float(value) for name, value in figures.items()}
