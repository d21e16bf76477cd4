"""A denoising autoencoder for one member: one fully connected layer whose weights also lead back to the inputs.

    h = σ(W x̃ + b),  a = Wᵀ h + b'                                                                                (1)

x̃ is x with each value zeroed with probability `corruption`, in training only, and not rescaled; a are the logits of the
reconstruction. Source: [DLT] LISA lab, Deep Learning Tutorials, "Denoising Autoencoders".
Legend: B examples, V inputs of one, H hidden units.
"""

from collections.abc import Sequence

from torch import Tensor

from src.config.schema import RunConfig
from src.config.shapes import LayerShape, Tied
from src.models.dropout import CORRUPTION, drop
from src.models.layers.part import part_of
from src.models.tied import TiedLayer, first_tied_state


class Autoencoder(TiedLayer):
    """Equation (1)."""

    def __init__(self, shape: Tied) -> None:
        super().__init__(shape)
        self.activation = part_of("activation", shape, 0)

    def hidden(self, x: Tensor) -> Tensor:
        """The h of equation (1) for inputs (B, …) that are not corrupted: (B, H)."""
        return self.activation(self.up(x.flatten(1)), None)

    def forward(self, x: Tensor, corruption: Tensor | None = None, key: Tensor | None = None) -> Tensor:
        """(B, …) -> logits of the reconstruction (B, V); with a key, that of a training step, x is corrupted first."""
        x = x.flatten(1)
        if key is not None and corruption is not None:
            x = drop(x, corruption, key, CORRUPTION, inverted=False)
        return self.down(self.activation(self.up(x), key))


class AutoencoderModel:
    """The network of task=reconstruct."""

    inverted = False

    def __init__(self, plan: Sequence[LayerShape], init: str) -> None:
        """plan: the one tied layer; init: a rule of src/models/init.py."""
        self.plan: Sequence[LayerShape] | None = plan
        self.init = init
        shape = plan[0]
        assert isinstance(shape, Tied)
        self.shape = shape

    def build(self) -> Autoencoder:
        """One member's module."""
        return Autoencoder(self.shape)

    def first_state(self, seed: int) -> dict[str, Tensor]:
        """Weights by the rule `init` from the seed alone; the biases of the inputs are 0."""
        return first_tied_state(self.build(), self.shape, self.init, seed)

    def of(self, config: RunConfig) -> "AutoencoderModel":
        """The same: members differ in hyperparameters only."""
        return self

    def arguments(self, hyper: dict[str, Tensor]) -> dict[str, Tensor | int]:
        """Of the hyperparameters of K members: `corruption` (K,), if any is corrupted."""
        corruption = hyper["corruption"]
        return {"corruption": corruption.float()} if (corruption != 0).any() else {}
