"""Many small pictures as one: tiles in a grid, on paper of a colour that no grey picture has.

Legend: h × w pixels of a tile or a picture.
"""

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes

PAPER = "#DCE6F0"  # the colour between pictures, which no grey picture has
COLOUR = 3  # images with so many channels are drawn as red, green and blue
GRID_ASPECT = 5 / 4  # columns : rows of a grid; 20 filters are 5×4, 40 are 8×5 [N6]
GREYS = matplotlib.colormaps["binary"].with_extremes(bad=PAPER)  # white, the smallest, to black, the largest


def bare(ax: Axes) -> None:
    """Takes ticks, grid and frame from the axes of a picture."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _columns(count: int) -> int:
    """Columns of a grid of about 5:4: 20 -> 5 (×4), 40 -> 8 (×5)."""
    return min(count, math.ceil(math.sqrt(count * GRID_ASPECT)))


def mosaic(tiles: Sequence[np.ndarray], gap: int, columns: int | None = None) -> np.ndarray:
    """One picture of many of equal size, (h, w) or (h, w, 3), row by row, with `gap` pixels of NaN around each."""
    columns = columns or _columns(len(tiles))
    rows = math.ceil(len(tiles) / columns)
    high, wide, *colours = tiles[0].shape
    picture = np.full((rows * (high + gap) + gap, columns * (wide + gap) + gap, *colours), np.nan)
    for place, tile in enumerate(tiles):
        top = place // columns * (high + gap) + gap
        left = place % columns * (wide + gap) + gap
        picture[top : top + high, left : left + wide] = tile
    return picture


def on_paper(picture: np.ndarray, paper: str) -> np.ndarray:
    """Red, green and blue (h, w, 3) in 0…1, with `paper` for the colour of pixels that are not finite in all three."""
    blank = ~np.isfinite(picture).all(axis=-1, keepdims=True)
    return np.where(blank, matplotlib.colors.to_rgb(paper), picture)


def fitting(shape: tuple[int, ...], width: float, margin: float) -> tuple[float, float]:
    """Inches of a page for a picture of this shape and width: `margin` beside it, title and caption above and below."""
    return width + margin, min(width * shape[0] / shape[1], 16.0) + 1.1
