"""The hyperparameters that may differ between the members of a stack, by name.

A name is that of a field of the configuration that is marked PER_MEMBER (src/config/section.py), such as `eta`.
Legend: K members, D dense layers.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor

from src.config.augment import AugmentConfig
from src.config.average import AverageConfig
from src.config.schema import PretrainConfig, RunConfig
from src.config.section import is_per_member
from src.models.own import arguments_number

# Name -> (K,) float64 on the CPU, NaN where a member leaves it out. Others differ: `seed` is (K,) int64, `dropout` is
# (K, D) float32, the probability for the inputs of each dense layer, and `arguments` is (K,) int64, for networks of the
# user's only: what each is built with, by its number in src/models/own.py.
Hyper = dict[str, Tensor]


def hyper_of(configs: Sequence[RunConfig], seeds: Sequence[int]) -> Hyper:
    """The hyperparameters of a stack with one member for each configuration; seeds: the members' own, 0 … 2^32 − 1."""
    each = [dict(_marked(config)) for config in configs]
    hyper = {name: torch.tensor([_number(own[name]) for own in each], dtype=torch.float64) for name in each[0]}
    if configs[0].model.target is not None:
        hyper["arguments"] = torch.tensor([arguments_number(config.model.args) for config in configs])
    return hyper | {
        "dropout": torch.tensor([config.model.dropouts() for config in configs]),
        "seed": torch.tensor(seeds, dtype=torch.int64),
    }


def select(hyper: Hyper, rows: Tensor) -> Hyper:
    """The hyperparameters of the members at the positions `rows` (int64), in that order."""
    return {name: value[rows.to(value.device)] for name, value in hyper.items()}


def joined(hyper: Hyper, others: Hyper) -> Hyper:
    """The hyperparameters of both groups of members: first those of `hyper`, then those of `others`."""
    return {name: torch.cat([value, others[name].to(value.device)]) for name, value in hyper.items()}


def any_member(hyper: Hyper, name: str) -> bool:
    """Whether at least one member has another value of `name` than 0; False where `hyper` has no such name."""
    return name in hyper and bool((hyper[name] != 0).any())


def _marked(section: BaseModel) -> Iterator[tuple[str, Any]]:
    """The fields that are marked as per-member, with their values; those of pretraining belong to its phases.

    Nor those of augment and average, which work on an engine from outside.
    """
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, PretrainConfig | AugmentConfig | AverageConfig):
            continue
        if isinstance(value, BaseModel):
            yield from _marked(value)
        elif is_per_member(field):
            yield name, value


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
