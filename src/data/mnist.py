"""The MNIST handwritten digits of Y. LeCun and C. Cortes (CC BY-SA 3.0): where they are found, and that they are they.

In this order: the folder data.dir, the folder MNIST_DIR of the environment, the user's cache, a download into it. A
folder that was named is used or refused, never passed over.
"""

import os
from hashlib import sha256
from pathlib import Path

import pooch

from src.data import download, idx
from src.data.error import DataError
from src.data.idx import IdxFile

# Of the uncompressed content. They are the four files as first published; every copy in use has this content.
SHA256 = {
    idx.TRAIN_IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    idx.TRAIN_LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    idx.TEST_IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    idx.TEST_LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


class MnistUnavailableError(DataError):
    """MNIST is neither here nor to be had, and no folder was named."""


def read(folder: str | None) -> tuple[dict[str, IdxFile], str]:
    """The four files of MNIST, and one line that says where they came from; `folder` is data.dir.

    Raises DataError where a named folder is not MNIST's, MnistUnavailableError where none was named and the download
    failed.
    """
    for key, named in (("data.dir", folder), ("MNIST_DIR", os.environ.get("MNIST_DIR"))):
        if named:
            return _read_named(key, named), f"MNIST from {named} ({key}), checksums right"
    return _read_cached(cache_folder())


def cache_folder() -> Path:
    """Where downloaded files stay: the user's cache folder of this system."""
    return Path(pooch.os_cache("sweepstack")) / "mnist"


def check(name: str, path: Path, content: bytes) -> None:
    """Raises DataError unless `content` is MNIST's file `name`; says what it is instead, as far as can be told."""
    digest = sha256(content).hexdigest()
    if digest == SHA256[name]:
        return
    for other, expected in SHA256.items():
        if digest == expected:
            raise DataError(f"{path} is MNIST's {other} where {name} is expected")
    idx.parse(name, path, content)  # a fault of the format says more than a checksum
    raise DataError(
        f"{path} is an IDX file, but not MNIST's {name}: its SHA-256 is {digest[:12]}…, expected {SHA256[name][:12]}…"
    )


def _read_named(key: str, named: str) -> dict[str, IdxFile]:
    try:
        return idx.read_folder(Path(named), check)
    except DataError as error:
        raise DataError(
            f"{key} = {named!r}: {error}. It must be a folder with MNIST's four files ({', '.join(idx.NAMES)}, plain "
            f"or gzipped): correct the path or get the named files again; for another set in this format use data=idx; "
            f"without a folder (data.dir=null, MNIST_DIR unset) MNIST is downloaded."
        ) from None


def _read_cached(folder: Path) -> tuple[dict[str, IdxFile], str]:
    try:
        return idx.read_folder(folder, check), f"MNIST from {folder}, checksums right"
    except DataError:
        pass  # not downloaded yet, or not whole
    try:
        mirror = download.fetch(folder, check)
        return idx.read_folder(folder, check), f"MNIST from {mirror}, now in {folder}, checksums right"
    except DataError as error:
        raise MnistUnavailableError(
            f"MNIST is not here and could not be downloaded: {error}. Three ways out: name a folder that holds its "
            f"four IDX files, plain or gzipped, with data.dir=FOLDER or the environment variable MNIST_DIR; connect to "
            f"a network, and they are downloaded once, to {folder}; or use data=digits, the small digits that come "
            f"with scikit-learn and need no network."
        ) from None
