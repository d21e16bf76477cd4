"""Reading a file in the IDX format, the format of MNIST.

A file is 00 00 TYPE D, then D sizes of four bytes each (big-endian), then the values in C order, big-endian as well.
Labels and most images are unsigned bytes (TYPE 08); images may have any other type of the format, and become float32.
Source: Y. LeCun and C. Cortes, "The MNIST database", section "File formats".

Legend: D dimensions, N images or labels, C channels, H × W pixels.
"""

import gzip
import struct
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.data.error import DataError

GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, section 2.3.1
UNSIGNED_BYTE = 0x08
TYPES = {UNSIGNED_BYTE: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}  # as numpy writes them
IMAGES, LABELS = (3, 4), (1,)  # dimensions: (N, H, W), (N, C, H, W) or (N, H, W, C); (N,)


@dataclass(frozen=True)
class IdxFile:
    """The content of a file: images (N, H, W), (N, C, H, W) or (N, H, W, C), uint8 or float32; or labels (N,) uint8."""

    path: Path
    values: NDArray[Any]  # read-only if uint8


def uncompressed(path: Path) -> bytes:
    """The content of a file, unpacked if it is gzipped.

    That is told by the content, not by the name: browsers unpack some .gz files and keep their names.
    Raises DataError where the file cannot be read or its compression is damaged.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(GZIP_MAGIC) else content
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is a damaged gzip file ({error}; {len(content)} bytes)") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None


def parse(name: str, path: Path, content: bytes) -> NDArray[Any]:
    """The values in the content of an IDX file: of three or four dimensions if `name` is a file of images, else (N,).

    Unsigned bytes are a view of `content`; other types become float32, and infinite where they are too large for it.
    Raises DataError where the content is not an IDX file of that kind, is incomplete or holds no values.
    """
    dtype, sizes, start = _header(name, path, content)
    size, held = dtype.itemsize, len(content) - start
    promised = prod(sizes) * size
    if held != promised:
        fault = "is truncated" if held < promised else "has bytes behind its end"
        shape = " x ".join(map(str, sizes)) + (f" values of {size} bytes" if size > 1 else "")
        raise DataError(f"{path} {fault} (its header promises {shape} = {promised} bytes, it has {held})")
    if promised == 0:
        raise DataError(f"{path} holds no {'images' if 'images' in name else 'labels'}")
    values = np.frombuffer(content, dtype, offset=start).reshape(sizes)
    if dtype == np.uint8:
        return values
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _header(name: str, path: Path, content: bytes) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """The type of the values, their dimensions, and the byte at which they begin. Raises as `parse` does."""
    images = "images" in name
    wanted, accepted = ("images", IMAGES) if images else ("labels", LABELS)
    if not content:
        raise DataError(f"{path} is empty")
    if len(content) < 4 or content[:2] != b"\0\0":
        expected = f"00 00 08 0{accepted[0]}"
        raise DataError(f"{path} is not an IDX file (it starts with {content[:4].hex(' ')}, expected {expected})")
    kind, dimensions = content[2], content[3]
    if kind not in TYPES or not (images or kind == UNSIGNED_BYTE):
        others = " or " + ", ".join(f"0x{one:02x}" for one in TYPES if one != UNSIGNED_BYTE) if images else ""
        raise DataError(f"{path} holds values of IDX type 0x{kind:02x}, expected 0x08 (unsigned bytes){others}")
    if dimensions not in accepted:
        known = "labels" if dimensions in LABELS else "images" if dimensions in IMAGES else None
        raise DataError(f"{path} holds {known or f'values of {dimensions} dimensions'} where {wanted} are expected")
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DataError(f"{path} is truncated (its header needs {start} bytes, it has {len(content)})")
    return np.dtype(TYPES[kind]), struct.unpack(f">{dimensions}I", content[4:start]), start
