"""All combinations of a finite space; a place takes the first one that no place before it had."""

import itertools
import random
from collections.abc import Iterable
from typing import Any

from src.sweep.space.settings import StudySettings
from src.sweep.space.space import Space


def total(settings: StudySettings, space: Space) -> int:
    """How many places a study will have: `n_trials`, or the grid's points where these are fewer."""
    points = space.size() if settings.sampler == "grid" else None
    return settings.n_trials if points is None else min(settings.n_trials, points)


class GridPoints:
    """`all`: names -> values, as listed, the last dimension fastest; in random order where the budget is smaller."""

    def __init__(self, settings: StudySettings, space: Space) -> None:
        values = space.grid()
        self.all = [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]
        if settings.n_trials < len(self.all):
            random.Random(settings.seed).shuffle(self.all)

    def next(self, used: Iterable[dict[str, Any]], wanted: dict[str, Any]) -> dict[str, Any]:
        """The first point that is not among the parameters of trials in `used`; one that has `wanted`, if any has."""
        seen = {frozenset(params.items()) for params in used}
        left = [point for point in self.all if frozenset(point.items()) not in seen]
        return next((point for point in left if wanted.items() <= point.items()), left[0])
