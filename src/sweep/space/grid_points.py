"""The points of a grid, all combinations of a finite search space, and which of them the next trial takes.

A *place* is a number in a study's budget, from 0: each place is to end with one trial.
"""

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
    """The points of a grid, in `all`: one dictionary a point, a dimension's name -> its value.

    The last dimension varies fastest; where the budget does not cover all points, their order is random by the seed.
    """

    def __init__(self, settings: StudySettings, space: Space) -> None:
        values = space.grid()
        self.all = [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]
        if settings.n_trials < len(self.all):
            random.Random(settings.seed).shuffle(self.all)

    def next(self, used: Iterable[dict[str, Any]], wanted: dict[str, Any]) -> dict[str, Any]:
        """The next point: the first that no trial has had, of those that contain `wanted` where there are any.

        used: the parameters of the trials so far. wanted: names -> values that a fixed first trial asks for.
        """
        seen = {frozenset(params.items()) for params in used}
        left = [point for point in self.all if frozenset(point.items()) not in seen]
        return next((point for point in left if wanted.items() <= point.items()), left[0])
