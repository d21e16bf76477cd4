"""data=idx: any data set in a folder with four files like MNIST's, also in colour and with other values than bytes."""

from collections.abc import Callable
from pathlib import Path

from src.config.data import SIZES, DataConfig
from src.data import splits
from src.data.dataset import Dataset
from src.data.error import DataError
from src.data.idx_file import IdxFile, parse, uncompressed
from src.data.splits import Part

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
NAMES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)

OWN_NAMES = set(SIZES) - {"auto"}  # names that a folder's set may not have: only MNIST has the chapter's figures

# Further endings of the names of image files, by dimensions and type of their values.
IMAGES_ENDINGS = [
    f"-idx{dimensions}-{kind}" for kind in ("ubyte", "byte", "short", "int", "float", "double") for dimensions in (3, 4)
]

# Called with a file's name (one of NAMES), its path and its uncompressed content; raises DataError to refuse the file.
Check = Callable[[str, Path, bytes], None]


def load(config: DataConfig) -> Dataset:
    """The data set in the four files of data.dir; its name is the folder's.

    Images must have data.height × data.width pixels, labels data.classes classes. Files of images with three dimensions
    are grey; with four they are (N, C, H, W) or (N, H, W, C), whichever fits data.channels.
    Raises DataError where the folder, a file or the limits do not fit.
    """
    if not config.dir:
        raise DataError("data.dir = null: data=idx needs the folder that holds the four IDX files; accepted: a path")
    folder = Path(config.dir)
    try:
        files = read_folder(folder)
    except DataError as error:
        raise DataError(
            f"data.dir = {config.dir!r}: {error}. data=idx needs a folder with the four files {', '.join(NAMES)}, "
            f"plain or gzipped; correct data.dir or the named files."
        ) from None
    name = folder.expanduser().resolve().name or "idx"
    name = f"idx-{name}" if name.removesuffix("-expanded") in OWN_NAMES else name
    return splits.three(name, f"IDX files from {config.dir}", *parts(files), config)


def parts(files: dict[str, IdxFile]) -> tuple[Part, Part]:
    """The training and the test part of the four files."""
    pairs = ((files[TRAIN_IMAGES], files[TRAIN_LABELS]), (files[TEST_IMAGES], files[TEST_LABELS]))
    training, test = (Part(images.values, labels.values, images.path, labels.path) for images, labels in pairs)
    return training, test


def read_folder(folder: Path, check: Check | None = None) -> dict[str, IdxFile]:
    """The four files of `folder`, by their names in NAMES; `check` is called for each before it is parsed.

    Raises one DataError that lists everything that is wrong with the folder and its files.
    """
    files, findings = {}, []
    try:
        folder = folder.expanduser()
        if not folder.is_dir():
            raise DataError(f"{folder.absolute()} is {'a file, not a folder' if folder.exists() else 'no folder'}")
        missing = [name for name in NAMES if find(folder, name) is None]
        if missing:
            lacks = "none of the four files" if len(missing) == len(NAMES) else f"no {', no '.join(missing)}"
            deeper = [one for one in _below(folder) if all(find(one, name) for name in NAMES)]
            holds = f"they are in {deeper[0].absolute()}" if deeper else f"it holds {_held(folder)}"
            findings.append(f"{folder.absolute()} has {lacks}, plain or .gz; {holds}")
        for name in [name for name in NAMES if name not in missing]:
            try:
                files[name] = read_file(folder, name, check)
            except DataError as error:
                findings.append(str(error))
    except (OSError, RuntimeError) as error:  # no permission to read it; ~name without such a user
        raise DataError(f"{folder} cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if findings:
        raise DataError("; ".join(findings))
    return files


def read_file(folder: Path, name: str, check: Check | None = None) -> IdxFile:
    """The file `name` (one of NAMES) of `folder`, under any spelling that `find` accepts. Raises DataError."""
    path = find(folder, name)
    if path is None:
        raise DataError(f"{folder.absolute()} has no {name}, plain or .gz")
    content = uncompressed(path)
    if check is not None:
        check(name, path, content)
    return IdxFile(path, parse(name, path, content))


def _below(folder: Path) -> list[Path]:
    """The subfolders, one and two levels down, into which archives and other libraries (MNIST/raw) put the files."""
    return sorted(item for pattern in ("*", "*/*") for item in folder.glob(pattern) if item.is_dir())


def _held(folder: Path) -> str:
    present = sorted(item.name for item in folder.iterdir())
    return ", ".join(present[:4]) + (", …" if len(present) > 4 else "") if present else "nothing"


def find(folder: Path, name: str) -> Path | None:
    """The path of the file `name` in `folder`, plain or gzipped, also with '.' before 'idx'; None if there is none."""
    first, _, ending = name.partition("-idx")
    endings = IMAGES_ENDINGS if "images" in name else [f"-idx{ending}"]
    stems = (first + one for ending in endings for one in (ending, ending.replace("-idx", ".idx")))
    paths = (folder / (stem + packed) for stem in stems for packed in ("", ".gz"))
    return next((path for path in paths if path.is_file()), None)
