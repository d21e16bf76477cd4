"""Finds the first difference, bit for bit, between the files that a run left on two sides: study, histories, weights,
votes.

What both sides have is compared; what only one side has is named (`Comparison.unmatched`). The configuration and all
times are left out. Bits are compared: NaN equals itself, and 0.0 differs from -0.0.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
import torch
from torch import Tensor

from benchmarks.replays import Replay

OF_THE_CLOCK = {"seconds", "images_per_second"}
NORM = "weight_norm/"  # before a layer's name, in a history
LAST = float("inf")  # the epoch that stands for values that are known only at a run's end
Flat = dict[str, Any]  # name -> number, text, boolean or None


@dataclass(frozen=True)
class Difference:
    """The first difference: a field with its two values, and the first layer whose weights differ, if one does."""

    what: str
    old: object
    new: object
    epoch: float = LAST
    layer: str = ""
    member: str = ""
    trial: str = ""

    def cells(self) -> list[str]:
        """The row of a table: trial, member, epoch, layer, field, old value, new value."""
        epoch = "end" if self.epoch == LAST else f"{self.epoch:g}"
        own = [self.trial, self.member, epoch, self.layer, self.what, str(self.old), str(self.new)]
        return [cell or "–" for cell in own]


@dataclass
class Comparison:
    """The comparison of one run on two sides: how much was compared, what differs first, what only one side has."""

    trials: int = 0
    networks: int = 0
    differing: int = 0  # trials
    first: Difference | None = None
    unmatched: set[str] = field(default_factory=set)

    def common(self, what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
        """The names that both sides have, in order; those that one side lacks are noted in `unmatched` under `what`."""
        self.unmatched |= {f"{what} {name} (only REV)" for name in old.keys() - new.keys()}
        self.unmatched |= {f"{what} {name} (only here)" for name in new.keys() - old.keys()}
        return [name for name in old if name in new]

    def fields(self, what: str, old: Flat, new: Flat) -> list[Difference]:
        """The fields whose JSON texts differ; floats have the same text only if all their bits are equal."""
        names = self.common(what, old, new)
        wrong = [name for name in names if json.dumps(old[name]) != json.dumps(new[name])]
        return [Difference(name, old[name], new[name]) for name in wrong]


def compare(replay: Replay, old: Path, new: Path) -> Comparison:
    """Compares the run's files in the two folders where it was started. Raises OSError or ValueError for bad ones."""
    comparison, found = Comparison(), list[Difference]()
    for name, label in _trials(replay, old, new).items():
        comparison.trials += 1
        if difference := _trial(comparison, old / replay.folder / name, new / replay.folder / name):
            found.append(replace(difference, trial=label))
    comparison.differing = len(found)
    comparison.first = min(found, key=lambda one: one.epoch, default=None)
    if replay.is_study:
        comparison.first = _study(_stored(old / replay.store), _stored(new / replay.store)) or comparison.first
    return comparison


def _trials(replay: Replay, old: Path, new: Path) -> dict[str, str]:
    """The folders of the trials of both sides, relative to the run's, each with a label: number and own overrides."""
    if not replay.is_multirun:
        return {".": ""}
    sides = old / replay.folder, new / replay.folder
    names = {path.parent.name for side in sides for path in side.glob("*/result.json")}
    overrides = {}
    for name in sorted(names, key=lambda name: (len(name), name)):
        files = [side / name / ".hydra" / "overrides.yaml" for side in sides]  # Hydra's own: a list, a line each
        lines = next((path.read_text(encoding="utf-8").splitlines() for path in files if path.is_file()), [])
        overrides[name] = [line.removeprefix("- ").strip("'") for line in lines]
    shared = set.intersection(*map(set, overrides.values())) if overrides else set()
    return {
        name: " ".join([name, *(line for line in lines if line not in shared)]) for name, lines in overrides.items()
    }


def _trial(comparison: Comparison, old: Path, new: Path) -> Difference | None:
    """The first difference of two trials' folders."""
    mine, other = ("there" if (side / "result.json").is_file() else "missing" for side in (old, new))
    if "missing" in (mine, other):
        return Difference("result.json", mine, other)
    results = _json(old / "result.json"), _json(new / "result.json")
    comparison.networks += len(results[0])
    found = []
    for number, pair in enumerate(zip(*results, strict=False)):
        name = f"member-{number:02d}"
        if difference := _member(comparison, *pair, old / name, new / name):
            found.append(replace(difference, member=str(number)))
    if len(results[0]) != len(results[1]):
        found.append(Difference("members", len(results[0]), len(results[1])))
    if all((side / "votes.json").is_file() for side in (old, new)):
        found += comparison.fields("votes.json:", *(_flattened(_json(side / "votes.json")) for side in (old, new)))
    return min(found, key=lambda one: one.epoch, default=None)


def _member(comparison: Comparison, old: Flat, new: Flat, old_folder: Path, new_folder: Path) -> Difference | None:
    """The first difference of two networks: in histories, else in weights, else in the other fields of result.json."""
    weights = _weights(comparison, old_folder, new_folder)
    if history := _history(comparison, old["history"], new["history"]):
        return replace(history, layer=weights.layer if weights else history.layer)
    if weights:
        return weights
    apart = {"config", "history"} | OF_THE_CLOCK
    sides = [{name: value for name, value in side.items() if name not in apart} for side in (old, new)]
    return next(iter(comparison.fields("result.json:", *map(_flattened, sides))), None)


def _history(comparison: Comparison, old: list[Flat], new: list[Flat]) -> Difference | None:
    """The first epoch that differs, its first field that differs, and the first layer with another norm in it."""
    for pair in zip(old, new, strict=False):
        rows = [{name: value for name, value in row.items() if name not in OF_THE_CLOCK} for row in pair]
        if wrong := comparison.fields("history:", *rows):
            layers = [one.what.removeprefix(NORM) for one in wrong if one.what.startswith(NORM)]
            what = wrong[0].what + (f" (first of {len(wrong)} fields)" if len(wrong) > 1 else "")
            layer = f"{layers[0]} (its norm)" if layers else ""
            return replace(wrong[0], what=what, epoch=rows[0]["epoch"], layer=layer)
    if len(old) != len(new):
        return Difference("epochs", len(old), len(new), epoch=min(len(old), len(new)) + 1)
    return None


def _weights(comparison: Comparison, old: Path, new: Path) -> Difference | None:
    """The first layer that differs in weights.pt, else in plain_weights.pt, and how many of its values do."""
    files = [{path.name: path for path in sorted(side.glob("*.pt"), reverse=True)} for side in (old, new)]
    for file in comparison.common("file", *files):
        tensors = [torch.load(side[file], map_location="cpu", weights_only=True) for side in files]
        names = comparison.common(f"{file}:", *tensors)
        pairs = {name: (tensors[0][name], tensors[1][name]) for name in names}
        wrong = [name for name, pair in pairs.items() if _bits(pair[0]) != _bits(pair[1])]
        if wrong:
            count, mine, other = _values(*pairs[wrong[0]])
            return Difference(file, mine, other, layer=f"{wrong[0]} ({count}; {len(wrong)} of {len(names)} differ)")
    return None


def _bits(tensor: Tensor) -> tuple[str, tuple[int, ...], bytes]:
    return str(tensor.dtype), tuple(tensor.shape), tensor.contiguous().numpy().tobytes()


def _values(old: Tensor, new: Tensor) -> tuple[str, object, object]:
    """How many values differ, and the first two that do; for tensors of different types or shapes, these."""
    if (old.dtype, old.shape) != (new.dtype, new.shape):
        return "all", f"{old.dtype} {tuple(old.shape)}", f"{new.dtype} {tuple(new.shape)}"
    bits = [one.contiguous().numpy().reshape(-1).view(f"V{one.element_size()}") for one in (old, new)]
    wrong = (bits[0] != bits[1]).nonzero()[0]
    mine, other = (one.reshape(-1)[int(wrong[0])].item() for one in (old, new))
    return f"{len(wrong)} of {old.numel():,} values", mine, other


def _study(old: list[Flat], new: list[Flat]) -> Difference | None:
    """The first trial of a study that differs: in its parameters, else in its reports, else in how it ended."""
    for number, (mine, other) in enumerate(zip(old, new, strict=False)):
        for name in [*mine, *(other.keys() - mine.keys())]:
            if json.dumps(mine.get(name)) != json.dumps(other.get(name)):
                step = float(name.removeprefix("value after epoch ")) if name.startswith("value after") else LAST
                return Difference(f"study: {name}", mine.get(name), other.get(name), step, trial=str(number))
    return None if len(old) == len(new) else Difference("study: trials", len(old), len(new))


def _stored(store: Path) -> list[Flat]:
    """The trials of the one study in a store, in order."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{store}")
    (name,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
    storage.remove_session()
    storage.engine.dispose()
    return [
        {f"parameter {key}": value for key, value in sorted(one.params.items())}
        | {f"value after epoch {step}": value for step, value in sorted(one.intermediate_values.items())}
        | {"state": one.state.name, "values": one.values}
        for one in trials
    ]


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _flattened(content: Any, prefix: str = "") -> Flat:
    """Nested lists and dictionaries as path -> value, the parts of a path joined by dots."""
    if not isinstance(content, dict | list) or not content:
        return {prefix.removesuffix("."): content}
    items = content.items() if isinstance(content, dict) else enumerate(content)
    return {key: leaf for name, value in items for key, leaf in _flattened(value, f"{prefix}{name}.").items()}
