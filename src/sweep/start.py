"""Beginning with the weights of another run: model.start=RUN, for transfer or for what was pretrained by itself."""

import json
from pathlib import Path

from torch import Tensor

from src.config.error import ConfigError
from src.models.model import model_of
from src.models.own_dropout import P
from src.runs.result_files import RESULTS, read_weights
from src.sweep.job import Job
from src.training.stack import members_of


def start_from_run(job: Job) -> str:
    """Gives the trial its `starts` from the run that model.start names; returns in words what it takes from there.

    A member takes from the run's member of the same number, counted round, all layers whose parameters have the names
    and shapes of its own; others begin as the member's seed says. Empty words where model.start is not set. Raises
    ConfigError where that folder holds no trained weights, or none of them fit.
    """
    if job.config.model.start is None:
        return ""
    folder = Path(job.config.model.start).expanduser()
    try:
        results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        trained = [number for number, result in enumerate(results) if result["best_epoch"]]
        weights = [read_weights(folder, number) for number in trained]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ConfigError(_refusal(folder, f"holds no run with weights ({str(error).splitlines()[0]})")) from None
    if not weights:
        raise ConfigError(_refusal(folder, "holds no network that has finished an epoch"))
    taken: dict[str, Tensor] = {}
    own: dict[str, Tensor] = {}
    for member in members_of([job.config]):
        own = model_of(job.config).first_state(member.seed)
        source = weights[member.number % len(weights)]
        taken = {name: source[name] for name in own if _layer_fits(name, own, source)}
        if not any(map(_is_weight, taken)):
            raise ConfigError(_refusal(folder, f"none of its weights fit: {_shapes(source)}; here {_shapes(own)}"))
        job.starts[member.number] = own | taken
    anew = [name for name in own if name not in taken]
    return f"{', '.join(taken)} of {folder}" + (f"; anew: {', '.join(anew)}" if anew else "")


def _layer_fits(name: str, own: dict[str, Tensor], source: dict[str, Tensor]) -> bool:
    """Whether all parameters of the layer of `name`, such as layers.0, are in `source` with the same shapes.

    A probability of dropout is no weight to be taken: it stays the member's own.
    """
    layer = name.split(".")[:2]
    names = [one for one in own if one.split(".")[:2] == layer]
    if name.split(".")[-1] == P:
        return False
    return all(one in source and source[one].shape == own[one].shape for one in names)


def _is_weight(name: str) -> bool:
    """Whether `name` is that of a weight, such as layers.0.weight, or an LSTM's weight_ih_l0."""
    return name.split(".")[-1].startswith("weight")


def _refusal(folder: Path, why: str) -> str:
    return f"model.start = {str(folder)!r}: {why}; accepted: the folder of a run, with result.json and weights that fit"


def _shapes(state: dict[str, Tensor]) -> str:
    return ", ".join(f"{name} {tuple(value.shape)}" for name, value in state.items() if _is_weight(name))
