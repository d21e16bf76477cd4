"""data=cifar10: 60,000 colour photographs of 32 × 32 pixels in ten classes, in their binary version.

Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; its page, section "Binary version":
five files of training images and one of test images, each 10,000 records of a label byte and 3,072 pixel bytes, the
red, the green and the blue plane of an image, row by row. Published as one archive, which need not be unpacked.
"""

import tarfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.config.data import SIZES, DataConfig
from src.data import download, published, splits
from src.data.dataset import Dataset
from src.data.error import DataError
from src.data.published import Published
from src.data.splits import Part

MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)
ARCHIVE = "cifar-10-binary.tar.gz"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"  # of the archive
FOLDER = "cifar-10-batches-bin"  # in the archive
TRAINING = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
NAMES = (*TRAINING, "test_batch.bin")
RECORDS = 10_000  # in a file
*SIZE, CLASSES = SIZES["cifar10"]  # (C, H, W)
RECORD = 1 + int(np.prod(SIZE))  # bytes

Contents = tuple[dict[str, bytes], Path]  # the contents of the six files by name, and where they were read


def load(config: DataConfig) -> Dataset:
    """CIFAR-10 from data.dir, else from CIFAR10_DIR of the environment, else the user's cache, else downloaded there.

    A folder holds the six files, or the folder cifar-10-batches-bin with them, or the archive. Validation is the last
    images of the training files. Raises DataError where a named folder does not hold the set or limits do not fit,
    UnavailableError where no folder was named and the download failed.
    """
    (contents, path), source = Published(
        title="CIFAR-10",
        variable="CIFAR10_DIR",
        files=f"six files ({', '.join(NAMES)}), the folder {FOLDER} with them, or {ARCHIVE}",
        checked="sizes and labels right",
        instead="",
        cache=cache_folder(),
        read=read_folder,
        fetch=lambda folder: download.fetch(folder, [ARCHIVE], MIRRORS, check_archive),
    ).find(config.dir)
    return splits.three("cifar10", source, _part(contents, TRAINING, path), _part(contents, NAMES[5:], path), config)


def cache_folder() -> Path:
    """The folder in which the downloaded archive stays."""
    return published.cache_folder("cifar10")


def check_archive(path: Path) -> None:
    """Raises DataError unless the file `path` has the checksum of the published archive."""
    try:
        digest = sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None
    if digest != SHA256:
        raise DataError(
            f"{path} is not CIFAR-10's binary version ({path.stat().st_size} bytes, SHA-256 {digest[:12]}…, expected "
            f"{SHA256[:12]}…)"
        )


def read_folder(folder: Path) -> Contents:
    """The contents of the six files in `folder`, checked for their sizes and for labels below ten.

    Raises one DataError that lists everything that is wrong with the folder and its files.
    """
    try:
        folder = folder.expanduser()
        if not folder.is_dir():
            raise DataError(f"{folder.absolute()} is {'a file, not a folder' if folder.exists() else 'no folder'}")
        plain = [one for one in (folder, folder / FOLDER) if any((one / name).exists() for name in NAMES)]
        if plain:
            path = plain[0]
            contents = {name: (path / name).read_bytes() for name in NAMES if (path / name).is_file()}
        elif (folder / ARCHIVE).is_file():
            path = folder / ARCHIVE
            contents = _unpacked(path)
        else:
            raise DataError(f"{folder.absolute()} has none of the six files, no {FOLDER} and no {ARCHIVE}")
    except (OSError, RuntimeError) as error:  # no permission to read it; ~name without such a user
        raise DataError(f"{folder} cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if findings := [finding for name in NAMES if (finding := _finding(path / name, contents.get(name)))]:
        raise DataError("; ".join(findings))
    return contents, path


def _unpacked(path: Path) -> dict[str, bytes]:
    """The files of the archive by the last part of their names. Raises DataError unless it is the published one."""
    check_archive(path)
    with tarfile.open(path) as archive:
        files = {Path(one.name).name: archive.extractfile(one) for one in archive if one.isfile()}
        return {name: file.read() for name, file in files.items() if name in NAMES and file is not None}


def _finding(path: Path, content: bytes | None) -> str | None:
    """What is wrong with a file; None where nothing is."""
    if content is None:
        return f"{path} is not there"
    if len(content) != RECORDS * RECORD:
        return (
            f"{path} has {len(content)} bytes, expected {RECORDS * RECORD}: {RECORDS} records of 1 label byte and "
            f"{RECORD - 1} pixel bytes"
        )
    largest = int(_records(content)[:, 0].max())
    return f"{path} holds the label {largest}; accepted: 0 to {CLASSES - 1}" if largest >= CLASSES else None


def _records(content: bytes) -> NDArray[Any]:
    return np.frombuffer(content, np.uint8).reshape(-1, RECORD)


def _part(contents: dict[str, bytes], names: tuple[str, ...], path: Path) -> Part:
    records = np.concatenate([_records(contents[name]) for name in names])
    where = f"{path} ({names[0]}{f' to {names[-1]}' if len(names) > 1 else ''})"
    return Part(records[:, 1:].reshape(-1, *SIZE), records[:, 0], where, where)
