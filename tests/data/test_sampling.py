"""Over- and under-sampling: how often examples are seen, by whom, and that nothing else depends on it."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from src.config.error import ConfigError
from src.data.dataset import Dataset, Split, crossed
from src.data.own import dealt_anew
from src.data.sampling import Sampling
from src.training.chunks import Chunks
from src.training.fit import check, prepare, run
from tests import example

CLASSES = np.random.default_rng(0).permutation([0] * 60 + [1] * 25 + [3] * 7)  # none of 2


def counts(drawn: np.ndarray, classes: np.ndarray = CLASSES) -> list[int]:
    return np.bincount(classes[drawn], minlength=4).tolist()


def test_each_class_is_seen_as_often_as_the_largest_or_the_smallest():
    over, under = Sampling("over", [CLASSES]), Sampling("under", [CLASSES])
    assert (over.examples, under.examples) == (180, 21)
    for epoch in range(5):
        assert counts(over.drawn(4, epoch, 0)) == [60, 60, 0, 60]
        assert counts(under.drawn(4, epoch, 0)) == [7, 7, 0, 7]


@given(st.lists(st.integers(1, 30), min_size=2, max_size=4), st.sampled_from(["over", "under"]), st.integers(0, 2**32))
def test_at_any_time_no_example_is_ahead_of_another_of_its_class_by_more_than_one(sizes, kind, seed):
    classes = np.repeat(np.arange(len(sizes)), sizes)
    sampling, seen = Sampling(kind, [classes]), np.zeros(len(classes), dtype=int)
    for epoch in range(6):
        seen += np.bincount(sampling.drawn(seed, epoch, 0), minlength=len(classes))
        assert all(np.ptp(seen[classes == one]) <= 1 for one in range(len(sizes)))
    times = -(-max(sizes) // (sampling.examples // len(sizes)))
    assert times > 6 or seen.all()  # so all of a large class are seen in time


def test_which_examples_of_a_large_class_come_first_is_chance():
    sampling, seeds = Sampling("under", [CLASSES]), 600
    large, first = np.flatnonzero(CLASSES == 0), np.zeros(len(CLASSES), dtype=int)
    pairs = np.zeros((2, 2), dtype=int)
    for seed in range(seeds):
        drawn = [np.isin(large, sampling.drawn(seed, epoch, 0)) for epoch in (0, 9)]  # of the first and second round
        first[sampling.drawn(seed, 0, 0)] += 1
        pairs[int(drawn[0][0]), int(drawn[1][0])] += 1
    assert chisquare(first[large]).pvalue > 0.001
    share = 7 / 60  # an example's chance in either, which know nothing of one another
    wanted = seeds * np.outer([1 - share, share], [1 - share, share])
    assert chisquare(pairs.ravel(), wanted.ravel()).pvalue > 0.001


def test_classes_are_mixed_in_the_mini_batches():
    chunks = Chunks("epoch", [3, 4], len(CLASSES), 10, 100, 100, sampling=Sampling("over", [CLASSES]))
    [chunk] = chunks
    assert chunks.batches == 18
    assert chunk.order.shape == (2, 18, 10)
    assert not chunk.order[0].equal(chunk.order[1])
    every = np.stack([[counts(batch.numpy()) for batch in member] for member in chunk.order])  # (2, 18, 4)
    assert every.sum(1).tolist() == [[60, 60, 0, 60]] * 2
    assert every[:, :, 0].max() < 10  # none is of one class alone
    assert chisquare(every[:, :9].sum((0, 1))[[0, 1, 3]]).pvalue > 0.001  # the first half is like the second


def test_a_members_draw_does_not_depend_on_its_neighbours():
    sampling = Sampling("over", [CLASSES[:46], CLASSES[46:]])
    chunks = Chunks("epoch", [1, 2, 3], 46, 5, 100, 100, sampling=sampling)
    chunks.set_members([(1, 0, 0), (2, 1, 1), (3, 0, 1)])
    chunks.epoch = 3
    [together] = chunks
    chunks.set_members([(2, 1, 1)])
    chunks.epoch = 3
    [alone] = chunks
    assert alone.order[0].equal(together.order[1])
    wanted = Counter((sampling.drawn(2, epoch=2, fold=1) + 46).tolist())  # its own epoch, of the second fold
    assert Counter(alone.order.flatten().tolist()) <= wanted
    assert alone.first_step.tolist() == [2 * chunks.batches]


def test_folds_with_other_classes_have_epochs_of_the_same_length():
    folds = [np.array([0] * 8 + [1] * 4 + [2] * 3), np.array([0] * 9 + [1] * 6)]
    under = Sampling("under", folds)
    assert under.examples == 9
    assert counts(under.drawn(0, 0, 0), folds[0]) == [3, 3, 3, 0]
    assert sorted(counts(under.drawn(0, 0, 1), folds[1])) == [0, 0, 4, 5]


def imbalanced(sampling: str, train: int = 90) -> Dataset:
    """The example's data with only every fifth of two of the training classes."""
    every = example.split(train, 1)
    kept = (every.targets > 1) | (torch.arange(train) % 5 == 0)
    return replace(example.dataset(), train=Split(every.inputs[kept], every.targets[kept]), sampling=sampling)


@pytest.mark.parametrize("engine", ["cpu", "torch"])
@pytest.mark.parametrize(("sampling", "folds"), [("over", None), ("under", None), ("over", 2)])
def test_a_member_trains_alone_as_in_a_stack_and_validation_and_test_stay_whole(engine, sampling, folds):
    own = {"order": "epoch", "sampling": sampling}
    config = example.config(data={**own, "folds": folds}, repeats=2, trainer={"engine": engine})
    data = imbalanced(sampling)
    whole = crossed(dealt_anew(data, config.data, "classes")) if folds else data
    together = run(prepare([config], whole, lambda _: None), [])
    place, fold = len(together) - 1, whole.of_fold((folds or 1) - 1)
    alone = replace(fold, train=fold.train.first(whole.member_examples))
    if alone.epoch_examples == whole.epoch_examples:  # a fold alone may have longer epochs
        prepared = prepare([example.config(data=own, seed=place, trainer={"engine": engine})], alone, lambda _: None)
        assert prepared.chunks.batches == prepared.engine.spec.batches == alone.epoch_examples // 5
        [result] = run(prepared, [])
        for name, weights in result.weights.items():
            if engine == "cpu":
                assert weights.equal(together[place].weights[name])
            torch.testing.assert_close(weights, together[place].weights[name])
        assert result.validation_score == together[place].validation_score
    assert all(len(one.probabilities) == 30 for one in together)


def test_a_mini_batch_larger_than_an_epoch_is_refused():
    config = example.config(data={"order": "epoch", "sampling": "under"}, batch_size=40)
    data = imbalanced("under")
    assert data.epoch_examples < 40 < data.member_examples
    with pytest.raises(ConfigError, match=r"images of example in an epoch with data\.sampling=under; accepted: 1 to"):
        check(config, data)
