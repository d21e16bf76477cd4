"""PCA and ZCA whitening: numpy's own SVD is the oracle, and only what is trained on decides."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from src.commands.compare import read_run
from src.config.data import DataConfig
from src.config.error import UserError
from src.data import scaling
from src.data.dataset import Dataset, crossed, whitened
from src.data.load import load
from src.data.own import dealt_anew
from src.data.whitening import whitening
from src.runs.predictor import Predictor, predictions
from src.runs.result_files import WHITENING
from src.runs.run_words import data_words
from src.runs.trained import networks_in
from src.tracking.record import Record
from src.training.fit import prepare, run
from tests import example

EPSILON = 1e-3


def by_svd(inputs: np.ndarray, train: np.ndarray, kind: str) -> np.ndarray:
    """Inputs (N, …), values as seen, whitened by the SVD of the centred training inputs."""
    rows, mean = train.reshape(len(train), -1), train.reshape(len(train), -1).mean(0)
    _, s, turned = np.linalg.svd(rows - mean, full_matrices=False)
    z = (inputs.reshape(len(inputs), -1) - mean) @ turned.T
    signs = np.sign(turned[np.arange(len(turned)), np.abs(turned).argmax(1)])
    z = z * signs / np.sqrt(s**2 / len(train) + EPSILON)
    return (z if kind == "pca" else z * signs @ turned).reshape(inputs.shape)


@pytest.mark.parametrize("kind", ["pca", "zca"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_whitened_inputs_are_those_of_numpys_svd(monkeypatch, kind, dtype):
    monkeypatch.setattr(scaling, "PART", 7)
    monkeypatch.setattr("src.data.whitening.PART", 7)
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (60, 2, 3, 4)).astype(dtype)
    images[:, 1] = images[:, 0] // 2 + images[:, 1] // 4  # correlated
    images[:50, 0, 0, 0] = 9  # never varies in the training images
    x = images / (255.0 if dtype == np.uint8 else 1.0)
    found = whitening(torch.from_numpy(images[:50]), kind, EPSILON)
    assert (found.shape, found.dtype) == ((25, 24), torch.float32)
    seen = scaling.as_seen(torch.from_numpy(images), found)
    wanted = by_svd(x, x[:50], kind)
    np.testing.assert_allclose(seen, wanted, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("kind", ["pca", "zca"])
def test_the_training_inputs_have_no_correlations_left_but_for_epsilon(kind):
    train = example.split(400, 1).inputs
    found = whitening(train, kind, EPSILON)
    z = scaling.as_seen(train, found).double().flatten(1).numpy()
    covariance = z.T @ z / len(z)
    rows = (train / 255).double().flatten(1).numpy()
    variances = np.linalg.eigvalsh(np.cov(rows.T, bias=True))[::-1]
    shares = variances / (variances + EPSILON)
    if kind == "pca":
        np.testing.assert_allclose(covariance, np.diag(shares), atol=1e-4)
    assert np.abs(z.mean(0)).max() < 1e-5
    np.testing.assert_allclose(np.linalg.eigvalsh(covariance)[::-1], shares, atol=1e-4)
    nearly = scaling.as_seen(train, whitening(train, kind, 1e-12)).double().flatten(1).numpy()
    np.testing.assert_allclose(nearly.T @ nearly / len(z), np.eye(z.shape[1]), atol=1e-3)


def test_only_what_is_trained_on_decides_moved_copies_among_it():
    config = DataConfig(name="digits", train=80, validation=20, normalise="zca", expand="shifts", epsilon=EPSILON)
    plain, data = load(config.as_stored), load(config)
    found = whitening(plain.train.inputs, "zca", EPSILON)
    assert data.whitening is not None
    assert data.whitening.equal(found)
    for split in ("train", "validation", "test"):
        seen, stored = getattr(data, split).inputs, getattr(plain, split).inputs
        torch.testing.assert_close(seen, scaling.as_seen(stored, found), rtol=1e-4, atol=1e-4)
        assert getattr(data, split).targets.equal(getattr(plain, split).targets)
    assert data.pictures.equal(plain.test.inputs)
    assert data_words(data).endswith("; whitened over the training split")


def test_the_number_of_threads_changes_no_bit():
    inputs, found = example.split(300, 1).inputs, []
    threads = torch.get_num_threads()
    for count in (1, 2):
        torch.set_num_threads(count)
        found.append(whitened(replace(example.dataset(), train=example.split(300, 1)), whitening(inputs, "zca", 1e-5)))
        assert torch.get_num_threads() == count
    torch.set_num_threads(threads)
    assert found[0].whitening.equal(found[1].whitening)
    assert found[0].train.inputs.equal(found[1].train.inputs)


def folds_of(data: Dataset, kind: str, folds: int | None) -> Dataset:
    """The example's data, whitened, each fold by its own training examples."""
    config = example.config(data={"folds": folds} if folds else {}).data
    dealt = dealt_anew(data, config, "classes") if folds else [data]
    each = [whitened(one, whitening(one.train.inputs, kind, EPSILON)) for one in dealt]
    return crossed(each) if folds else each[0]


@pytest.mark.parametrize(("kind", "folds", "engine"), [("pca", None, "cpu"), ("zca", 3, "torch")])
def test_what_a_run_leaves_answers_raw_inputs_as_it_did_in_training(tmp_path: Path, kind, folds, engine):
    seen = {"normalise": kind, "epsilon": EPSILON, "folds": folds}
    config = example.config(data=seen, model={"maps": []}, trainer={"engine": engine}, repeats=2)
    data = folds_of(example.dataset(), kind, folds)
    results = run(prepare([config], data, lambda _: None), [])
    record = Record(config, tmp_path, None)  # type: ignore[arg-type]  # which is told later
    record.ended(dict(enumerate(results)))
    assert record.conclude(data).files == [tmp_path / WHITENING]  # for the tracking store
    matrix = 4 * 145 * 144
    assert (tmp_path / WHITENING).stat().st_size < matrix * ((folds or 1) + 0.5)  # one for all members of a fold
    raw = example.dataset().test.inputs
    for left, result in zip(networks_in(tmp_path, read_run(tmp_path)), results, strict=True):
        found = predictions(Predictor([left.read()]), raw)
        torch.testing.assert_close(found, result.probabilities, rtol=1e-4, atol=1e-5)
    (tmp_path / WHITENING).unlink()
    with pytest.raises(UserError, match=r"whitening\.pt"):
        networks_in(tmp_path, read_run(tmp_path))[0].read()


@pytest.mark.parametrize("engine", ["cpu", "torch"])
def test_a_member_sees_the_same_alone_and_in_a_stack(engine):
    data = folds_of(example.dataset(), "zca", None)
    stack = example.config(data={"normalise": "zca"}, repeats=3, trainer={"engine": engine})
    together = run(prepare([stack], data, lambda _: None), [])
    alone = example.config(data={"normalise": "zca"}, seed=2, trainer={"engine": engine})
    [result] = run(prepare([alone], data, lambda _: None), [])
    for name, weights in result.weights.items():
        if engine == "cpu":
            assert weights.equal(together[2].weights[name])
        torch.testing.assert_close(weights, together[2].weights[name])
