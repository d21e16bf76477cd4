"""A study that is killed again and again (`kill -9`), each time started anew with the same command: is all of it there?

A small study on the digits, two trials at once, ASHA, recorded in MLflow. Each process is killed at a random moment:
within SPREAD seconds after the study has reached a number of finished trials that was drawn before, so some die while
they start, some while they train, some while they write. The last one may end by itself. Afterwards every place must
have exactly one trial that is complete or pruned, none may run, and MLflow must say the same of every trial as Optuna:
status, value, curve and parameters.

The processes come from a server that has imported the libraries, so that they die in their own work and not in imports.

    python -m benchmarks.kills                          20 kills, 40 trials: a few minutes on two cores
    python -m benchmarks.kills --kills 5 --trials 10

Exit status: 0 all agrees; 1 something is lost, double or different; 2 a process ended by itself with an error, or a
store cannot be opened any more.
"""

import multiprocessing
import os
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from benchmarks import command, machine
from benchmarks.report import markdown
from src.config.error import UserError
from src.config.files import write_json

STUDY = "killed"
SPREAD = 3.0  # seconds: about twice what a process needs until its first trial trains
POLL = 0.05  # seconds between two looks at the store
LAST = 0.8  # the part of the trials by which the last kill comes, because a study that is done cannot be killed
SWEEP = [
    "-m",
    "hydra/sweeper=optuna",
    f"hydra.sweeper.study_name={STUDY}",
    "hydra.sweeper.pruner=asha",
    "hydra.sweeper.pruner_options={min_resource: 4, reduction_factor: 2}",
    "hydra.launcher.max_members=2",
    "data=digits",
    "model.maps=[]",
    "model.hidden=[20]",
    "max_epochs=16",
    "figures=false",
    "trainer.engine=cpu",
    "trainer.threads=1",
    "trainer.chunk=60",
    "optim.eta=tag(log, interval(0.03, 1))",
    "model.activation=sigmoid,tanh",
]

# Modules that the server has imported from which the command's processes start.
PRELOADED = ["src.commands.train", "src.sweep.trials", "torch", "mlflow.tracking", "alembic.command"]
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(PRELOADED)


@dataclass
class Lives:
    """The processes of one study, and how they ended."""

    seconds: list[float] = field(default_factory=list)  # how long each one lived
    places: list[int] = field(default_factory=list)  # finished trials at the end of each one
    killed: int = 0  # processes that were killed


def live(folder: Path, arguments: list[str]) -> NoReturn:
    """Runs the command in this process, with a checkpoint after each epoch; its output goes to folder/printed.txt."""
    from src.commands import train
    from src.runs import checkpoint

    checkpoint.KEEP_SECONDS, checkpoint.SHARE = 0.0, 1e9
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open("printed.txt", "a", encoding="utf-8") as printed:  # noqa: PTH123
        os.dup2(printed.fileno(), 1)
        os.dup2(printed.fileno(), 2)
    sys.argv = ["train", *arguments]
    train.main()
    sys.exit(0)


def kill_and_resume(
    folder: Path, kills: int, trials: int, seed: int, told: Callable[[str], None] = lambda line: None
) -> Lives:
    """Runs the study in `folder` to its end, killing its process `kills` times and starting it anew.

    Raises UserError where a process ends by itself with an error.
    """
    moments = random.Random(seed)
    after = sorted(moments.randint(0, int(LAST * trials)) for _ in range(kills))
    arguments, lives = [*SWEEP, f"hydra.sweeper.n_trials={trials}"], Lives()
    for places in [*after, None]:
        start = time.monotonic()
        process = PROCESSES.Process(target=live, args=(folder, arguments), daemon=True)
        process.start()
        if places is not None:
            while process.is_alive() and finished(folder) < places:
                process.join(POLL)
            process.join(moments.uniform(0, SPREAD))
            process.kill()
        process.join()
        if process.exitcode not in (0, -signal.SIGKILL):
            lines = (folder / "printed.txt").read_text(encoding="utf-8").splitlines()
            raise UserError(f"The command ended with status {process.exitcode}:\n" + "\n".join(lines[-30:]))
        lives.killed += process.exitcode != 0
        lives.seconds.append(time.monotonic() - start)
        lives.places.append(finished(folder))
        how = "killed" if process.exitcode else "ended"
        told(f"{how} after {lives.seconds[-1]:.1f} s: {lives.places[-1]} of {trials} trials finished")
    return lives


def finished(folder: Path) -> int:
    """The number of complete and pruned trials in the store, read while the study writes to it; 0 without a store."""
    path = folder / "mlruns" / "studies.db"
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(path, timeout=60)) as store:
            row = store.execute("select count(*) from trials where state in ('COMPLETE', 'PRUNED')").fetchone()
        return int(row[0])
    except sqlite3.OperationalError:  # the tables are not there yet
        return 0


# Reading what is compared.


def stored(folder: Path, study: str = STUDY) -> list[Any]:
    """The study's trials as Optuna reads them."""
    import optuna

    storage = optuna.storages.RDBStorage(f"sqlite:///{folder}/mlruns/studies.db")
    trials = optuna.load_study(study_name=study, storage=storage).get_trials(deepcopy=False)
    storage.remove_session()
    storage.engine.dispose()
    return trials


def client(folder: Path) -> Any:
    """MLflow's client for the store in `folder`. Raises UserError where MLflow cannot open it."""
    from mlflow import MlflowClient

    try:
        return MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
    except Exception as error:
        line = str(error).splitlines()[0] if str(error) else repr(error)
        raise UserError(f"MLflow cannot open its store any more: {line}") from error


def tracked(store: Any) -> list[Any]:
    """All runs in the store."""
    experiments = [experiment.experiment_id for experiment in store.search_experiments()]
    return list(store.search_runs(experiments, max_results=10_000))


def disagreements(folder: Path, trials: int, study: str = STUDY) -> list[str]:
    """The errors in what a study of `trials` trials has left, a line each; [] where there are none."""
    found, store = stored(folder, study), client(folder)
    wrong = _wrong_places(found, trials) + _wrong_files(found, folder)
    runs = tracked(store)
    parents = [run for run in runs if run.data.tags.get("kind") == "study"]
    if [(run.info.status, run.data.tags["status"]) for run in parents] != [("FINISHED", "FINISHED")]:
        wrong.append(f"MLflow has {[run.info.status for run in parents]} for the study, instead of one FINISHED run")
    by_number: dict[str, list[Any]] = {}
    for run in runs:
        if run.data.tags.get("kind") == "trial":
            by_number.setdefault(run.data.tags["number"], []).append(run)
    for trial in found:
        own = by_number.pop(str(trial.number), [])
        if len(own) != 1:
            wrong.append(f"trial number {trial.number} has {len(own)} runs in MLflow")
            continue
        wrong += [f"trial number {trial.number}: {line}" for line in _differences(trial, own[0], store)]
    return wrong + [f"MLflow has a trial number {number}, Optuna has not" for number in by_number]


def status(trial: Any) -> str:
    """How an Optuna trial ended, in the words of the tag in MLflow."""
    if trial.state.name == "FAIL":
        return "KILLED" if trial.user_attrs.get("killed") else "FAILED"
    return {"COMPLETE": "FINISHED"}.get(trial.state.name, str(trial.state.name))


def _wrong_places(found: Sequence[Any], trials: int) -> list[str]:
    """Trial numbers without exactly one trial that counts, trials that still run, repeats with other parameters."""
    states = [(trial.user_attrs.get("place"), status(trial)) for trial in found]
    counted = Counter(place for place, state in states if state in ("FINISHED", "PRUNED"))
    wrong = [f"place {place}: {counted[place]} trials count" for place in range(trials) if counted[place] != 1]
    wrong += [f"place {place} is none of {trials}" for place in counted if place not in range(trials)]
    known = ("FINISHED", "PRUNED", "KILLED")
    wrong += [f"a trial in place {place} is {state}" for place, state in states if state not in known]
    attempts = {(trial.user_attrs["place"], trial.user_attrs["attempt"]): trial for trial in found}
    for (place, attempt), trial in attempts.items():
        if trial.user_attrs.get("fruitless") and trial.params != attempts[place, attempt - 1].params:
            wrong.append(f"place {place}: attempt {attempt} has other parameters than the one that was killed")
    return wrong + (["two trials are the same attempt"] if len(attempts) < len(found) else [])


def _wrong_files(found: Sequence[Any], folder: Path) -> list[str]:
    """Trials that count but lack results or weights, or still have a checkpoint."""
    names = ("result.json", "member-00/weights.pt")
    left = [f"{path} is left" for path in sorted(folder.glob("mlruns/hydra/**/*checkpoint.pt*"))]
    return left + [
        f"trial number {trial.number}: {name} is missing"
        for trial in found
        if status(trial) in ("FINISHED", "PRUNED")
        for name in names
        if not (folder / trial.user_attrs["folder"] / name).is_file()
    ]


def _differences(trial: Any, run: Any, store: Any) -> list[str]:
    """The differences between a trial in Optuna and its run in MLflow."""
    here, there = status(trial), (run.data.tags.get("status"), run.info.status)
    wrong = [] if there == (here, "FINISHED" if here == "PRUNED" else here) else [f"{here}, in MLflow {there}"]
    if here not in ("FINISHED", "PRUNED"):
        return wrong  # a killed trial need not have left anything else
    value = run.data.metrics.get("best/validation_accuracy")
    if here == "FINISHED" and trial.value != value:
        wrong.append(f"value {trial.value}, in MLflow {value}")
    curve = {one.step: one.value for one in store.get_metric_history(run.info.run_id, "validation/accuracy")}
    if curve != trial.intermediate_values:
        wrong.append(f"curve {trial.intermediate_values}, in MLflow {curve}")
    texts = {key: run.data.params.get(key) for key in trial.params}
    if texts != {key: str(setting) for key, setting in trial.params.items()}:
        wrong.append(f"params {trial.params}, in MLflow {texts}")
    return wrong


def main() -> None:
    """The command."""
    parser = command.parser("kills", __doc__)
    parser.add_argument("--kills", type=command.at_least_one, default=20)
    parser.add_argument("--trials", type=command.at_least_one, default=40)
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default 0)")
    options = parser.parse_args()
    kills, trials = (3, 10) if options.quick else (options.kills, options.trials)
    print(f"{kills} kills of a study of {trials} trials\n\n{machine.header()}\n", flush=True)
    with TemporaryDirectory() as name:
        start = time.monotonic()
        lives = kill_and_resume(Path(name), kills, trials, options.seed, lambda line: print(f"- {line}", flush=True))
        seconds = time.monotonic() - start
        found, wrong = stored(Path(name)), disagreements(Path(name), trials)
    rows = figures(lives, found, wrong, seconds)
    print("\n".join(["", *markdown(["", ""], [[name, str(number)] for name, number in rows.items()]), ""]))
    print("\n".join(["WRONG:", *wrong]) if wrong else "Nothing is lost, double or different.")
    if options.json:
        write_json(options.json, rows | {"lives": lives.seconds, "places": lives.places, "wrong": wrong})
    sys.exit(1 if wrong else 0)


def figures(lives: Lives, found: Sequence[Any], wrong: Sequence[str], seconds: float) -> dict[str, int]:
    """The figures on which the verdict rests, by name."""
    counts = Counter(map(status, found))
    return {
        "processes killed": lives.killed,
        "trials begun": len(found),
        **{state.lower(): counts[state] for state in ("FINISHED", "PRUNED", "KILLED", "FAILED", "RUNNING")},
        "begun again in their place": sum(trial.user_attrs["attempt"] > 0 for trial in found),
        "of these went on": sum("resumed" in trial.user_attrs for trial in found),
        "seconds in all": round(seconds),
        "disagreements": len(wrong),
    }


if __name__ == "__main__":
    command.run(main)
