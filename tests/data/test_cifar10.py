"""CIFAR-10 is read from whatever form a folder has it in, and downloaded whole or not at all; here with few records."""

import hashlib
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from src.config.data import DataConfig
from src.data import cifar10
from src.data.error import DataError, UnavailableError
from src.data.load import load

FEW = 6  # records in a file


@pytest.fixture(autouse=True)
def small_cifar10(monkeypatch, tmp_path, closed_mirror):
    """Small files are CIFAR-10's, its mirror is down, its cache is empty, and the environment names no folder."""
    monkeypatch.setattr(cifar10, "RECORDS", FEW)
    monkeypatch.setattr(cifar10, "MIRRORS", (closed_mirror,))
    monkeypatch.setattr(cifar10, "cache_folder", lambda: tmp_path / "user" / "cifar10")
    monkeypatch.delenv("CIFAR10_DIR", raising=False)


@pytest.fixture
def records():
    """What the six files hold: label, then the planes of an image."""
    random = np.random.default_rng(0)
    files = {name: random.integers(0, 256, (FEW, 3073), dtype=np.uint8) for name in cifar10.NAMES}
    for number, file in enumerate(files.values()):
        file[:, 0] = (np.arange(FEW) + number) % 10
    return files


@pytest.fixture
def unpacked(tmp_path, records):
    """The folder that the archive is unpacked to."""
    folder = tmp_path / "set" / cifar10.FOLDER
    folder.mkdir(parents=True)
    for name, file in records.items():
        (folder / name).write_bytes(file.tobytes())
    (folder / "readme.html").write_text("")
    return folder


@pytest.fixture
def packed(tmp_path, unpacked, monkeypatch):
    """A folder with the archive only."""
    folder = tmp_path / "packed"
    folder.mkdir()
    with tarfile.open(folder / cifar10.ARCHIVE, "w:gz") as archive:
        archive.add(unpacked, cifar10.FOLDER)
    content = (folder / cifar10.ARCHIVE).read_bytes()
    monkeypatch.setattr(cifar10, "SHA256", hashlib.sha256(content).hexdigest())
    return folder


def loaded(folder=None, **fields):
    sizes = {"channels": 3, "height": 32, "width": 32, "validation": 5}
    return load(DataConfig(name="cifar10", dir=None if folder is None else str(folder), **{**sizes, **fields}))


@pytest.mark.parametrize("form", ["the files", "the folder", "the archive"])
def test_a_named_folder_is_read_in_each_form(unpacked, packed, records, form):
    folder = {"the files": unpacked, "the folder": unpacked.parent, "the archive": packed}[form]
    dataset = loaded(folder)
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [25, 5, 6]
    assert (dataset.name, dataset.classes, dataset.is_mnist) == ("cifar10", 10, False)
    training = np.concatenate([records[name] for name in cifar10.TRAINING])
    assert dataset.train.targets.tolist() == training[:25, 0].tolist()
    assert dataset.validation.inputs.equal(torch.from_numpy(training[25:, 1:].reshape(5, 3, 32, 32)))
    green = dataset.test.inputs[2, 1, 5, 7]  # row 5, column 7 of the second plane
    assert green == records["test_batch.bin"][2, 1 + 1024 + 5 * 32 + 7]


def test_the_environment_names_a_folder(unpacked, monkeypatch):
    monkeypatch.setenv("CIFAR10_DIR", str(unpacked))
    assert loaded().source == f"CIFAR-10 from {unpacked} (CIFAR10_DIR), sizes and labels right"


def test_it_is_downloaded_once_and_kept(packed, mirror_of, monkeypatch):
    mirror = mirror_of(packed)
    monkeypatch.setattr(cifar10, "MIRRORS", (mirror.url,))
    assert loaded().source.startswith(f"CIFAR-10 from {mirror.url}, now in {cifar10.cache_folder()}")
    asked = len(mirror.requests)
    assert loaded().source == f"CIFAR-10 from {cifar10.cache_folder()}, sizes and labels right"
    assert len(mirror.requests) == asked
    assert [path.name for path in cifar10.cache_folder().iterdir()] == [cifar10.ARCHIVE]


def test_a_wrong_archive_is_never_put_in_place(packed, mirror_of, monkeypatch):
    (packed / cifar10.ARCHIVE).write_bytes(b"<html>please log in</html>")
    monkeypatch.setattr(cifar10, "MIRRORS", (mirror_of(packed).url,))
    words = f"served a wrong file: {cifar10.ARCHIVE} is not CIFAR-10's binary version .26 bytes, SHA-256 .*CIFAR10_DIR"
    with pytest.raises(UnavailableError, match=words):
        loaded()
    assert list(cifar10.cache_folder().iterdir()) == []


def test_everything_wrong_with_the_files_is_named_in_one_go(unpacked, records):
    (unpacked / "data_batch_2.bin").unlink()
    (unpacked / "data_batch_4.bin").write_bytes(bytes(FEW * 3073 - 1))
    records["test_batch.bin"][3, 0] = 10
    (unpacked / "test_batch.bin").write_bytes(records["test_batch.bin"].tobytes())
    with pytest.raises(DataError) as caught:
        loaded(unpacked.parent)
    assert str(caught.value).startswith(f"data.dir = '{unpacked.parent}': {unpacked / 'data_batch_2.bin'} is not there")
    assert f"data_batch_4.bin has {FEW * 3073 - 1} bytes, expected {FEW * 3073}: 6 records of 1" in str(caught.value)
    assert "test_batch.bin holds the label 10; accepted: 0 to 9. It must be a folder with" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_folder_is_refused_with_what_was_expected(tmp_path, packed):
    with pytest.raises(DataError, match=f"nowhere is no folder. It must be a folder with .*{cifar10.ARCHIVE}: correct"):
        loaded(tmp_path / "nowhere")
    with pytest.raises(DataError, match=f"has none of the six files, no {cifar10.FOLDER} and no {cifar10.ARCHIVE}"):
        loaded(tmp_path)
    shutil.copy(Path(__file__), packed / cifar10.ARCHIVE)
    with pytest.raises(DataError, match="is not CIFAR-10's binary version"):
        loaded(packed)


def test_limits_name_the_files(unpacked):
    with pytest.raises(
        DataError, match=r"data.validation = 30: must be below the 30 images of .*1.bin to data_batch_5"
    ):
        loaded(unpacked, validation=30)
