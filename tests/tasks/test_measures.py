"""Every figure of K networks at once is that of torchmetrics or scikit-learn for each, ties and missing classes too."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as known
from torchmetrics.functional import classification as torch_known
from torchmetrics.functional import r2_score

from src.config.metric import METRICS, metric_named
from src.tasks.measures import MEASURES, defined, measure

NETWORKS = 3


def drawn(seed, examples, classes, levels):
    """Probabilities (K, N, C) of few levels, so that they tie, classes (N,) and labels (N, C)."""
    generator = torch.Generator().manual_seed(seed)
    p = torch.randint(1, levels + 1, (NETWORKS, examples, classes), generator=generator).float()
    y = torch.randint(0, classes, (examples,), generator=generator)
    labels = torch.randint(0, 2, (examples, classes), generator=generator).float()
    return p / p.sum(-1, keepdim=True), (p - 0.5) / levels, y, labels


def over_classes(of):
    """The mean of a figure for one class against the rest over the classes for which it is defined; 0 where none is."""

    def mean(p, one_hot):
        values = [of(one_hot[:, c], p[:, c]) for c in range(p.shape[1]) if 0 < one_hot[:, c].sum() < len(p)]
        return np.mean(values) if values else 0.0

    return mean


def precision(p, one_hot):
    values = [
        known.average_precision_score(one_hot[:, c], p[:, c]) for c in range(p.shape[1]) if one_hot[:, c].sum() > 0
    ]
    return np.mean(values) if values else 0.0


def balanced(y, answers):
    return known.recall_score(y, answers, labels=np.unique(y), average="macro", zero_division=0)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(2, 5), st.sampled_from([1, 2, 5, 1000]))
def test_figures_are_scikit_learns(seed, examples, classes, levels):
    probabilities, scores, y, labels = drawn(seed, examples, classes, levels)
    one_hot, everything = np.eye(classes)[y.numpy()], list(range(classes))
    for k in range(NETWORKS):
        p, s = probabilities[k].double().numpy(), scores[k].numpy()
        answers, said = probabilities[k].argmax(-1).numpy(), s > 0.5
        met = [c for c in range(classes) if said[:, c].any() or labels[:, c].any()]
        expected = {
            ("classes", "accuracy"): known.accuracy_score(y, answers),
            ("classes", "top_1_accuracy"): known.accuracy_score(y, answers),
            ("classes", "balanced_accuracy"): balanced(y, answers),
            ("classes", "f1"): known.f1_score(y, answers, average="macro"),
            ("classes", "auroc"): over_classes(known.roc_auc_score)(probabilities[k].numpy(), one_hot),
            ("classes", "average_precision"): precision(probabilities[k].numpy(), one_hot),
            ("classes", "cross_entropy"): known.log_loss(y, p / p.sum(1, keepdims=True), labels=everything),
            ("labels", "accuracy"): (said == labels.numpy()).mean(),
            ("labels", "f1"): known.f1_score(labels, said, average="macro", labels=met, zero_division=0) if met else 0,
            ("labels", "auroc"): over_classes(known.roc_auc_score)(s, labels.numpy()),
            ("labels", "average_precision"): precision(s, labels.numpy()),
            ("labels", "cross_entropy"): torch.nn.functional.binary_cross_entropy(scores[k].double(), labels.double()),
        }
        for (kind, name), value in expected.items():
            given_p, given_y = (probabilities, y) if kind == "classes" else (scores, labels)
            assert measure(name, kind)(given_p, given_y)[k].item() == pytest.approx(float(value), abs=1e-6), name


def test_figures_are_torchmetrics():
    probabilities, scores, y, labels = drawn(0, 60, 5, 7)
    for k in range(NETWORKS):
        p, s = probabilities[k], scores[k]
        own = {"num_classes": 5}
        expected = {
            ("classes", "balanced_accuracy"): torch_known.multiclass_accuracy(p, y, average="macro", **own),
            ("classes", "f1"): torch_known.multiclass_f1_score(p, y, average="macro", **own),
            ("classes", "auroc"): torch_known.multiclass_auroc(p, y, **own),
            ("classes", "average_precision"): torch_known.multiclass_average_precision(p, y, **own),
            ("labels", "f1"): torch_known.multilabel_f1_score(s, labels, 5),
            ("labels", "auroc"): torch_known.multilabel_auroc(s, labels.long(), 5),
            ("labels", "average_precision"): torch_known.multilabel_average_precision(s, labels.long(), 5),
        }
        for (kind, name), value in expected.items():
            given_p, given_y = (probabilities, y) if kind == "classes" else (scores, labels)
            assert measure(name, kind)(given_p, given_y)[k].item() == pytest.approx(value.item(), abs=1e-5), name
    distinct = torch.rand(NETWORKS, 60, 5, generator=torch.Generator().manual_seed(1))
    for k in range(NETWORKS):
        value = torch_known.multiclass_accuracy(distinct[k], y, top_k=3, average="micro", num_classes=5)
        assert measure("top_3_accuracy", "classes")(distinct, y)[k].item() == pytest.approx(value.item())


@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(1, 3))
def test_errors_of_numbers_are_scikit_learns_and_torchmetrics(seed, examples, count):
    generator = torch.Generator().manual_seed(seed)
    y = 1e4 + torch.randn(examples, count, generator=generator)
    p = y + torch.randn(NETWORKS, examples, count, generator=generator)
    for k in range(NETWORKS):
        expected = {
            "rmse": known.mean_squared_error(y.double(), p[k].double()) ** 0.5,
            "mae": known.mean_absolute_error(y.double(), p[k].double()),
            "r2": known.r2_score(y.double(), p[k].double()),
        }
        for name, value in expected.items():
            assert measure(name, "numbers")(p, y)[k].item() == pytest.approx(value, rel=1e-6), name
    value = r2_score(p[0].double() - 1e4, y.double() - 1e4).item()
    assert measure("r2", "numbers")(p, y)[0].item() == pytest.approx(value, rel=1e-5, abs=1e-5)


def test_targets_that_are_constant_have_the_r2_of_scikit_learn():
    y = torch.full((5, 1), 3.0)
    assert measure("r2", "numbers")(torch.stack([y, y + 1]), y).tolist() == [1.0, 0.0]


def test_a_network_with_a_prediction_that_is_not_finite_has_no_figure_and_the_others_keep_theirs():
    probabilities, scores, y, labels = drawn(3, 20, 4, 9)
    for kind, figures in MEASURES.items():
        p, targets = (probabilities, y) if kind == "classes" else (scores, labels)
        broken = p.clone()
        broken[1, 3, 2] = math.nan
        for name in figures:
            before, after = measure(name, kind)(p, targets), measure(name, kind)(broken, targets)
            assert math.isnan(after[1])
            assert before[[0, 2]].equal(after[[0, 2]]), name


def test_with_a_single_class_the_auroc_is_not_defined_and_counts_as_the_worst():
    probabilities, scores, y, labels = drawn(3, 20, 4, 9)
    for kind, p, targets in (("classes", probabilities, 0 * y), ("labels", scores, 0 * labels + 1)):
        assert not defined("auroc", targets)
        assert measure("auroc", kind)(p, targets).tolist() == [metric_named("auroc").lost] * NETWORKS
    assert defined("auroc", y)
    assert defined("auroc", labels)
    assert not defined("average_precision", 0 * labels)


def test_every_metric_has_its_figure():
    assert {kind: set(names) for kind, names in METRICS.items()} == {kind: set(own) for kind, own in MEASURES.items()}
