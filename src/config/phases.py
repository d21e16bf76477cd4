"""The phases of a run with pretraining: one for each hidden layer, as a run of its own that trains this layer alone.

Layer l is trained on the codes of the layers below, which are its data; the network's own training follows.
Source: [DLT] LISA lab, Deep Learning Tutorials, "Stacked Denoising Autoencoders" and "Deep Belief Networks".
"""

from src.config.augment import AugmentConfig
from src.config.model import ModelConfig
from src.config.schema import OptimConfig, PretrainConfig, RunConfig, StopConfig
from src.config.task import TaskConfig


def phases(config: RunConfig) -> list[RunConfig]:
    """The configurations of the phases before the network's own training, the lowest layer first; [] without any."""
    return (
        [_phase(config, number) for number in range(len(config.model.all_layers()))] if config.pretrain.wanted else []
    )


def phase_name(number: int) -> str:
    """The name of phase `number`, from 0, which is that of its folder too."""
    return f"pretrain-{number + 1}"


def _phase(config: RunConfig, number: int) -> RunConfig:
    own, model, data = config.pretrain, config.model, config.data
    layers = model.all_layers()
    units = [layer.fc for layer in layers]  # type: ignore[union-attr]
    if number:
        data = data.model_copy(update={"channels": 1, "height": 1, "width": units[number - 1]})
    corruption = own.corruption[number if len(own.corruption) > 1 else 0]
    keys = {"corruption": corruption} if own.task == "reconstruct" else {"k": own.k, "persistent": own.persistent}
    activation = layers[number].activation or model.activation
    return config.model_copy(
        update={
            "name": f"{config.name} {phase_name(number)}",
            "published": None,
            "data": data,
            "model": ModelConfig(hidden=[units[number]], activation=activation, init=model.init),
            "task": TaskConfig(name=own.task, **keys),
            "augment": AugmentConfig(),
            "pretrain": PretrainConfig(),
            "optim": OptimConfig(eta=own.eta),
            "stop": StopConfig(keep="last"),
            "batch_size": own.batch_size,
            "max_epochs": own.max_epochs,
            "repeats": config.members,
            "ensemble": 1,
            "snapshots": 0,
        }
    )
