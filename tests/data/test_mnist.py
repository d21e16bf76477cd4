"""MNIST is what the checksums say, from a named folder first; what a wrong file is instead is said."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from src.data import idx, mnist
from src.data.error import DataError, UnavailableError

REAL = os.environ.get("MNIST_DIR")  # read before the fixtures clear it


def replace_file(folder, name, content):
    (folder / f"{name}.gz").write_bytes(gzip.compress(content))


def test_a_named_folder_is_read(folder, values):
    files, source = mnist.read(str(folder))
    np.testing.assert_array_equal(files[idx.TRAIN_IMAGES].values, values[idx.TRAIN_IMAGES])
    assert source == f"MNIST from {folder} (data.dir), checksums right"


def test_the_environment_names_a_folder(folder, monkeypatch):
    monkeypatch.setenv("MNIST_DIR", str(folder))
    assert mnist.read(None)[1] == f"MNIST from {folder} (MNIST_DIR), checksums right"


def test_the_configuration_goes_before_the_environment(folder, monkeypatch):
    monkeypatch.setenv("MNIST_DIR", "/nowhere")
    assert "data.dir" in mnist.read(str(folder))[1]


def test_a_tilde_is_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent))
    assert len(mnist.read("~/letters")[0]) == 4


@pytest.mark.parametrize("key", ["data.dir", "MNIST_DIR"])
def test_a_named_folder_that_is_missing_is_an_error_with_its_key(key, monkeypatch, tmp_path):
    nowhere = str(tmp_path / "nowhere")
    monkeypatch.setenv("MNIST_DIR", nowhere)
    with pytest.raises(DataError, match=f"^{key} = '{nowhere}': .*nowhere is no folder") as caught:
        mnist.read(nowhere if key == "data.dir" else None)
    assert not isinstance(caught.value, UnavailableError)  # so that auto does not pass it over
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", idx.NAMES)
def test_a_file_under_another_ones_name_is_named_for_what_it_is(folder, contents, name):
    for other in set(idx.NAMES) - {name}:
        replace_file(folder, name, contents[other])
        with pytest.raises(DataError, match=f"{name}.gz is MNIST's {other} where {name} is expected"):
            mnist.read(str(folder))


def test_one_changed_pixel_is_found(folder, contents):
    images = bytearray(contents[idx.TEST_IMAGES])
    images[-1] ^= 1
    replace_file(folder, idx.TEST_IMAGES, bytes(images))
    with pytest.raises(
        DataError, match=f"{idx.TEST_IMAGES}.gz is an IDX file, but not MNIST's .*SHA-256.*use data=idx"
    ):
        mnist.read(str(folder))


def test_a_truncated_file_is_named_as_truncated(folder, contents):
    replace_file(folder, idx.TRAIN_LABELS, contents[idx.TRAIN_LABELS][:-1])
    with pytest.raises(DataError, match=f"{idx.TRAIN_LABELS}.gz is truncated"):
        mnist.read(str(folder))


def test_a_filled_cache_needs_no_network(folder, cache, monkeypatch):
    monkeypatch.setattr(mnist, "cache_folder", lambda: folder)
    assert mnist.read(None)[1] == f"MNIST from {folder}, checksums right"


def test_the_cache_is_a_folder_of_the_user(monkeypatch):
    monkeypatch.undo()
    assert mnist.cache_folder().name == "mnist"
    assert "sweepstack" in mnist.cache_folder().parts
    assert mnist.cache_folder().is_absolute()


def test_without_a_network_the_error_names_three_ways_out(cache):
    with pytest.raises(UnavailableError) as caught:
        mnist.read(None)
    for words in ("data.dir=", "MNIST_DIR", "connect to a network", str(cache), "data=digits", *mnist.MIRRORS):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_checksums_are_of_all_four_files(monkeypatch):
    monkeypatch.undo()
    assert tuple(mnist.SHA256) == idx.NAMES
    assert all(len(bytes.fromhex(digest)) == 32 for digest in mnist.SHA256.values())


@pytest.mark.skipif(REAL is None, reason="MNIST_DIR names no MNIST")
def test_the_real_files_pass(monkeypatch):
    monkeypatch.undo()
    files, _ = mnist.read(str(Path(REAL)))
    assert [files[name].values.shape for name in idx.NAMES] == [(60000, 28, 28), (60000,), (10000, 28, 28), (10000,)]
    assert files[idx.TRAIN_LABELS].values[:5].tolist() == [5, 0, 4, 1, 9]
