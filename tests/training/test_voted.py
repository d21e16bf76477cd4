"""The weights of several epochs of one network vote: those of runs that ended there, each member's its own."""

from dataclasses import replace

import pytest
import torch

from src.data.dataset import crossed
from src.models.model import trained_network
from src.tasks.task import task_of
from src.tracking.tracker import last_values
from src.training.fit import prepare, run
from tests import example

TWO = {"snapshots": 2, "snapshot_every_epochs": 2, "max_epochs": 5}  # epochs 2 and 4


def trained(*configs, data=None):
    return run(prepare(list(configs), data or example.dataset(), lambda line: None), [])


@pytest.mark.parametrize("engine", ["torch", "cpu"])
def test_the_vote_is_the_mean_probability_of_networks_that_were_trained_so_far(engine):
    own = {"trainer": {"engine": engine}, "stop": {"keep": "last"}, "model": {"activation": "relu"}}
    own["optim"] = {"eta": 0.05, "momentum": 0.5}  # so that two epochs, four and their vote have three scores
    shorter = [trained(example.config(max_epochs=epochs, **own))[0] for epochs in (2, 4)]
    (result,) = trained(example.config(**TWO, **own))
    assert result.snapshot_epochs == [2, 4]
    for weights, one in zip(result.snapshot_weights, shorter, strict=True):
        assert all(torch.equal(value, one.weights[name]) for name, value in weights.items())
    mean = torch.stack([one.probabilities for one in shorter]).mean(0)
    wanted = float((mean.argmax(1) == example.dataset().test.targets).double().mean())
    assert result.snapshots_test_score == pytest.approx(wanted)
    assert wanted not in [one.test_score for one in shorter]
    assert (result.best_epoch, result.test_score) == (5, trained(example.config(max_epochs=5, **own))[0].test_score)


def by_hand(config, weights, split):
    """The score of the mean of the predictions of networks with these weights."""
    task = task_of(config.task)
    networks = [trained_network(config, one) for one in weights]
    with torch.no_grad():
        mean = torch.stack([task.predictions(network(split.inputs)) for network in networks]).mean(0)
    return task.score_of(mean, split.targets)


def test_numbers_are_averaged_and_in_a_cross_validation_each_fold_votes_on_its_own_examples():
    config = example.table_config(task={"name": "regress", "standardise": False}, optim={"eta": 1e-5}, **TWO)
    whole = example.table()
    other = replace(whole, train=example.rows(60, 7), validation=example.rows(20, 8))
    config = config.model_copy(update={"data": config.data.model_copy(update={"folds": 2})})
    results = trained(config, data=crossed([whole, other]))
    for result, data in zip(results, (whole, other), strict=True):
        weights = result.snapshot_weights
        wanted = {split: by_hand(config, weights, getattr(data, split)) for split in ("validation", "test")}
        assert result.snapshots_validation_score == pytest.approx(wanted["validation"], rel=1e-5)
        assert result.snapshots_test_score == pytest.approx(wanted["test"], rel=1e-5)
    assert results[0].snapshots_validation_score != results[1].snapshots_validation_score


def test_members_of_a_stack_have_snapshots_of_their_own_or_none_and_a_short_training_has_fewer():
    stop = {"stop": {"rule": "patience_epochs", "patience_epochs": 1}, "optim": {"eta": 1e-6}}  # ends after epoch 2
    each = [{"snapshots": 0}, {"snapshots": 4}, {"snapshots": 1, "average": {"rule": "swa"}}]
    configs = [example.config(max_epochs=4, **own, **stop) for own in each]
    together = trained(*configs)
    assert [one.snapshot_epochs for one in together] == [[], [1, 2], [2]]
    assert [one.snapshots_test_score is None for one in together] == [True, False, False]
    assert together[0].as_json()["snapshots_test_accuracy"] is None
    assert ["snapshots/test_accuracy" in last_values(one) for one in together] == [False, True, True]
    for result, config in zip(together, configs, strict=True):
        (alone,) = trained(config)
        assert (alone.snapshot_epochs, alone.snapshots_test_score) == (
            result.snapshot_epochs,
            result.snapshots_test_score,
        )
    for name, value in together[2].snapshot_weights[0].items():  # what is judged, the mean over epochs 1 and 2
        first, second = (one[name] for one in together[1].snapshot_weights)
        torch.testing.assert_close(value, (first + second) / 2)
