"""The command: python -m src.train +exp=NAME KEY=VALUE …

main -> train(config) -> Trainer.fit -> list[Result]. Heavy libraries are imported after the configuration is checked,
so a mistake is answered at once. Exit status: 0 done; 1 a member failed; 2 the command cannot run; 130 the user
stopped it.
"""

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import uuid4

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from src.commands import help, problems
from src.commands.arguments import at_home
from src.commands.run_records import draw_figures, tracking
from src.config.compose import CONF, opened
from src.config.error import CommandEnded, StoreError, TrialFailed, UserError
from src.config.folder import RUN, claim, owned
from src.training.interrupt import begun

if TYPE_CHECKING:
    from src.config.schema import RunConfig
    from src.data.dataset import Dataset
    from src.runs.checkpoint import Saved
    from src.sweep.job import Job
    from src.tracking.record import Record
    from src.training.interrupt import Interrupt
    from src.training.result import Result
    from src.training.roster import Observer

FAILED, CANNOT_RUN, INTERRUPTED = 1, 2, 130


def main() -> None:
    """Runs the command; errors that the user can mend end it with one paragraph and an exit status, not a traceback."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here instead of being printed by Hydra
    try:
        run_command_line()
    except TrialFailed as error:
        _stop(str(error), FAILED)
    except UserError as error:
        _stop(str(error))
    except KeyboardInterrupt:
        _stop("Stopped.", INTERRUPTED)
    except BrokenPipeError:  # the reader of the output has gone; Python must not write at its exit
        sys.stdout = io.StringIO()
    except OSError as error:
        _stop(f"A file or folder could not be used: {error}. Nothing more was started.")
    sys.exit(max(_statuses, default=0))


def run_command_line() -> None:
    """Does what sys.argv says, an option before KEY=VALUE or behind it.

    Raises UserError where it cannot be done, TrialFailed where a trial has no results, SystemExit with INTERRUPTED
    where the user stopped a plain run and KeyboardInterrupt where they stopped anything else.
    """
    try:
        sys.argv[1:] = problems.in_order([opened(at_home(argument)) for argument in sys.argv[1:]])
        text = help.asked_for_help(sys.argv[1:])
        if text is not None:
            print(text)
            return
        if problems.sweeps_nothing(sys.argv[1:]):
            raise UserError("-m, but nothing is swept: write KEY=VALUE,VALUE, or leave -m out")
        _job()
    except CommandEnded as ended:
        raise ended.error from None
    except problems.REFUSALS as error:
        raise UserError(problems.explain(sys.argv[1:], error)) from None


# The exit status of each job of this command: a sweep goes on after a failed job, and says so at its end.
_statuses: list[int] = []


def _stop(message: str, status: int = CANNOT_RUN) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(status)


def _task(composed: Any) -> float | None:
    """Runs one job of Hydra's; returns its mean validation score, None where nothing was trained.

    Errors that end the whole command leave as CommandEnded, so that Hydra adds nothing to their message.
    """
    try:
        _refuse_unswept(HydraConfig.get())
        job = _as_job(composed)
        if job.config.from_study and job.config.plan:
            raise UserError("plan=true: from_study trains nothing, so there is nothing to plan.")
        act = vote if job.config.from_study else train
        results = act(job.config, job.folder, job.overrides)
    except (UserError, KeyboardInterrupt) as error:
        raise CommandEnded(error) from None
    except OSError as error:
        raise CommandEnded(UserError(str(error))) from None
    if any(result.status == "KILLED" for result in results):
        raise CommandEnded(SystemExit(INTERRUPTED))
    _statuses.append(told_status(results))
    return fmean(result.score.counted(result.validation_score) for result in results) if results else None


def _refuse_unswept(own: Any) -> None:
    """Raises UserError for a single run whose configuration sets a sweeper; own: Hydra's part of the configuration."""
    is_grid = str(own.sweeper._target_).endswith(".GridSweeper")
    if own.mode == RunMode.RUN and (not is_grid or own.sweeper.params):
        raise UserError(
            "hydra.sweeper is set, but hydra.mode is not MULTIRUN, so one network would be trained and nothing swept. "
            "Accepted: -m in the command, or in the sweep's file\n  hydra:\n    mode: MULTIRUN"
        )


def _as_job(composed: Any) -> "Job":
    """The trial of Hydra's job, with its configuration checked. Raises ConfigError."""
    from src.config.check import refuse_unread_keys

    runtime = HydraConfig.get()
    os.chdir(runtime.runtime.cwd)  # after hydra.job.chdir=true: paths count from where the command was typed
    folder, overrides = Path(os.path.relpath(runtime.runtime.output_dir)), list(runtime.overrides.task)
    job = _plain_job(OmegaConf.to_container(composed, resolve=True), folder, overrides)
    if HydraConfig.get().mode == RunMode.RUN:  # in a sweep it is enough that one of the trials reads a key
        refuse_unread_keys(job.config, overrides)
    return job


def _plain_job(values: Any, folder: Path, overrides: list[str]) -> "Job":
    """The trial of a composed configuration's plain values, which are checked. Raises ConfigError."""
    from src.config.check import parse
    from src.sweep.job import Job

    return Job(parse(values), folder, overrides)


def told_status(results: "list[Result]") -> int:
    """The exit status of a run that has ended; prints which members failed."""
    failed = [str(number) for number, result in enumerate(results) if result.status == "FAILED"]
    if failed:
        words = f"Member {', '.join(failed)} never had a finite validation cost: the weights diverged."
        print(f"{words} Try a smaller optim.eta.", file=sys.stderr)
    return FAILED if failed else 0


# A launcher that trains several trials as a stack calls these attributes to get a trial, and not the task itself.
vars(_task).update(job=_as_job, plain_job=_plain_job)
_job = hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(_task)


def train(
    config: "RunConfig",
    folder: Path,
    arguments: list[str] | None = None,
    label: str | None = None,
    saved: "Saved | None" = None,
    goes_on: str = "",
) -> "list[Result]":
    """Trains one trial as a stack, keeps all of it in `folder` and in the tracking store; returns one Result a member.

    arguments: the overrides of the command line, for the run's name (unless `label` gives it) and the hint at the end.
    saved: the checkpoint of a run in `folder` to go on with; config may then differ in how to train, not in what.
    goes_on: the command by which the user goes on with this run, by default src.resume. With config.plan, only prints
    what it would do, and returns []. Raises ConfigError, DataError and, where a run cannot go on, UserError.
    """
    from src.config.check import refuse_unusable_store
    from src.config.phases import phases
    from src.runs import run_words, terminal

    with terminal.waiting("Loading the libraries"):
        from src.commands.pretraining import PretrainedRun
        from src.data.load import load
        from src.models.own import changed_code
        from src.runs.checkpoint import Checkpoints, begins
        from src.sweep.job import Job
        from src.sweep.pretraining import estimated_seconds, pretrain
        from src.sweep.single_trial import SingleTrial
        from src.sweep.start import start_from_run
        from src.sweep.trial_roster import TrialRoster, members_left
        from src.tracking.record import Record
        from src.training.fit import prepare, run_roster
        from src.training.interrupt import Interrupt
        from src.training.stack import members_of

    label = shown_in_name(arguments or []) if label is None else label
    saved = saved.under(config) if saved else begins(config, arguments, label)
    if line := changed_code(config.model.target, saved.code):
        terminal.say(line)
    if not config.plan:
        refuse_unusable_store(config)
    checkpoints = Checkpoints(folder, saved, terminal.say, goes_on)
    with checkpoints, nullcontext() if config.plan else owned(folder, f"{RUN}{saved.run}", checkpoints.there):
        dataset = load(config.data, config.task.kind)
        checkpoints.compare(dataset)
        with terminal.waiting("Building the networks and timing a few steps; a first run also compiles its kernels"):
            job = Job(config, folder, arguments or [], label=label)
            start = "" if saved.members else start_from_run(job)
            prepared = prepare([config], dataset, terminal.say, members_left(job, saved, one_by_one=False)[0])
            starts = any(not member.checkpoint for member in prepared.members)
            before = estimated_seconds(config, dataset, config.members) if starts else 0.0
        terminal.header(prepared, config, folder, saved.epochs, start, before)
        if config.plan:
            terminal.say(f"memory      {run_words.size(prepared.memory)}\nNothing was trained: plan=true.")
            return []
        seeds = [member.seed for member in members_of([config])]
        with Interrupt(terminal.say) as interrupt:  # to the end of all output, so that a first signal loses no results
            tracker = tracking(config, folder, dataset.name, prepared.device_name, seeds, label, saved=saved)
            record = Record(config, folder, tracker)
            with _told(record, interrupt):
                parts = phases(config)
                with terminal.ProgressBar([*parts, config]) as bar:
                    if parts and starts:
                        checkpoints.pretrains()
                        pretrain([job], dataset, PretrainedRun(saved.run, tracker, dataset, bar, interrupt))
                        prepared.begin_with(members_left(job, saved, one_by_one=False)[0])
                    roster = TrialRoster(SingleTrial(record, saved, checkpoints), [job])
                    watching: list[Observer] = [bar.begin(len(parts), prepared, saved), roster]
                    run_roster(prepared, roster, watching, interrupt, offer=roster.offer_checkpoints)
                path, lost = _conclude(record, dataset)
        if lost:
            raise TrialFailed(lost)
        if all(result.status != "KILLED" for result in record.results.values()):
            checkpoints.remove()
    terminal.say(f"Results: {path}")
    terminal.next_command(config, arguments, folder, checkpoints.hint)
    return [record.results[number] for number in sorted(record.results)]


@contextmanager
def _told(record: "Record", interrupt: "Interrupt | None" = None) -> Iterator[None]:
    """A context that tells the tracking when the run ends by an error or a signal, even during an import."""
    begun()
    try:
        yield
    except BaseException as error:
        # Lightning turns a second Ctrl-C into an exit of its own. After a request to stop, any error counts as the
        # stop, but for those that the user can mend, such as a full disk.
        stopped = interrupt is not None and interrupt.requested and not isinstance(error, OSError | UserError)
        record.abort("KILLED" if stopped or isinstance(error, KeyboardInterrupt) else "FAILED", repr(error))
        if stopped:
            raise KeyboardInterrupt from error
        raise


def _conclude(record: "Record", dataset: "Dataset", names: Sequence[str] = ()) -> tuple[Path, str]:
    """Writes and prints the results of the run, draws its figures, and tells the tracking.

    Returns the path of result.json, and a text about what could not be written, empty where everything was.
    """
    from src.runs import terminal

    config, conclusion = record.config, record.conclude(dataset)
    if any(result.status == "KILLED" for result in conclusion.results):  # published figures are of whole runs
        config = config.model_copy(update={"published": None})
    terminal.table(conclusion.results, config, dataset, names)
    terminal.conclusion(config, dataset, conclusion.votes, conclusion.summary, conclusion.folds, conclusion.snapshots)
    conclusion.files += draw_figures(config, conclusion.results, record.folder, dataset, conclusion.votes)
    lost = conclusion.lost
    try:
        record.finish(conclusion)
    except StoreError as error:
        lost = lost or str(error)
    return conclusion.path, lost


def vote(config: "RunConfig", folder: Path, arguments: list[str]) -> "list[Result]":
    """Lets the best `config.top` trained networks of the study `config.from_study` vote; returns their Results.

    Raises ConfigError where `arguments`, the overrides of the command line, set a key that has no meaning for a vote.
    """
    from src.config.check import refuse_unusable_store
    from src.runs import run_words, terminal
    from src.sweep.from_study import chosen
    from src.tracking.record import Record

    voters, dataset = chosen(config, arguments)
    results = [one.result for one in voters]
    name = f"best {len(voters)} of {config.from_study}"
    changes = {"name": name, "ensemble": len(voters), "repeats": 1, "published": None}
    config = config.model_copy(update=changes)
    refuse_unusable_store(config)
    claim(folder, f"vote {uuid4().hex}")
    terminal.grid(
        {"vote": f"{name}; nothing is trained", "data": run_words.data_words(dataset), "results": str(folder)}
    )
    members = [(one.name, one.config) for one in voters]
    seeds = [result.seed for result in results]
    record = Record(config, folder, tracking(config, folder, dataset.name, results[0].device, seeds, "", members))
    with _told(record):
        record.ended(dict(enumerate(results)))
        path, lost = _conclude(record, dataset, [one.name for one in voters])
    if lost:
        raise TrialFailed(lost)
    terminal.say(f"Results: {path}")
    terminal.next_command(config, None, folder)
    return results


def shown_in_name(arguments: list[str]) -> str:
    """The overrides that a run's name shows: not those that it shows anyway, nor those on which no result depends."""
    silent = ("exp", "data", "data.dir", "repeats", "seed", "figures")
    typed = [argument.lstrip("+~") for argument in arguments]
    kept = [
        one for one in typed if (key := one.split("=")[0]) not in silent and not key.startswith(("tracking", "trainer"))
    ]
    return " ".join(kept)
