"""data=mnist: the handwritten digits of Y. LeCun and C. Cortes (CC BY-SA 3.0), checked by their checksums."""

from hashlib import sha256
from pathlib import Path

from src.config.data import DataConfig
from src.data import download, idx, published, splits
from src.data.dataset import Dataset
from src.data.error import DataError
from src.data.idx_file import IdxFile, parse
from src.data.published import Published

# Both serve the four .gz files of Y. LeCun's page; the page itself refuses downloads by programs.
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

# Checksums of the uncompressed content of the four files as first published, which every copy in use has.
SHA256 = {
    idx.TRAIN_IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    idx.TRAIN_LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    idx.TEST_IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    idx.TEST_LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def load(config: DataConfig) -> Dataset:
    """MNIST from data.dir, else from MNIST_DIR of the environment, else from the user's cache, else downloaded there.

    Raises DataError where a named folder is not MNIST's or limits do not fit, UnavailableError where no folder was
    named and the download failed.
    """
    files, source = read(config.dir)
    return splits.three("mnist", source, *idx.parts(files), config)


def read(folder: str | None) -> tuple[dict[str, IdxFile], str]:
    """The four files of MNIST, and one line that says where they came from. folder: data.dir. Raises as `load`."""
    return Published(
        title="MNIST",
        variable="MNIST_DIR",
        files=f"four files ({', '.join(idx.NAMES)}, plain or gzipped)",
        checked="checksums right",
        instead="for another set in this format use data=idx; ",
        cache=cache_folder(),
        read=lambda folder: idx.read_folder(folder, check),
        fetch=fetch,
    ).find(folder)


def cache_folder() -> Path:
    """The folder in which downloaded files stay."""
    return published.cache_folder("mnist")


def fetch(folder: Path) -> str:
    """Downloads, gzipped, those of the four files that `folder` lacks or has damaged; returns the mirror used."""

    def is_whole(path: Path) -> None:
        idx.read_file(path.parent, path.stem, check)

    for plain in [folder / name for name in idx.NAMES if (folder / name).is_file()]:  # found before the .gz
        try:
            is_whole(plain.with_name(f"{plain.name}.gz"))
        except DataError:
            plain.unlink(missing_ok=True)
    return download.fetch(folder, [f"{name}.gz" for name in idx.NAMES], MIRRORS, is_whole)


def check(name: str, path: Path, content: bytes) -> None:
    """Raises DataError unless `content` is that of MNIST's file `name`; the text says what it is instead, if known."""
    digest = sha256(content).hexdigest()
    if digest == SHA256[name]:
        return
    for other, expected in SHA256.items():
        if digest == expected:
            raise DataError(f"{path} is MNIST's {other} where {name} is expected")
    parse(name, path, content)  # its error about the format says more than a wrong checksum
    raise DataError(
        f"{path} is an IDX file, but not MNIST's {name}: its SHA-256 is {digest[:12]}…, expected {SHA256[name][:12]}…"
    )
