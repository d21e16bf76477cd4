"""The command: python -m src.train +exp=NAME KEY=VALUE …

main -> train(config) -> Trainer.fit -> list[Result]. Heavy libraries are imported after the configuration is checked,
so a mistake is answered at once. Exit status: 0 done; 1 a member failed; 2 the command cannot run; 130 the user
stopped it.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src import command_line
from src.error import UserError

if TYPE_CHECKING:
    from src.config import RunConfig
    from src.data.dataset import Dataset
    from src.result import Result
    from src.results.summary import Summary
    from src.results.vote import Vote

FAILED, CANNOT_RUN, INTERRUPTED = 1, 2, 130


def main() -> None:
    """The entry point: runs the command, and turns whatever the user can mend into one paragraph."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors come here instead of being printed by Hydra
    try:
        text = command_line.asked_for_help(sys.argv[1:])
        if text is not None:
            print(text)
            return
        if command_line.is_multirun(sys.argv[1:]):
            command_line.check_sweep(sys.argv[1:])
        _job()
    except UserError as error:
        _stop(str(error))
    except (HydraException, OmegaConfBaseException) as error:
        _stop(command_line.explain(sys.argv[1:], error))
    except OSError as error:
        _stop(f"A file or folder could not be used: {error}. Nothing more was started.")
    sys.exit(max(_statuses, default=0))


# What each job of this command ended with: a sweep goes on after one that failed, and says so at its end.
_statuses: list[int] = []


def _stop(message: str, status: int = CANNOT_RUN) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(status)


@hydra.main(version_base="1.3", config_path=str(command_line.CONF), config_name="config")
def _job(composed: Any) -> None:
    """One job. What ends the whole command leaves from here, so that Hydra adds nothing to the message."""
    try:
        results = _run(composed)
    except (UserError, OSError) as error:
        _stop(str(error))
    except KeyboardInterrupt:
        _stop("Stopped.", INTERRUPTED)
    if any(result.status == "KILLED" for result in results):
        sys.exit(INTERRUPTED)
    failed = [str(number) for number, result in enumerate(results) if result.status == "FAILED"]
    if failed:
        words = f"Member {', '.join(failed)} never had a finite validation cost: the weights diverged."
        print(f"{words} Try a smaller optim.eta.", file=sys.stderr)
    _statuses.append(FAILED if failed else 0)


def _run(composed: Any) -> "list[Result]":
    from src.config import parse

    raw = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(raw, dict)
    config = parse({str(key): value for key, value in raw.items()})
    runtime = HydraConfig.get()
    folder = Path(os.path.relpath(runtime.runtime.output_dir))
    return train(config, folder, list(runtime.overrides.task))


def train(config: "RunConfig", folder: Path, arguments: list[str] | None = None) -> "list[Result]":
    """Trains one trial as a stack and leaves everything in `folder` and in the tracking store; one Result a member.

    `arguments` are the command line's overrides, for the hint at the end. Raises ConfigError and DataError.
    """
    from src import terminal
    from src.data.load import load
    from src.interrupt import Interrupt
    from src.result import write_json
    from src.results import keep
    from src.training.fit import prepare, run

    dataset = load(config.data)
    with terminal.console.status("Building the networks and timing a few steps; a first run also compiles its kernels"):
        prepared = prepare([config], dataset, terminal.say)
    terminal.header(prepared, config, folder)
    seeds = [member.seed for member in prepared.members]
    watch = _tracking(config, folder, prepared.dataset.name, prepared.device_name, seeds, arguments or [])
    keeper = keep.Keeper(folder)
    interrupt = Interrupt(terminal.say)
    path = None
    try:
        with interrupt, terminal.ProgressBar(prepared) as bar:
            results = run(prepared, [bar, keeper, watch], interrupt)
        path = keep.keep(results, folder)
        votes, summary = conclude(config, results, dataset)
        left = [write_json(folder / "votes.json", [vote.as_json() for vote in votes])] if votes else []
        terminal.table(results, config, dataset)
        terminal.conclusion(config, dataset, votes, summary)
        left += _figures(config, results, folder, dataset, votes)
        watch.tracker.finish(results, _metrics(votes, summary, len(results)), left)
    except BaseException as error:
        # Lightning turns a second Ctrl-C into its own exit; whoever asked to stop is told so, not that it failed.
        status = "KILLED" if interrupt.requested or isinstance(error, KeyboardInterrupt) else "FAILED"
        if path is None:
            with suppress(Exception):  # the first error is the one to tell
                keeper.keep_last(status)
        watch.tracker.abort(status, repr(error))
        if interrupt.requested:
            raise KeyboardInterrupt from error
        raise
    terminal.say(f"Results: {path}")
    terminal.next_command(config, arguments or [], folder)
    return results


def conclude(config: "RunConfig", results: "list[Result]", dataset: "Dataset") -> "tuple[list[Vote], Summary]":
    """The vote of each repeat of an ensemble, and the summary over the repeats."""
    import torch

    from src.results.summary import summarise
    from src.results.vote import vote

    if config.ensemble == 1:
        validation = [result.validation_accuracy for result in results]
        return [], summarise(validation=validation, test=[result.test_accuracy for result in results])
    votes, validation = [], []
    for repeat in range(config.repeats):
        members = [result for result in results if result.repeat == repeat]
        nothing = torch.full((len(dataset.test), dataset.classes), float("nan"))  # a member without a vote
        given = [nothing if member.probabilities is None else member.probabilities for member in members]
        votes.append(vote(torch.stack(given), dataset.test.labels))
        known = [member.validation_accuracy for member in members if member.validation_accuracy is not None]
        validation.append(sum(known) / len(known) if known else None)
    return votes, summarise(validation=validation, test=[vote.accuracy for vote in votes])


def _metrics(votes: "list[Vote]", summary: "Summary", members: int) -> dict[str, float] | None:
    """What the parent run of several members carries."""
    if members == 1:
        return None
    metrics = summary.metrics()
    if votes and votes[0].accuracy is not None and votes[0].mean_probability_accuracy is not None:
        metrics["vote/plurality"] = votes[0].accuracy
        metrics["vote/mean_probability"] = votes[0].mean_probability_accuracy
        metrics["vote/errors"] = len(votes[0].errors)
    return metrics


def _figures(
    config: "RunConfig", results: "list[Result]", folder: Path, dataset: "Dataset", votes: "list[Vote]"
) -> list[Path]:
    if not config.figures or all(not result.history for result in results):
        return []
    from src import terminal
    from src.results.figures import draw

    test = dataset.test
    try:
        return draw(results, folder / "figures", test.images, test.labels, votes[0] if votes else None)
    except Exception as error:  # a picture is no reason to lose a run
        terminal.say(f"The figures could not be drawn ({error}); everything else is kept.")
        return []


class _Watch:
    """An observer that hands each epoch to the tracker."""

    def __init__(self, tracker: Any) -> None:
        self.tracker = tracker

    def progressed(self, epoch: int, batch: int, members: int) -> None:
        """Nothing: tracking is by epochs."""

    def epoch_ended(self, rows: list[dict[str, float] | None], so_far: Any) -> None:
        """One batch an epoch."""
        self.tracker.epoch(rows)


def _tracking(
    config: "RunConfig", folder: Path, dataset: str, device: str, seeds: list[int], arguments: list[str]
) -> _Watch:
    from src import terminal
    from src.results.background import BackgroundTracker
    from src.results.tracking import Tracker, open_tracker

    label = shown_in_name(arguments)

    def opened() -> Tracker:
        return open_tracker(config, folder, dataset=dataset, device=device, seeds=seeds, label=label, say=terminal.say)

    return _Watch(BackgroundTracker(opened))


def shown_in_name(arguments: list[str]) -> str:
    """What the command line changed, for a run's name, but for what names show anyway or no result depends on."""
    silent = ("exp", "data", "data.dir", "repeats", "seed", "figures")
    typed = [argument.lstrip("+~") for argument in arguments]
    kept = [
        one for one in typed if (key := one.split("=")[0]) not in silent and not key.startswith(("tracking", "trainer"))
    ]
    return " ".join(kept)


if __name__ == "__main__":
    main()
