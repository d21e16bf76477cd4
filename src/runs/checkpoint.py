"""FOLDER/checkpoint.pt: the state of a run at the end of an epoch, from which it goes on after it was killed.

A plain run writes it (Checkpoints), or a trial of a study (src/sweep/checkpoints.py). It holds only tensors and plain
values, is written whole or not at all, and is removed once the run has ended by itself.
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
from src.models.own import code_of
from src.runs.result_files import KEEP_SECONDS
from src.training.checkpoint import Checkpoint
from src.training.engines.engine import slot_name
from src.training.result import Result, Row

FILE = CHECKPOINT
FORMAT = 3
# The largest part of a run's time that writing checkpoints may take.
SHARE = 0.02
# The keys, by their beginnings, that may have another value when a run goes on. The folder of the data is among them:
# no result depends on it, and a checksum shows whether the data are the same.
TRAINER = tuple(f"trainer.{key}" for key in TrainerConfig.model_fields if key != "precision")
FREE = ("figures", "data.name", "data.dir", "tracking.", *TRAINER)


@dataclass(frozen=True)
class Saved:
    """The content of a checkpoint; for a run that begins, without members and epochs."""

    run: str  # the id by which its runs in the tracking store are found; empty for a trial of a study
    config: dict[str, Any]  # as RunConfig.shown gives it, but with paths that are valid in any folder
    arguments: list[str] | None  # the command line's overrides
    label: str
    data: str = ""  # in words: the data that was used
    checksum: int = 0  # of the images and labels
    core_seconds: float = 0.0  # processor time so far
    ended: dict[int, Result] = field(default_factory=dict)  # of the members that have ended, by place
    members: dict[int, Checkpoint] = field(default_factory=dict)  # of those that train, by place
    code: int | None = None  # the checksum of the file of model.target when it was written
    pretrains: bool = False  # whether layers were being pretrained; what these left is in folders of their own

    @property
    def epochs(self) -> int:
        """The number of epochs that the run has trained."""
        return max((one.epochs for one in self.members.values()), default=0)

    @property
    def goes_on(self) -> bool:
        """Whether the run was begun by an earlier process."""
        return self.pretrains or self.epochs > 0

    @property
    def words(self) -> str:
        """From where it goes on, such as "after epoch 3"."""
        return f"after epoch {self.epochs}" if self.epochs or not self.pretrains else "with its pretraining"

    def histories(self) -> dict[int, list[Row]]:
        """Each member's history so far, by place."""
        ended = {place: result.history for place, result in self.ended.items()}
        return ended | {place: one.history for place, one in self.members.items()}

    def under(self, config: RunConfig) -> "Saved":
        """The same run under `config`, which may differ in the keys that begin as in FREE."""
        return replace(self, config=_anywhere(config))

    def trained_on(self, dataset: Dataset) -> "Saved":
        """The same run with name and checksum of the data set that it is trained on."""
        return replace(self, data=_words(dataset), checksum=_checksum(dataset))

    def write(self, folder: Path) -> None:
        """Writes the checkpoint, whole or not at all. Raises OSError, RuntimeError or NotImplementedError."""
        content = {
            **vars(self),
            "format": FORMAT,
            "code": code_of(self.config["model"].get("target")),
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
    """A run that begins; label: its name in the tracking store."""
    typed = None if arguments is None else [masked(one) for one in arguments]
    return Saved(uuid.uuid4().hex, _anywhere(config), typed, label)


def _anywhere(config: RunConfig) -> dict[str, Any]:
    shown = config.shown()
    shown["tracking"]["uri"] = absolute(shown["tracking"]["uri"])
    for section, key in (("data", "dir"), ("data", "path"), ("model", "start")):
        if shown[section][key] is not None:
            shown[section][key] = str(Path(shown[section][key]).expanduser().resolve())
    return shown


def _words(dataset: Dataset) -> str:
    return f"{dataset.name}, {len(dataset.train):,} training {dataset.unit}"


def _checksum(dataset: Dataset) -> int:
    """The checksum (CRC-32) of all images and labels; it takes a tenth of a second on expanded MNIST."""
    checksum = 0
    for split in (dataset.train, dataset.validation, dataset.test):
        for tensor in (split.inputs, split.targets):
            checksum = zlib.crc32(tensor.cpu().contiguous().numpy().data, checksum)
    return checksum


def read(folder: Path) -> Saved:
    """The checkpoint in `folder`. Raises UserError where there is none, or it cannot be read."""
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
    """A member's checkpoint from the format of versions up to November 2026, in which SGD's velocities were a part of
    their own and every score was an accuracy."""
    velocities = values.pop("velocities")
    state = values.pop("weights") | {slot_name("velocity", name): value for name, value in velocities.items()}
    stopping = dict(values["stopping"])
    stopping["best_score"] = stopping.pop("best_accuracy")
    return values | {"state": state, "best_score": values.pop("best_accuracy"), "stopping": stopping}


def remove(folder: Path) -> None:
    """Removes the checkpoint in `folder`, if there is one, because the run has ended."""
    (folder / FILE).unlink(missing_ok=True)
    _draft(folder).unlink(missing_ok=True)


def _draft(folder: Path) -> Path:
    return folder / f".{FILE}.new"


class Pace:
    """Decides when a checkpoint is due: after KEEP_SECONDS, and never so often that writing takes more than SHARE."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock, self._told = say, clock, False
        self._next = clock() + KEEP_SECONDS

    def offered(self, write: Callable[[], None], last: bool) -> None:
        """Calls `write` if a checkpoint is due or `last`; where it fails, says so once, and training goes on."""
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
    """A context that keeps a plain run's latest checkpoint in its folder, and lets no second process train the run."""

    def __init__(
        self,
        folder: Path,
        saved: Saved,
        say: Callable[[str], None],
        command: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """say: prints a line for the user; command: the command that goes on with the run, by default src.resume.

        Entering raises UserError where another process trains the run, or `folder` holds another run that can go on.
        """
        self.path, self._command = folder / FILE, command or type_again("resume", folder)
        self._saved, self._say, self._pace = saved, say, Pace(say, clock)
        self._lock = FileLock(folder / f".{FILE}.lock", timeout=0)
        self._core_start = time.process_time()
        self._last = saved  # as the file holds it
        self._dataset: Dataset | None = None

    def __enter__(self) -> "Checkpoints":
        folder = self.path.parent
        if self.there and not self._saved.goes_on:
            raise UserError(
                f"{folder}: holds a run that can go on: {self._command}; accepted for another one: another folder, or "
                f"this one without its {FILE}"
            )
        if self._saved.goes_on:
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
            self._say(f"The run can go on {self._last.words}: {self._command}")

    def _release(self) -> None:
        if self._lock.is_locked:
            self._lock.release()
            if not self.there:
                Path(self._lock.lock_file).unlink(missing_ok=True)

    def compare(self, dataset: Dataset) -> None:
        """Notes the data set that the run trains on. Raises UserError where it was trained on another one before."""
        self._dataset, words = dataset, _words(dataset)
        if self._saved.goes_on and self._saved.checksum != _checksum(dataset):
            raise UserError(
                f"{self.path.parent}: the run was trained on {self._saved.data}; here is {words}, and not the same "
                f"ones; accepted: the same data, by data.name and data.dir"
            )

    def offered(self, ended: dict[int, Result], training: Callable[[], dict[int, Checkpoint]], last: bool) -> None:
        """Writes a checkpoint if one is due or it is the last one.

        ended: results of the members that have ended; training: gives the checkpoints of those that still train.
        """
        self._pace.offered(lambda: self._write(ended, training()), last)

    def _write(self, ended: dict[int, Result], training: dict[int, Checkpoint]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._lock.is_locked:
            self._lock.acquire()
        if self._dataset and not self._saved.data:  # the checksum, only now: most runs end before they need it
            self._saved = self._saved.trained_on(self._dataset)
        seconds = self._saved.core_seconds + time.process_time() - self._core_start
        now = replace(self._saved, core_seconds=seconds, ended=ended, members=training)
        now.write(self.path.parent)
        self._last = now

    def pretrains(self) -> None:
        """Writes a checkpoint by which the run can go on in its pretraining, whose phases keep their own."""
        self._saved = replace(self._saved, pretrains=True)
        self._pace.offered(lambda: self._write({}, {}), last=True)

    @property
    def there(self) -> bool:
        """Whether there is a checkpoint in the folder."""
        return self.path.exists()

    @property
    def hint(self) -> str:
        """The command that goes on with the run, and from which epoch; empty without a checkpoint."""
        return f"{self._command}     goes on {self._last.words}" if self.there else ""

    def remove(self) -> None:
        """Removes the checkpoint, because the run has ended."""
        remove(self.path.parent)
