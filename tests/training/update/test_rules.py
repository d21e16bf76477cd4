"""Learning-rate schedules, stopping rules and where chunks are cut."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
)

from src.config.metric import ACCURACY
from src.config.schema import OptimConfig, StopConfig
from src.training.chunks import Chunks
from src.training.stopping import Stopping, check_every
from src.training.update.schedule import Schedule


def optim(**values):
    return OptimConfig(**{"eta": 0.8, **values})


def test_a_constant_rate_stays():
    schedule = Schedule(optim(), 10, ACCURACY)
    assert [schedule.eta(epoch) for epoch in (0, 9)] == [0.8, 0.8]


def test_an_inverse_rate_falls_as_eta_over_one_plus_decay_times_epoch():
    schedule = Schedule(optim(schedule="inverse", decay=0.5), 10, ACCURACY)
    assert [schedule.eta(epoch) for epoch in (0, 2, 6)] == [0.8, 0.4, 0.2]


def test_an_exponential_rate_goes_from_eta_to_eta_end():
    schedule = Schedule(optim(schedule="exponential", eta_end=0.008), 5, ACCURACY)
    assert [schedule.eta(epoch) for epoch in (0, 2, 4)] == pytest.approx([0.8, 0.08, 0.008])
    assert Schedule(optim(schedule="exponential", eta_end=0.008), 1, ACCURACY).eta(0) == 0.8


def test_a_rate_is_halved_on_a_plateau_down_to_its_floor():
    schedule = Schedule(optim(schedule="halve", plateau_epochs=2, min_eta_factor=0.25), 20, ACCURACY)
    rates = []
    for epoch, accuracy in enumerate([0.5, 0.5, 0.4, 0.6, float("nan"), 0.6, 0.1, 0.1, 0.1, 0.1]):
        rates.append(schedule.eta(epoch))
        schedule.epoch_ended(accuracy)
    assert rates == [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.2]


EPOCHS, BATCHES = 6, 25
BY_TORCH = {
    "cosine": ({}, lambda w: CosineAnnealingLR(w, EPOCHS * BATCHES)),
    "cosine to": ({"eta_end": 0.02}, lambda w: CosineAnnealingLR(w, EPOCHS * BATCHES, 0.02)),
    "cosine in cycles": ({"cycles": 3}, lambda w: CosineAnnealingWarmRestarts(w, EPOCHS * BATCHES // 3)),
    "one_cycle": ({}, lambda w: OneCycleLR(w, 0.8, EPOCHS * BATCHES, cycle_momentum=False)),
    "steps": ({"steps": [0.3, 3, 5], "step_factor": 0.5}, lambda w: MultiStepLR(w, [45, 75, 125], 0.5)),
    "constant": ({"warmup_steps": 40}, lambda w: LinearLR(w, 1 / 40, total_iters=39)),
    "steps warmed up": (
        {"steps": [1, 4], "warmup_steps": 40},
        lambda w: ChainedScheduler([MultiStepLR(w, [25, 100]), LinearLR(w, 1 / 40, total_iters=39)]),
    ),
}


@pytest.mark.parametrize("name", BY_TORCH)
def test_a_rate_by_step_is_torchs(name):
    settings, scheduler_of = BY_TORCH[name]
    schedule = Schedule(optim(schedule=name.split()[0], **settings), EPOCHS, ACCURACY, BATCHES)
    optimiser = torch.optim.SGD([torch.zeros(1)], 0.8)
    scheduler, expected = scheduler_of(optimiser), []
    for _ in range(EPOCHS * BATCHES):
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    found = [rate for epoch in range(EPOCHS) for rate in schedule.etas(epoch, epoch * BATCHES, BATCHES)]
    assert schedule.by_step
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_rate_by_epoch_is_the_same_in_all_of_its_mini_batches():
    schedule = Schedule(optim(schedule="inverse", decay=0.5), 10, ACCURACY, BATCHES)
    assert not schedule.by_step
    assert set(schedule.etas(2, 2 * BATCHES + 3, 7)) == {0.4}


def test_patience_in_epochs_ends_after_that_many_without_a_better_accuracy():
    stopping = Stopping(StopConfig(rule="patience_epochs", patience_epochs=2), ACCURACY, 10)
    said = [stopping.checked(accuracy, 10) for accuracy in (0.5, 0.6, 0.6, 0.7, float("nan"), 0.7)]
    assert said == [False, False, False, False, False, True]


def test_patience_in_epochs_looks_at_epochs_ends_only():
    stopping = Stopping(StopConfig(rule="patience_epochs", patience_epochs=1), ACCURACY, 10)
    assert [done for done in range(1, 31) if stopping.is_due(done)] == [10, 20, 30]


def twin_patience(config, errors, batches):
    """The loops of the tutorial's mlp.py: (errors looked at, index of the best one, both after the last mini-batch)."""
    patience, best, kept, looked = config.patience_batches, float("inf"), None, 0
    frequency = max(1, min(batches, patience // 2))
    for epoch in itertools.count(1):
        for minibatch in range(batches):
            t = (epoch - 1) * batches + minibatch
            if (t + 1) % frequency == 0:
                if looked == len(errors):
                    return looked, kept
                error = errors[looked]
                if error < best:
                    if error < best * config.improvement_threshold:
                        patience = max(patience, t * config.patience_increase)
                    best, kept = error, looked
                looked += 1
            if patience <= t:
                return looked, kept


@given(
    st.lists(st.integers(0, 64), min_size=1, max_size=40),
    st.integers(1, 300),
    st.sampled_from([1.0, 1.5, 2.0, 2.25]),
    st.sampled_from([0.5, 0.75, 0.995, 1.0]),
    st.integers(1, 40),
)
def test_patience_in_batches_is_the_tutorials(errors, patience, increase, threshold, batches):
    """Also where patience/2 is less than an epoch, and no divisor of it."""
    config = StopConfig(
        rule="patience_batches",
        patience_batches=patience,
        patience_increase=increase,
        improvement_threshold=threshold,
    )
    errors = [error / 64 for error in errors]  # exact in binary, so that 1 − (1 − error) is error
    stopping, looked, best, kept = Stopping(config, ACCURACY, batches), 0, None, None
    for done in filter(stopping.is_due, itertools.count(1)):
        if looked == len(errors) or stopping.had_ended(done):
            break
        if stopping.keeps(1 - errors[looked], best):
            best, kept = 1 - errors[looked], looked
        looked += 1
        if stopping.checked(1 - errors[looked - 1], done):
            break
    assert (looked, kept) == twin_patience(config, errors, batches)


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        ({"rule": "none"}, [0, 1, 2]),  # the latest of equals
        ({"rule": "patience_epochs"}, [0, 1, 2]),
        ({"rule": "patience_batches"}, [0, 2]),  # strictly better
        ({"keep": "last"}, [0, 1, 2, 3, 4]),
    ],
)
def test_which_weights_are_kept_depends_on_rule_and_keep(config, kept):
    stopping, best, found = Stopping(StopConfig(**config), ACCURACY, 10), None, []
    for number, score in enumerate((0.5, 0.5, 0.6, 0.4, float("nan"))):
        if stopping.keeps(score, best):
            best = score
            found.append(number)
    assert found == kept


def test_without_a_rule_nobody_stops():
    stopping = Stopping(StopConfig(), ACCURACY, 1)
    assert not any(stopping.checked(0.0, done) for done in range(1, 101))


def test_the_tutorial_looks_every_half_patience_but_at_least_once_an_epoch():
    assert check_every(StopConfig(rule="patience_batches", patience_batches=100), 30) == 30
    assert check_every(StopConfig(rule="patience_batches", patience_batches=10), 30) == 5
    assert check_every(StopConfig(rule="patience_batches", patience_batches=1), 30) == 1
    assert check_every(StopConfig(rule="patience_epochs"), 30) == 30


@given(st.integers(1, 60), st.integers(1, 80), st.integers(1, 60), st.integers(0, 3))
def test_chunks_are_the_epoch_cut_where_it_must_be(batches, length, every, born):
    """A stack of two, one of which began some epochs before: looks are counted from each one's own start."""
    every = min(every, batches)
    chunks = Chunks("fixed", [1, 2], batches * 3 + 1, 3, length, every)
    chunks.epoch = born
    chunks.set_members([(1, born, 0), (2, 0, 0)])
    for epoch in range(born, born + 2):
        seen = list(chunks)
        assert chunks.several or len(seen) == 1
        images = [index for chunk in seen for index in chunk.order.flatten().tolist()]
        assert images == list(range(batches * 3))
        assert all(1 <= chunk.order.shape[1] <= length for chunk in seen)
        dones = [[own * batches + end for own in (epoch - born, epoch)] for end in range(1, batches + 1)]
        due = [each for each in dones[:-1] if any(done % every == 0 for done in each)]
        assert [chunk.done for chunk in seen if chunk.check] == [*due, dones[-1]]
        assert [chunk.ends_epoch for chunk in seen] == [False] * (len(seen) - 1) + [True]
        assert {chunk.epoch for chunk in seen} == {epoch}
