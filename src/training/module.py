"""The LightningModule: Lightning drives, once a chunk; the engine computes; the rules decide member by member.

Legend: K members in the stack now; members are numbered as they were at the start, whoever has left since.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from src.data.dataset import Dataset
from src.result import Result
from src.training.chunks import Chunk, Chunks
from src.training.engine import Engine
from src.training.lightning import LightningModule
from src.training.schedule import Schedule
from src.training.stack import Member
from src.training.stopping import Stopping

Row = dict[str, float]


class Observer(Protocol):
    """Someone who watches a run: the terminal, the tracking."""

    def progressed(self, epoch: int, batch: int, members: int) -> None:
        """After each chunk: epoch from 0, mini-batches done in it, members still training."""

    def epoch_ended(self, rows: list[Row | None], so_far: Callable[[], list[Result]]) -> None:
        """After each epoch: one row of the history a member, None for those that had stopped before.

        Also within an epoch, where a member stops there: then with its row alone.
        `so_far` gives the results up to here, without test accuracy, for who wants to keep them.
        """


@dataclass
class Progress:
    """What is known of one member while the stack trains."""

    schedule: Schedule
    stopping: Stopping
    history: list[Row] = field(default_factory=list)
    best_epoch: int | None = None
    best_accuracy: float = -math.inf
    done: bool = False
    seconds: float = 0.0  # from the start of training to the member's last epoch


class StackModule(LightningModule):
    """Trains `members` with `engine` until each has stopped; `best` keeps the weights of each one's best epoch."""

    def __init__(
        self,
        members: list[Member],
        engine: Engine,
        chunks: Chunks,
        dataset: Dataset,
        device_name: str,
        observers: list[Observer],
        interrupted: Callable[[], bool],
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.members, self.engine, self.chunks, self.dataset = members, engine, chunks, dataset
        self.device_name, self.observers, self.interrupted = device_name, observers, interrupted
        self.rows = list(range(len(members)))  # who sits where in the engine
        config = members[0].config
        self.progress = [
            Progress(Schedule(member.config.optim, config.max_epochs), Stopping(config.stop)) for member in members
        ]
        self.best = {name: value.clone() for name, value in engine.weights().items()}
        self.killed = False
        self._start = time.perf_counter()
        self._new_epoch()

    def configure_optimizers(self) -> None:
        """None: the engine holds the weights and the update rule."""

    def training_step(self, chunk: Chunk, index: int) -> None:
        """Trains one chunk and, where it ends at one, does what an epoch's end or a look at validation asks for."""
        if self.trainer.should_stop:
            return
        eta = torch.tensor([self.progress[row].schedule.eta(chunk.epoch) for row in self.rows])
        split = self.dataset.train
        start = time.perf_counter()
        cost, correct = self.engine.train(split.images, split.labels, chunk.order, chunk.first_step, eta)
        self._train_seconds += time.perf_counter() - start
        self._cost += cost
        self._correct += correct
        self._batches += chunk.order.shape[1]
        if chunk.check:
            self._check(chunk, eta)
        for observer in self.observers:
            observer.progressed(chunk.epoch, self._batches, sum(not member.done for member in self.progress))
        if chunk.ends_epoch:
            self._drop_stopped(chunk)
            self._new_epoch()
        last = chunk.ends_epoch and chunk.epoch + 1 == self.members[0].config.max_epochs
        self.killed = self.interrupted() and not last
        if self.killed or all(member.done for member in self.progress):
            self.trainer.should_stop = True

    def results(self) -> list[Result]:
        """One Result a member, in order, with the weights of its best epoch so far; not evaluated on the test set."""
        return [self._result(number) for number in range(len(self.members))]

    def _result(self, number: int) -> Result:
        member, progress = self.members[number], self.progress[number]
        known = progress.best_epoch is not None
        return Result(
            config=member.config.shown(),
            seed=member.seed,
            status="KILLED" if self.killed and not progress.done else "FINISHED" if known else "FAILED",
            history=progress.history,
            best_epoch=progress.best_epoch,
            validation_accuracy=progress.best_accuracy if known else None,
            test_accuracy=None,
            seconds=progress.seconds,
            dataset=self.dataset.name,
            device=self.device_name,
            weights={name: value[number].detach().cpu().clone() for name, value in self.best.items()},
            repeat=member.repeat,
            vote=member.vote,
        )

    def _new_epoch(self) -> None:
        self._cost = torch.zeros(len(self.rows), dtype=torch.float64)
        self._correct = torch.zeros(len(self.rows), dtype=torch.int64)
        self._batches, self._train_seconds = 0, 0.0

    def _check(self, chunk: Chunk, eta: Tensor) -> None:
        """Looks at the validation set: best weights, early stopping and, at an epoch's end, the history."""
        validation = self.dataset.validation
        costs, accuracies = (value.tolist() for value in self.engine.evaluate(validation.images, validation.labels))
        weights = self.engine.weights()
        batch = chunk.first_step + chunk.order.shape[1]
        rows: list[Row | None] = [None] * len(self.members)
        live = [(place, number) for place, number in enumerate(self.rows) if not self.progress[number].done]
        due = {number for _, number in live if self.progress[number].stopping.was_due(batch)}
        self._keep_best(chunk.epoch, weights, costs, accuracies, [pair for pair in live if pair[1] not in due])
        for place, number in live:
            member = self.progress[number]
            stopped = number in due or member.stopping.checked(accuracies[place], batch, chunk.ends_epoch)
            # A cost that is not finite comes from weights that are not: they never recover.
            member.done = stopped or not math.isfinite(costs[place])
            member.seconds = time.perf_counter() - self._start
            # A member that stops within an epoch leaves a row of it, one that should have stopped before does not.
            if not (chunk.ends_epoch or member.done) or (number in due and member.best_epoch != chunk.epoch + 1):
                continue
            row = self._row(place, chunk.epoch, float(eta[place]), weights)
            row |= {"validation/cost": costs[place], "validation/accuracy": accuracies[place]}
            rows[number] = row
            member.history.append(row)
            member.schedule.epoch_ended(accuracies[place])
        if any(row is not None for row in rows):
            for observer in self.observers:
                observer.epoch_ended(rows, self.results)

    def _keep_best(
        self,
        epoch: int,
        weights: dict[str, Tensor],
        costs: list[float],
        accuracies: list[float],
        live: list[tuple[int, int]],
    ) -> None:
        """Keeps the weights of those of `live`, (place, number), whose accuracy is at least their best so far."""
        better = []
        for place, number in live:
            member = self.progress[number]
            # "At least the best so far": the latest of equals counts [network3.py].
            if math.isfinite(costs[place]) and accuracies[place] >= member.best_accuracy:
                member.best_accuracy, member.best_epoch = accuracies[place], epoch + 1
                better.append((number, place))
        if better:
            numbers, places = (torch.tensor(side, device=self._weight_device) for side in zip(*better, strict=True))
            for name, value in weights.items():
                self.best[name][numbers] = value[places]

    @property
    def _weight_device(self) -> torch.device:
        return next(iter(self.best.values())).device

    def _row(self, place: int, epoch: int, eta: float, weights: dict[str, Tensor]) -> Row:
        images = self._batches * self.chunks.batch_size
        norms = {
            f"weight_norm/{name}": float(w[place].norm()) for name, w in weights.items() if name.endswith("weight")
        }
        return {
            "epoch": epoch + 1,
            "eta": eta,
            "train/cost": float(self._cost[place]) / self._batches,
            "train/accuracy": float(self._correct[place]) / images,
            **norms,
            "images_per_second": images * len(self.rows) / max(self._train_seconds, 1e-9),
        }

    def _drop_stopped(self, chunk: Chunk) -> None:
        """Takes stopped members out of the stack where that repays what the engine needs to change its size."""
        staying = [place for place, number in enumerate(self.rows) if not self.progress[number].done]
        if not staying or len(staying) == len(self.rows):
            return
        epochs_left = self.members[0].config.max_epochs - chunk.epoch - 1
        saved = self._train_seconds * epochs_left * (1 - len(staying) / len(self.rows))
        if saved > self.engine.resize_seconds:
            self.engine.select(torch.tensor(staying))
            self.rows = [self.rows[place] for place in staying]
            self.chunks.seeds = [self.members[number].seed for number in self.rows]
