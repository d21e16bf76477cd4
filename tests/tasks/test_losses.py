"""Weighted classes, smoothed labels and labels cost what torch says; a loss of the user's is checked and used."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from src.config.error import ConfigError
from src.tasks.targets import targets_of
from src.tasks.task import task_of
from src.training.fit import prepare, run
from tests import example

OWN = "tests.tasks.own_losses."


def built(kind, **task):
    config, split = example.table_config(task=task), example.rows(40, 5, kind)
    one = task_of(config.task, targets_of(config, split.targets))
    logits = torch.randn(40, config.data.outputs(config.task.name), generator=torch.Generator().manual_seed(0))
    return one, logits.requires_grad_(), split.targets


def check(one, logits, y, expected):
    cost, outputs = one.cost(lambda x, key: x, logits, y, None)
    assert outputs is logits
    torch.testing.assert_close(cost, expected)
    torch.testing.assert_close(one.costs(torch.stack([logits, 2 * logits]), y)[0] / len(y), expected)
    torch.testing.assert_close(*(torch.autograd.grad(of, logits, retain_graph=True)[0] for of in (cost, expected)))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [[], [1.0, 2.0, 0.0, 5.0], "balanced"])
def test_classes_cost_what_torch_says_divided_by_their_number(weights, smoothing):
    one, logits, y = built("classes", class_weights=weights, label_smoothing=smoothing)
    count = torch.bincount(y, minlength=4)
    as_torch = len(y) / (4 * count) if weights == "balanced" else torch.tensor(weights) if weights else None
    expected = F.cross_entropy(logits, y, as_torch, label_smoothing=smoothing, reduction="sum") / len(y)
    check(one, logits, y, expected)


def test_balanced_classes_have_the_weights_of_scikit_learn_and_an_empty_class_has_none():
    from sklearn.utils.class_weight import compute_class_weight

    y = torch.tensor([0, 0, 0, 2, 2, 3])
    config = example.table_config(task={"class_weights": "balanced"})
    assert targets_of(config, y).weights[1] == 0
    y = torch.cat([y, torch.tensor([1])])
    known = compute_class_weight("balanced", classes=np.arange(4), y=y.numpy())
    assert targets_of(config, y).weights == pytest.approx(known)
    own = torch.tensor([0.5, 2.0, 0.0, 1.0, 3.0, 0.25, 1.5])  # of each example
    known = compute_class_weight("balanced", classes=np.arange(4), y=y.numpy(), sample_weight=own.numpy())
    assert targets_of(config, y, own).weights == pytest.approx(known)


def test_labels_cost_the_binary_cross_entropy():
    one, logits, y = built("labels", name="multilabel")
    check(one, logits, y, F.binary_cross_entropy_with_logits(logits, y))


@pytest.mark.parametrize("name", ["focal", "mean_cross_entropy"])
def test_a_loss_of_the_users_is_used_as_a_mean_or_by_example(name):
    from tests.tasks import own_losses

    one, logits, y = built("classes", loss=OWN + name)
    check(one, logits, y, getattr(own_losses, name)(logits, y).mean())


def trained(kind, **task):
    return run(prepare([example.table_config(task=task)], example.table(kind=kind), lambda text: None), [])


def test_own_losses_train_each_task():
    ours, theirs = trained("classes")[0], trained("classes", loss=OWN + "mean_cross_entropy")[0]
    for row, other in zip(ours.history, theirs.history, strict=True):
        assert other == pytest.approx(row | {"images_per_second": other["images_per_second"]}, rel=1e-4)
    for kind, name in (("numbers", "regress"), ("labels", "multilabel")):
        (result,) = trained(kind, name=name, loss=OWN + "pinball")
        assert result.status == "FINISHED"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing_here", "cannot be imported: AttributeError"),
        ("number", "is no function but int"),
        ("infinite", "gives nan for outputs near 0"),
        ("flat", "gradient by the outputs is 0 everywhere"),
        ("detached", "gives float for outputs float32"),
        ("too_many", r"gives float32 \(5, 4\) for outputs float32 \(5, 4\)"),
        ("raises", "fails on outputs float32 .*: KeyError: 'no such thing'"),
    ],
)
def test_a_loss_of_the_users_that_cannot_be_minimised_is_refused_in_one_line(name, words):
    with pytest.raises(ConfigError, match=f"^task.loss = '{OWN}{name}': .*{words}.*accepted: .*") as caught:
        trained("classes", loss=OWN + name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ({"loss": "mse"}, "task.loss = 'mse': is no loss of task=classify; accepted: cross_entropy"),
        ({"name": "regress", "score": "auroc"}, "task.score = 'auroc': is no metric of task=regress; accepted: rmse"),
        ({"metrics": ["f1", "mae"]}, "task.metrics = 'mae': is no metric of task=classify"),
        ({"metrics": ["top_4_accuracy"]}, "there are 4 classes, so that it is always 1"),
        ({"class_weights": [1.0, 2.0]}, "has 2 values for 4 classes"),
        ({"class_weights": [0.0] * 4}, "at least one above 0"),
        ({"loss": OWN + "focal", "label_smoothing": 0.1}, "reads neither class_weights nor label_smoothing"),
    ],
)
def test_what_is_not_of_the_task_is_refused(task, words):
    with pytest.raises(ConfigError) as caught:
        example.table_config(task=task)
    assert words in str(caught.value)
