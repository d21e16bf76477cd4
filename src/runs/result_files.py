"""The files that a run leaves in its folder: results, each member's weights and, for ensembles, the votes.

FOLDER/result.json             a list, one object a member
FOLDER/member-00/weights.pt    a plain state_dict: torch.load(path, weights_only=True)
FOLDER/member-00/snapshot-1.pt    likewise, at the end of the first of the epochs in result.json's snapshot_epochs, …
FOLDER/member-00/plain_weights.pt    weights for ordinary layers without dropout, where they differ from weights.pt
FOLDER/whitening.pt            with data.normalise=pca or zca: {member: tensor (1 + D, D)}, one for all that share
                               it; the network sees (x - tensor[0]) @ tensor[1:] of x (N, D), bytes as value / 255
FOLDER/votes.json              one object a repeat of an ensemble
"""

import io
import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from src.config.error import UserError
from src.config.files import whole, write_json
from src.config.model import ModelConfig
from src.models.dropout import scaled_down
from src.training.result import RUNNING, Result

# Seconds between two writings of results in training, at least; they are written at the ends of epochs.
KEEP_SECONDS = 30.0
RESULTS = "result.json"
WHITENING = "whitening.pt"


def write_results(results: list[Result], folder: Path) -> Path:
    """Writes result.json, then the weights, each file whole or not at all; returns the path of result.json.

    Raises OSError, such as for a full disk.
    """
    path = write_json(folder / RESULTS, [result.as_json() for result in results])
    write_weights(results, folder)
    return path


def write_weights(results: list[Result], folder: Path) -> None:
    """Writes the weights of every member and of its snapshots, and the whitening of its inputs.

    Raises OSError, such as for a full disk.
    """
    for number, result in enumerate(results):
        _save(result.weights, weights_path(folder, number))
        for snapshot, weights in enumerate(result.snapshot_weights, start=1):
            _save(weights, weights_path(folder, number, snapshot))
    every = {number: one.whitening for number, one in enumerate(results) if one.whitening is not None}
    if every:  # members that share a tensor share its place in the file
        _save(every, folder / WHITENING)


def write_plain_weights(results: list[Result], folder: Path) -> None:
    """Writes plain_weights.pt of every member with dropout by the chapter's convention. Raises OSError.

    In evaluation such a network multiplies the inputs of a layer by 1 - p, which ordinary layers do not; in this file
    the layer's weights are multiplied instead. For other networks weights.pt serves as it is.
    """
    for number, result in enumerate(results):
        model = ModelConfig.model_validate(result.config["model"])
        dropouts = model.dropouts_by_layer()
        if model.dropout_convention == "chapter" and any(dropouts):
            plain = scaled_down(result.weights, dropouts)
            _save(plain, folder / f"member-{number:02d}" / "plain_weights.pt")


def _save(tensors: dict[str, torch.Tensor] | dict[int, torch.Tensor], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()  # because the error of torch.save does not say that the disk is full
    torch.save(tensors, content)
    with whole(path) as draft:
        draft.write_bytes(content.getbuffer())


def weights_path(folder: Path, member: int, snapshot: int | None = None) -> Path:
    """The file with the weights of one member of the run in `folder`: of its best epoch, or of a snapshot, from 1."""
    return folder / f"member-{member:02d}" / ("weights.pt" if snapshot is None else f"snapshot-{snapshot}.pt")


def read_weights(folder: Path, member: int, snapshot: int | None = None) -> dict[str, torch.Tensor]:
    """The weights of one member of the run in `folder`: of its best epoch, or of a snapshot, from 1.

    Raises OSError where there are none, and ValueError where the file is broken.
    """
    weights: dict[str, torch.Tensor] = _read(weights_path(folder, member, snapshot))
    return weights


def read_whitening(folder: Path, member: int) -> torch.Tensor:
    """What whitened the inputs of one member of the run in `folder`, (1 + D, D) float32.

    Raises OSError where the file is missing, and ValueError where it is broken or has nothing of the member.
    """
    try:
        whitening: torch.Tensor = _read(folder / WHITENING)[member]
    except LookupError:
        raise ValueError(f"{folder / WHITENING}: has nothing of member {member}") from None
    return whitening


def _read(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch.load raises whatever the broken part makes of it
        raise ValueError(f"{path}: {error}") from None


def results_in(folder: Path) -> list[dict[str, Any]]:
    """The content of result.json in a trial's folder, a dictionary for each member. Raises UserError if unreadable."""
    try:
        members: list[dict[str, Any]] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"the trial's results in {folder} cannot be read ({error}); they are needed here") from None
    return members


class ResultsSoFar:
    """Writes a trial's results to its folder while it trains; members that still train are marked RUNNING."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder, self.clock = folder, clock
        self._last = clock()
        self._so_far: Callable[[], list[Result]] | None = None

    def epoch_ended(self, so_far: Callable[[], list[Result]]) -> None:
        """Writes the results that `so_far` gives, if the last time is at least KEEP_SECONDS ago."""
        self._so_far = so_far
        if self.clock() - self._last >= KEEP_SECONDS:
            with suppress(OSError):  # a full disk does not end training; the message comes when results are final
                self.keep_last(RUNNING)
            self._last = self.clock()

    def close(self) -> None:
        """Stops writing and frees memory, because the trial's final results are in the folder."""
        self._so_far = None

    def keep_last(self, status: str) -> None:
        """Writes the results so far, with `status` for members that still train: for a run that ends in training."""
        if self._so_far is not None:
            write_results([result.ended_as(status) for result in self._so_far()], self.folder)
