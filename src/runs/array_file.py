"""A file of numbers as a network's inputs: .npy, or .npz with one array, or with one named x. Nothing is unpickled.

Legend: N examples, C channels, H × W pixels.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from src.config.data import SIZES, DataConfig
from src.config.error import UserError

SUFFIXES = (".npy", ".npz")
NAMES = ("x", "inputs", "images", "x_test")  # of an array among several, in this order
BYTE = 255


def read_array(path: Path, data: DataConfig) -> Tensor:
    """The examples in a file, (N, C, H, W) uint8 or float32, for networks that were trained on `data`.

    An example may have the shape (C, H, W), (H, W, C), (H, W) with one channel, that of data.shape, or (C,) for rows;
    the file holds several, or one. Raises UserError where it cannot be read, or another shape or values do not fit.
    """
    values = _read(path)
    inputs = torch.from_numpy(np.ascontiguousarray(_shaped(path, _typed(path, values, data), data)))
    if inputs.is_floating_point() and not bool(inputs.isfinite().all()):
        count = int((~inputs.isfinite()).sum())
        raise UserError(f"{path}: {count:,} of its numbers are not finite; accepted: finite ones.")
    if data.name in SIZES and inputs.is_floating_point() and not 0 <= float(inputs.min()) <= float(inputs.max()) <= 1:
        raise UserError(
            f"{path}: its numbers range from {float(inputs.min()):.4g} to {float(inputs.max()):.4g}; accepted: bytes, "
            f"whole numbers from 0 to {BYTE}, or numbers from 0 to 1, as the networks saw in training."
        )
    return inputs


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            content = np.load(file, allow_pickle=False)
            if not isinstance(content, np.lib.npyio.NpzFile):
                return content
            names = content.files
            name = next((one for one in NAMES if one in names), names[0] if len(names) == 1 else None)
            if name is not None:
                return content[name]
    except Exception as error:  # zip, zlib and NumPy raise whatever the broken part makes of it
        reason = " ".join(str(error).split()) or repr(error)
        raise UserError(
            f"{path}: cannot be read as an array ({reason}); accepted: .npy or .npz without pickles."
        ) from None
    raise UserError(
        f"{path}: holds {', '.join(names) or 'nothing'}; accepted: one array, or one of {', '.join(NAMES)}."
    )


def _typed(path: Path, values: Any, data: DataConfig) -> Any:
    """The values as uint8, for bytes of images, or float32."""
    if values.dtype.kind not in "biuf":
        raise UserError(f"{path}: holds {values.dtype}; accepted: numbers.")
    whole = values.dtype.kind in "iu" and data.height * data.width > 1 and values.size
    if whole and values.min() >= 0 and values.max() <= BYTE:
        return values.astype(np.uint8)
    return values.astype(np.float32)


def _shaped(path: Path, values: Any, data: DataConfig) -> Any:
    """The values as (N, C, H, W)."""
    image = data.channels, data.height, data.width
    shapes = [image, tuple(data.example)]
    shapes += [image[:1]] if image[1:] == (1, 1) else []
    shapes += [image[1:]] if data.channels == 1 and image[1:] != (1, 1) else []
    for shape in shapes:
        if values.shape[1:] == shape or values.shape == shape:
            return values.reshape(-1, *image)
    last = (data.height, data.width, data.channels)
    if values.shape[1:] == last or values.shape == last:
        return np.moveaxis(values.reshape(-1, *last), -1, 1)
    known = " or ".join(dict.fromkeys(str(("N", *shape)).replace("'", "") for shape in shapes))
    raise UserError(f"{path}: has the shape {values.shape}; accepted: {known}.")
