"""IDX files: the format of MNIST and of the sets that follow it, four files in a folder.

A file is 00 00 TYPE D, then D sizes of four bytes each (big-endian), then the values in C order. TYPE 08 is unsigned
bytes, the only one used here. Source: Y. LeCun and C. Cortes, "The MNIST database", section "File formats".

Legend: D dimensions, N images or labels, H × W pixels.
"""

import gzip
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.data.error import DataError

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
NAMES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)

GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, section 2.3.1
UNSIGNED_BYTE = 0x08

# Called with a file's name in NAMES, its path and its uncompressed content; raises DataError where it must not be used.
Check = Callable[[str, Path, bytes], None]


@dataclass(frozen=True)
class IdxFile:
    """One file: values (N, H, W) of images or (N,) of labels, uint8, read-only."""

    path: Path
    values: NDArray[np.uint8]


def read_folder(folder: Path, check: Check | None = None) -> dict[str, IdxFile]:
    """The four files of `folder` by their names in NAMES, each passed through `check` first.

    Raises DataError that lists everything wrong with the folder and its files in one go.
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
    except (OSError, RuntimeError) as error:  # no right to look into it; a ~name that is no user
        raise DataError(f"{folder} cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if findings:
        raise DataError("; ".join(findings))
    return files


def read_file(folder: Path, name: str, check: Check | None = None) -> IdxFile:
    """The file `name` (one of NAMES) of `folder`, plain or gzipped, also with '.' before 'idx'. Raises DataError."""
    path = find(folder, name)
    if path is None:
        raise DataError(f"{folder.absolute()} has no {name}, plain or .gz")
    content = uncompressed(path)
    if check is not None:
        check(name, path, content)
    return IdxFile(path, parse(name, path, content))


def _below(folder: Path) -> list[Path]:
    """The folders one and two steps below, where archives and other libraries (MNIST/raw) put the files."""
    return sorted(item for pattern in ("*", "*/*") for item in folder.glob(pattern) if item.is_dir())


def _held(folder: Path) -> str:
    present = sorted(item.name for item in folder.iterdir())
    return ", ".join(present[:4]) + (", …" if len(present) > 4 else "") if present else "nothing"


def find(folder: Path, name: str) -> Path | None:
    """Where `folder` keeps the file `name`; None when under no accepted spelling."""
    spellings = (spelling + ending for spelling in (name, name.replace("-idx", ".idx")) for ending in ("", ".gz"))
    return next((folder / spelling for spelling in spellings if (folder / spelling).is_file()), None)


def uncompressed(path: Path) -> bytes:
    """The content of a file; gzip is told by the content, as browsers unpack some .gz and keep the name.

    Raises DataError where the file cannot be read or its compression is damaged.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(GZIP_MAGIC) else content
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is a damaged gzip file ({error}; {len(content)} bytes)") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None


def parse(name: str, path: Path, content: bytes) -> NDArray[np.uint8]:
    """The values of an IDX file, (N, H, W) when `name` is of images, else (N,); a view of `content`.

    Raises DataError where the content is not such a file, whole and not empty.
    """
    wanted = 3 if name in (TRAIN_IMAGES, TEST_IMAGES) else 1
    if not content:
        raise DataError(f"{path} is empty")
    if len(content) < 4 or content[:2] != b"\0\0":
        raise DataError(f"{path} is not an IDX file (it starts with {_hex(content)}, expected 00 00 08 0{wanted})")
    kind, dimensions = content[2], content[3]
    if kind != UNSIGNED_BYTE:
        raise DataError(f"{path} holds values of IDX type 0x{kind:02x}, expected 0x08 (unsigned bytes)")
    if dimensions != wanted:
        words = {1: "labels", 3: "images"}
        held = words.get(dimensions, f"values of {dimensions} dimensions")
        raise DataError(f"{path} holds {held} where {words[wanted]} are expected")
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DataError(f"{path} is truncated (its header needs {start} bytes, it has {len(content)})")
    sizes = struct.unpack(f">{dimensions}I", content[4:start])
    promised, held_bytes = prod(sizes), len(content) - start
    if held_bytes != promised:
        fault = "is truncated" if held_bytes < promised else "has bytes behind its end"
        shape = " x ".join(str(size) for size in sizes)
        raise DataError(f"{path} {fault} (its header promises {shape} = {promised} bytes, it has {held_bytes})")
    if promised == 0:
        raise DataError(f"{path} holds no {'images' if wanted == 3 else 'labels'}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes)


def _hex(content: bytes) -> str:
    return content[:4].hex(" ")
