"""To tell data from what the network itself draws: how a restricted Boltzmann machine is trained, CD-k and PCD-k.

With the free energy F of src/models/rbm.py the cost of a step is mean F(x) − mean F(end of a chain), the end held
constant; its gradient is contrastive divergence [G. Hinton, 2002], persistent where chains go on from the last step
[T. Tieleman, 2008]. That difference says nothing about progress, so what is reported as cost is the cross-entropy of
the data with their reconstruction, nats an example, and the score is the pseudo-likelihood.
Source: [DLT] LISA lab, Deep Learning Tutorials, "Restricted Boltzmann Machines". Legend: B examples.
"""

from torch import Tensor

from src.config.metric import PSEUDO_LIKELIHOOD
from src.config.task import TaskConfig
from src.models.rbm import DIFFERENCE, FREE_ENERGY, LIKELIHOOD, RECONSTRUCTION
from src.tasks.targets import Targets
from src.tasks.task import Call, Task


class Contrast(Task):
    """Outputs are a Boltzmann machine's figures (B, 3 or 4), and so are predictions; targets are not looked at."""

    score = running = PSEUDO_LIKELIHOOD

    def cost(self, call: Call, x: Tensor, y: Tensor, key: Tensor | None) -> tuple[Tensor, Tensor]:
        """The reconstruction's mean cost, a scalar but with the gradient of CD-k, and the figures (B, 4)."""
        figures = self.outputs(call, x, key)
        difference, reported = figures[:, DIFFERENCE].mean(), figures[:, RECONSTRUCTION].mean()
        return difference + (reported - difference).detach(), figures

    def costs(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The sum of the reconstructions' costs, in nats: (…, B, 3 or 4) -> (…)."""
        return outputs[..., RECONSTRUCTION].sum(-1)

    def scores(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The sum of the logarithms of the pseudo-likelihood, in nats: (…, B, 3 or 4) -> (…)."""
        return outputs[..., LIKELIHOOD].sum(-1)

    def monitors(self, outputs: Tensor) -> dict[str, Tensor]:
        """The sum of the free energies: of training and validation data alike unless the network overfits."""
        return {"free_energy": outputs[..., FREE_ENERGY].sum(-1)}

    def predictions(self, outputs: Tensor) -> Tensor:
        """The figures themselves."""
        return outputs

    def score_of(self, predictions: Tensor, y: Tensor) -> float:
        """The mean pseudo-likelihood, in nats an example, from one network's figures (N, 3)."""
        return float(predictions[:, LIKELIHOOD].double().mean())


def task(config: TaskConfig, targets: Targets) -> Contrast:
    """The task of a configuration."""
    return Contrast()
