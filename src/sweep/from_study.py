"""from_study=NAME: the best networks of a study vote on the test set as they were trained; nothing is trained again."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from src.config.error import ConfigError, UserError
from src.config.kept_config import recalled
from src.config.schema import RunConfig, task_in
from src.data.dataset import Dataset
from src.data.load import load
from src.data.scaling import Scaling, as_seen
from src.models.model import trained_network
from src.sweep.studies.study_record import Study, Trial, read_study
from src.sweep.studies.trial_results import results_of
from src.tasks.task import task_of
from src.training.result import Result

EVALUATION_BATCH = 500  # images at once


# The keys that the command may set; all others were settled when the networks were trained.
_HEARD = ("exp", "name", "from_study", "from_storage", "top", "figures", "tracking", "data.dir")


@dataclass
class Voter:
    """A network that votes: its result with its probabilities on the test set, its configuration, its trial's name."""

    result: Result
    config: RunConfig
    name: str


def chosen(config: RunConfig, arguments: Iterable[str] = ()) -> tuple[list[Voter], Dataset]:
    """The `config.top` networks with the best validation score, best first, and the data set that they vote on.

    Each comes with its probabilities on the test set.

    Only networks of complete trials that keep the study's constraints count, every repeat by itself. Raises UserError
    where there is no such study, and ConfigError where too few networks are left, where they were trained on different
    images, or where `arguments`, the command line's overrides, ask for other networks than these.
    """
    assert config.from_study is not None
    try:
        study = read_study(config.from_study, config.from_storage)
    except UserError as error:
        raise UserError(f"from_{error}") from None  # study=… or storage=…
    if not study.count()["COMPLETE"]:
        states = [f"{n} {kind.replace('FAIL', 'failed').lower()}" for kind, n in study.count().items()]
        trials = ", ".join(states) or "no trial"
        raise ConfigError(
            f"from_study = {config.from_study}: has no complete trial, so there is nobody to vote ({trials})"
        )
    kept = [trial for trial in study.places if trial.state == "COMPLETE" and not study.broken(trial)]
    found = [(trial, *one) for trial in kept for one in _members(study, trial)]
    if found and not task_in(found[0][1].config).votes:
        raise ConfigError(f"from_study = {config.from_study}: its networks do not classify, so they cannot vote")
    found.sort(key=lambda one: study.score.merit(one[1].validation_score), reverse=True)
    if len(found) < config.top:
        which = "complete trials that keep its constraints" if study.settings.get("constraints") else "complete trials"
        raise ConfigError(
            f"top = {config.top}: study {config.from_study} has left {len(found)} networks of {which}; "
            f"accepted: {f'1 to {len(found)}' if found else 'nothing yet'}"
        )
    voters = [
        Voter(
            replace(result, weights=torch.load(path, weights_only=True)),
            recalled(result.config),
            " · ".join(filter(None, [f"trial {trial.place}", trial.label])),
        )
        for trial, result, path in found[: config.top]
    ]
    names = sorted({one.result.dataset for one in voters})
    if len(names) > 1:
        raise ConfigError(
            f"from_study = {config.from_study}: its networks were trained on different images ({', '.join(names)})"
        )
    data = voters[0].config.data
    _refuse_unheard(config, arguments, data.name)
    dataset = load(data.model_copy(update={"dir": config.data.dir or data.dir}))
    if dataset.name != names[0]:
        raise ConfigError(
            f"from_study = {config.from_study}: trained on {names[0]}; here data={data.name} gives {dataset.name}"
        )
    return [_tested(one, place, dataset) for place, one in enumerate(voters)], dataset


def _tested(voter: Voter, place: int, dataset: Dataset) -> Voter:
    """The voter with its network's probabilities and score on the test set, as voter number `place` of one ensemble."""
    images, scaling = (
        dataset.test.inputs,
        voter.result.scaling,
    )  # its own: the data may be normalised in some trials only
    images = as_seen(images, Scaling(**scaling).on(images.device) if scaling else None)
    probabilities = _probabilities(voter.config, voter.result.weights, images)
    score = task_of(voter.config.task).score_of(probabilities, dataset.test.targets)
    tested = replace(voter.result, repeat=0, vote=place, probabilities=probabilities, test_score=score)
    return replace(voter, result=tested)


def _refuse_unheard(config: RunConfig, arguments: Iterable[str], data: str) -> None:
    """Raises ConfigError for overrides that would change nothing."""
    unheard = []
    for argument in arguments:
        key, _, value = argument.lstrip("+~").partition("=")
        heard = any(key == one or key.startswith(f"{one}.") for one in _HEARD)
        if not heard and (key, value) != ("data", data):
            unheard.append(argument)
    if unheard:
        raise ConfigError(
            f"from_study = {config.from_study}: its networks were trained before, on {data}, so {', '.join(unheard)} "
            f"would change nothing; accepted: {', '.join(_HEARD[1:])}"
        )


def _members(study: Study, trial: Trial) -> list[tuple[Result, Path]]:
    """The networks that a trial left, each with the file of its weights; [] where the folder is gone."""
    folder = Path(trial.folder)
    if not (folder / "result.json").is_file():
        return []
    content = results_of(study, trial)
    paths = [folder / f"member-{number:02d}" / "weights.pt" for number in range(len(content))]
    pairs = [(Result.from_kept(one), path) for one, path in zip(content, paths, strict=True)]
    return [(result, path) for result, path in pairs if result.best_epoch is not None and path.is_file()]


def _probabilities(config: RunConfig, weights: dict[str, Tensor], images: Tensor) -> Tensor:
    """Softmax outputs (N, C) of one network that sees `images` as they are."""
    network = trained_network(config, weights)
    own = {} if config.model.target else {"dropout": torch.tensor(config.model.dropouts())}
    with torch.no_grad():
        parts = [network(part, **own).softmax(-1) for part in images.split(EVALUATION_BATCH)]
    return torch.cat(parts)
