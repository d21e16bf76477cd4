"""From a configuration to three splits: what fits is loaded, what does not is named with the key to change."""

import gzip
import os

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.config.data import DataConfig
from src.data import idx
from src.data.expansion import shifts
from src.data.load import DataError, load

REAL = os.environ.get("MNIST_DIR")  # read before the fixtures clear it


def config(name, folder=None, **fields):
    return DataConfig(name=name, dir=None if folder is None else str(folder), **{"validation": 5, **fields})


def put(folder, name, content):
    (folder / f"{name}.gz").write_bytes(gzip.compress(content))


@pytest.mark.parametrize("name", ["mnist", "auto", "idx"])
def test_validation_is_the_last_of_the_training_file(folder, values, name):
    dataset = load(config(name, folder))
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [15, 5, 6]
    images, labels = torch.from_numpy(values[idx.TRAIN_IMAGES]), torch.from_numpy(values[idx.TRAIN_LABELS])
    assert dataset.train.inputs.squeeze(1).equal(images[:15].to(torch.uint8))
    assert dataset.validation.inputs.squeeze(1).equal(images[15:].to(torch.uint8))
    assert dataset.train.targets.equal(labels[:15])
    assert dataset.validation.targets.equal(labels[15:])
    assert dataset.test.inputs.squeeze(1).equal(torch.from_numpy(values[idx.TEST_IMAGES]).to(torch.uint8))
    assert dataset.test.targets.equal(torch.from_numpy(values[idx.TEST_LABELS]))
    assert dataset.warning is None
    assert dataset.is_mnist == (name != "idx")


@given(validation=st.integers(1, 25), train=st.none() | st.integers(1, 25))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_limits_are_kept_or_refused(folder, validation, train):
    def loaded():
        return load(config("idx", folder, validation=validation, train=train))

    if validation >= 20:
        with pytest.raises(DataError, match=f"data.validation = {validation}: .*accepted: 1 to 19"):
            loaded()
    elif train is not None and train > 20 - validation:
        with pytest.raises(DataError, match=f"data.train = {train}: .*accepted: 1 to {20 - validation}, or null"):
            loaded()
    else:
        dataset = loaded()
        assert (len(dataset.train), len(dataset.validation)) == (train or 20 - validation, validation)
        assert dataset.train.targets[0] == 0  # the first N


def test_auto_without_mnist_takes_digits_and_warns():
    dataset = load(DataConfig(name="auto", train=2000))
    assert dataset.name == "digits"
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (1197, 300, 300)
    assert dataset.warning.startswith("This is NOT MNIST")
    assert "MNIST_DIR" in dataset.warning


def test_mnist_without_mnist_is_an_error():
    with pytest.raises(DataError, match="MNIST is not here and could not be downloaded"):
        load(DataConfig(name="mnist"))


@pytest.mark.parametrize("by_environment", [False, True])
def test_auto_never_passes_over_a_damaged_folder(folder, monkeypatch, by_environment):
    put(folder, idx.TEST_LABELS, b"foreign")
    if by_environment:
        monkeypatch.setenv("MNIST_DIR", str(folder))
    with pytest.raises(DataError, match=f"{idx.TEST_LABELS}.gz is not an IDX file"):
        load(config("auto", None if by_environment else folder))


def test_digits_are_asked_for_without_a_warning():
    dataset = load(DataConfig(name="digits", validation=40, train=30))
    assert (dataset.name, len(dataset.train), len(dataset.validation), dataset.warning) == ("digits", 30, 40, None)


def test_more_digits_than_there_are_are_refused():
    with pytest.raises(DataError) as caught:
        load(DataConfig(name="digits", validation=2000, train=1198))
    assert "data.train = 1198: the digits have 1197 such images; accepted: 1 to 1197" in str(caught.value)
    assert "data.validation = 2000: the digits have 300 such images; accepted: 1 to 300" in str(caught.value)


@pytest.mark.parametrize(("name", "expected"), [("mnist", "mnist-expanded"), ("idx", "letters-expanded")])
def test_only_the_training_images_are_expanded(folder, name, expected):
    plain, expanded = load(config(name, folder, train=10)), load(config(name, folder, train=10, expand="shifts"))
    assert expanded.name == expected
    assert expanded.train.inputs.equal(shifts(plain.train).inputs)
    assert len(expanded.train) == 50
    assert expanded.validation.inputs.equal(plain.validation.inputs)
    assert expanded.test.inputs.equal(plain.test.inputs)
    assert expanded.is_mnist == plain.is_mnist


def test_another_set_has_its_folders_name_its_sizes_and_its_classes(tmp_path, idx_bytes):
    for name, count in (("train", 9), ("t10k", 4)):
        put(tmp_path, f"{name}-images-idx3-ubyte", idx_bytes(np.ones((count, 5, 7))))
        put(tmp_path, f"{name}-labels-idx1-ubyte", idx_bytes(np.arange(count) % 3))
    dataset = load(config("idx", tmp_path, height=5, width=7, classes=3, validation=2))
    assert (dataset.name, dataset.classes) == (tmp_path.name, 3)
    assert dataset.train.inputs.shape == (7, 1, 5, 7)


@pytest.fixture
def put_set(tmp_path, idx_bytes):
    """Writes the four files with these training and test images, under their names for four dimensions."""

    def put_all(training, test, kind=">u1", test_kind=None):
        for name, images, its_kind in (("train", training, kind), ("t10k", test, test_kind or kind)):
            put(tmp_path, f"{name}-images-idx4-ubyte", idx_bytes(images, its_kind))
            put(tmp_path, f"{name}-labels-idx1-ubyte", idx_bytes(np.arange(len(images)) % 3))
        return tmp_path

    return put_all


@pytest.mark.parametrize("order", ["channels first", "channels last"])
def test_colour_images_are_read_in_either_order(put_set, order):
    images = np.random.default_rng(3).integers(0, 256, (9, 3, 5, 7))  # (N, C, H, W)
    stored = images if order == "channels first" else images.transpose(0, 2, 3, 1)
    dataset = load(config("idx", put_set(stored, stored[:4]), channels=3, height=5, width=7, classes=3, validation=2))
    assert dataset.train.inputs.dtype == torch.uint8
    assert dataset.train.inputs.equal(torch.from_numpy(images[:7]).to(torch.uint8))
    assert dataset.test.inputs.is_contiguous()


def test_images_of_other_numbers_are_kept_as_they_are(put_set):
    images = np.random.default_rng(3).normal(0, 300, (9, 2, 4, 4)).astype(np.float32)
    own = config(
        "idx", put_set(images, images[:4], ">f8"), channels=2, height=4, width=4, validation=2, expand="shifts"
    )
    dataset = load(own)
    assert dataset.test.inputs.equal(torch.from_numpy(images[:4]))
    assert dataset.train.inputs.dtype == torch.float32
    assert (dataset.train.inputs == torch.from_numpy(images[0])).flatten(1).all(1).sum() == 1  # not moved: one of five


@pytest.mark.parametrize(
    ("shape", "given", "words"),
    [
        ((9, 3, 5, 7), {"channels": 1}, "1, 5, 7: .*images of 3 channels, 5 rows and 7 columns; set data.channels=3"),
        ((9, 5, 7, 3), {"channels": 1}, "1, 5, 7: .*images of 3 channels, 5 rows and 7 columns; set data.channels=3"),
        ((9, 5, 7), {"channels": 3}, "3, 5, 7: .*images of 1 channel, 5 rows and 7 columns; set data.channels=1"),
    ],
)
def test_other_channels_are_named_with_the_keys_to_set(put_set, shape, given, words):
    folder = put_set(np.ones(shape), np.ones(shape))
    with pytest.raises(DataError, match=f"data.channels, data.height, data.width = {words} data.height=5 data.width=7"):
        load(config("idx", folder, height=5, width=7, classes=3, **given))


def test_what_is_no_number_and_parts_of_two_types_are_refused(put_set):
    images = np.full((9, 1, 2, 2), 1e39)
    images[3, 0, 1, 1] = np.nan
    with pytest.raises(DataError) as caught:
        load(config("idx", put_set(images, np.ones((9, 1, 2, 2)), ">f8", ">u1"), height=2, width=2))
    assert "train-images-idx4-ubyte.gz holds values that are no finite float32 numbers" in str(caught.value)
    assert "holds float32 values, but" in str(caught.value)


@pytest.mark.parametrize("name", ["mnist", "mnist-expanded", "digits"])
def test_an_unchecked_set_never_goes_by_the_name_of_mnist(folder, name):
    dataset = load(config("idx", folder.rename(folder.with_name(name))))
    assert dataset.name == f"idx-{name}"
    assert not dataset.is_mnist


def test_another_set_needs_a_folder():
    with pytest.raises(DataError, match=r"data\.dir = null: data=idx needs the folder"):
        load(config("idx"))


def test_a_wrong_folder_of_another_set_is_named(tmp_path):
    with pytest.raises(DataError, match=r"data.dir = '.*nowhere': .*nowhere is no folder\. data=idx needs"):
        load(config("idx", tmp_path / "nowhere"))


def test_other_sizes_are_named_with_the_keys_to_set(folder):
    with pytest.raises(DataError, match=r"data.height, data.width = 32, 20: .* set data.height=28 data.width=28"):
        load(config("idx", folder, height=32, width=20))


def test_a_label_too_large_is_named_with_the_key_to_set(folder):
    with pytest.raises(DataError, match=r"data.classes = 8: .*labels.* the label 9, .*set data.classes=10"):
        load(config("idx", folder, classes=8))


def test_images_and_labels_that_differ_in_number_are_named(folder, contents):
    put(folder, idx.TEST_LABELS, contents[idx.TRAIN_LABELS])
    with pytest.raises(DataError, match=f"{idx.TEST_IMAGES}.gz holds 6 images, but .*{idx.TEST_LABELS}.gz 20 labels"):
        load(config("idx", folder))


def test_everything_that_does_not_fit_is_named_in_one_go(folder):
    with pytest.raises(DataError) as caught:
        load(config("idx", folder, height=1, classes=2, validation=20))
    assert all(key in str(caught.value) for key in ("data.height", "data.classes", "data.validation"))
    assert "\n" not in str(caught.value)


def test_a_single_training_image_is_refused(tmp_path, idx_bytes):
    for name in ("train", "t10k"):
        put(tmp_path, f"{name}-images-idx3-ubyte", idx_bytes(np.ones((1, 28, 28))))
        put(tmp_path, f"{name}-labels-idx1-ubyte", idx_bytes(np.zeros(1)))
    with pytest.raises(DataError, match=f"{idx.TRAIN_IMAGES}.gz holds one image only"):
        load(config("idx", tmp_path, validation=1))


@pytest.mark.skipif(REAL is None, reason="MNIST_DIR names no MNIST")
def test_the_real_mnist_is_split_as_in_the_chapter(monkeypatch):
    monkeypatch.undo()
    dataset = load(DataConfig(name="mnist", dir=REAL))
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [50_000, 10_000, 10_000]
    assert dataset.train.targets[:5].tolist() == [5, 0, 4, 1, 9]
    assert dataset.test.targets[:5].tolist() == [7, 2, 1, 0, 4]
