"""Cross-validation as one stack: who validates whom, and that a fold trains as it would alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.model_selection import KFold, StratifiedKFold

from src.data.dataset import crossed, scaled
from src.data.error import DataError
from src.data.folds import fold_rows
from src.data.own import dealt_anew
from src.training.fit import prepare, run
from tests import example

CLASSES = np.array([0] * 6 + [1] * 10 + [2] * 7)


@pytest.mark.parametrize("groups", [None, np.arange(23) // 2])
def test_each_example_validates_once_and_classes_and_groups_keep_together(groups):
    rows = fold_rows(CLASSES, "classes", 3, seed=1, groups=groups)
    assert sorted(np.concatenate([held for _, held in rows])) == list(range(23))
    for train, held in rows:
        assert sorted([*train, *held]) == list(range(23))
        if groups is None:
            assert [2 <= (CLASSES[held] == kind).sum() <= 4 for kind in range(3)] == [True] * 3
        else:
            assert not {row // 2 for row in train} & {row // 2 for row in held}
    again, other = (fold_rows(CLASSES, "classes", 3, seed=seed, groups=groups) for seed in (1, 2))
    assert all(np.array_equal(one[1], two[1]) for one, two in zip(rows, again, strict=True))
    assert not all(np.array_equal(one[1], two[1]) for one, two in zip(rows, other, strict=True))


@pytest.mark.parametrize("kind", ["classes", "numbers"])
@pytest.mark.parametrize("folds", [2, 3, 7])
def test_folds_are_those_of_scikit_learn(kind, folds):
    targets = np.random.default_rng(folds).integers(5, 8, 100)
    splitter = (StratifiedKFold if kind == "classes" else KFold)(folds, shuffle=True, random_state=4)
    wanted = [(np.sort(train), np.sort(held)) for train, held in splitter.split(targets, targets)]
    for own, theirs in zip(fold_rows(targets, kind, folds, seed=4), wanted, strict=True):
        assert all(map(np.array_equal, own, theirs))


@pytest.mark.parametrize(
    ("targets", "kind", "folds", "groups", "words"),
    [
        (CLASSES, "classes", 7, None, "a class has 6 examples only"),
        (np.zeros((4, 1)), "numbers", 5, None, "there are 4 examples"),
        (CLASSES, "classes", 3, np.arange(23) % 2, "there are 2 groups"),
    ],
)
def test_too_many_folds_are_refused(targets, kind, folds, groups, words):
    with pytest.raises(DataError, match=words):
        fold_rows(targets, kind, folds, 0, groups)


@pytest.mark.parametrize("engine", ["cpu", "torch"])
@pytest.mark.parametrize(("normalise", "order"), [("none", "epoch"), ("channel", "fixed")])
def test_a_fold_in_the_stack_trains_as_it_would_alone(engine, normalise, order):
    data = {"folds": 3, "normalise": normalise, "order": order}
    config = example.config(data=data, repeats=2, trainer={"engine": engine})
    folds = dealt_anew(example.dataset(), config.data, "classes")
    whole = crossed([scaled(fold) for fold in folds] if normalise == "channel" else folds)
    assert whole.epoch_examples == 53  # of 80, of which 26 or 27 validate
    if normalise == "channel":  # fitted on the fold's own training examples
        assert all(abs(float(fold.train.inputs.mean())) < 1e-5 for fold in whole.folds)
        assert all(abs(float(fold.validation.inputs.mean())) > 1e-5 for fold in whole.folds)
    together = run(prepare([config], whole, lambda _: None), [])
    assert [result.repeat for result in together] == list(range(6))
    for place in (1, 5):
        fold = whole.of_fold(place % 3)
        alone = example.config(data={"order": order}, seed=place, trainer={"engine": engine})
        [result] = run(prepare([alone], replace(fold, train=fold.train.first(53)), lambda _: None), [])
        for name, weights in result.weights.items():
            if engine == "cpu":
                assert torch.equal(weights, together[place].weights[name])
            torch.testing.assert_close(weights, together[place].weights[name])
        assert result.validation_score == together[place].validation_score
        assert result.test_score == together[place].test_score
