"""FOLDER/checkpoint.pt: where a run was at the end of an epoch, so that it can go on from there when it was killed.

Nothing but tensors and plain values, written whole or not at all, and removed once the run has ended by itself.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from src.config import RunConfig, masked
from src.data.dataset import Dataset
from src.error import UserError
from src.result import Result
from src.results.keep import KEEP_SECONDS
from src.training.checkpoint import Checkpoint

FILE = "checkpoint.pt"
FORMAT = 1
# Writing takes no more than this part of a run's time.
SHARE = 0.02

Row = dict[str, float]


@dataclass(frozen=True)
class Saved:
    """A run that goes on, or one that begins: then nothing is there yet."""

    run: str  # what its runs in the tracking store are found by
    config: dict[str, Any]  # as shown
    arguments: list[str] | None  # the command line's overrides
    label: str
    data: str  # what was really used, in words
    core_seconds: float = 0.0  # processor time so far
    ended: dict[int, Result] = field(default_factory=dict)  # of the members that have ended, by place
    stack: Checkpoint | None = None

    @property
    def epochs(self) -> int:
        """How many epochs are done."""
        return self.stack.epoch if self.stack else 0

    def histories(self) -> dict[int, list[Row]]:
        """Each member's history so far, by place."""
        training = {place: noted["history"] for place, noted in self.stack.members.items()} if self.stack else {}
        return {place: result.history for place, result in self.ended.items()} | training


def begins(config: RunConfig, arguments: list[str] | None, label: str, dataset: Dataset) -> Saved:
    """A run that has nothing yet."""
    typed = None if arguments is None else [masked(one) for one in arguments]
    return Saved(uuid.uuid4().hex, config.shown(), typed, label, _words(dataset))


def goes_on(saved: Saved, config: RunConfig, dataset: Dataset) -> Saved:
    """The run with `config`, which may say otherwise how to train, not what. Raises UserError for other data."""
    if saved.data != _words(dataset):
        raise UserError(f"the run was trained on {saved.data}, and here is {_words(dataset)}; accepted: the same data")
    return replace(saved, config=config.shown())


def _words(dataset: Dataset) -> str:
    return f"{dataset.name}, {len(dataset.train):,} training images"


def read(folder: Path) -> Saved:
    """Where the run in `folder` was. Raises UserError where there is nothing to go on from."""
    path = folder / FILE
    if not path.is_file():
        raise UserError(
            f"{folder}: no {FILE} in it, so there is nothing to go on from: the run has ended, or was killed before "
            f"the first one was written, {KEEP_SECONDS:.0f} s after its start, or is one trial of a sweep; accepted: "
            f"the folder of a run that was killed"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content.pop("format") != FORMAT:
            raise ValueError("another version has written it")
        ended = {place: Result(**values) for place, values in content.pop("ended").items()}
        stack = Checkpoint(**content.pop("stack"))
        return Saved(**content, ended=ended, stack=stack)
    except Exception as error:  # torch.load raises whatever the broken part makes of it
        reason = (str(error) or repr(error)).splitlines()[0]
        raise UserError(f"{path}: cannot be read ({reason}); delete it, and begin the run anew") from None


class Checkpoints:
    """Keeps a run's latest checkpoint in its folder; in this context no second process can go on with the run."""

    def __init__(
        self, folder: Path, saved: Saved, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """say: takes one line for the user. Entering raises UserError where another process goes on with the run."""
        self.path = folder / FILE
        self._saved, self._say, self._clock = saved, say, clock
        self._lock = FileLock(folder / f".{FILE}.lock", timeout=0)
        self._core_start, self._next, self._told = time.process_time(), clock() + KEEP_SECONDS, False

    def __enter__(self) -> "Checkpoints":
        if self._saved.epochs:
            try:
                self._lock.acquire()
            except Timeout:
                raise UserError(f"{self.path.parent}: another process is training this run") from None
            if not self.there:
                self.__exit__()
                raise UserError(f"{self.path.parent}: another process has just ended this run")
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock.is_locked:
            self._lock.release()
            if not self.there:
                Path(self._lock.lock_file).unlink(missing_ok=True)

    def offered(self, ended: dict[int, Result], stack: Callable[[], Checkpoint]) -> None:
        """Writes a checkpoint if one is due, with the results of those that have `ended`.

        A folder that cannot be written to ends no training.
        """
        start = self._clock()
        if start < self._next:
            return
        try:
            self._write(ended, stack())
        except (OSError, NotImplementedError, RuntimeError) as error:  # torch.save's own is a RuntimeError
            if not self._told:
                self._say(f"No checkpoint can be written ({str(error).splitlines()[0]}); training goes on without.")
            self._told = True
        end = self._clock()
        self._next = end + max(KEEP_SECONDS, (end - start) / SHARE)

    def _write(self, ended: dict[int, Result], stack: Checkpoint) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._lock.is_locked:
            self._lock.acquire()
        draft = self.path.with_name(f".{FILE}.new")
        content = {
            **vars(self._saved),
            "format": FORMAT,
            "core_seconds": self._saved.core_seconds + time.process_time() - self._core_start,
            "ended": {place: vars(result) for place, result in ended.items()},
            "stack": vars(stack),
        }
        torch.save(content, draft)
        draft.replace(self.path)

    @property
    def there(self) -> bool:
        """Whether there is one to go on from."""
        return self.path.exists()

    def remove(self) -> None:
        """The run has ended."""
        self.path.unlink(missing_ok=True)
