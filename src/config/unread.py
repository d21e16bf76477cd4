"""Keys that are set while nothing that a run or a sweep chooses reads them, so that setting them would do nothing."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from src.config import augment, own_network
from src.config.average import AVERAGES
from src.config.data import WHITENED
from src.config.problems import written
from src.config.schema import RULES, SCHEDULES, STOPS, PretrainConfig, RunConfig
from src.config.task import TASK_KEYS, TIED

_OF_SOME_TASKS = {key for keys in TIED.values() for key in keys}
_OF_ALL_TASKS = tuple(key for key in PretrainConfig.model_fields if key not in {"task", *_OF_SOME_TASKS})
_PRETRAINED = {"none": (), **{task: (*keys, *_OF_ALL_TASKS) for task, keys in TIED.items()}}


class _Choice(NamedTuple):
    """A key of a section whose value says which of the section's other keys are read."""

    section: str
    key: str
    written: str  # how a command line names it
    readers: Mapping[str, tuple[str, ...]]  # by value: the keys that it reads and some other values do not
    only_typed: bool = False  # whether keys count only where they are typed, as experiments set those of their choice


_CHOICES = (
    _Choice("optim", "rule", "optim.rule", RULES),
    _Choice("optim", "schedule", "optim.schedule", SCHEDULES),
    _Choice("task", "name", "task", TASK_KEYS),
    _Choice("pretrain", "task", "pretrain", _PRETRAINED),
    _Choice("data", "normalise", "data.normalise", dict.fromkeys(WHITENED, ("epsilon",))),
    _Choice("stop", "rule", "stop", STOPS, only_typed=True),
    _Choice("average", "rule", "average", AVERAGES, only_typed=True),
)


def unread_keys(configs: Sequence[RunConfig], overrides: Sequence[str] = ()) -> list[str]:
    """A line for each key that has another value than its default, but that nothing reads.

    configs: that of one run, or those of all trials of a sweep. It is enough that one trial's rule reads a key: a sweep
    over rules sets the keys of all of them. overrides: those of the command line, or of all trials. Of stop and average
    only keys count that they set, so that +exp=NAME stop=none leaves out what the experiment has set.
    """
    return [
        *(line for choice in _CHOICES for line in _unread(choice, configs, overrides)),
        *_without_effect(configs),
        *augment.unread(configs),
        *own_network.unread(configs),
    ]


def _unread(choice: _Choice, configs: Sequence[RunConfig], overrides: Sequence[str]) -> list[str]:
    sections = [getattr(config, choice.section) for config in configs]
    chosen = list(dict.fromkeys(getattr(section, choice.key) for section in sections))
    keys = dict.fromkeys(key for own in choice.readers.values() for key in own)
    lines = []
    for key in sorted(keys.keys() - {key for one in chosen for key in choice.readers.get(one, ())}):
        name = f"{choice.section}.{key}"
        value, default = _set(sections, key)
        if value == default or (choice.only_typed and name not in typed(overrides)):
            continue
        readers = ",".join(one for one, own in choice.readers.items() if key in own)
        line = f"{name} = {written(value)}: {choice.written}={','.join(chosen)} does not read it; accepted: "
        line += f"{written(default)}, or {choice.written}={readers}"
        if choice.section == "pretrain" and chosen == ["none"]:
            line += "; pretrain.max_epochs=0 leaves an experiment's pretraining out"
        lines.append(line)
    return lines


def _without_effect(configs: Sequence[RunConfig]) -> list[str]:
    """The lines of keys that change how something is done which none of the configurations does."""
    lines, every = [], max(config.snapshot_every_epochs for config in configs)
    if any(one.optim.nesterov for one in configs) and not any(one.optim.momentum for one in configs):
        lines.append(
            "optim.nesterov = True: optim.momentum is 0; accepted: false, or optim.momentum above 0, such as 0.9"
        )
    if every > 1 and not any(config.snapshots for config in configs):
        lines.append(f"snapshot_every_epochs = {every}: snapshots is 0; accepted: 1, or snapshots above 0")
    return lines


def _set(sections: Sequence[Any], key: str) -> tuple[Any, Any]:
    """The first value of `key` in these sections that is not its default, else the default; and the default."""
    default = type(sections[0]).model_fields[key].default
    return next((value for one in sections if (value := getattr(one, key)) != default), default), default


def typed(overrides: Sequence[str]) -> set[str]:
    """The keys that these overrides set."""
    return {one.lstrip("+").partition("=")[0] for one in overrides}
