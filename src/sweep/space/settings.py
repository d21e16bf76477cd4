"""The schema of a study's settings, which stand in the configuration's section `hydra.sweeper`.

`parse` reads all of it, the command line's sweeps and the search space included, and reports everything that is wrong
in one go. Nothing heavy is imported (no optuna), so a wrong command is refused within a fraction of a second.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, ValidationError, ValidationInfo

from src.config.address import RULE, STUDIES, is_database, lower_scheme
from src.config.limit import Limit
from src.config.metric import ACCURACY, Metric
from src.config.own_module import own_module
from src.config.problems import explain
from src.config.section import Section
from src.sweep.space.dimension import flat
from src.sweep.space.domain import Choice
from src.sweep.space.options import PRUNERS, SAMPLERS
from src.sweep.space.space import Hook, Space, from_overrides, merged, refuse

Sampler = Literal["tpe", "random", "grid", "gp", "cmaes", "qmc", "nsga2"]
Pruner = Literal["none", "median", "percentile", "asha", "hyperband", "wilcoxon"]

Direction = Literal["maximize", "minimize"]

# Samplers that look at constraints; the others would sample as if there were none.
_CONSTRAINED = ("tpe", "gp", "nsga2")


COST = "validation_cost"


def _entries(value: Any) -> Any:
    """The list of fixed first trials; a single one need not stand in a list, and null means none."""
    return [] if value is None else [value] if isinstance(value, dict) else value


def _database(address: str) -> str:
    address = lower_scheme(address)
    if not is_database(address):
        raise ValueError
    return address


def directions(score: Metric, metrics: Sequence[Metric] = ()) -> dict[str, Direction]:
    """What may be an objective or be named in a constraint -> the direction in which it is better.

    metrics: those of task.metrics, which may be objectives only.
    """
    return {
        score.field("validation"): score.direction,  # the mean over a trial's members of each one's best
        COST: "minimize",  # the same mean, of the task's cost in that epoch
        **{one.field("validation"): one.direction for one in metrics},  # the same, at the score's best epoch
        "parameters": "minimize",  # weights and biases of one member
        "seconds": "minimize",  # for which the trial trained
    }


def _score_in(info: ValidationInfo) -> Metric:
    score: Metric = (info.context or {}).get("score", ACCURACY)
    return score


def _objective(name: str, info: ValidationInfo) -> str:
    if name not in directions(_score_in(info), (info.context or {}).get("metrics", ())):
        raise ValueError
    return name


Objective = Annotated[str, AfterValidator(_objective)]
Entries = Annotated[list[dict[str, Any]], BeforeValidator(_entries)]


class StudySettings(Section):
    """A study's search space, sampler, pruner and budget.

    Validated with the context {"score": METRIC, "metrics": [METRIC, ...]}, the score of its trials' task and what that
    reports besides; without a context the score is the accuracy.
    """

    study_name: str = Field(min_length=1, max_length=512)  # as long as Optuna's column
    storage: Annotated[str, AfterValidator(_database)] = STUDIES  # SQLAlchemy's URL
    n_trials: int = Field(20, ge=1)  # the budget: trials in total over all resumptions; a repeated attempt counts once
    timeout_minutes: float | None = Field(None, gt=0)  # no new trial after that
    target: float | None = None  # no new trial once the first objective has reached it
    sampler: Sampler = "tpe"
    sampler_options: dict[str, Any] = Field({})  # src/sweep/space/options.py
    seed: int = Field(0, ge=0, lt=2**32)  # of the sampler
    pruner: Pruner = "none"
    pruner_options: dict[str, Any] = Field({})
    objectives: list[Objective] = Field([ACCURACY.field("validation")], min_length=1)
    constraints: list[str] = Field([])  # such as parameters <= 100000
    first: Entries = Field([])  # fixed first trials, key -> value; a key left out is sampled
    params: dict[str, Any] = Field({})  # key -> domain, src/sweep/space/space.py
    custom_search_space: str | None = None  # package.module.function: f(trial, params so far) -> further params
    max_failures: int = Field(5, ge=0)  # failed trials after which no new one starts
    nested: int | None = Field(None, ge=2, le=1000)  # outer folds, each a study of its own (nested.py); null: none

    _score: Metric = PrivateAttr(ACCURACY)
    _metrics: Sequence[Metric] = PrivateAttr(())

    def model_post_init(self, context: Any) -> None:
        """Keeps the score and the metrics that the validation's context gives."""
        self._score, self._metrics = (context or {}).get("score", ACCURACY), (context or {}).get("metrics", ())

    @property
    def score(self) -> Metric:
        """The score of the trials' task."""
        return self._score

    @property
    def follows_score(self) -> bool:
        """Whether the validation score is the only objective: then what trials report is their value."""
        return self.objectives == [self.score.field("validation")]

    @property
    def directions(self) -> list[Direction]:
        """Optuna's direction of each objective."""
        return [directions(self.score, self._metrics)[name] for name in self.objectives]

    @property
    def limits(self) -> list[Limit]:
        """The constraints, read from their texts."""
        return [Limit.read(text, directions(self.score)) for text in self.constraints]

    def hook(self) -> Hook | None:
        """The function that `custom_search_space` names. Raises ValueError where there is no such function."""
        if self.custom_search_space is None:
            return None
        module, _, name = self.custom_search_space.rpartition(".")
        try:
            found = getattr(own_module(module), name)
        except Exception as error:  # a module of the user's may raise anything
            raise ValueError(f"cannot be imported: {type(error).__name__}: {error}") from error
        if not callable(found):
            raise ValueError("is no function; accepted: package.module.function")
        hook: Hook = found
        return hook


@dataclass(frozen=True)
class Sweep:
    """A checked study: its settings, its space, and the overrides that all trials share."""

    settings: StudySettings
    space: Space
    fixed: list[str]
    left_out: list[str] = field(default_factory=list)  # domains and first trials that the command line rules out


def parse(
    raw: dict[str, Any], overrides: Iterable[str] = (), score: Metric = ACCURACY, metrics: Sequence[Metric] = ()
) -> Sweep:
    """The study of a composed `hydra.sweeper` (as OmegaConf.to_container gives it) and of a command line's overrides.

    score, metrics: of the trials' task, what it is judged by and what it reports besides. Raises ConfigError that lists
    every problem.
    """
    content = {key: value for key, value in raw.items() if key != "_target_"}
    content = {key: value for key, value in content.items() if value is not None or not key.endswith("_options")}
    if content.get("objectives", "auto") == "auto":
        content["objectives"] = [score.field("validation")]
    problems: list[str] = []
    settings = _settings(content, problems, score, metrics)
    hook = _hook(settings, problems)
    params = content.get("params")
    own = flat(params) if isinstance(params, dict) else {}
    fixed, swept = from_overrides(overrides, own)
    whole = Space.read(own, [], hook=hook) if swept.keys() & own.keys() else None  # before the command narrows it
    left_out: list[str] = []
    space = Space.read(
        merged(own, swept), problems, fixed=fixed, hook=hook, left_out=None if whole is None else left_out
    )
    if settings is not None and space is not None:
        problems += _sampler_problems(settings, space)
        settings = _with_first(settings, space, whole, problems, left_out)
    refuse(problems)
    assert settings is not None
    assert space is not None
    return Sweep(settings, space, fixed, left_out)


def _with_first(
    settings: StudySettings, space: Space, whole: Space | None, problems: list[str], left_out: list[str]
) -> StudySettings:
    """The settings without the fixed first trials that the command line rules out; these go to `left_out`.

    whole: the search space before the command line narrowed it, which still held them.
    """
    wrong: list[list[str]] = [[] for _ in settings.first]
    for number, entry in enumerate(settings.first):
        space.read_entry(number, entry, wrong[number])
        if wrong[number] and whole is not None:
            before: list[str] = []
            whole.read_entry(number, entry, before)
            if not before:
                left_out.append(f"first[{number}]")
                continue
        problems += wrong[number]
    kept = [entry for number, entry in enumerate(settings.first) if f"first[{number}]" not in left_out]
    return settings.model_copy(update={"first": kept})


_OWN_RULES = {
    "storage": RULE,
    "constraints": 'must be a list such as ["parameters <= 100000"]',
    "first": "must be a list of trials such as [{optim.eta: 0.03}]",
    "min_resource": "must be auto or a whole number of at least 1",
    "max_resource": "must be auto or a whole number of at least 1",
}


def _settings(
    content: dict[str, Any], problems: list[str], score: Metric, metrics: Sequence[Metric]
) -> StudySettings | None:
    """The settings, checked without the search space; what is wrong is added to `problems`, None where something is."""
    problems += _option_problems(content, "sampler", SAMPLERS) + _option_problems(content, "pruner", PRUNERS)
    try:
        settings = StudySettings.model_validate(content, context={"score": score, "metrics": metrics})
    except ValidationError as error:
        accepted = f"must be a list of some of {', '.join(directions(score, metrics))}"
        own = _OWN_RULES | {"objectives": accepted + ("" if metrics else "; task.metrics adds others")}
        problems += [explain(item, StudySettings, "hydra.sweeper.", own) for item in error.errors()]
        return None
    problems += _cross_checks(settings)
    return settings


def _option_problems(content: dict[str, Any], kind: str, known: dict[str, type[Section]]) -> list[str]:
    schema = known.get(str(content.get(kind, StudySettings.model_fields[kind].default)))
    options = content.get(f"{kind}_options", {})
    if schema is None or not isinstance(options, dict):
        return []  # the settings' own check says so
    if not schema.model_fields and kind == "pruner":
        return []  # pruner=none on the command line turns off the one in a file, whose options stay
    problems = list[str]()
    try:
        schema.model_validate(options)
    except ValidationError as error:
        key = f"hydra.sweeper.{kind}_options"
        hint = f"; {key}=null leaves out what a sweep's file sets for another {kind}"
        for item in error.errors():
            said = explain(item, schema, f"{key}.", _OWN_RULES)
            problems.append(said + (hint if item["type"] == "extra_forbidden" else ""))
    return problems


def _hook(settings: StudySettings | None, problems: list[str]) -> Hook | None:
    try:
        return None if settings is None else settings.hook()
    except ValueError as error:
        assert settings is not None
        problems.append(f"hydra.sweeper.custom_search_space = {settings.custom_search_space!r}: {error}")
    return None


def _cross_checks(settings: StudySettings) -> list[str]:
    """The problems that concern several fields together."""
    problems = []
    several = len(settings.objectives) > 1
    if len(set(settings.objectives)) < len(settings.objectives):
        problems.append(f"hydra.sweeper.objectives = {settings.objectives!r}: each objective once")
    if several and settings.nested is not None:
        problems.append(
            f"hydra.sweeper.nested = {settings.nested}: each outer fold is tested by its best trial, and several "
            "objectives have no single best one; accepted with them: null"
        )
    score = settings.score
    if not settings.follows_score and settings.pruner not in ("none", "asha"):
        problems.append(
            f"hydra.sweeper.pruner = {settings.pruner!r}: judges the {score.words('validation')} of each epoch; "
            "accepted with other objectives: none or asha"
        )
    if several and settings.sampler == "cmaes":
        accepted = "tpe, random, grid, gp, qmc or nsga2"
        problems.append(f"hydra.sweeper.sampler = 'cmaes': follows one objective; accepted with several: {accepted}")
    if settings.sampler == "cmaes" and find_spec("cmaes") is None:
        problems.append("hydra.sweeper.sampler = 'cmaes': needs the package cmaes; pip install cmaes")
    if settings.constraints and settings.sampler not in _CONSTRAINED:
        problems.append(
            f"hydra.sweeper.sampler = {settings.sampler!r}: does not look at constraints; "
            f"accepted with them: {', '.join(_CONSTRAINED)}"
        )
    for number, text in enumerate(settings.constraints):
        try:
            Limit.read(text, directions(score))
        except ValueError as error:
            problems.append(f"hydra.sweeper.constraints[{number}] = {text!r}: {error}")
    target = settings.target
    part = settings.objectives[0] == score.field("validation") and score.percent
    if target is not None and part and not 0 < target <= 1:
        article = "an" if score.name[0] in "aeiou" else "a"
        rule = f"above 0 and at most 1, as {0.99 if score.maximise else 0.01}"
        problems.append(f"hydra.sweeper.target = {target!r}: is {article} {score.name}; accepted: {rule}")
    return problems + _rung_problems(settings)


def _rung_problems(settings: StudySettings) -> list[str]:
    """The problems between several options of a halving pruner."""
    options = settings.pruner_options
    low, high = options.get("min_resource"), options.get("max_resource")
    if settings.pruner == "asha" and low in (None, "auto") and options.get("bootstrap_count"):
        return ["hydra.sweeper.pruner_options.min_resource = 'auto': bootstrap_count needs a number of epochs here"]
    if settings.pruner == "hyperband" and isinstance(low, int) and isinstance(high, int) and low > high:
        return [f"hydra.sweeper.pruner_options.min_resource = {low}: must not be above max_resource = {high}"]
    return []


def _sampler_problems(settings: StudySettings, space: Space) -> list[str]:
    """The problems of a search space that the sampler cannot search."""
    if settings.sampler == "grid":
        return space.grid_problems()
    numbers = [one.key for one in space.dimensions if not isinstance(one.domain, Choice) and not one.when]
    if settings.sampler == "cmaes" and len(numbers) < 2:
        found = f"only {numbers[0]} is" if numbers else "none is"
        return [f"hydra.sweeper.sampler = 'cmaes': needs two intervals or ranges that every trial samples; {found} one"]
    return []
