"""A picture's file as a network sees it: read with Pillow, then made like the images that the network was trained on.

For a network that was trained on MNIST's digits: grey, light on dark, which the border decides; the digit scaled into a
box of 20 × 20 pixels and placed so that its centre of mass is that of the image [Y. LeCun, C. Cortes and C. Burges, the
MNIST page]. For data=folder: as src/data/folder.py reads it. For others: the largest part in the middle that has the
right proportions, resized.
Legend: C channels, H × W pixels of what the network sees; h × w of a file.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.config.data import DataConfig
from src.config.error import UserError
from src.data import folder

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
MOST_PIXELS = 50_000_000
DIGITS = ("auto", "mnist", "digits")  # data sets whose images are digits, made as MNIST's were
BOX = 20 / 28  # the part of an image that a digit fills
MODES = {1: "L", 3: "RGB"}  # Pillow's names for so many channels
INK = 0.25  # of the range of greys above the border's: what is less is not the digit, but its edge or the paper's
PAPER = 0.1  # of that range: less is taken as the border's own grey
LIGHT = 127.5  # a border above it is light
BYTE = 255

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Seen:
    """An input made from a file."""

    image: Bytes  # (C, H, W), what the network sees
    given: Bytes  # (h, w) or (h, w, 3), the file's own picture
    done: str  # what was done, in words


def read_image(path: Path, data: DataConfig, invert: bool | None = None) -> Seen:
    """The picture in a file as a network for `data` sees it.

    invert: whether light and dark are exchanged; None: for digits as the border says, for others not. Raises UserError
    where the file is no picture, damaged or too large.
    """
    if data.channels not in MODES:
        raise UserError(f"{path}: the networks see {data.channels} channels; accepted: arrays (.npy, .npz) of these.")
    if data.name == "folder":
        return _of_folder(path, data, bool(invert))
    picture, words = _opened(path, MODES[data.channels])
    if data.name in DIGITS:
        image, more = _digit(picture, data, invert)
    else:
        image, more = _resized(BYTE - picture if invert else picture, data)
        more = ["inverted", *more] if invert else more
    channels = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    return Seen(channels, picture, ", ".join([*words, *more]) or "as it is")


def _of_folder(path: Path, data: DataConfig, invert: bool) -> Seen:
    """The picture as data=folder reads those that networks are trained on. Raises DataError where it cannot be read."""
    picture = folder.opened(path)
    size = data.height, data.width
    resized = [f"{picture.shape[1]} × {picture.shape[0]} pixels to {size[1]} × {size[0]}"]
    words = [*(["inverted"] if invert else []), *(resized if picture.shape[:2] != size else [])]
    image = folder.fitted(BYTE - picture if invert else picture, size, data.channels == 1)
    return Seen(image, picture, ", ".join(words) or "as it is")


def _opened(path: Path, mode: str) -> tuple[Bytes, list[str]]:
    """The picture, (h, w) or (h, w, 3), and what was done to its colours."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its size, which is looked at here, and of odd metadata
            with Image.open(path) as file:
                if file.width * file.height > MOST_PIXELS:
                    raise UserError(
                        f"{path}: has {file.width:,} × {file.height:,} pixels; accepted: at most {MOST_PIXELS:,}."
                    )
                frames = getattr(file, "n_frames", 1)
                file.load()
                picture = ImageOps.exif_transpose(file)
    except UserError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever the broken part makes of it
        reason = " ".join(str(error).split()) or repr(error)
        raise UserError(f"{path}: cannot be read as a picture ({reason}); accepted: PNG, JPEG and the like.") from None
    words = [f"the first of {frames} pictures"] if frames > 1 else []
    picture, more = _bytes(picture)
    grey = mode == "L" and picture.mode != "L"
    return np.asarray(picture.convert(mode)), [*words, *more, *(["grey"] if grey else [])]


def _bytes(picture: Any) -> tuple[Any, list[str]]:
    """A picture of bytes, grey or in colours, without transparency, and what was done."""
    from PIL import Image

    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture).astype(np.float64) / 257).round().astype(np.uint8)), [
            "16 bits to 8"
        ]
    if picture.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(picture).astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        span = max(float(np.ptp(values)), 1e-9)
        return Image.fromarray(((values - values.min()) / span * BYTE).round().astype(np.uint8)), [
            "its range to 8 bits"
        ]
    if not picture.has_transparency_data:
        return (picture if picture.mode in ("L", "RGB") else picture.convert("RGB")), []
    layered = np.asarray(picture.convert("RGBA")).astype(np.float64)
    alpha = layered[..., 3:] / BYTE
    if alpha.min() == 1:
        return picture.convert("RGB"), []
    shown = layered[..., :3].mean(-1, keepdims=True)
    light = float((shown * alpha).sum()) > LIGHT * float(alpha.sum())  # what is drawn is light, so the paper is dark
    paper = 0 if light else BYTE
    flat = (layered[..., :3] * alpha + paper * (1 - alpha)).round().astype(np.uint8)
    return Image.fromarray(flat), [f"what is transparent {'black' if light else 'white'}"]


def _resized(picture: Bytes, data: DataConfig) -> tuple[Bytes, list[str]]:
    """The middle of the picture with the proportions of `data`, at its size."""
    from PIL import Image, ImageOps

    if picture.shape[:2] == (data.height, data.width):
        return picture, []
    high, wide = picture.shape[:2]
    cut = [] if high * data.width == wide * data.height else ["its edges cut"]
    fitted = ImageOps.fit(Image.fromarray(picture), (data.width, data.height), Image.Resampling.LANCZOS)
    return np.asarray(fitted), [*cut, f"{wide} × {high} pixels to {data.width} × {data.height}"]


def _digit(picture: Bytes, data: DataConfig, invert: bool | None) -> tuple[Bytes, list[str]]:
    """A grey picture (h, w) as MNIST has its digits, light on dark, and what was done."""
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    light = float(np.median(border)) > LIGHT
    inverted = light if invert is None else invert
    words = ([f"inverted{'' if invert else ': its border is light'}"]) if inverted else []
    if inverted:
        picture, border = BYTE - picture, BYTE - border
    if picture.shape == (data.height, data.width):
        return picture, words
    level = float(np.median(border))
    ink = (picture - level) / max(float(picture.max()) - level, 1.0)
    ink = np.where(ink < PAPER, 0.0, ink)
    rows, columns = (np.flatnonzero((ink > INK).any(axis)) for axis in (1, 0))
    if not len(rows):
        return np.zeros((data.height, data.width), np.uint8), [*words, "nothing in it"]
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    box = _boxed(ink, data)
    words.append(f"{ink.shape[1]} × {ink.shape[0]} pixels to {box.shape[1]} × {box.shape[0]}, centred by mass")
    return _centred(box, data), words


def _boxed(ink: NDArray[np.floating], data: DataConfig) -> Bytes:
    """The digit, 0 … 1, so large that it fills its box in one direction, as bytes."""
    from PIL import Image

    scale = BOX * min(data.height, data.width) / max(ink.shape)
    size = [max(1, round(side * scale)) for side in ink.shape]
    grey = Image.fromarray((ink * BYTE).round().astype(np.uint8))
    return np.asarray(grey.resize((size[1], size[0]), Image.Resampling.LANCZOS))


def _centred(box: Bytes, data: DataConfig) -> Bytes:
    """An image with the digit placed so that its centre of mass is in the middle, as far as it stays inside."""
    image = np.zeros((data.height, data.width), np.uint8)
    mass = box.astype(np.float64)
    starts = []
    for axis, side in enumerate(image.shape):
        centre = float((mass.sum(1 - axis) * np.arange(box.shape[axis])).sum() / max(mass.sum(), 1.0))
        starts.append(min(max(round((side - 1) / 2 - centre), 0), side - box.shape[axis]))
    image[starts[0] : starts[0] + box.shape[0], starts[1] : starts[1] + box.shape[1]] = box
    return image
