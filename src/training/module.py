"""The LightningModule of a stack: Lightning calls it for each chunk, the engine computes, and schedules and stopping
rules decide for each member on its own.

A member counts its epochs from the moment it joined, so that one that takes a freed position trains as it would alone.
Legend: K members in the stack now, k a position among them. A member's number is its place in the order of joining,
which does not change when others leave.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from src.data.dataset import Dataset
from src.models.own import code_of
from src.training.augment.augmenter import Augmenter
from src.training.averages import Averages
from src.training.checkpoint import Checkpoint
from src.training.chunks import Chunk, Chunks
from src.training.engines.engine import Engine, Means, State, joined_means
from src.training.lightning import LightningModule
from src.training.look import Look
from src.training.progress import Progress
from src.training.result import RUNNING, Result, Row, Status
from src.training.roster import Observer, OfferCheckpoints, Roster, Tested
from src.training.stack import Member, best_state, first_state, hyper_of_stack
from src.training.stopping import Stopping
from src.training.update.schedule import Schedule
from src.training.watch import Watch


class StackModule(LightningModule):
    """Trains `members`, and those that `roster` lets join, with `engine` until all have stopped.

    tested: adds what the test set says to finished results; interrupted: asked after each chunk, whether to stop;
    judged_by: gives an engine with the same members in another state, for those that are judged by averages; capacity:
    the most members that the stack may grow to, at least those at the start; offer: called with checkpoints.
    """

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
        judged_by: Callable[[State], Engine],
        capacity: int = 0,
        offer: OfferCheckpoints | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.engine, self.chunks, self.dataset, self.device_name = engine, chunks, dataset, device_name
        self.roster, self.tested, self.observers, self.interrupted = roster, tested, observers, interrupted
        self.judged_by, self.averages = judged_by, Averages(engine.spec.model)
        self.augmenter = Augmenter(dataset, members[0].config.trainer.threads)
        self.score = engine.spec.task.score
        self.capacity, self.offer = max(capacity, len(members)), offer
        self.members: dict[int, Progress] = {}  # by number: those that train, and those that stopped in this epoch
        self.rows: list[int] = []  # the number of the member at each position in the engine, also after it has stopped
        self.watch = Watch(engine) if members[0].config.trainer.watch else None
        self.killed = False
        self._held: dict[int, Checkpoint] = {}  # those of the last epoch's end, while an epoch of several chunks trains
        self._joined = 0
        chunks.epoch = max(member.epochs for member in members)  # a run that goes on continues the count
        self._take_in(members, chunks.epoch)
        self._tell_chunks()
        # With a leading axis of positions: the parameters and buffers of each member's best epoch so far.
        self.best = best_state(members, engine.state(slots=False))
        self._new_epoch()

    def configure_optimizers(self) -> None:
        """None for Lightning, because the engine holds the weights and the update rule."""

    def training_step(self, chunk: Chunk, index: int) -> None:
        """Trains one chunk; evaluates the validation set and changes members if either is due at the chunk's end."""
        if self.trainer.should_stop:
            return
        eta = self._eta(chunk)
        split = self.dataset.train
        if self.watch and chunk.check:
            self.watch.begin()
        start = time.perf_counter()
        cost, score = self.augmenter.train(self.engine, split, chunk.order, chunk.first_step, eta)
        self._train_seconds += time.perf_counter() - start
        self._cost += cost
        self._scores += score
        self._batches += chunk.order.shape[1]
        self._average(chunk)
        rows = self._check(chunk) if chunk.check else {}
        for observer in self.observers:
            observer.progressed(chunk.epoch, self._batches, len(self._live()))
        if chunk.ends_epoch:
            for number in self.roster.pruned(rows) & set(self._live()):
                self.members[number].done = self.members[number].pruned = True
            self._hand_over([number for number, member in self.members.items() if member.done])
            self._change_members(chunk)
            self._new_epoch()
        stopped = self.interrupted()
        self.killed = bool(self._live()) and stopped
        self._offer(chunk, stopped)
        if self.killed or not self._live():
            self.trainer.should_stop = True

    def _offer(self, chunk: Chunk, last: bool) -> None:
        """Offers checkpoints at the end of each epoch, and the last ones when training is stopped.

        A stop within an epoch finds weights that have moved on, so checkpoints of the epoch's start are held in memory:
        a copy takes milliseconds, an epoch of several chunks seconds. An epoch of one chunk cannot be stopped within,
        so nothing is held for it.
        """
        if self.offer is None:
            return
        if chunk.ends_epoch:
            self._held = {}  # gives its memory back first
            if self.chunks.several and self._live() and not last:
                self._held = self.checkpoints()
            if self._live() or last:  # `last` even without members here: others may wait for a position
                self.offer(self._held.copy if self._held else self.checkpoints, last)
        elif last and self._held:
            self.offer(self._held.copy, last)

    def on_train_end(self) -> None:
        """Hands over the results of members whose training was interrupted."""
        self._hand_over(list(self.members))

    def checkpoints(self) -> dict[int, Checkpoint]:
        """Checkpoints of the members at the end of an epoch, by number; none for those that have not trained one."""
        every = self.engine.state(), self.best

        def own(k: int) -> tuple[State, State, State, int]:
            state, best = (
                {name: value[k].detach().to("cpu", copy=True) for name, value in one.items()} for one in every
            )
            return state, best, *self.averages.of(k)

        training = [(k, self.members[number]) for k, number in enumerate(self.rows) if number in self.members]
        return {self.rows[k]: member.checkpoint(*own(k)) for k, member in training if member.history}

    def so_far(self, number: int) -> Result:
        """The member's result, RUNNING, with the weights of its best epoch so far; not evaluated on the test set."""
        progress, k = self.members[number], self.rows.index(number)
        known = progress.best_epoch is not None
        own = self.dataset.of_fold(progress.member.fold)
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
            whitening=own.whitening,
            scaling=scaling.as_json() if (scaling := own.scaling or own.applied) else None,
            target_scaling=targets.scaling.as_json() if (targets := self.engine.spec.task.targets).scaling else None,
            preprocessing=own.preprocessing.as_json() if own.preprocessing else None,
            class_names=list(own.class_names),
            device=self.device_name,
            weights={name: value[k].detach().cpu().clone() for name, value in self.best.items()},
            repeat=progress.member.repeat,
            vote=progress.member.vote,
            snapshot_epochs=list(progress.snapshots),
            snapshot_weights=list(progress.snapshots.values()),
            code=code_of(progress.member.config.model.target),
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
        """The learning rates, (K,), or (K, M) where one changes within an epoch; 0 for members that have stopped."""
        here = [self.members.get(number) for number in self.rows]
        if not any(member.schedule.by_step for member in here if member):
            return torch.tensor([member.schedule.eta(chunk.epoch - member.born) if member else 0.0 for member in here])
        eta = torch.zeros(len(here), chunk.order.shape[1])
        for k, member in enumerate(here):
            if member:
                first = int(chunk.first_step[k])
                eta[k] = torch.from_numpy(member.schedule.etas(chunk.epoch - member.born, first, eta.shape[1]))
        return eta

    def _take_in(self, members: list[Member], epoch: int) -> None:
        """Gives members, which the engine has already, their numbers and the positions behind those that are taken."""
        now = time.perf_counter()
        begun = [member.checkpoint for member in members]
        means = [(one.average, one.averaged) if one else ({}, 0) for one in begun]
        self.averages.join(means, lambda: self.engine.state(slots=False))
        for member in members:
            config = member.config
            schedule = Schedule(config.optim, config.max_epochs, self.score, self.chunks.batches)
            stopping = Stopping(config.stop, self.score, self.chunks.batches)
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

    def _average(self, chunk: Chunk) -> None:
        """Lets the weights of those members enter their means for whom it is time."""
        live, done, batches = set(self._live()), chunk.done, self.chunks.batches
        here = [(k, self.members[number].member.config) for k, number in enumerate(self.rows) if number in live]
        entering = [
            (k, one.average) for k, one in here if one.average.enters(done[k], batches, one.max_epochs * batches)
        ]
        state = self.engine.state(slots=False) if entering else {}
        for k, average in entering:
            self.averages.enter(k, average, state)

    def _check(self, chunk: Chunk) -> dict[int, Row]:
        """Evaluates the validation set, keeps best weights, stops members and, at an epoch's end, writes the history.

        Returns the new rows of the history, by member's number.
        """
        looks = self._looks(chunk)
        if not looks:
            return {}
        trained = self.engine.state(slots=False)
        state = self.averages.over(trained)
        judge = self.engine if state is trained else self.judged_by(state)
        means = self._evaluated(judge)
        costs, scores, watched = means.cost.tolist(), means.score.tolist(), self._watched(means, judge)
        self._keep_best([look for look in looks if math.isfinite(costs[look.k])], state, scores)
        rows: dict[int, Row] = {}
        for look in looks:
            k, member = look.k, look.member
            # A cost that is not finite comes from weights that are not finite, and these never recover.
            member.done = look.ends(scores[k]) or not math.isfinite(costs[k])
            member.seconds = time.perf_counter() - member.start
            # A member that stops within an epoch leaves a row of that epoch; one that had ended before does not.
            if not (chunk.ends_epoch or member.done) or (look.is_void and member.best_epoch != look.epoch):
                continue
            row = self._row(k, look.epoch, look.eta, trained)
            row |= {"validation/cost": costs[k], self.score.key("validation"): scores[k]}
            row |= {name: float(values[k]) for name, values in watched.items()}
            row |= {f"validation/{name}": float(values[k]) for name, values in means.measures.items()}
            row |= self.watch.row(k, member.member, trained, self.dataset) if self.watch else {}
            rows[look.number] = row
            member.history.append(row)
            member.schedule.epoch_ended(scores[k])
        self._keep_snapshots([look for look in looks if look.number in rows and math.isfinite(costs[look.k])], state)
        if rows:
            for observer in self.observers:
                observer.epoch_ended(rows, self.so_far)
        return rows

    def _evaluated(self, judge: Engine) -> Means:
        """The members' means over the validation set, each over that of its fold, by an engine that holds them."""
        here = [self.members.get(number) for number in self.rows]
        by_fold: dict[int, list[int]] = {}  # fold -> the positions of its members
        for k, one in enumerate(here):
            by_fold.setdefault(one.member.fold if one else 0, []).append(k)
        splits = [self.dataset.of_fold(fold).validation for fold in by_fold]
        if len(splits) == 1:
            return judge.evaluate(splits[0].inputs, splits[0].targets)
        each = zip(splits, by_fold.values(), strict=True)
        means = [judge.evaluate(split.inputs, split.targets, members) for split, members in each]
        return joined_means(means, list(by_fold.values()))

    def _watched(self, validation: Means, judge: Engine) -> dict[str, torch.Tensor]:
        """What else the task watches, (K,) by its name in a row: for the validation set and as many training images."""
        if not validation.monitors:
            return {}
        part = self.dataset.train.first(len(self.dataset.validation))
        train = judge.evaluate(part.inputs, part.targets)
        both = {"train": train, "validation": validation}
        return {f"{split}/{name}": value for split, means in both.items() for name, value in means.monitors.items()}

    def _looks(self, chunk: Chunk) -> list[Look]:
        """The members for which the evaluation after `chunk` counts: at an epoch's end all, within it those it is due.

        So a member's curve does not depend on when its neighbours look.
        """
        live, done = set(self._live()), chunk.done
        looks = [Look(k, number, self.members[number], done[k]) for k, number in enumerate(self.rows) if number in live]
        return [look for look in looks if chunk.ends_epoch or look.is_due]

    def _keep_best(self, looks: list[Look], state: State, scores: list[float]) -> None:
        """Keeps the state of those members whose rule says so at their score."""
        better = [look for look in looks if look.keeps(scores[look.k])]
        for look in better:
            look.member.best_score, look.member.best_epoch = scores[look.k], look.epoch
        if better:
            for name, value in state.items():
                _copy_rows([look.k for look in better], value, self.best[name])

    def _keep_snapshots(self, looks: list[Look], state: State) -> None:
        """Copies the state of those members whose weights at the end of this epoch are to vote."""
        voting = [look for look in looks if look.member.keeps_snapshot(look.epoch) and not look.is_void]
        whole = {name: value.detach().cpu() for name, value in state.items()} if voting else {}
        for look in voting:
            look.member.keep_snapshot(look.epoch, {name: value[look.k].clone() for name, value in whole.items()})

    def _row(self, k: int, epoch: int, eta: float, state: State) -> Row:
        images, task = self._batches * self.chunks.batch_size, self.engine.spec.task
        weights = {name: w[k] for name, w in state.items() if name.endswith("weight") and w.is_floating_point()}
        norms = {
            f"weight_norm/{name}": float(w.norm()) for name, w in weights.items() if w.dim() > 1
        }  # no norm's scale
        return {
            "epoch": epoch,
            "eta": eta,
            "train/cost": float(self._cost[k]) / self._batches,
            task.running.key("train"): task.finish(float(self._scores[k]) / images),
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
            data = self.dataset.of([self.rows.index(number) for number in whole])
            results |= zip(whole, self.tested(members, [results[number] for number in whole], data), strict=True)
        for number in numbers:
            del self.members[number]
        self.roster.ended(results)

    def _change_members(self, chunk: Chunk) -> None:
        """Lets new members join at free positions; removes stopped ones if that repays the cost of another size."""
        live = self._live()
        joining = [] if self.interrupted() else self.roster.joining(self.capacity - len(live))
        staying = [k for k, number in enumerate(self.rows) if number in set(live)]
        if not joining and len(staying) in (0, len(self.rows)):
            return
        idle = [k for k in range(len(self.rows)) if k not in staying]
        count = len(staying) + len(joining)
        spare = max(0, len(self.rows) - count)  # so many stopped members, if they stay, keep the stack at its size
        if spare and not self._shrinking_pays(chunk, live, joining, count):
            staying = sorted(staying + idle[:spare])
        self._rearrange(staying, joining, chunk.epoch + 1)

    def _shrinking_pays(self, chunk: Chunk, live: list[int], joining: list[Member], count: int) -> bool:
        training = [self.members[number] for number in live]
        left = [member.born + member.member.config.max_epochs - chunk.epoch - 1 for member in training]
        left += [member.config.max_epochs - member.epochs for member in joining]
        return self._train_seconds * max(left) * (1 - count / len(self.rows)) > self.engine.resize_seconds

    def _rearrange(self, staying: list[int], joining: list[Member], epoch: int) -> None:
        """Keeps the members at the positions `staying`; new members, who start in `epoch`, come behind them."""
        if len(staying) < len(self.rows):
            positions = torch.tensor(staying, dtype=torch.int64)
            self.engine.select(positions)
            self.averages.select(positions)
            self.rows, self.dataset = [self.rows[k] for k in staying], self.dataset.of(staying)
            self.best = {name: value[positions.to(value.device)] for name, value in self.best.items()}
        if joining:
            state = first_state(joining, self.engine.spec.model)
            self.engine.add(hyper_of_stack(joining), state)
            self._take_in(joining, epoch)
            best = best_state(joining, state)
            for name, value in self.best.items():
                self.best[name] = torch.cat([value, best[name].to(value.device)])
        self._tell_chunks()

    def _tell_chunks(self) -> None:
        here = [self.members.get(number) for number in self.rows]
        self.chunks.set_members([(one.member.seed, one.born, one.member.fold) if one else (0, 0, 0) for one in here])
        self.chunks.stops = [(one.member.config.average.stops if one else 0) for one in here]
        self.augmenter.set_members([one.member if one else None for one in here])


def _copy_rows(rows: list[int], source: torch.Tensor, target: torch.Tensor) -> None:
    """Copies these rows of `source` to `target`.

    On a CPU one by one: an indexed copy of a stack is one operation of all threads, which wait for one another, tens of
    milliseconds each time that something else uses a core.
    """
    if source.device.type == "cpu":
        for row in rows:
            target[row].copy_(source[row])
    else:
        target[torch.tensor(rows, device=source.device)] = source[rows]
