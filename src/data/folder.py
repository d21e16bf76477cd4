"""data=folder: PNG and JPEG images in one folder a class, of any sizes and colours; seen as bytes, 0 to 255.

Folders train, validation and test with the classes' folders in them are used as such splits.
Source of the limit to an image's size, against decompression bombs: Pillow's own.
"""

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.config.data import DataConfig
from src.config.task import Kind
from src.data.error import DataError
from src.data.examples import PARTS, Examples, consecutive, targets_of

ENDINGS = (".png", ".jpg", ".jpeg")
MOST_PIXELS = 50_000_000  # of one image
DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I")  # modes of grey images with 16 bits a pixel
GREY = ("1", "L", "LA", *DEEP)


def read(config: DataConfig, kind: Kind) -> Examples:
    """The images below data.dir, all at one size. Raises DataError where there are none, or one cannot be read."""
    field = f"data.dir = {config.dir!r}"
    if config.dir is None:
        raise DataError("data.dir = null: data=folder reads a folder with one folder a class; accepted: its path")
    if kind != "classes":
        raise DataError("data = 'folder': a folder's name is a class; accepted: task=classify, or another data source")
    try:
        root = Path(config.dir).expanduser()
        if not root.is_dir():
            there = "is a file" if root.exists() else "there is no such folder"
            raise DataError(f"{field}: {there}; accepted: a folder with one folder of images a class")
        files = _files(root)
    except (OSError, RuntimeError) as error:
        raise DataError(f"{field}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not files[0]:
        raise DataError(f"{field}: has no images in its folders; accepted: a folder a class, with {', '.join(ENDINGS)}")
    paths = [path for part in files for path, _ in part]
    images = [opened(path) for path in paths]
    size, notes = _size(images, config)
    grey = config.channels == 1 if "channels" in config.model_fields_set else all(one.ndim == 2 for one in images)
    if "channels" in config.model_fields_set and config.channels not in (1, 3):
        raise DataError(f"data.channels = {config.channels}: data=folder reads grey or colour; accepted: 1 or 3")
    inputs = np.stack([fitted(one, size, grey) for one in images])  # (N, C, H, W)
    labels = np.array([label for part in files for _, label in part])
    targets, class_names = targets_of(labels, kind, field)
    parts = consecutive([len(part) for part in files]) if any(files[1:]) else None
    name = root.resolve().name or "folder"
    return Examples(
        name, f"images from {config.dir}", inputs, targets, class_names, parts, unit="images", notes=tuple(notes)
    )


def _files(root: Path) -> list[list[tuple[Path, str]]]:
    """The image files of the three parts, each with its class; all in the first where there are no parts."""
    if not (root / "train").is_dir():
        return [_classes(root), [], []]
    return [_classes(root / part) if (root / part).is_dir() else [] for part in PARTS]


def _classes(folder: Path) -> list[tuple[Path, str]]:
    return [
        (path, own.name)
        for own in sorted(folder.iterdir())
        if own.is_dir() and not own.name.startswith(".")
        for path in sorted(own.iterdir())
        if path.suffix.lower() in ENDINGS and path.is_file() and not path.name.startswith(".")
    ]


def opened(path: Path) -> NDArray[Any]:
    """One PNG or JPEG image, (H, W) grey or (H, W, 3) uint8. Raises DataError where it is damaged or too large."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise DataError(
                        f"{path}: has {image.width}x{image.height} pixels; accepted: at most {MOST_PIXELS:,} in all"
                    )
                image.load()
                return _bytes(ImageOps.exif_transpose(image))
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(f"{path}: is no PNG or JPEG image; accepted: whole images of these formats") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: is too large ({error}); accepted: at most {MOST_PIXELS:,} pixels") from None
    except (OSError, ValueError, SyntaxError, MemoryError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as an image ({error}); accepted: whole PNG or JPEG images") from None


def _bytes(image: Any) -> NDArray[Any]:
    """16 bits become 8, a palette its colours, transparent pixels white."""
    from PIL import Image

    if image.mode in DEEP:
        return (np.asarray(image).astype("int64").clip(0, 65_535) // 257).astype("uint8")
    if image.mode == "P" or "A" in image.mode or "transparency" in image.info:
        colours = image.convert("RGBA")
        below = Image.new("RGBA", image.size, "white")
        whole = Image.alpha_composite(below, colours).convert("RGB")
        return np.asarray(whole.convert("L") if image.mode == "LA" else whole)
    return np.asarray(image.convert("L" if image.mode in GREY else "RGB"))


def _size(images: list[NDArray[Any]], config: DataConfig) -> tuple[tuple[int, int], list[str]]:
    """Height and width for all: those that are given, else the most frequent ones; with what is said of resizing."""
    sizes = Counter((one.shape[0], one.shape[1]) for one in images)
    height, width = max(sizes, key=lambda one: (sizes[one], one))
    height = config.height if "height" in config.model_fields_set else height
    width = config.width if "width" in config.model_fields_set else width
    others = len(images) - sizes[height, width]
    said = f"{others:,} of {len(images):,} images had another size and were resized to {height}x{width}."
    return (height, width), [said] if others else []


def fitted(image: NDArray[Any], size: tuple[int, int], grey: bool) -> NDArray[Any]:
    """An image, (H, W) or (H, W, 3), as networks see it: at this height and width, (C, H, W) uint8."""
    from PIL import Image

    own = Image.fromarray(image).convert("L" if grey else "RGB")
    if own.size != (size[1], size[0]):
        own = own.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    values = np.asarray(own)
    return values[None] if grey else np.moveaxis(values, -1, 0)
