"""One file in the IDX format, that of MNIST.

A file is 00 00 TYPE D, then D sizes of four bytes each (big-endian), then the values in C order. TYPE 08 is unsigned
bytes, the only one used here. Source: Y. LeCun and C. Cortes, "The MNIST database", section "File formats".

Legend: D dimensions, N images or labels, H × W pixels.
"""

import gzip
import struct
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.data.error import DataError

GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, section 2.3.1
UNSIGNED_BYTE = 0x08


@dataclass(frozen=True)
class IdxFile:
    """One file: values (N, H, W) of images or (N,) of labels, uint8, read-only."""

    path: Path
    values: NDArray[np.uint8]


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
    wanted = 3 if "images" in name else 1
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
