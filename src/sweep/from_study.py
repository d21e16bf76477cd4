"""from_study=NAME: the best networks of a study vote on the test set as they were trained; nothing is trained again."""

from collections.abc import Iterable
from dataclasses import replace

from src.config.error import ConfigError, UserError
from src.config.schema import RunConfig
from src.data.dataset import Dataset
from src.data.load import load
from src.runs.predictor import Predictor, predictions
from src.runs.trained import Trained
from src.sweep.studies.study_record import read_study
from src.sweep.study_networks import best_networks
from src.tasks.task import task_of

# The keys that the command may set; all others were settled when the networks were trained.
_HEARD = ("exp", "name", "from_study", "from_storage", "top", "figures", "tracking", "data.dir")


def chosen(config: RunConfig, arguments: Iterable[str] = ()) -> tuple[list[Trained], Dataset]:
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
    voters = [one.read() for one in best_networks(study, config.top, "from_study")]
    if not voters[0].config.task.votes:
        raise ConfigError(f"from_study = {config.from_study}: its networks do not classify, so they cannot vote")
    names = sorted({one.result.dataset for one in voters})
    if len(names) > 1:
        raise ConfigError(
            f"from_study = {config.from_study}: its networks were trained on different images ({', '.join(names)})"
        )
    data = voters[0].config.data
    _refuse_unheard(config, arguments, data.name)
    dataset = load(data.as_stored.model_copy(update={"dir": config.data.dir or data.dir}), voters[0].config.task.kind)
    if dataset.name != names[0]:
        raise ConfigError(
            f"from_study = {config.from_study}: trained on {names[0]}; here data={data.name} gives {dataset.name}"
        )
    return [_tested(one, place, dataset) for place, one in enumerate(voters)], dataset


def _tested(voter: Trained, place: int, dataset: Dataset) -> Trained:
    """The voter with its network's probabilities and score on the test set, as voter number `place` of one ensemble."""
    probabilities = predictions(Predictor([voter]), dataset.test.inputs)
    score = task_of(voter.config.task).score_of(probabilities, dataset.test.targets)
    alone = replace(voter.result, snapshot_epochs=[], snapshots_validation_score=None, snapshots_test_score=None)
    tested = replace(alone, repeat=0, vote=place, probabilities=probabilities, test_score=score)
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
