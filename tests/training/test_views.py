"""A trained network answers with the mean over an image's views; each member of a stack has its own."""

import numpy as np
import pytest
import torch

from src.config.augment import AugmentConfig
from src.config.check import parse
from src.config.error import ConfigError
from src.data.views import views
from src.models.model import trained_network
from src.runs.predictor import Predictor
from src.runs.trained import Trained
from src.tasks.task import task_of
from src.training.fit import prepare, run
from tests import example

PLAIN, NINE, MIRRORED = {}, {"test_shift": 1}, {"test_flip": True}


def moved(image, down, right):
    """The image (H, W) moved by so many pixels, 0 where nothing moves in: pixel by pixel."""
    new = np.zeros_like(image)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            if 0 <= y - down < image.shape[0] and 0 <= x - right < image.shape[1]:
                new[y, x] = image[y - down, x - right]
    return new


@pytest.mark.parametrize(("shift", "flip"), [(0, True), (1, False), (2, True)])
def test_the_views_are_the_image_moved_by_whole_pixels_and_mirrored(shift, flip):
    images = example.split(2, seed=1).inputs
    found = list(views(images, AugmentConfig(test_shift=shift, test_flip=flip)))
    steps = range(-shift, shift + 1)
    wanted = [moved(images[1, 0].numpy(), down, right) for down in steps for right in steps]
    wanted += [one[:, ::-1] for one in wanted] if flip else []
    assert sorted(one[1, 0].numpy().tobytes() for one in found) == sorted(one.tobytes() for one in wanted)
    assert torch.equal(found[0], images)


@pytest.mark.parametrize("engine", ["torch", "cpu"])
def test_results_are_the_mean_over_the_views_whatever_others_of_the_stack_have(engine):
    own = {"trainer": {"engine": engine}, "model": {"activation": "relu"}, "snapshots": 1, "optim": {"eta": 0.03}}
    configs, data = [example.config(augment=one, **own) for one in (PLAIN, NINE, MIRRORED)], example.dataset()
    together = run(prepare(configs, data, lambda line: None), [])
    assert together[0].history == together[1].history  # curves see an image once
    for result, config in zip(together, configs, strict=True):
        (alone,) = run(prepare([config], data, lambda line: None), [])
        assert torch.equal(alone.probabilities, result.probabilities)
        network, task = trained_network(config, result.weights), task_of(config.task)
        for split, score, voted in (
            (data.validation, result.validation_score, result.snapshots_validation_score),
            (data.test, result.test_score, result.snapshots_test_score),
        ):
            with torch.no_grad():
                each = [task.predictions(network(view / 255)) for view in views(split.inputs, config.augment)]
            mean = torch.stack(each).mean(0)
            assert score == task.score_of(mean, split.targets)
            assert voted is not None
        assert torch.allclose(result.probabilities, mean, atol=1e-6)
        answered = Predictor([Trained(result, config, "one")])(data.test.inputs)
        assert torch.allclose(answered, result.probabilities, atol=1e-6)


def test_what_has_no_views_is_refused():
    table = example.table_config(task={"name": "regress"}).model_dump()
    for raw, words in (
        ({**table, "augment": NINE}, "augment.test_shift = 1: examples of 1x1 pixels are no images"),
        (example.raw(augment=NINE, task={"name": "reconstruct"}, model={"maps": []}), "task=reconstruct makes none"),
        (example.raw(augment=NINE, data={"normalise": "zca"}), "whitens the images once"),
    ):
        with pytest.raises(ConfigError, match=words):
            parse(raw)
