"""The tool in Python: train and sweep do what the command python -m src.train does, and return what it has made.

    from src import train, sweep, load_study, load_run

    run = train(exp="conv2_relu", repeats=3, optim=dict(eta=0.1))
    study = sweep({"data": "digits", "model.hidden": "choice([30], [100])"}, study="width", trials=8)

Nothing heavy is imported before a call.
"""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.config.error import ConfigError, TrialFailed, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from src.api.command import Begun
    from src.api.nested import Nested
    from src.api.run import Run
    from src.api.study import Study


class Stopped(KeyboardInterrupt):
    """The user has stopped a run or a sweep. `kept`: the Run or Study with what was computed, None without any."""

    def __init__(self, message: str, kept: "Run | Study | Nested | None") -> None:
        super().__init__(message)
        self.kept = kept


def train(config: "Mapping[str, Any] | None" = None, /, **keywords: Any) -> "Run | None":
    """Trains one run, a stack of all its repeats and ensembles, as python -m src.train KEY=VALUE … does.

    config, keywords: the configuration, as nested dicts, dotted keys or both: train({"data": "digits", "model.hidden":
    [30]}, optim=dict(eta=0.1)); a group (exp, data, model, optim, …) takes the name of an option. A keyword wins over
    the same key in `config`. Returns the Run; None with plan=True. Raises UserError, with the paragraph that the
    command would print, where something is wrong, and Stopped after Ctrl-C.
    """
    from src.api.overrides import flat, overrides

    keys = flat(config, keywords)
    if keys.get("sweeps") is not None or "hydra.mode" in keys:
        raise ConfigError("sweeps, hydra.mode: are of a sweep; accepted: sweep(sweeps=NAME)")
    run: Run | None = _made(overrides(keys), plan=keys.get("plan") is True)
    return run


def sweep(
    config: "Mapping[str, Any] | None" = None,
    /,
    *,
    study: str | None = None,
    trials: int | None = None,
    **keywords: Any,
) -> "Study | Nested | None":
    """Runs an Optuna study whose trials train as stacks, as python -m src.train -m hydra/sweeper=optuna … does.

    config, keywords: as `train` takes them; a text such as "interval(0.01, 1)", "tag(log, interval(0.001, 1))",
    "choice([30], [100])" or "0.1,0.3" is the space of its key. sweeps=NAME takes a file of sweeps/. study: its name,
    under which the same call goes on with it; trials: how many in all. Settings of studies are keywords too: storage,
    sampler, pruner, objectives, timeout_minutes, … (docs/sweeps.md).
    Returns the Study (of nested=5 a Nested, with one an outer fold); None with plan=True. Raises as
    `train`; TrialFailed where trials have no results, with the study in its attribute `kept`.
    """
    from src.api.overrides import flat, overrides

    keys = flat(config, _of_study(dict(keywords) | {"study": study, "trials": trials}))
    arguments = overrides(keys, sweeps=True)
    if keys.get("sweeps") is None:
        arguments = ["-m", *([] if "hydra/sweeper" in keys else ["hydra/sweeper=optuna"]), *arguments]
    made: Study | Nested | None = _made(arguments, plan=keys.get("plan") is True)
    return made


def _of_study(keywords: dict[str, Any]) -> dict[str, Any]:
    """The keywords with those of studies under their keys; None for a study's name or budget leaves the default."""
    from src.config.schema import RunConfig
    from src.sweep.space.settings import StudySettings

    names = {name: f"hydra.sweeper.{name}" for name in StudySettings.model_fields if name not in RunConfig.model_fields}
    names |= {"study": names["study_name"], "trials": names["n_trials"], "max_members": "hydra.launcher.max_members"}
    given = {name: one for name, one in keywords.items() if one is not None or name not in ("study", "trials")}
    return {names.get(name, name): value for name, value in given.items()}


def _made(arguments: list[str], plan: bool) -> Any:
    """Runs the command with these arguments; returns the Run or Study that it has made, None for a plan."""
    from src.api import command

    begun = command.Begun()
    try:
        command.run(arguments, begun)
    except TrialFailed as error:
        vars(error)["kept"] = _kept(begun)
        raise
    except KeyboardInterrupt:
        kept = _kept(begun)
        raise Stopped(f"Stopped{f'; what is there is kept: {kept!r}' if kept else ''}.", kept) from None
    return None if plan else _result(begun)


def _kept(begun: "Begun") -> Any:
    """What a command that has ended early has made; None where it has made nothing."""
    with suppress(UserError):
        return _result(begun) if begun.hydra is not None else None


def _result(begun: "Begun") -> "Run | Study | Nested":
    from src.api.nested import load_nested
    from src.api.run import load_run
    from src.api.study import load_study

    own = begun.hydra
    if own.mode.name == "MULTIRUN" and own.sweeper.get("nested") is not None:
        return load_nested(str(own.sweeper.study_name), str(own.sweeper.storage))
    if own.mode.name == "MULTIRUN":
        return load_study(str(own.sweeper.study_name), str(own.sweeper.storage))
    return load_run(Path(str(own.run.dir)))
