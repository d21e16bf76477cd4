"""The LightningModule: Lightning drives, once a chunk; the engine computes; the rules decide member by member.

A member counts its epochs from the moment it joined, so that one that takes a freed place trains as it would alone.
Legend: K members in the stack now; members are numbered in the order in which they joined, whoever has left since.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch

from src.data.dataset import Dataset
from src.training.checkpoint import Checkpoint
from src.training.chunks import Chunk, Chunks
from src.training.engines.engine import Engine, State
from src.training.lightning import LightningModule
from src.training.result import RUNNING, Result, Row, Status
from src.training.stack import Member, best_state, first_state, hyper_of_stack
from src.training.stopping import Stopping
from src.training.update.schedule import Schedule


class Observer(Protocol):
    """Someone who watches a run: the terminal, the tracking."""

    def progressed(self, epoch: int, batch: int, members: int) -> None:
        """After each chunk: the stack's epoch from 0, mini-batches done in it, members still training."""

    def epoch_ended(self, rows: dict[int, Row], so_far: Callable[[int], Result]) -> None:
        """After each epoch: member's number -> the row of its history, without those that had stopped before.

        Also within an epoch, where a member stops there: then with its row alone.
        `so_far` gives a member's result up to here, without test score, for who wants to keep it.
        """


class Roster(Protocol):
    """Who decides on who trains; asked once an epoch, before anyone leaves or joins."""

    def pruned(self, rows: dict[int, Row]) -> set[int]:
        """The members that are to leave now, by number; `rows` are those of the epoch that ended."""

    def ended(self, results: dict[int, Result]) -> None:
        """Members that train no more, whatever the reason, with their finished results."""

    def joining(self, free: int) -> list[Member]:
        """New members of the same structure for at most `free` places; they may go on from a checkpoint."""


class Everyone:
    """The roster of a plain run: nobody is pruned, nobody joins; `results` by member."""

    def __init__(self) -> None:
        self.results: dict[int, Result] = {}

    def pruned(self, rows: dict[int, Row]) -> set[int]:
        """Nobody."""
        return set()

    def ended(self, results: dict[int, Result]) -> None:
        """Keeps them."""
        self.results |= results

    def joining(self, free: int) -> list[Member]:
        """Nobody."""
        return []


@dataclass
class Progress:
    """What is known of one member while the stack trains."""

    member: Member
    born: int  # the stack's epoch in which it began, or would have, had it trained here from its start
    schedule: Schedule
    stopping: Stopping
    start: float  # on the clock
    history: list[Row] = field(default_factory=list)
    best_epoch: int | None = None
    best_score: float = math.nan  # NaN before the first look
    done: bool = False
    pruned: bool = False
    seconds: float = 0.0  # from joining to the member's last epoch

    def checkpoint(self, state: State, best: State) -> Checkpoint:
        """Where the member is, with what the engine holds of it."""
        return Checkpoint(
            history=list(self.history),
            best_epoch=self.best_epoch,
            best_score=self.best_score,
            seconds=self.seconds,
            schedule=_changing(self.schedule),
            stopping=_changing(self.stopping),
            state=state,
            best=best,
        )

    def go_on(self, checkpoint: Checkpoint) -> None:
        """Puts a member that has not trained yet where it was."""
        self.history, self.seconds = list(checkpoint.history), checkpoint.seconds
        self.best_epoch, self.best_score = checkpoint.best_epoch, checkpoint.best_score
        self.start -= self.seconds
        vars(self.schedule).update(checkpoint.schedule)
        vars(self.stopping).update(checkpoint.stopping)


def _changing(rule: Schedule | Stopping) -> dict[str, Any]:
    return {name: value for name, value in vars(rule).items() if name not in ("config", "score")}


# Members and their results, which hold weights -> the same results with what the test set says.
Tested = Callable[[list[Member], list[Result]], list[Result]]
# Is offered checkpoints at the end of each epoch, unless nobody is left, and told if they are the last ones: by number,
# of the members that train and have done an epoch.
Keep = Callable[[Callable[[], dict[int, Checkpoint]], bool], None]


class StackModule(LightningModule):
    """Trains `members` with `engine`, and whom `roster` lets join, until each has stopped."""

    def __init__(
        self,
        members: list[Member],
        engine: Engine,
        chunks: Chunks,
        dataset: Dataset,
        device_name: str,
        roster: Roster,
        tested: Tested,
        observers: list[Observer],
        interrupted: Callable[[], bool],
        capacity: int = 0,
        keep: Keep | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.engine, self.chunks, self.dataset, self.device_name = engine, chunks, dataset, device_name
        self.roster, self.tested, self.observers, self.interrupted = roster, tested, observers, interrupted
        self.score = engine.spec.task.score
        self.capacity, self.keep = max(capacity, len(members)), keep
        self.members: dict[int, Progress] = {}  # of those that train, and of those that stopped in this epoch
        self.rows: list[int] = []  # who sits where in the engine, also after it has stopped
        self.killed = False
        self._held: dict[int, Checkpoint] = {}  # from the end of the last epoch, while one is under way in chunks
        self._joined = 0
        chunks.epoch = max(member.epochs for member in members)  # a run that goes on counts on
        self._seat(members, chunks.epoch)
        self._seat_chunks()
        # By places: each one's weights of its best epoch so far.
        self.best = best_state(members, engine.state(slots=False))
        self._new_epoch()

    def configure_optimizers(self) -> None:
        """None: the engine holds the weights and the update rule."""

    def training_step(self, chunk: Chunk, index: int) -> None:
        """Trains one chunk and, where it ends at one, does what an epoch's end or a look at validation asks for."""
        if self.trainer.should_stop:
            return
        eta = self._eta(chunk)
        split = self.dataset.train
        start = time.perf_counter()
        cost, score = self.engine.train(split.images, split.labels, chunk.order, chunk.first_step, eta)
        self._train_seconds += time.perf_counter() - start
        self._cost += cost
        self._scores += score
        self._batches += chunk.order.shape[1]
        rows = self._check(chunk) if chunk.check else {}
        for observer in self.observers:
            observer.progressed(chunk.epoch, self._batches, len(self._live()))
        if chunk.ends_epoch:
            for number in self.roster.pruned(rows) & set(self._live()):
                self.members[number].done = self.members[number].pruned = True
            self._hand_over([number for number, member in self.members.items() if member.done])
            self._change_seats(chunk)
            self._new_epoch()
        stopped = self.interrupted()
        self.killed = bool(self._live()) and stopped
        self._offer(chunk, stopped)
        if self.killed or not self._live():
            self.trainer.should_stop = True

    def _offer(self, chunk: Chunk, last: bool) -> None:
        """Offers checkpoints at the end of an epoch, and the last ones whenever training is stopped.

        Amid an epoch the weights have moved on, so those of its beginning are held in memory. A copy takes milliseconds
        and an epoch of several chunks seconds; within an epoch of one chunk nothing stops, so nothing is held.
        """
        if self.keep is None:
            return
        if chunk.ends_epoch:
            self._held = {}  # gives its memory back first
            if len(self.chunks) > 1 and self._live() and not last:
                self._held = self.checkpoints()
            if self._live() or last:  # some may wait for a place
                self.keep(self._held.copy if self._held else self.checkpoints, last)
        elif last and self._held:
            self.keep(self._held.copy, last)

    def on_train_end(self) -> None:
        """Hands over those that were interrupted."""
        self._hand_over(list(self.members))

    def checkpoints(self) -> dict[int, Checkpoint]:
        """Where the members are at the end of an epoch, by number; without those that have not done one."""
        every = self.engine.state(), self.best

        def own(place: int) -> list[State]:
            return [{name: value[place].detach().to("cpu", copy=True) for name, value in one.items()} for one in every]

        training = [(place, self.members[number]) for place, number in enumerate(self.rows) if number in self.members]
        return {self.rows[place]: member.checkpoint(*own(place)) for place, member in training if member.history}

    def so_far(self, number: int) -> Result:
        """The member's result, RUNNING, with the weights of its best epoch so far; not evaluated on the test set."""
        progress, place = self.members[number], self.rows.index(number)
        known = progress.best_epoch is not None
        return Result(
            config=progress.member.config.shown(),
            seed=progress.member.seed,
            status=RUNNING,
            history=list(progress.history),
            best_epoch=progress.best_epoch,
            validation_score=progress.best_score if known else None,
            test_score=None,
            seconds=progress.seconds,
            dataset=self.dataset.name,
            scaling=self.dataset.scaling.as_json() if self.dataset.scaling else None,
            device=self.device_name,
            weights={name: value[place].detach().cpu().clone() for name, value in self.best.items()},
            repeat=progress.member.repeat,
            vote=progress.member.vote,
        )

    def _status(self, progress: Progress) -> Status:
        if self.killed and not progress.done:
            return "KILLED"
        if progress.pruned:
            return "PRUNED"
        return "FINISHED" if progress.best_epoch is not None else "FAILED"

    def _live(self) -> list[int]:
        return [number for number in self.rows if number in self.members and not self.members[number].done]

    def _eta(self, chunk: Chunk) -> torch.Tensor:
        """The learning rates, (K,) or, where one moves within an epoch, (K, M); 0 for who only keeps a place."""
        seats = [self.members.get(number) for number in self.rows]
        if not any(member.schedule.by_step for member in seats if member):
            return torch.tensor([member.schedule.eta(chunk.epoch - member.born) if member else 0.0 for member in seats])
        eta = torch.zeros(len(seats), chunk.order.shape[1])
        for place, member in enumerate(seats):
            if member:
                first = int(chunk.first_step[place])
                eta[place] = torch.from_numpy(member.schedule.etas(chunk.epoch - member.born, first, eta.shape[1]))
        return eta

    def _seat(self, members: list[Member], epoch: int) -> None:
        """Gives numbers and the places behind the taken ones; the engine has the members already."""
        now = time.perf_counter()
        for member in members:
            config = member.config
            schedule = Schedule(config.optim, config.max_epochs, self.score, self.chunks.batches)
            stopping = Stopping(config.stop, self.score)
            progress = Progress(replace(member, checkpoint=None), epoch - member.epochs, schedule, stopping, now)
            if member.checkpoint:
                progress.go_on(member.checkpoint)
            self.members[self._joined] = progress
            self.rows.append(self._joined)
            self._joined += 1

    def _new_epoch(self) -> None:
        self._cost = torch.zeros(len(self.rows), dtype=torch.float64)
        self._scores = torch.zeros(len(self.rows), dtype=torch.float64)
        self._batches, self._train_seconds = 0, 0.0

    def _check(self, chunk: Chunk) -> dict[int, Row]:
        """Looks at the validation set: best weights, early stopping and, at an epoch's end, the history."""
        validation = self.dataset.validation
        costs, scores = (value.tolist() for value in self.engine.evaluate(validation.images, validation.labels))
        state = self.engine.state(slots=False)
        ends = (chunk.first_step + chunk.order.shape[1]).tolist()  # mini-batches since each one's start
        rows: dict[int, Row] = {}
        training = set(self._live())
        live = [(place, number) for place, number in enumerate(self.rows) if number in training]
        due = {number for place, number in live if self.members[number].stopping.was_due(ends[place])}
        self._keep_best(chunk.epoch, state, costs, scores, [pair for pair in live if pair[1] not in due])
        for place, number in live:
            member = self.members[number]
            epoch = chunk.epoch - member.born
            stopped = number in due or member.stopping.checked(scores[place], ends[place], chunk.ends_epoch)
            # A cost that is not finite comes from weights that are not: they never recover.
            stopped = stopped or not math.isfinite(costs[place])
            member.done = stopped or (chunk.ends_epoch and epoch + 1 == member.member.config.max_epochs)
            member.seconds = time.perf_counter() - member.start
            # A member that stops within an epoch leaves a row of it, one that should have stopped before does not.
            if not (chunk.ends_epoch or member.done) or (number in due and member.best_epoch != epoch + 1):
                continue
            eta = float(member.schedule.etas(epoch, ends[place] - 1, 1)[0])  # the last one, not rounded to float32
            row = self._row(place, epoch, eta, state)
            row |= {"validation/cost": costs[place], self.score.key("validation"): scores[place]}
            rows[number] = row
            member.history.append(row)
            member.schedule.epoch_ended(scores[place])
        if rows:
            for observer in self.observers:
                observer.epoch_ended(rows, self.so_far)
        return rows

    def _keep_best(
        self,
        epoch: int,
        state: State,
        costs: list[float],
        scores: list[float],
        live: list[tuple[int, int]],
    ) -> None:
        """Keeps the state of those of `live`, (place, number), whose score is at least as good as their best so far."""
        better = []
        for place, number in live:
            member = self.members[number]
            # "At least the best so far": the latest of equals counts [network3.py].
            first = member.best_epoch is None and not math.isnan(scores[place])
            if math.isfinite(costs[place]) and (first or self.score.is_as_good(scores[place], member.best_score)):
                member.best_score, member.best_epoch = scores[place], epoch - member.born + 1
                better.append(place)
        if better:
            places = torch.tensor(better, device=self._weight_device)
            for name, value in state.items():
                self.best[name][places] = value[places]

    @property
    def _weight_device(self) -> torch.device:
        return next(iter(self.best.values())).device

    def _row(self, place: int, epoch: int, eta: float, state: State) -> Row:
        images = self._batches * self.chunks.batch_size
        weights = {name: w[place] for name, w in state.items() if name.endswith("weight")}
        norms = {
            f"weight_norm/{name}": float(w.norm()) for name, w in weights.items() if w.dim() > 1
        }  # no norm's scale
        return {
            "epoch": epoch + 1,
            "eta": eta,
            "train/cost": float(self._cost[place]) / self._batches,
            self.score.key("train"): float(self._scores[place]) / images,
            **norms,
            "images_per_second": images * len(self.rows) / max(self._train_seconds, 1e-9),
        }

    def _hand_over(self, numbers: list[int]) -> None:
        """Gives the roster the finished results of members that train no more."""
        if not numbers:
            return
        results = {number: self.so_far(number).ended_as(self._status(self.members[number])) for number in numbers}
        whole = [number for number in numbers if results[number].best_epoch and results[number].status != "PRUNED"]
        if whole:
            members = [self.members[number].member for number in whole]
            results |= zip(whole, self.tested(members, [results[number] for number in whole]), strict=True)
        for number in numbers:
            del self.members[number]
        self.roster.ended(results)

    def _change_seats(self, chunk: Chunk) -> None:
        """Newcomers take free places; who has stopped goes where that repays what the engine needs for a new size."""
        live = self._live()
        joining = [] if self.interrupted() else self.roster.joining(self.capacity - len(live))
        staying = [place for place, number in enumerate(self.rows) if number in set(live)]
        if not joining and len(staying) in (0, len(self.rows)):
            return
        idle = [place for place in range(len(self.rows)) if place not in staying]
        count = len(staying) + len(joining)
        spare = max(0, len(self.rows) - count)  # stopped members that could keep the stack at its size
        if spare and not self._shrinking_pays(chunk, live, joining, count):
            staying = sorted(staying + idle[:spare])
        self._reseat(staying, joining, chunk.epoch + 1)

    def _shrinking_pays(self, chunk: Chunk, live: list[int], joining: list[Member], count: int) -> bool:
        training = [self.members[number] for number in live]
        left = [member.born + member.member.config.max_epochs - chunk.epoch - 1 for member in training]
        left += [member.config.max_epochs - member.epochs for member in joining]
        return self._train_seconds * max(left) * (1 - count / len(self.rows)) > self.engine.resize_seconds

    def _reseat(self, staying: list[int], joining: list[Member], epoch: int) -> None:
        """Keeps the members at the places `staying` and seats the newcomers, who start in `epoch`, behind them."""
        if len(staying) < len(self.rows):
            places = torch.tensor(staying, dtype=torch.int64)
            self.engine.select(places)
            self.rows = [self.rows[place] for place in staying]
            self.best = {name: value[places.to(value.device)] for name, value in self.best.items()}
        if joining:
            state = first_state(joining, self.engine.spec.model)
            self.engine.add(hyper_of_stack(joining), state)
            self._seat(joining, epoch)
            best = best_state(joining, state)
            for name, value in self.best.items():
                self.best[name] = torch.cat([value, best[name].to(value.device)])
        self._seat_chunks()

    def _seat_chunks(self) -> None:
        seats = [self.members.get(number) for number in self.rows]
        self.chunks.seat([(one.member.seed, one.born) if one else (0, 0) for one in seats])
