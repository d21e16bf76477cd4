"""Small studies in a SQLite file, as a sweep leaves them: for tests of whatever reads them."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from src.config.address import STUDIES
from src.sweep.studies.study_record import Study, read_trial

ACTIVATION = CategoricalDistribution(["sigmoid", "tanh", "relu"])
SPACE: dict[str, BaseDistribution] = {
    "optim.eta": FloatDistribution(0.001, 1.0, log=True),
    "model.activation": ACTIVATION,
    "model.dropout": FloatDistribution(0.0, 0.5),
    "batch_size": IntDistribution(5, 50),
}
EPOCHS = 10


def members(validation: Sequence[float | None], test: Sequence[float | None], seed: int = 0) -> list[dict[str, Any]]:
    """One network a pair of accuracies, with consecutive seeds; without a validation accuracy it diverged."""
    return [
        {"seed": seed + place, "repeat": place, "vote": 0, "status": "FAILED" if v is None else "FINISHED"}
        | {"best_epoch": 3, "epochs": EPOCHS, "validation_accuracy": v, "test_accuracy": t}
        for place, (v, t) in enumerate(zip(validation, test, strict=True))
    ]


def trial(
    place: int,
    params: dict[str, Any] | None = None,
    validation: Sequence[float | None] = (0.9,),
    test: Sequence[float | None] | None = None,
    *,
    state: TrialState = TrialState.COMPLETE,
    values: Sequence[float] | None = None,
    space: dict[str, BaseDistribution] = SPACE,
    curve: dict[int, float] | None = None,
    **attrs: Any,
) -> FrozenTrial:
    """A trial as a sweep leaves it; `attrs` replace its attributes, None leaves one out."""
    mean = sum(value or 0 for value in validation) / len(validation) if validation else None
    params = {"optim.eta": 0.1, "model.activation": "relu", "model.dropout": 0.1, "batch_size": 10} | (params or {})
    params = {key: value for key, value in params.items() if key in space}
    notes = {
        "place": place, "attempt": 0, "label": "eta=0.1", "folder": f"mlruns/{place}", "parameters": 1000 + place,
        "max_epochs": EPOCHS, "epochs": EPOCHS * len(validation), "seconds": 2.5,
        "members": members(validation, test if test is not None else [v and v - 0.01 for v in validation]),
    } | attrs  # fmt: skip
    if values is None and state == TrialState.COMPLETE and mean is not None:
        values = [mean]
    return create_trial(
        state=state,
        values=list(values) if values is not None else None,
        params=params,
        distributions={key: space[key] for key in params},
        intermediate_values=curve if curve is not None else {},
        user_attrs={key: value for key, value in notes.items() if value is not None},
    )


def diverged(place: int, params: dict[str, Any] | None = None) -> FrozenTrial:
    """A trial whose network had no finite validation cost; its one report is what one class of ten gives."""
    return trial(place, params, [None], state=TrialState.PRUNED, curve={1: 0.1}, epochs=1,
                 reason="diverged: no finite validation cost in any epoch")  # fmt: skip


def store(path: Path) -> str:
    """Optuna's address of a SQLite file."""
    return f"sqlite:///{path}"


def noted(name: str, count: int, settings: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    """What a sweep notes about its study."""
    given = {"study_name": name, "n_trials": count, "sampler": "tpe", "seed": 0, "pruner": "none"}
    objectives = {"objectives": ["validation_accuracy"], "constraints": [], "first": [], "max_failures": 5}
    identity = {"identity": {"dataset": "mnist"}, "uid": "0", "created": "2026-01-01T00:00:00+00:00"}
    total = {"total": settings.get("n_trials", count)}
    return identity | total | attributes | {"settings": given | objectives | settings}


def made(
    trials: Sequence[FrozenTrial],
    name: str = "activation",
    maximised: Sequence[bool] = (True,),
    settings: dict[str, Any] | None = None,
    **attributes: Any,
) -> Study:
    """A study as it is read, without a store. `settings=None`: made by hand."""
    for number, one in enumerate(trials):
        one.number = number
    notes = {} if settings is None else noted(name, len(trials), settings, **attributes)
    return Study(name, STUDIES, list(maximised), [read_trial(one, {}) for one in trials], notes)


def save(
    path: Path,
    trials: Sequence[FrozenTrial],
    name: str = "activation",
    directions: Sequence[str] = ("maximize",),
    settings: dict[str, Any] | None = None,
    **attributes: Any,
) -> str:
    """Puts a study into the file; returns the store's address. `settings=None`: a study made by hand."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(store(path))
    created = optuna.create_study(storage=storage, study_name=name, directions=list(directions))
    if settings is not None:
        created.set_user_attr("sweepstack", noted(name, len(trials), settings, **attributes))
    created.add_trials(trials)
    storage.remove_session()
    storage.engine.dispose()
    return store(path)


def sampled(
    count: int, accuracy: Callable[[dict[str, Any], np.random.Generator], float], repeats: int = 3, pruned: int = 0
) -> list[FrozenTrial]:
    """Random trials of SPACE with curves; the `pruned` worst ones stop after three epochs. The first is published."""
    chance = np.random.default_rng(1)
    drawn = []
    for place in range(count):
        params = {
            "optim.eta": float(10 ** chance.uniform(-3, 0)),
            "model.activation": str(chance.choice(ACTIVATION.choices)),
            "model.dropout": float(chance.uniform(0, 0.5)),
            "batch_size": int(chance.integers(5, 51)),
        }
        if place == 0:
            params |= {"optim.eta": 0.1, "model.activation": "sigmoid"}
        drawn.append((place, params, [accuracy(params, chance) for _ in range(repeats)]))
    worst = sorted(drawn[1:], key=lambda one: sum(one[2]))[:pruned]
    return [_drawn(*one, pruned=one in worst) for one in drawn]


def _drawn(place: int, params: dict[str, Any], reached: list[float], pruned: bool) -> FrozenTrial:
    mean = sum(reached) / len(reached)
    last = 3 if pruned else EPOCHS
    curve = {epoch: mean - 0.3 * math.exp(-epoch / 2) for epoch in range(1, last + 1)}
    if pruned:
        early = [value - 0.3 * math.exp(-1.5) for value in reached]
        return trial(place, params, early, [None] * len(early), state=TrialState.PRUNED, curve=curve,
                     epochs=3 * len(reached))  # fmt: skip
    return trial(place, params, reached, [value - 0.003 for value in reached], curve=curve)
