"""The networks that a run has left in its folder: each one's result, configuration and weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from src.config.data import WHITENED
from src.config.error import UserError
from src.config.kept_config import recalled
from src.config.schema import RunConfig
from src.data.preprocessing import Preprocessing
from src.runs.result_files import read_weights, read_whitening, weights_path
from src.training.result import Result


@dataclass(frozen=True)
class Trained:
    """A trained network: its result with the weights, the configuration that it was trained with, and its name."""

    result: Result
    config: RunConfig
    name: str  # of its member, or of the trial that it is from

    @property
    def preprocessing(self) -> Preprocessing | None:
        """That of a table's columns, as it was fitted on the rows that this network was trained on."""
        kept = self.result.preprocessing
        return Preprocessing.from_json(kept) if kept else None

    @property
    def output_names(self) -> list[str]:
        """The names of its C outputs: of classes or labels, or of the numbers that are predicted.

        Without names of their own classes and labels are 0, 1, …, numbers y0, y1, ….
        """
        data, kind = self.config.data, self.config.task.kind
        if kind == "classes":
            return list(self.result.class_names) or [str(number) for number in range(data.classes)]
        if data.name == "table" and data.target is not None:
            return [data.target] if isinstance(data.target, str) else list(data.target)
        return [f"y{number}" if kind == "numbers" else str(number) for number in range(data.target_count)]


@dataclass(frozen=True)
class Left:
    """A network as it lies in a run's folder: its result without weights, its member's number, its name.

    snapshot: the number, from 1, of one of its snapshots; None: the network of its best epoch.
    """

    result: Result
    folder: Path
    member: int
    name: str
    snapshot: int | None = None

    @property
    def snapshots(self) -> "list[Left]":
        """Its snapshots, the earliest first; [] without any."""
        each = enumerate(self.result.snapshot_epochs, start=1)
        return [replace(self, snapshot=number, name=f"{self.name}, epoch {epoch}") for number, epoch in each]

    def read(self) -> Trained:
        """The network with its weights. Raises UserError where they or the configuration cannot be read."""
        config, whitening = recalled(self.result.config), None
        try:
            weights = read_weights(self.folder, self.member, self.snapshot)
            if config.data.normalise in WHITENED:
                whitening = read_whitening(self.folder, self.member)
        except (OSError, ValueError) as error:
            reason = (str(error) or repr(error)).splitlines()[0]
            path = weights_path(self.folder, self.member, self.snapshot)
            raise UserError(f"{path}: cannot be read as the weights of a network ({reason}).") from None
        return Trained(replace(self.result, weights=weights, whitening=whitening), config, self.name)


def networks_in(folder: Path, results: Sequence[Result], name: str = "") -> list[Left]:
    """The networks of the run in `folder` that have finished an epoch and whose weights are there.

    results: the members of its result.json, all of them and in their order; name: of each network; by default the
    member's.
    """
    return [
        Left(result, folder, member, name or f"member {member}")
        for member, result in enumerate(results)
        if result.best_epoch is not None and weights_path(folder, member).is_file()
    ]


def together(left: Sequence[Left]) -> list[Left]:
    """Of the networks of a run or trial those that answer together with the first one: its ensemble or its folds, else
    its snapshots."""
    first = left[0].result
    folds = first.config.get("data", {}).get("folds") or 1  # each fold is a repeat
    if folds == 1 and first.config.get("ensemble", 1) == 1:
        return left[0].snapshots or [*left[:1]]
    return [one for one in left if one.result.repeat // folds == first.repeat // folds]
