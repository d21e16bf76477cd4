"""The dimensions of a search space, read from `hydra.sweeper.params`.

A *key* names a setting of the run's configuration, such as optim.eta. A *domain* is the set of values that it may take
(domain.py). A *dimension* is what Optuna samples under one name: a key with one domain, or, where a key has several
domains, one of these with its condition; its name is then the key followed by " when ...". `params` map keys to values
as Optuna stores them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from src.config.compose import CONF
from src.config.error import ConfigError
from src.config.problems import all_keys, is_open, unknown_key
from src.sweep.space import override
from src.sweep.space.domain import Domain, Interval, Scalar, read_domain

# Key -> the values that it may have, as Optuna stores them; the condition holds where every key has one of its values.
Condition = dict[str, tuple[Scalar, ...]]


@dataclass(frozen=True)
class Dimension:
    """One domain of a key, and the condition under which it is sampled."""

    name: str
    key: str
    domain: Domain
    when: Condition = field(default_factory=dict)
    condition: str = ""  # `when` for people: model.activation=relu

    def applies(self, params: dict[str, Any]) -> bool:
        """Whether this dimension is sampled, given the values of those before it (`params`)."""
        return all(key in params and params[key] in accepted for key, accepted in self.when.items())

    def text(self) -> str:
        """The domain and its condition as text, the same for equal dimensions."""
        return self.domain.text() + (f" when {self.condition}" if self.when else "")


@dataclass(frozen=True)
class _Draft:
    """A dimension whose condition is not read yet."""

    key: str
    domain: Domain
    when: Any
    alternatives: int  # domains that the key has

    def name(self, condition: str) -> str:
        return self.key if self.alternatives == 1 else f"{self.key} when {condition or 'always'}"


def read_dimensions(
    params: dict[str, Any], fixed: Iterable[str], problems: list[str], left_out: list[str] | None = None
) -> list[Dimension]:
    """The dimensions in the order of sampling, each after those that its condition names.

    params: `hydra.sweeper.params`. fixed: the overrides that all trials share. What is wrong is added to `problems`.
    left_out: where given, a dimension whose condition can never hold is left out and named there; else it is a problem.
    """
    given = flat(params)
    drafts = [draft for key, value in given.items() for draft in _drafts(key, value, problems)]
    for key in [key for key in given if key in set(_keys(fixed))]:
        problems.append(
            f"{key}: is both fixed and swept; leave one out, or write '{key}=choice(VALUE)' to sweep over one value"
        )
    found = []
    for draft in drafts:
        when, condition = _condition(draft, drafts, set(given), problems, lenient=left_out is not None)
        found.append(Dimension(draft.name(condition), draft.key, draft.domain, when, condition))
    ordered = _ordered(found, problems)
    if len(ordered) < len(found):
        return ordered
    possible = [one for one in ordered if all(required(one, ordered).values())]
    for one in [one for one in ordered if one not in possible]:
        if left_out is None:
            _refuse_impossible(one, ordered, problems)
        else:
            left_out.append(f"{one.key} when {one.condition}")
    _exclude(possible, problems)
    return possible


def flat(section: dict[str, Any] | None, prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys -> values; a dictionary with `space` or `when` is a value, not a section.

    Raises ConfigError for a key that is given both with dots and in a section.
    """
    found: dict[str, Any] = {}
    for name, value in (section or {}).items():
        key = f"{prefix}{name}"
        nested = isinstance(value, dict) and value and not {"space", "when"} & value.keys()
        for one, content in (flat(value, f"{key}.") if nested else {key: value}).items():
            if one in found:
                raise ConfigError(f"{one}: is given twice, with a dot in its name and in a section; keep one of them.")
            found[one] = content
    return found


def known_keys() -> list[str]:
    """The keys that can be swept: those of the run's schema, and the config groups of conf/."""
    return [*all_keys(), *sorted(path.name for path in CONF.iterdir() if path.is_dir())]


def required(dimension: Dimension, dimensions: Iterable[Dimension]) -> Condition:
    """The full condition for `dimension` to be sampled: its own, those of the keys that it names, and so on."""
    found: Condition = {}
    for key, accepted in dimension.when.items():
        parent = next(one for one in dimensions if one.key == key)
        for name, values in [(key, accepted), *required(parent, dimensions).items()]:
            found[name] = tuple(value for value in found.get(name, values) if value in values)
    return found


def _keys(overrides: Iterable[str]) -> list[str]:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return [str(one.key_or_group) for one in OverridesParser.create().parse_overrides(list(overrides))]


def _drafts(key: str, value: Any, problems: list[str]) -> list[_Draft]:
    if key not in known_keys() and not is_open(key):
        problems.append(unknown_key(key, known_keys()))
        return []
    alternatives = value if isinstance(value, list) and any(isinstance(item, dict) for item in value) else [value]
    found = []
    for one in alternatives:
        content = one if isinstance(one, dict) else {"space": one}
        unknown = [str(name) for name in content if name not in ("space", "when")]
        start = str(content.get("space"))
        if unknown and start.count("(") > start.count(")"):  # YAML ends an unquoted text at the comma
            problems.append(f'{key}: put the domain in quotes: space: "{", ".join([start, *unknown])}"')
            continue
        if unknown or "space" not in content:
            problems.append(f"{key} = {one!r}: accepted: {{space: DOMAIN, when: {{KEY: VALUE}}}}")
            continue
        try:
            domain = read_domain(content["space"])
        except ValueError as error:
            problems.append(f"{key} = {content['space']!r}: {error}")
        else:
            found.append(_Draft(key, domain, content.get("when"), len(alternatives)))
    return found


def _condition(
    draft: _Draft, drafts: list[_Draft], given: set[str], problems: list[str], lenient: bool
) -> tuple[Condition, str]:
    """The condition of `draft`, and its text; lenient: values that its keys cannot have are passed over in silence."""
    when: Condition = {}
    texts = []
    if draft.when is not None and not (isinstance(draft.when, dict) and draft.when):
        problems.append(f"{draft.key}: when = {draft.when!r}: accepted: {{KEY: VALUE}} or {{KEY: [VALUE, VALUE]}}")
        return {}, ""
    for key, wanted in flat(draft.when).items():
        label = f"{draft.key}: when {key} = {wanted!r}"
        parents = [one for one in drafts if one.key == key]
        if key not in given:
            others = sorted({one.key for one in drafts} - {draft.key})
            problems.append(f"{label}: {key} is not swept; accepted: {', '.join(others) or 'nothing else is swept'}")
        elif len(parents) > 1:
            problems.append(f"{label}: a condition cannot name a key that has several domains")
        elif parents and isinstance(parents[0].domain, Interval) and not parents[0].domain.whole:
            problems.append(
                f"{label}: a condition needs a key with values that can be named; accepted: choice or range"
            )
        elif parents:
            domain = parents[0].domain
            try:
                when[key] = _accepted(_values(wanted, domain), domain, lenient)
            except ValueError as error:
                problems.append(f"{label}: {error}")
                continue
            written = [domain.written(value) for value in when[key]] or [override.written(wanted)]
            texts.append(f"{key}={written[0]}" if len(written) == 1 else f"{key} in [{','.join(written)}]")
    return when, " and ".join(texts)


def _accepted(values: list[Any], domain: Domain, lenient: bool) -> tuple[Scalar, ...]:
    """The values as Optuna stores them, each once. Raises ValueError for one that cannot occur, unless lenient."""
    found = []
    for value in values:
        try:
            found.append(domain.encode(value))
        except ValueError:
            if not lenient:
                raise
    return tuple(dict.fromkeys(found))


def _values(wanted: Any, domain: Domain) -> list[Any]:
    """The values that a condition accepts, as a list. A list may also be one value, where the domain has lists.

    Raises ValueError for an empty list.
    """
    if not isinstance(wanted, list):
        return [wanted]
    try:
        domain.encode(wanted)
    except ValueError:
        if not wanted:
            raise ValueError("no value; name one at least") from None
        return wanted
    return [wanted]


def _ordered(found: list[Dimension], problems: list[str]) -> list[Dimension]:
    """The dimensions, each after those that its condition names, otherwise as given; a circle is a problem."""
    ordered: list[Dimension] = []
    waiting = list(found)
    while waiting:
        late = {one.key for one in waiting}
        ready = next((one for one in waiting if not late & one.when.keys()), None)
        if ready is None:
            names = ", ".join(dict.fromkeys(one.key for one in waiting))
            problems.append(f"{names}: the conditions wait for each other in a circle; leave out one `when`")
            return ordered
        waiting.remove(ready)
        ordered.append(ready)
    return ordered


def _refuse_impossible(one: Dimension, dimensions: list[Dimension], problems: list[str]) -> None:
    """Adds to `problems` why the condition of `one` never holds, if so."""
    for key, values in required(one, dimensions).items():
        if not values:
            problems.append(f"{one.key}: when {one.condition}: never holds, what it needs of {key} excludes itself")


def _exclude(dimensions: list[Dimension], problems: list[str]) -> None:
    """Adds a problem for every two domains of one key whose conditions may hold at the same time."""
    needed = {id(one): required(one, dimensions) for one in dimensions}
    for index, one in enumerate(dimensions):
        for other in dimensions[:index]:
            both = needed[id(one)], needed[id(other)]
            apart = any(not set(both[0][key]) & set(both[1][key]) for key in both[0].keys() & both[1].keys())
            if other.key == one.key and not apart:
                problems.append(
                    f"{one.key}: has two domains where {other.condition or 'always'} and {one.condition or 'always'}; "
                    "let their conditions exclude each other"
                )
