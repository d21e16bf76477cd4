"""The best networks of a study, as they were trained: what votes without training anything again."""

import json
from pathlib import Path

import torch
from torch import Tensor

from src.config import ConfigError, RunConfig, parse
from src.data.dataset import Dataset
from src.data.load import load
from src.nets.network import Network
from src.result import Result
from src.results.study_record import read_study

EVALUATION_BATCH = 500  # images at once


def chosen(config: RunConfig) -> tuple[list[Result], Dataset]:
    """The `config.top` networks with the highest validation accuracy, best first, with what each says of the test set.

    Only networks of complete trials count, every repeat by itself. Raises UserError where there is no such study, and
    ConfigError where too few networks are left, or where they were trained on different images.
    """
    assert config.from_study is not None
    study = read_study(config.from_study, config.from_storage)
    complete = [trial for trial in study.places if trial.state == "COMPLETE"]
    found = [one for trial in complete for one in _members(Path(trial.folder))]
    found.sort(key=lambda one: -(one[0].validation_accuracy or 0.0))
    if len(found) < config.top:
        raise ConfigError(
            f"top = {config.top}: study {config.from_study} has left {len(found)} networks of complete trials; "
            f"accepted: {f'1 to {len(found)}' if found else 'nothing yet'}"
        )
    results = [_loaded(result, path) for result, path in found[: config.top]]
    configs = [parse(result.config) for result in results]
    if len({result.dataset for result in results}) > 1:
        names = ", ".join(sorted({result.dataset for result in results}))
        raise ConfigError(f"from_study = {config.from_study}: its networks were trained on different images ({names})")
    dataset = load(configs[0].data)
    if dataset.name != results[0].dataset:
        raise ConfigError(f"from_study = {config.from_study}: it was trained on {results[0].dataset}; "
                          f"here data={configs[0].data.name} gives {dataset.name}")  # fmt: skip
    for place, (result, own) in enumerate(zip(results, configs, strict=True)):
        result.repeat, result.vote = 0, place
        result.probabilities = _probabilities(own, result.weights, dataset.test.images)
        result.test_accuracy = float((result.probabilities.argmax(-1) == dataset.test.labels).double().mean())
    return results, dataset


def _members(folder: Path) -> list[tuple[Result, Path]]:
    """The networks that a trial left, each with the file of its weights; [] where the folder is gone."""
    try:
        content = json.loads((folder / "result.json").read_text())
    except OSError:
        return []
    paths = [folder / f"member-{number:02d}" / "weights.pt" for number in range(len(content))]
    pairs = [(Result(**one), path) for one, path in zip(content, paths, strict=True)]
    return [(result, path) for result, path in pairs if result.best_epoch is not None and path.is_file()]


def _loaded(result: Result, path: Path) -> Result:
    result.weights = torch.load(path, weights_only=True)
    return result


def _probabilities(config: RunConfig, weights: dict[str, Tensor], images: Tensor) -> Tensor:
    """Softmax outputs (N, C) of one network."""
    network = Network(config.shapes(), inverted=config.model.dropout_convention == "inverted")
    network.load_state_dict(weights)
    dropout = torch.tensor(config.model.dropouts())
    with torch.no_grad():
        parts = [network(part.float() / 255, dropout).softmax(-1) for part in images.split(EVALUATION_BATCH)]
    return torch.cat(parts)
