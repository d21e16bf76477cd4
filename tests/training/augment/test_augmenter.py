"""Stacks that train on changed images: each member as if alone, and nothing changed that is not trained on."""

import pytest
import torch

from src.config.schema import structure_key
from src.training.augment import augmenter
from src.training.engines.torch_engine import TorchEngine
from src.training.fit import prepare, run
from tests import example
from tests.sweeping import slow_where

CPU = {"engine": "cpu", "threads": 2, "chunk": 5}
STRENGTHS = [
    {},
    {"alpha": 6.0, "sigma": 2.0},
    {"alpha": 12.0, "sigma": [1.0, 3.0]},
    {"shift": 2.0, "rotate": [5.0, 20.0], "half_angle": [1, 3], "scale": 0.2, "cutout": 4},
]


def config(strengths, seed, **sections):
    own = {"model": {"dropout": 0.2}, "trainer": CPU, "data": {"order": "epoch"}, "max_epochs": 3} | sections
    return example.config(augment=strengths, seed=seed, **own)


def weights(configs, data=None):
    results = run(prepare(configs, data or example.dataset(), lambda line: None), [])
    return [result.weights for result in results]


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("cut", [{"PIECE_BYTES": 1}, {"PIECES": 2}], ids=["a mini-batch a piece", "several a piece"])
def test_a_member_alone_trains_as_in_a_stack_whatever_the_threads_and_pieces(cut, monkeypatch):
    configs = [config(strengths, seed) for seed, strengths in enumerate(STRENGTHS)]
    assert len({structure_key(one) for one in configs}) == 1
    together = weights(configs)
    for name, value in {**cut, "TASK_IMAGES": 1}.items():  # a task a mini-batch
        monkeypatch.setattr(augmenter, name, value)
    for seed, strengths in enumerate(STRENGTHS):
        alone = config(strengths, seed, trainer={"engine": "cpu", "threads": 1, "chunk": 12})
        assert same(weights([alone])[0], together[seed])
    assert not same(together[0], together[1])


def test_without_strengths_a_member_among_changed_ones_trains_on_the_images_as_they_are():
    assert same(*(weights([config({}, 5), *others])[0] for others in ([], [config({"flip": 1.0}, 5)])))


def test_the_estimate_is_of_steps_with_changed_images(monkeypatch):
    slow_where(monkeypatch, augmenter.Augmenter, "_begun")
    plain, slow = (prepare([config(one, 0)], example.dataset(), lambda line: None) for one in STRENGTHS[:2])
    assert plain.step_seconds < 0.01
    assert slow.step_seconds == 1.0
    assert slow.seconds > 36 > plain.seconds  # 3 epochs of 12 mini-batches


def test_both_engines_train_on_the_same_changed_images():
    one, other = (
        weights([config(STRENGTHS[2], 1, trainer=trainer, data={"order": "once"})])[0]
        for trainer in (CPU, {"engine": "torch"})
    )
    for name, value in one.items():
        assert torch.allclose(value, other[name], rtol=1e-4, atol=1e-5)


def test_only_training_images_are_changed_and_only_copies_of_them(monkeypatch):
    data, seen = example.dataset(), []
    before = [split.inputs.clone() for split in (data.train, data.validation, data.test)]
    for method in ("train", "evaluate", "predictions"):
        real = getattr(TorchEngine, method)

        def spy(self, inputs, *rest, method=method, real=real):
            seen.append((method, inputs))
            return real(self, inputs, *rest)

        monkeypatch.setattr(TorchEngine, method, spy)
    prepared = prepare([config({"shift": 3.0}, 0, trainer={"engine": "torch"})], data, lambda line: None)
    seen.clear()
    run(prepared, [])
    stored = [data.validation.inputs, data.test.inputs]
    assert {method for method, _ in seen} == {"train", "evaluate", "predictions"}
    for method, inputs in seen:
        if method == "train":
            assert inputs.dtype == torch.float32
        else:
            assert any(inputs is one for one in stored)
    for split, was in zip((data.train, data.validation, data.test), before, strict=True):
        assert torch.equal(split.inputs, was)
