"""What is wrong with an IDX file is said with the file's name, whatever its damage."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data import idx
from src.data.error import DataError
from src.data.idx_file import parse

SPELLINGS = ["{}-idx{}-ubyte", "{}-idx{}-ubyte.gz", "{}.idx{}-ubyte", "{}.idx{}-ubyte.gz"]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_plain_and_gzipped_files_are_read_under_both_spellings(tmp_path, contents, values, spelling):
    for name, content in contents.items():
        path = tmp_path / spelling.format(name.split("-idx")[0], 3 if "images" in name else 1)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    files = idx.read_folder(tmp_path)
    assert files.keys() == values.keys()
    for name, file in files.items():
        assert file.values.dtype == np.uint8
        np.testing.assert_array_equal(file.values, values[name])


def test_a_gz_that_was_unpacked_under_its_old_name_is_read(folder, contents, values):
    (folder / f"{idx.TEST_LABELS}.gz").write_bytes(contents[idx.TEST_LABELS])
    np.testing.assert_array_equal(idx.read_folder(folder)[idx.TEST_LABELS].values, values[idx.TEST_LABELS])


def test_files_that_lie_deeper_are_pointed_at(folder):
    with pytest.raises(DataError, match=rf"none of the four files, plain or \.gz; they are in {folder}$"):
        idx.read_folder(folder.parent)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere is no folder"):
        idx.read_folder(tmp_path / "nowhere")


def test_a_file_in_place_of_the_folder_is_named(folder):
    with pytest.raises(DataError, match="is a file, not a folder"):
        idx.read_folder(folder / f"{idx.TEST_LABELS}.gz")


def test_missing_files_are_named_all_at_once_with_what_is_there(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DataError) as caught:
        idx.read_folder(tmp_path)
    assert str(caught.value) == f"{tmp_path} has none of the four files, plain or .gz; it holds notes.txt"


def test_what_is_wrong_with_the_files_that_are_there_is_said_too(tmp_path):
    (tmp_path / idx.TEST_IMAGES).write_text("")
    (tmp_path / idx.TEST_LABELS).write_text("")
    with pytest.raises(DataError) as caught:
        idx.read_folder(tmp_path)
    assert f"has no {idx.TRAIN_IMAGES}, no {idx.TRAIN_LABELS}, plain or .gz; it holds t10k" in str(caught.value)
    assert str(caught.value).count("is empty") == 2


def test_a_full_folder_is_not_listed_whole(tmp_path):
    for number in range(100):
        (tmp_path / f"{number:03}.png").touch()
    with pytest.raises(DataError, match=r"it holds 000.png, .*003.png, …$"):
        idx.read_folder(tmp_path)


def test_an_empty_folder_is_said_to_hold_nothing(tmp_path):
    with pytest.raises(DataError, match="it holds nothing"):
        idx.read_folder(tmp_path)


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (lambda packed: packed[:-100], "damaged gzip file"),  # cut off
        (lambda packed: packed[:20], "damaged gzip file"),
        (lambda packed: packed[:2] + b"\7" + packed[3:], "damaged gzip file"),  # a compression that does not exist
        (lambda packed: packed[:10] + bytes(200) + packed[210:], "damaged gzip file"),  # a hole
        (lambda packed: packed[:-8] + bytes(8), "damaged gzip file"),  # another checksum
        (lambda packed: packed + b"more", "damaged gzip file"),
        (lambda packed: b"", "is empty"),
        (lambda packed: b"<html>404</html>", "is not an IDX file .it starts with 3c 68 74 6d, expected 00 00 08 03"),
        (lambda packed: b"\0\0", "is not an IDX file"),
    ],
)
def test_a_damaged_download_is_named(folder, damage, finding):
    path = folder / f"{idx.TRAIN_IMAGES}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=f"{path} .*{finding}"):
        idx.read_folder(folder)


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (b"\0\0\x0a\3" + bytes(12), "holds values of IDX type 0x0a, expected 0x08"),
        (b"\0\0\x08\1" + bytes(4), "holds labels where images are expected"),
        (b"\0\0\x08\5" + bytes(20), "holds values of 5 dimensions where images are expected"),
        (
            b"\0\0\x0d\3" + b"\0\0\0\1" * 3 + bytes(3),
            r"is truncated .its header promises 1 x 1 x 1 values of 4 bytes = 4 bytes, it has 3",
        ),
        (b"\0\0\x08\3" + bytes(5), r"is truncated \(its header needs 16 bytes, it has 9\)"),
        (b"\0\0\x08\3" + b"\xff" * 12, r"is truncated \(its header promises 4294967295 x "),
        (b"\0\0\x08\3" + bytes(12), "holds no images"),
        (
            b"\0\0\x08\3" + b"\0\0\0\1" * 3 + b"ab",
            r"has bytes behind its end \(its header promises 1 x 1 x 1 = 1 bytes",
        ),
    ],
)
def test_a_wrong_header_is_named(content, finding):
    with pytest.raises(DataError, match=f"some/file {finding}"):
        parse(idx.TRAIN_IMAGES, Path("some/file"), content)


def test_images_where_labels_belong_are_named(contents):
    with pytest.raises(DataError, match="some/file holds images where labels are expected"):
        parse(idx.TRAIN_LABELS, Path("some/file"), contents[idx.TRAIN_IMAGES])


def test_labels_are_unsigned_bytes():
    with pytest.raises(DataError, match=r"holds values of IDX type 0x0d, expected 0x08 \(unsigned bytes\)$"):
        parse(idx.TRAIN_LABELS, Path("some/file"), b"\0\0\x0d\1\0\0\0\1" + bytes(4))


@pytest.mark.parametrize("kind", [">i1", ">i2", ">i4", ">f4", ">f8"])
def test_other_types_are_read_as_float32(idx_bytes, kind):
    values = np.array([[[-3, 0, 100], [7, 1, 2]]]).astype(kind)
    read = parse(idx.TRAIN_IMAGES, Path("some/file"), idx_bytes(values, kind))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values)


def test_a_file_without_labels_is_named():
    with pytest.raises(DataError, match="holds no labels"):
        parse(idx.TEST_LABELS, Path("some/file"), b"\0\0\x08\1" + bytes(4))


def test_a_file_that_cannot_be_read_is_named(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, os.strerror(13), str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=f"{idx.TRAIN_IMAGES}.gz cannot be read .Permission denied"):
        idx.read_folder(folder)


def test_a_folder_that_may_not_be_looked_into_is_named(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, os.strerror(13), str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=f"{tmp_path} cannot be read .Permission denied"):
        idx.read_folder(tmp_path)


def test_the_home_of_nobody_is_named():
    with pytest.raises(DataError, match=r"~no such user/set cannot be read .*home directory"):
        idx.read_folder(Path("~no such user/set"))


def test_all_damaged_files_are_named_in_one_go(folder):
    for name in (idx.TRAIN_IMAGES, idx.TEST_LABELS):
        (folder / f"{name}.gz").write_bytes(b"")
    with pytest.raises(DataError, match=f"{idx.TRAIN_IMAGES}.gz is empty; .*{idx.TEST_LABELS}.gz is empty"):
        idx.read_folder(folder)


@given(cut=st.integers(0, 16 + 20 * 28 * 28 - 1))
def test_a_truncated_file_is_named_wherever_it_ends(contents, cut):
    with pytest.raises(DataError, match=r"some/file is (truncated|empty|not an IDX file)"):
        parse(idx.TRAIN_IMAGES, Path("some/file"), contents[idx.TRAIN_IMAGES][:cut])


@given(content=st.binary(max_size=40) | st.binary(max_size=40).map(lambda tail: b"\0\0\x08\3" + tail))
def test_foreign_bytes_give_images_or_a_data_error(content):
    try:
        images = parse(idx.TRAIN_IMAGES, Path("some/file"), content)
    except DataError:
        return  # any other error fails the test
    assert images.ndim in (3, 4)
    assert 0 < images.size <= len(content) - 16
