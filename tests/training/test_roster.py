"""Members that leave and join while a stack trains: each exactly as if it were alone."""

import pytest
import torch

from src.training.fit import prepare, run, run_roster
from src.training.roster import Everyone
from src.training.stack import members_of
from tests import example

# Costs are summed chunk by chunk, and how long one is depends on the clock unless it is set: the last digit shows it.
ENGINES = {"torch": {"engine": "torch"}, "cpu": {"engine": "cpu", "threads": 2, "chunk": 5}}


class TrialSource(Everyone):
    """Prunes `who` after `when`; as soon as there is room, those in `waiting` join."""

    def __init__(self, who=(), when=1, waiting=(), watch=None):
        super().__init__()
        self.who, self.when, self.waiting, self.free = set(who), when, list(waiting), []

    def pruned(self, rows):
        return {number for number in rows if number in self.who and rows[number]["epoch"] == self.when}

    def joining(self, free):
        self.free.append(free)
        now, self.waiting = self.waiting[:free], self.waiting[free:]
        return now


def trial(engine, eta, seed, **more):
    sections = {"data": {"order": "epoch"}, "model": {"dropout": 0.2, "hidden": [8]}, **more}
    optim = {"eta": eta, "lambda_": 0.1, "schedule": "inverse", "decay": 0.5}  # a rate for each epoch of its own
    return example.config(trainer=ENGINES[engine], max_epochs=4, optim=optim, seed=seed, **sections)


def train(first, office, capacity=0):
    prepared = prepare(first, example.dataset(), lambda line: None)
    run_roster(prepared, office, [], capacity=capacity)
    return office.results, prepared


def alone(config):
    return run(prepare([config], example.dataset(), lambda line: None), [])[0]


def assert_alike(engine, one, other):
    exact = engine == "cpu"
    for row, expected in zip(one.history, other.history, strict=True):
        for key in ("epoch", "eta", "train/cost", "train/accuracy", "validation/cost", "validation/accuracy"):
            assert row[key] == (expected[key] if exact else pytest.approx(expected[key], rel=1e-3, abs=1e-6))
    assert one.best_epoch == other.best_epoch
    assert one.test_score == other.test_score
    for name, value in one.weights.items():
        torch.testing.assert_close(value, other.weights[name], rtol=0 if exact else 1e-3, atol=0 if exact else 1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_who_takes_a_freed_place_trains_as_alone(engine):
    first = [trial(engine, eta, seed) for seed, eta in enumerate((0.1, 0.3, 0.5))]
    later = [trial(engine, eta, seed) for seed, eta in enumerate((0.2, 0.4), 10)]
    office = TrialSource(who=[1], when=2, waiting=members_of(later))
    results, _ = train(first, office)
    assert [results[number].status for number in range(5)] == ["FINISHED", "PRUNED", "FINISHED", "FINISHED", "FINISHED"]
    assert len(results[1].history) == 2
    assert results[1].test_score is None
    for number, config in ((0, first[0]), (2, first[2]), (3, later[0]), (4, later[1])):
        assert_alike(engine, results[number], alone(config))


@pytest.mark.parametrize("engine", ENGINES)
def test_newcomers_bring_momentum_and_l1_where_nobody_had_them(engine):
    first = [trial(engine, 0.1, 0), trial(engine, 0.2, 1)]
    later = trial(engine, 0.1, 2)
    later = later.model_copy(update={"optim": later.optim.model_copy(update={"momentum": 0.5, "l1": 0.01})})
    results, _ = train(first, TrialSource(who=[0], waiting=members_of([later])))
    for number, config in ((1, first[1]), (2, later)):
        assert_alike(engine, results[number], alone(config))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "rule", [{"momentum": 0.5}, {"rule": "adam", "eta": 0.01, "epsilon": 1e-4}], ids=["sgd", "adam"]
)
def test_who_joins_warms_up_from_its_own_start_and_decays_as_alone(engine, rule):
    def with_warm_up(eta, seed, steps):
        optim = {"eta": eta, "lambda_": 1e-4, "l1": 1e-4, "weight_decay": 1e-4, "warmup_steps": steps, **rule}
        return example.config(trainer=ENGINES[engine], max_epochs=3, optim=optim, seed=seed)

    first = [with_warm_up(0.1, 0, 0), with_warm_up(0.2, 1, 7), with_warm_up(0.3, 2, 5)]  # one by epoch, two by step
    later = with_warm_up(0.1, 3, 20)
    results, _ = train(first, TrialSource(who=[2], waiting=members_of([later])))
    for number, config in ((0, first[0]), (1, first[1]), (3, later)):
        assert_alike(engine, results[number], alone(config))
    assert results[3].history[0]["eta"] == pytest.approx(later.optim.eta * 12 / 20)  # an epoch has 12 mini-batches
    assert results[3].history[1]["eta"] == later.optim.eta


@pytest.mark.parametrize("engine", ENGINES)
def test_the_tutorials_patience_counts_from_the_member_s_own_start(engine):
    # A look every 10 mini-batches, an epoch has 12: who joins an epoch later looks elsewhere.
    stop = {"rule": "patience_batches", "patience_batches": 20, "patience_increase": 1.5}
    first = [trial(engine, eta, seed, stop=stop) for seed, eta in enumerate((0.1, 1e-9, 0.9, 0.9))]
    later = [trial(engine, eta, 7, stop=stop) for eta in (1e-9, 0.9)]
    results, _ = train(first, TrialSource(who=[0, 3], when=1, waiting=members_of(later)))
    for number, config in ((1, first[1]), (2, first[2]), (4, later[0]), (5, later[1])):
        assert_alike(engine, results[number], alone(config))
    assert len(results[4].history) < 4


def test_a_stack_grows_to_its_capacity_and_no_further():
    waiting = members_of([trial("cpu", 0.1, seed) for seed in range(10, 15)])
    office = TrialSource(waiting=waiting)
    results, _ = train([trial("cpu", 0.1, 0)], office, capacity=3)
    assert office.free[:4] == [2, 0, 0, 1]
    assert sorted(result.seed for result in results.values()) == [0, 10, 11, 12, 13, 14]


def test_a_stack_does_not_grow_where_another_size_is_compiled_anew():
    prepared = prepare([trial("torch", 0.1, 0)], example.dataset(), lambda line: None)
    prepared.engine.resize_seconds = 30.0
    office = TrialSource(waiting=members_of([trial("torch", 0.1, 1)]))
    run_roster(prepared, office, [], capacity=3)
    assert office.free == [0, 0, 0, 1, 0, 0, 0, 1]


def test_who_has_stopped_keeps_a_place_until_somebody_takes_it_where_resizing_is_dear():
    prepared = prepare([trial("torch", 0.1, seed) for seed in range(3)], example.dataset(), lambda line: None)
    prepared.engine.resize_seconds = 1e9
    sizes = []

    class Watch:
        def progressed(self, epoch, batch, members):
            sizes.append((epoch, members, len(prepared.engine.hyper["seed"])))

        def epoch_ended(self, rows, so_far):
            pass

    class Late(TrialSource):
        def joining(self, free):
            return super().joining(free) if len(sizes) >= 2 else []

    office = Late(who=[0, 1], when=1, waiting=members_of([trial("torch", 0.2, 9)]))
    run_roster(prepared, office, [Watch()])
    assert {size for _, _, size in sizes} == {3}
    assert {epoch: members for epoch, members, _ in sizes}[2] == 2
    assert_alike("torch", office.results[3], alone(trial("torch", 0.2, 9)))


def test_who_is_pruned_in_its_last_epoch_has_finished():
    office = TrialSource(who=[0], when=4)
    results, _ = train([trial("cpu", 0.1, 0)], office)
    assert results[0].status == "FINISHED"
    assert results[0].test_score is not None


def test_an_interrupted_stack_takes_nobody_in():
    office = TrialSource(who=[0], when=1, waiting=members_of([trial("cpu", 0.1, 5)]))
    prepared = prepare([trial("cpu", 0.1, 0), trial("cpu", 0.1, 1)], example.dataset(), lambda line: None)
    run_roster(prepared, office, [], interrupted=lambda: 0 in office.results)
    assert {number: result.status for number, result in office.results.items()} == {0: "PRUNED", 1: "KILLED"}
