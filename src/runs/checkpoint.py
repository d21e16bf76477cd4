"""FOLDER/checkpoint.pt: where a run was at the end of an epoch, so that it can go on from there when it was killed.

Of a plain run (Checkpoints), or of one trial of a study (src/sweep/checkpoints.py). Nothing but tensors and plain
values, written whole or not at all, and removed once the run has ended by itself.
"""

import time
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from src.config.address import absolute, masked
from src.config.error import UserError
from src.config.folder import CHECKPOINT
from src.config.schema import RunConfig, TrainerConfig
from src.config.wording import command as type_again
from src.data.dataset import Dataset
from src.runs.result_files import KEEP_SECONDS
from src.training.checkpoint import Checkpoint
from src.training.engines.engine import slot_name
from src.training.result import Result, Row

FILE = CHECKPOINT
FORMAT = 3
# Writing takes no more than this part of a run's time.
SHARE = 0.02
# What a run may go on with another value of: the first letters of keys. Where data lies changes nothing in a result,
# and the checksum tells whether they are the same.
TRAINER = tuple(f"trainer.{key}" for key in TrainerConfig.model_fields if key != "precision")
FREE = ("figures", "data.name", "data.dir", "tracking.", *TRAINER)


@dataclass(frozen=True)
class Saved:
    """A run that goes on, or one that begins: then nothing is there yet."""

    run: str  # what its runs in the tracking store are found by; empty: it is a study's trial
    config: dict[str, Any]  # as shown, but with addresses that do not depend on where the command is typed
    arguments: list[str] | None  # the command line's overrides
    label: str
    data: str = ""  # what was really used, in words
    checksum: int = 0  # of the images and labels
    core_seconds: float = 0.0  # processor time so far
    ended: dict[int, Result] = field(default_factory=dict)  # of the members that have ended, by place
    members: dict[int, Checkpoint] = field(default_factory=dict)  # of those that train, by place

    @property
    def epochs(self) -> int:
        """How many epochs are done."""
        return max((one.epochs for one in self.members.values()), default=0)

    def histories(self) -> dict[int, list[Row]]:
        """Each member's history so far, by place."""
        ended = {place: result.history for place, result in self.ended.items()}
        return ended | {place: one.history for place, one in self.members.items()}

    def under(self, config: RunConfig) -> "Saved":
        """The same run, trained on with another configuration of what its numbers do not depend on."""
        return replace(self, config=_anywhere(config))

    def trained_on(self, dataset: Dataset) -> "Saved":
        """The same run, with what it is trained on."""
        return replace(self, data=_words(dataset), checksum=_checksum(dataset))

    def write(self, folder: Path) -> None:
        """Raises OSError, RuntimeError or NotImplementedError where that is not possible."""
        content = {
            **vars(self),
            "format": FORMAT,
            "ended": {place: result.as_kept() for place, result in self.ended.items()},
            "members": {place: vars(one) for place, one in self.members.items()},
        }
        draft = _draft(folder)
        try:
            torch.save(content, draft)
            draft.replace(folder / FILE)
        finally:
            draft.unlink(missing_ok=True)


def begins(config: RunConfig, arguments: list[str] | None, label: str) -> Saved:
    """A run that has nothing yet."""
    typed = None if arguments is None else [masked(one) for one in arguments]
    return Saved(uuid.uuid4().hex, _anywhere(config), typed, label)


def _anywhere(config: RunConfig) -> dict[str, Any]:
    shown = config.shown()
    shown["tracking"]["uri"] = absolute(shown["tracking"]["uri"])
    if shown["data"]["dir"] is not None:
        shown["data"]["dir"] = str(Path(shown["data"]["dir"]).expanduser().resolve())
    return shown


def _words(dataset: Dataset) -> str:
    return f"{dataset.name}, {len(dataset.train):,} training images"


def _checksum(dataset: Dataset) -> int:
    """Of all images and labels; a tenth of a second on expanded MNIST."""
    checksum = 0
    for split in (dataset.train, dataset.validation, dataset.test):
        for tensor in (split.images, split.labels):
            checksum = zlib.crc32(tensor.cpu().contiguous().numpy().data, checksum)
    return checksum


def read(folder: Path) -> Saved:
    """Where the run in `folder` was. Raises UserError where there is nothing to go on from."""
    path = folder / FILE
    if not path.is_file():
        raise UserError(
            f"{folder}: no {FILE} in it, so there is nothing to go on from: the run has ended, or was killed before "
            f"the first epoch that ends {KEEP_SECONDS:.0f} s after the start; accepted: the folder of a run that was "
            f"stopped or killed"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        version = content.pop("format")
        if version == 2:
            content["members"] = {place: _from_format_2(values) for place, values in content["members"].items()}
        elif version != FORMAT:
            raise ValueError("another version has written it")
        ended = {place: Result.from_kept(values) for place, values in content.pop("ended").items()}
        members = {place: Checkpoint(**values) for place, values in content.pop("members").items()}
        return Saved(**content, ended=ended, members=members)
    except Exception as error:  # torch.load raises whatever the broken part makes of it
        reason = (str(error) or repr(error)).splitlines()[0]
        raise UserError(f"{path}: cannot be read ({reason}); delete it, and begin the run anew") from None


def _from_format_2(values: dict[str, Any]) -> dict[str, Any]:
    """A member's checkpoint as versions up to November 2026 kept it: SGD's velocities apart, accuracies only."""
    velocities = values.pop("velocities")
    state = values.pop("weights") | {slot_name("velocity", name): value for name, value in velocities.items()}
    stopping = dict(values["stopping"])
    stopping["best_score"] = stopping.pop("best_accuracy")
    return values | {"state": state, "best_score": values.pop("best_accuracy"), "stopping": stopping}


def remove(folder: Path) -> None:
    """The run has ended."""
    (folder / FILE).unlink(missing_ok=True)
    _draft(folder).unlink(missing_ok=True)


def _draft(folder: Path) -> Path:
    return folder / f".{FILE}.new"


class Pace:
    """When a checkpoint is due. A folder that cannot be written to ends no training."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock, self._told = say, clock, False
        self._next = clock() + KEEP_SECONDS

    def offered(self, write: Callable[[], None], last: bool) -> None:
        """Writes if it is time to, or for the last time."""
        start = self._clock()
        if start < self._next and not last:
            return
        try:
            write()
        except (OSError, NotImplementedError, RuntimeError) as error:  # torch.save's own is a RuntimeError
            if not self._told:
                reason = (str(error) or repr(error)).splitlines()[0]
                self._say(f"No checkpoint can be written ({reason}); training goes on without.")
            self._told = True
        end = self._clock()
        self._next = end + max(KEEP_SECONDS, (end - start) / SHARE)


class Checkpoints:
    """Keeps a plain run's latest checkpoint in its folder; in this context no second process can go on with the run."""

    def __init__(
        self,
        folder: Path,
        saved: Saved,
        say: Callable[[str], None],
        command: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """say: takes one line for the user. command: what goes on with the run, where it is not src.resume.

        Entering raises UserError where another process has the run, or `folder` has another one that can go on.
        """
        self.path, self._command = folder / FILE, command or type_again("resume", folder)
        self._saved, self._say, self._pace = saved, say, Pace(say, clock)
        self._lock = FileLock(folder / f".{FILE}.lock", timeout=0)
        self._core_start = time.process_time()
        self._epochs = saved.epochs
        self._dataset: Dataset | None = None

    def __enter__(self) -> "Checkpoints":
        folder = self.path.parent
        if self.there and not self._saved.epochs:
            raise UserError(
                f"{folder}: holds a run that can go on: {self._command}; accepted for another one: another folder, or "
                f"this one without its {FILE}"
            )
        if self._saved.epochs:
            try:
                self._lock.acquire()
            except Timeout:
                raise UserError(f"{folder}: another process is training this run") from None
            if not self.there:
                self._release()
                raise UserError(f"{folder}: another process has just ended this run")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._release()
        if kind is not None and self.there:
            self._say(f"The run can go on after epoch {self._epochs}: {self._command}")

    def _release(self) -> None:
        if self._lock.is_locked:
            self._lock.release()
            if not self.there:
                Path(self._lock.lock_file).unlink(missing_ok=True)

    def compare(self, dataset: Dataset) -> None:
        """What the run trains on. Raises UserError where it trained on something else before."""
        self._dataset, words = dataset, _words(dataset)
        if self._saved.epochs and self._saved.checksum != _checksum(dataset):
            raise UserError(
                f"{self.path.parent}: the run was trained on {self._saved.data}; here is {words}, and not the same "
                f"ones; accepted: the same data, by data.name and data.dir"
            )

    def offered(self, ended: dict[int, Result], training: Callable[[], dict[int, Checkpoint]], last: bool) -> None:
        """Writes a checkpoint if one is due or it is the last one: of the members that have ended, and that train."""
        self._pace.offered(lambda: self._write(ended, training()), last)

    def _write(self, ended: dict[int, Result], training: dict[int, Checkpoint]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._lock.is_locked:
            self._lock.acquire()
        if self._dataset and not self._saved.data:  # not at the start: most runs end before they need it
            self._saved = self._saved.trained_on(self._dataset)
        seconds = self._saved.core_seconds + time.process_time() - self._core_start
        now = replace(self._saved, core_seconds=seconds, ended=ended, members=training)
        now.write(self.path.parent)
        self._epochs = now.epochs

    @property
    def there(self) -> bool:
        """Whether there is one to go on from."""
        return self.path.exists()

    @property
    def hint(self) -> str:
        """What goes on with the run, and from where; empty where nothing can."""
        return f"{self._command}     goes on after epoch {self._epochs}" if self.there else ""

    def remove(self) -> None:
        """The run has ended."""
        remove(self.path.parent)
