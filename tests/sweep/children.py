"""Processes that work on a study, and that are killed on the way; the objective trains nothing."""

import os
import signal
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from benchmarks.kills import PRELOADED, PROCESSES
from src.sweep.space.settings import StudySettings
from src.sweep.space.space import Space
from src.sweep.studies.study import Ask, Study, open_study

PARAMS = {
    "optim.eta": "tag(log, interval(0.001, 1))",
    "model.dropout": "interval(0, 0.8)",
    "model.activation": "sigmoid,tanh,relu",
}
EPOCHS = 3

# Children start from a server that has imported everything: within milliseconds, and without the parent's threads. A
# process of tests has one server, so it imports what any of them needs.
PROCESSES.set_forkserver_preload([*PRELOADED, "tests.sweep.children", "optuna.storages"])


def in_file(folder: Path, **changes: Any) -> StudySettings:
    """A study in an SQLite file of its own."""
    return StudySettings(study_name="study", storage=f"sqlite:///{folder}/mlruns/studies.db", **changes)


def opened(settings: StudySettings, params: dict[str, Any] | None = None) -> Study:
    """The study, silently."""
    return open_study(settings, Space.parse(PARAMS if params is None else params), {"data": "digits"}, lambda _: None)


def accuracy(params: dict[str, Any]) -> float:
    """What a trial reaches: best at eta = 0.1 and dropout = 0.4."""
    return 1 - abs(params["optim.eta"] - 0.1) - (params["model.dropout"] - 0.4) ** 2


def train(study: Study, ask: Ask) -> None:
    """All epochs of one trial; every fourth place is pruned in its first."""
    for epoch in range(1, EPOCHS + 1):
        study.report(ask, epoch, accuracy(ask.params) * epoch / EPOCHS)
        if ask.place % 4 == 3:
            study.tell(ask, "PRUNED", attrs={"epochs": epoch})
            return
    study.tell(ask, "COMPLETE", [accuracy(ask.params)], {"epochs": EPOCHS})


def work(settings: StudySettings, count: int = 2, params: dict[str, Any] | None = None) -> None:
    """Trains until nothing is left."""
    with opened(settings, params) as study:
        while asks := study.ask(count):
            for ask in asks:
                train(study, ask)


def start(function: Any, *arguments: Any) -> Any:
    """A process that calls `function`."""
    process = PROCESSES.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def crash(settings: StudySettings, count: int) -> None:
    """Another process asks for `count` trials, reports one epoch of each, and is killed."""
    process = start(_ask_and_die, settings, count)
    process.join()
    assert process.exitcode == -signal.SIGKILL


def _ask_and_die(settings: StudySettings, count: int) -> None:
    study = opened(settings)
    for ask in study.ask(count):
        study.report(ask, 1, 0.5)
    os.kill(os.getpid(), signal.SIGKILL)


def stored(settings: StudySettings) -> list[FrozenTrial]:
    """The study's trials as Optuna itself reads them."""
    storage = RDBStorage(settings.storage)
    trials = optuna.load_study(study_name=settings.study_name, storage=storage).get_trials(deepcopy=False)
    storage.engine.dispose()
    return trials


def check_finished(settings: StudySettings) -> None:
    """Every place has one trial that counts, none runs, and every second attempt repeats the parameters before it."""
    trials = stored(settings)
    assert [trial.number for trial in trials] == list(range(len(trials)))
    counted = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    assert sorted(trial.user_attrs["place"] for trial in counted) == list(range(settings.n_trials))
    others = [trial for trial in trials if trial not in counted]
    assert all(trial.state == TrialState.FAIL and trial.user_attrs["killed"] for trial in others)
    by_place = {(trial.user_attrs["place"], trial.user_attrs["attempt"]): trial for trial in trials}
    assert len(by_place) == len(trials)
    for (place, attempt), trial in by_place.items():
        assert attempt == 0 or (place, attempt - 1) in by_place
        if attempt % 2:
            assert trial.params == by_place[place, attempt - 1].params
    for trial in counted:
        assert len(trial.intermediate_values) == trial.user_attrs["epochs"]
