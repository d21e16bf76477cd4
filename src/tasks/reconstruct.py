"""To reconstruct the inputs, each a probability in 0 … 1: what a denoising autoencoder is trained for.

The network gives logits a for the inputs x of an example; with z = 1 / (1 + exp(-a)) the cost of an example is

    − Σ_v x_v ln z_v + (1 − x_v) ln(1 − z_v) = Σ_v ln(1 + exp(a_v)) − x_v a_v       nats an example               (1)

and the score is the mean cost of examples that are not corrupted.
Source: [DLT] LISA lab, Deep Learning Tutorials, "Denoising Autoencoders". Legend: B examples, V inputs of one.
"""

from torch import Tensor

from src.config.metric import RECONSTRUCTION
from src.config.task import TaskConfig
from src.models.tied import cross_entropy
from src.tasks.targets import Targets
from src.tasks.task import Call, Task


class Reconstruct(Task):
    """Outputs are the examples' costs (B,), and so are predictions; targets are not looked at."""

    score = running = RECONSTRUCTION

    def outputs(self, call: Call, x: Tensor, key: Tensor | None = None) -> Tensor:
        """Equation (1) for each example of x (B, …), which the network may corrupt before it reconstructs it: (B,)."""
        logits = call(x, key)
        return cross_entropy(logits, x.flatten(1))

    def cost(self, call: Call, x: Tensor, y: Tensor, key: Tensor | None) -> tuple[Tensor, Tensor]:
        """The mean over the mini-batch of equation (1), and the costs (B,)."""
        costs = self.outputs(call, x, key)
        return costs.mean(), costs

    def costs(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Their sum, in nats: (…, B) -> (…)."""
        return outputs.sum(-1)

    def scores(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The sum of the costs, which are the scores too: (…, B) -> (…)."""
        return outputs.sum(-1)

    def predictions(self, outputs: Tensor) -> Tensor:
        """The costs (…, B) themselves."""
        return outputs

    def score_of(self, predictions: Tensor, y: Tensor) -> float:
        """The mean cost, in nats an example, of one network's costs (N,)."""
        return float(predictions.double().mean())


def task(config: TaskConfig, targets: Targets) -> Reconstruct:
    """The task of a configuration."""
    return Reconstruct()
