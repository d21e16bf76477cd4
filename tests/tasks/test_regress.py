"""Numbers are predicted in their own units, by losses that are torch's."""

import pytest
import torch
from sklearn.metrics import root_mean_squared_error

from src.config.error import ConfigError
from src.runs.figures import draw
from src.runs.predicted import predicted_figure
from src.tasks.targets import targets_of
from src.tasks.task import task_of
from src.training.fit import prepare, run
from tests import example

ROWS = example.rows(40, 5)


def config(**task):
    return example.table_config(task={"name": "regress", **task})


def trained(dataset, **fields):
    prepared = prepare([example.table_config(**{"task": {"name": "regress"}} | fields)], dataset, lambda text: None)
    return run(prepared, [])


@pytest.mark.parametrize(
    ("task", "loss"),
    [
        ({}, torch.nn.MSELoss()),
        ({"loss": "mae"}, torch.nn.L1Loss()),
        ({"loss": "huber", "delta": 0.4}, torch.nn.HuberLoss(delta=0.4)),
        ({"loss": "poisson"}, torch.nn.PoissonNLLLoss()),
        ({"loss": "mse", "standardise": False}, torch.nn.MSELoss()),
    ],
)
def test_losses_and_their_gradients_are_torchs_at_the_scale_of_training(task, loss):
    run_config = config(**task)
    settings = run_config.task
    y = ROWS.targets.abs() / (500 if settings.loss == "poisson" else 1)
    one = task_of(settings, targets_of(run_config, y))
    weight = (0.1 * torch.randn(2, 5, generator=torch.Generator().manual_seed(0))).requires_grad_()

    def call(x, key):
        return x.flatten(1) @ weight.T

    cost, outputs = one.cost(call, ROWS.inputs, y, None)
    as_is = settings.loss == "poisson" or not settings.standardise
    expected = loss(outputs, y if as_is else (y - y.mean(0)) / y.std(0, correction=0))
    torch.testing.assert_close(cost, expected)
    torch.testing.assert_close(one.costs(outputs, y) / len(y), expected)
    got, known = (torch.autograd.grad(of, weight, retain_graph=True)[0] for of in (cost, expected))
    torch.testing.assert_close(got, known)


def test_scores_and_predictions_are_in_the_targets_units_and_the_least_error_is_the_best():
    (result,) = trained(example.table(), max_epochs=8)
    history = [row["validation/rmse"] for row in result.history]
    assert result.validation_score == min(history) == history[result.best_epoch - 1] < history[0]
    truth = example.table().test.targets
    assert result.test_score == pytest.approx(
        ((result.probabilities.double() - truth) ** 2).mean().sqrt().item(), rel=1e-6
    )
    assert root_mean_squared_error(truth[:, 0], result.probabilities[:, 0]) < truth[:, 0].std() < 100
    assert result.target_scaling == {
        "mean": pytest.approx(example.table().train.targets.double().mean(0).tolist()),
        "sd": pytest.approx(example.table().train.targets.double().std(0, correction=0).tolist()),
    }
    assert {"validation_rmse", "test_rmse"} <= set(result.as_json())


def test_targets_at_another_scale_train_the_same_network():
    near, far = example.table(), example.table()
    for split in (far.train, far.validation, far.test):
        split.targets.mul_(1024).sub_(5e5)
    one, other = trained(near)[0], trained(far)[0]
    for name, value in one.weights.items():
        torch.testing.assert_close(other.weights[name], value, rtol=1e-3, atol=1e-4)
    assert other.test_score == pytest.approx(1024 * one.test_score, rel=1e-3)


def test_data_whose_targets_are_not_those_of_the_task_are_refused():
    with pytest.raises(ConfigError, match="'regress': the targets of example are one class an example; accepted"):
        prepare([example.config(task={"name": "regress"})], example.dataset())
    with pytest.raises(ConfigError, match="of table are 2 numbers an example; accepted: data with 3 numbers"):
        trained(example.table(), data={"channels": 5, "height": 1, "width": 1, "target_count": 3})
    with pytest.raises(ConfigError, match="task = 'classify': the targets of table are 2 numbers"):
        trained(example.table(), task={"name": "classify"})
    dataset = example.table()
    dataset.test.targets[3] = -1
    with pytest.raises(ConfigError, match="poisson': the targets hold numbers below 0"):
        trained(dataset, task={"name": "regress", "loss": "poisson"})


def test_a_run_draws_what_it_predicts_and_no_figure_of_classes(tmp_path):
    dataset = example.table()
    results = trained(dataset)
    paths = draw(results, tmp_path, dataset.test.inputs, dataset.test.targets)
    assert {path.stem for path in paths} == {"rmse", "overfitting", "predicted"}
    figure = predicted_figure(results[0].probabilities, dataset.test.targets, tmp_path / "one.png", "")
    points = figure.axes[1].lines[0]
    assert points.get_xdata() == pytest.approx(dataset.test.targets[:, 1].numpy())
    assert points.get_ydata() == pytest.approx(results[0].probabilities[:, 1].numpy())


def test_data_that_have_classes_are_refused_before_they_are_read():
    with pytest.raises(ConfigError, match=r"task.name = 'regress': data=digits has classes, and no numbers to predict"):
        example.config(data={"name": "digits", "dir": None}, task={"name": "regress"})
