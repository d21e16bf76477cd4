"""What every task keeps: a member trains in a stack as it does alone, and a NaN stays in its member."""

import pytest
import torch
from sklearn.metrics import f1_score

from src.config.task import LOSSES
from src.tasks.targets import targets_of
from src.training.engines import cpu
from src.training.engines.cpu.head import HEADS
from src.training.engines.torch_engine import TorchEngine
from src.training.fit import prepare, run
from src.training.spec import spec_of
from src.training.stack import first_state, hyper_of_stack, members_of
from tests import example

TASKS = {
    "regress": {"name": "regress"},
    "mae": {"name": "regress", "loss": "mae"},
    "huber": {"name": "regress", "loss": "huber", "delta": 0.5},
    "multilabel": {"name": "multilabel"},
    "weighted": {"name": "classify", "class_weights": [1.0, 2.0, 0.0, 5.0], "label_smoothing": 0.1},
    "balanced": {"name": "classify", "class_weights": "balanced"},
    "own": {"name": "classify", "loss": "tests.tasks.own_losses.focal"},
    "auroc": {"name": "classify", "score": "auroc", "metrics": ["f1"]},
    "poisson": {"name": "regress", "loss": "poisson"},
}


def on_torch(spec, hyper, state):
    return TorchEngine(spec, hyper, state, torch.device("cpu"))


def on_cpu(spec, hyper, state):
    return cpu.CpuEngine(spec, hyper, state, 1)


both = pytest.mark.parametrize(
    ("task", "engine"),
    [(task, engine) for task in TASKS for engine in (on_torch, on_cpu) if (task, engine) != ("own", on_cpu)],
)


def spec_and_dataset(config):
    dataset = example.table(
        kind="labels" if config.task.loss == "poisson" else config.task.kind, count=config.data.target_count
    )
    return spec_of(config, 12, targets=targets_of(config, dataset.train.targets)), dataset


def trained(task, rows, etas=(0.05, 0.1, 0.15), engine=on_torch, count=2):
    """State, sums of a chunk, validation means and predictions of the members `rows` of a stack of three."""
    configs = [example.table_config(count, task=TASKS[task], optim={"eta": etas[row]}, seed=row) for row in rows]
    (spec, dataset), stack = spec_and_dataset(configs[0]), members_of(configs)
    engine = engine(spec, hyper_of_stack(stack), first_state(stack, spec.model))
    order = torch.arange(120).view(1, -1, 5) % 60
    eta = engine.hyper["eta"].float()
    sums = engine.train(dataset.train.inputs, dataset.train.targets, order, torch.tensor(0), eta)
    means = engine.evaluate(dataset.validation.inputs, dataset.validation.targets)
    return engine.state(), sums, means, engine.predictions(dataset.validation.inputs)


@both
def test_a_member_alone_is_the_member_in_a_stack(task, engine):
    exact = {"rtol": 0, "atol": 0}
    state, sums, means, predictions = trained(task, (0, 1, 2), engine=engine)
    for row in range(3):
        alone, own, mine, answers = trained(task, (row,), engine=engine)
        for name, value in alone.items():
            near = exact if engine is on_cpu else {"rtol": 1e-5, "atol": 1e-6}
            torch.testing.assert_close(state[name][row], value[0], **near)
        pairs = (sums.cost, own.cost), (means.cost, mine.cost), (means.score, mine.score), (predictions, answers)
        for stacked, single in pairs:
            near = exact if engine is on_cpu else {"rtol": 1e-5, "atol": 1e-5}
            torch.testing.assert_close(stacked[row], single[0], **near)


@both
def test_a_nan_stays_in_its_member(task, engine):
    state, _, means, _ = trained(task, (0, 1, 2), engine=engine)
    broken, _, others, _ = trained(task, (0, 1, 2), etas=(0.05, 1e30, 0.15), engine=engine)
    assert not others.cost[1].isfinite()
    for row in (0, 2):
        assert all(torch.equal(broken[name][row], value[row]) for name, value in state.items())
        assert others.score[row] == means.score[row]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("task", sorted(TASKS.keys() - {"auroc", "own"}))
def test_both_engines_compute_the_same(task, count):
    state, sums, means, predictions = trained(task, (0, 1, 2), count=count)
    ours, own, mine, answers = trained(task, (0, 1, 2), engine=on_cpu, count=count)
    for name, value in state.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-6)
    for theirs, here in ((sums.cost, own.cost), (sums.score, own.score), (means.cost, mine.cost)):
        torch.testing.assert_close(here, theirs, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(mine.score, means.score, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(answers, predictions, rtol=1e-5, atol=1e-6)


def test_the_cpu_engine_has_a_kernel_for_every_loss_and_refuses_those_of_the_user():
    assert set(HEADS) == {loss for losses in LOSSES.values() for loss in losses}
    spec, _ = spec_and_dataset(example.table_config(task=TASKS["own"]))
    assert cpu.engine_for(spec).refuses(spec) == "task.loss=tests.tasks.own_losses.focal"


def test_both_engines_judge_by_metrics_of_the_whole_split():
    _, _, means, _ = trained("auroc", (0, 1, 2))
    _, _, ours, _ = trained("auroc", (0, 1, 2), engine=on_cpu)
    assert means.measures.keys() == {"f1"}
    torch.testing.assert_close(ours.score, means.score, rtol=1e-4, atol=0.02)  # a tie in float32 may break either way
    torch.testing.assert_close(ours.measures["f1"], means.measures["f1"], rtol=0, atol=0.06)
    assert means.score.min() > 0.5


def test_the_score_that_is_chosen_decides_the_best_epoch_and_others_are_reported_for_it():
    task = {"score": "auroc", "metrics": ["f1", "accuracy"]}
    dataset = example.table(kind="classes")
    config = example.table_config(task=task, max_epochs=6, optim={"eta": 0.4})
    (result,) = run(prepare([config], dataset, lambda text: None), [])
    rows = result.history
    assert result.validation_score == max(row["validation/auroc"] for row in rows)
    assert {"train/accuracy", "validation/f1", "validation/accuracy"} <= rows[0].keys()
    assert "train/auroc" not in rows[0]
    best = rows[result.best_epoch - 1]
    assert result.metrics == {
        "validation_f1": pytest.approx(best["validation/f1"]),
        "validation_accuracy": pytest.approx(best["validation/accuracy"]),
        "test_f1": pytest.approx(f1_score(dataset.test.targets, result.probabilities.argmax(1), average="macro")),
        "test_accuracy": pytest.approx((result.probabilities.argmax(1) == dataset.test.targets).double().mean().item()),
    }
    assert {"validation_auroc", "test_auroc", "metrics"} <= result.as_json().keys()


def test_a_metric_without_meaning_on_a_split_is_said_before_training():
    dataset, said = example.table(kind="classes"), []
    dataset.validation.targets.zero_()
    prepared = prepare([example.table_config(task={"score": "auroc"})], dataset, said.append)
    assert said[0].startswith(
        "The validation set of table has no two classes to tell apart, so its AUROC is not defined"
    )
    (result,) = run(prepared, [])
    assert (result.status, result.validation_score) == ("FINISHED", 0.0)
