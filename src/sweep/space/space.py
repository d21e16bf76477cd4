"""A search space: which keys of a run's configuration a study varies, over what, and on which condition.

`hydra.sweeper.params` maps a key to a domain (domain.py), to a domain with a condition, or to several of them
whose conditions exclude each other:

    optim.lambda_: tag(log, interval(0.001, 10))
    model.dropout: {space: "interval(0, 0.5)", when: {model.hidden: [[100, 100]]}}   # a list: any of these values
    optim.eta:
      - {space: "tag(log, interval(0.1, 3))", when: {model.activation: sigmoid}}
      - {space: "tag(log, interval(0.003, 0.1))", when: {model.activation: relu}}

Where no condition of a key holds, the key keeps the value that the configuration has without the study. In this module
`params` map keys to values as Optuna stores them, `names` map Optuna's names of the dimensions to the same values.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from src.config.error import ConfigError
from src.config.problems import is_open, unknown_key
from src.sweep.space import override
from src.sweep.space.dimension import Dimension, flat, known_keys, read_dimensions, required
from src.sweep.space.domain import Interval, Scalar

MOST_COMBINATIONS = 100_000  # of a grid: more would fill the memory, and nobody trains them

# A custom search space: called as hook(trial, params so far) -> further params.
Hook = Callable[[Any, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Space:
    """Dimensions in the order in which they are sampled: each after those that its condition names."""

    dimensions: tuple[Dimension, ...]
    hook: Hook | None = None

    @classmethod
    def parse(
        cls,
        params: dict[str, Any],
        known_problems: Iterable[str] = (),
        *,
        fixed: Iterable[str] = (),
        hook: Hook | None = None,
    ) -> "Space":
        """The space of `hydra.sweeper.params`. `fixed` are the overrides KEY=VALUE that all trials share.

        Raises ConfigError that lists every problem, the known ones first.
        """
        problems = list(known_problems)
        space = cls.read(params, problems, fixed=fixed, hook=hook)
        refuse(problems)
        assert space is not None
        return space

    @classmethod
    def read(
        cls,
        params: dict[str, Any],
        problems: list[str],
        *,
        fixed: Iterable[str] = (),
        hook: Hook | None = None,
        left_out: list[str] | None = None,
    ) -> "Space | None":
        """The space of `hydra.sweeper.params`, like `parse`, but it adds what is wrong to `problems`; None if any is.

        left_out: where given, domains whose conditions can never hold are left out and named there.
        """
        before = len(problems)
        space = cls(tuple(read_dimensions(params, fixed, problems, left_out)), hook)
        if not params and hook is None:
            problems.append(
                "hydra.sweeper.params: nothing is swept; accepted: KEY: DOMAIN here, or KEY=DOMAIN in the command, "
                "such as optim.eta=interval(0.01,1)"
            )
        return space if len(problems) == before else None

    @property
    def keys(self) -> list[str]:
        """The swept keys."""
        return list(dict.fromkeys(dimension.key for dimension in self.dimensions))

    @property
    def conditional(self) -> bool:
        """Whether any dimension has a condition, and is thus sampled in some trials only."""
        return any(dimension.when for dimension in self.dimensions)

    def log_keys(self) -> set[str]:
        """The keys that are sampled in log scale."""
        return {one.key for one in self.dimensions if isinstance(one.domain, Interval) and one.domain.log}

    def suggest(self, trial: Any) -> dict[str, Any]:
        """Samples the space from an Optuna trial, the custom search space last; returns key -> value."""
        params: dict[str, Any] = {}
        for dimension in self.dimensions:
            if dimension.applies(params):
                params[dimension.key] = dimension.domain.suggest(trial, dimension.name)
        if self.hook is not None:
            params |= self._further(self.hook, trial, params)
        return params

    def _further(self, hook: Hook, trial: Any, params: dict[str, Any]) -> dict[str, Any]:
        """What the custom search space returns. Raises ConfigError where it raises, or returns what cannot be set."""
        problems = []
        try:
            more: Any = hook(trial, dict(params))
        except Exception as error:
            raise ConfigError(
                f"hydra.sweeper.custom_search_space = {_hook_name(hook)}: raised {type(error).__name__}: {error}"
            ) from error
        if not isinstance(more, dict):
            raise ConfigError(
                f"hydra.sweeper.custom_search_space = {_hook_name(hook)}: returned {more!r}; accepted: a dictionary "
                "KEY -> VALUE"
            )
        for key, value in more.items():
            if key in self.keys:
                problems.append(f"{key}: the custom search space sets it, and hydra.sweeper.params sweeps it")
            elif key not in known_keys() and not is_open(str(key)):
                problems.append(unknown_key(str(key), known_keys()))
            else:
                try:
                    override.written(value)
                except ValueError as error:
                    problems.append(f"{key} = {value!r} in the custom search space: {error}")
        refuse(problems)
        return more

    def overrides(self, params: dict[str, Any]) -> list[str]:
        """The overrides that set `params`, in the order of the dimensions; Hydra reads exactly these values back."""
        texts = {one.key: one.domain.written(params[one.key]) for one in self._active(params)}
        texts |= {key: override.written(value) for key, value in params.items() if key not in texts}
        return [f"{_prefix(key)}{key}={text}" for key, text in texts.items()]

    def _active(self, params: dict[str, Any]) -> list[Dimension]:
        return [one for one in self.dimensions if one.key in params and one.applies(params)]

    def names(self, params: dict[str, Any]) -> dict[str, Any]:
        """`params` under Optuna's names of their dimensions, as `enqueue_trial` takes them."""
        return {dimension.name: params[dimension.key] for dimension in self._active(params)}

    def params(self, named: dict[str, Any]) -> dict[str, Any]:
        """Key -> value, from an Optuna trial's `params` (`named`); names that are no dimension's stay as they are."""
        known = {dimension.name: dimension for dimension in self.dimensions}
        return {
            known[name].key if name in known else name: known[name].domain.encode(value) if name in known else value
            for name, value in named.items()
        }

    def first(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The fixed first trials, such as the published setting: Optuna's names -> values, for `enqueue_trial`.

        A key that an entry leaves out is sampled. Raises ConfigError that lists every value that cannot occur.
        """
        problems: list[str] = []
        found = [self.read_entry(number, entry, problems) for number, entry in enumerate(entries)]
        refuse(problems)
        return found

    def read_entry(self, number: int, entry: dict[str, Any], problems: list[str]) -> dict[str, Any]:
        """The fixed first trial `number` as names -> values; what is wrong with it is added to `problems`."""
        label = f"hydra.sweeper.first[{number}]."
        given = flat(entry)
        params: dict[str, Any] = {}
        refused = set()
        for dimension in self.dimensions:
            key = dimension.key
            if key in given and dimension.applies(params):
                try:
                    params[key] = dimension.domain.encode(given[key])
                except ValueError as error:
                    problems.append(f"{label}{key} = {given[key]!r}: {error}")
                    refused.add(key)
        for key in [key for key in given if key not in params and key not in refused]:
            conditions = [one.condition for one in self.dimensions if one.key == key]
            if conditions:
                rule = f"is sampled only where {' or '.join(conditions)}; name that in the same trial"
            else:
                rule = f"is not swept; accepted: {', '.join(self.keys)}"
            problems.append(f"{label}{key} = {given[key]!r}: {rule}")
        return self.names(params)

    def distributions(self) -> dict[str, Any]:
        """Optuna's distribution of every dimension by its name."""
        return {dimension.name: dimension.domain.distribution() for dimension in self.dimensions}

    def grid(self) -> dict[str, list[Scalar]]:
        """All values of every dimension by its name. Raises ConfigError where there is no finite grid."""
        problems = self.grid_problems()
        refuse(problems)
        return {dimension.name: list(dimension.domain.values() or ()) for dimension in self.dimensions}

    def grid_problems(self) -> list[str]:
        """Why not all combinations can be tried, a line a reason; empty where they can."""
        problems = [
            f"{one.name} = {one.domain.text()}: sampler=grid needs values that can be counted; "
            "accepted: choice(...), range(...) or int(interval(...))"
            for one in self.dimensions
            if one.domain.size() is None
        ]
        size = self.size() or 0
        if size > MOST_COMBINATIONS:
            problems.append(
                f"hydra.sweeper.sampler = 'grid': has {size:,} combinations; accepted: at most {MOST_COMBINATIONS:,}"
            )
        if self.conditional:
            problems.append("hydra.sweeper.sampler = 'grid': tries all combinations, so `when` has no place in it")
        if self.hook is not None:
            problems.append("hydra.sweeper.sampler = 'grid': cannot know what custom_search_space adds")
        return problems

    def size(self) -> int | None:
        """How many different samples there are; None where they are endless, or a custom search space adds keys."""
        if self.hook is not None or any(dimension.domain.size() is None for dimension in self.dimensions):
            return None
        return self._count(0, {})

    def _count(self, start: int, params: dict[str, Any]) -> int:
        named = {key for dimension in self.dimensions for key in dimension.when}
        total = 1
        for index, dimension in enumerate(self.dimensions[start:], start):
            if not dimension.applies(params):
                continue
            if dimension.key in named:
                values = dimension.domain.values() or ()
                return total * sum(self._count(index + 1, {**params, dimension.key: value}) for value in values)
            total *= dimension.domain.size() or 0
        return total

    def ends(self) -> list[dict[str, Any]]:
        """Few samples that together reach both ends of every interval and range and every element of every choice."""
        missing = {one.name: list(one.domain.ends()) for one in self.dimensions}
        samples = []
        while target := next((one for one in self.dimensions if missing[one.name]), None):
            needed = {key: values[0] for key, values in required(target, self.dimensions).items()}
            params: dict[str, Any] = {}
            for dimension in self.dimensions:
                if dimension.applies(params):
                    wanted = missing[dimension.name]
                    value = needed.get(dimension.key, (wanted or dimension.domain.ends())[0])
                    missing[dimension.name] = [end for end in wanted if end != value]
                    params[dimension.key] = value
            samples.append(params)
        return samples

    def as_json(self) -> dict[str, str]:
        """Each dimension's name -> its text, the same for equal spaces; a study keeps it to notice a changed space."""
        found = {one.name: one.text() for one in self.dimensions}
        if self.hook is not None:
            found["custom_search_space"] = _hook_name(self.hook)
        return dict(sorted(found.items()))


def from_overrides(overrides: Iterable[str], swept_keys: Iterable[str] = ()) -> tuple[list[str], dict[str, Any]]:
    """Splits a command line's overrides into those that all trials share and the swept ones, as key -> domain.

    swept_keys: keys that the study's file sweeps; a single value for one of them becomes a domain of that value alone,
    but null, which no choice can hold, is shared. Raises ConfigError for a key that is swept twice.
    """
    known = set(swept_keys)
    from hydra.core.override_parser.overrides_parser import OverridesParser

    fixed, swept, problems = list[str](), dict[str, Any](), list[str]()
    for text in overrides:
        one = OverridesParser.create().parse_override(text)
        holds = one.key_or_group in known and not one.is_delete() and one.value() is not None
        if not one.is_sweep_override() and not holds:
            fixed.append(text)
        elif one.key_or_group in swept:
            problems.append(f"{one.key_or_group}: is swept twice on the command line")
        else:
            value = one.get_value_string()
            swept[one.key_or_group] = value if one.is_sweep_override() else f"choice({value})"
    refuse(problems)
    return fixed, swept


def merged(params: dict[str, Any], swept: dict[str, Any]) -> dict[str, Any]:
    """`params` of the file with the command line's domains in `swept`; where a key has one condition, it stays."""
    result = flat(params)
    for key, text in swept.items():
        before = result.get(key)
        result[key] = {**before, "space": text} if isinstance(before, dict) else text
    return result


def refuse(problems: list[str]) -> None:
    """Raises ConfigError with all problems, where there are any."""
    found = list(dict.fromkeys(problems))
    if found:
        count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
        lines = "\n".join(f"  {problem}" for problem in found)
        raise ConfigError(f"{count} in the sweep, nothing was started:\n{lines}")


def _hook_name(hook: Hook) -> str:
    return f"{hook.__module__}.{hook.__qualname__}"


def _prefix(key: str) -> str:
    """What adds a key that is not in the configuration, as `exp` and those of model.args are not; "" for all others."""
    return "+" if key == "exp" else "++" if is_open(key) else ""
