"""The figures that consist of pictures, each a png: the filters of a layer, rows of images, misclassified images.

Every function draws one figure, writes it and returns it.
Sources: [N6] M. Nielsen, Neural Networks and Deep Learning, ch. 6; [DLT] LISA lab, Deep Learning Tutorials, "Denoising
Autoencoders" and "Restricted Boltzmann Machines".

Legend: N images, C channels, H × W pixels, M maps, F side of a local receptive field, U units, E images shown.
"""

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from src.config.wording import number_of
from src.runs.canvas import BLUE, VERMILLION, page
from src.runs.mosaic import COLOUR, GREYS, PAPER, bare, fitting, mosaic, on_paper
from src.runs.vote import NO_ANSWER, Vote

MOST_ERRORS = 40  # misclassified images shown, 5 rows of 8 [N6, conv.py plot_errors]
ERROR_COLUMNS = 8
UNITS_ASIDE = 10  # units beside each other, and as many rows of them [DLT]


def filters_figure(weight: Tensor, path: Path, title: str) -> Figure:
    """The filters of one convolution on one grey scale, dark = larger weight, in a grid of about 5:4 [N6].

    weight: (M, C, F, F'). With one input channel each tile is a map's filter. With several, each tile is again a grid,
    the map's filters for input channels 1 to C row by row: all that the layer holds. (The chapter shows the first
    channel's only; a mean over channels would average strokes away.) A weight that is not finite is left blank.
    """
    kernels = weight.detach().cpu().float().numpy()
    maps, channels, high, wide = kernels.shape
    tiles = [kernel[0] if channels == 1 else mosaic(list(kernel), gap=1) for kernel in kernels]
    picture = mosaic(tiles, gap=1 if channels == 1 else 4)
    caption = f"{number_of(maps, 'filter')} of {high}×{wide} pixels; dark = larger weight"
    if channels > 1:
        caption = (
            f"{number_of(maps, 'map')}, a tile each: its {channels} filters of {high}×{wide} pixels, "
            "one per input channel, row by row; dark = larger weight"
        )
    with page(path, fitting(picture.shape, 6 if channels == 1 else 11, margin=1.4), title) as figure:
        ax = figure.add_subplot()
        finite = kernels[np.isfinite(kernels)]
        ends = {"vmin": finite.min(), "vmax": finite.max()} if finite.size else {}
        image = ax.imshow(picture, cmap=GREYS, **ends)
        bar = figure.colorbar(image, ax=ax, shrink=0.7, pad=0.01, label="weight")
        bar.ax.grid(False)
        bare(ax)
        ax.set_xlabel(caption, wrap=True)
    return figure


def colour_filters_figure(weight: Tensor, path: Path, title: str) -> Figure:
    """The filters of a convolution of red, green and blue images, each in these colours, in a grid of about 5:4.

    weight: (M, 3, F, F'). A weight of 0 is the middle of its colour's range, so that a filter of zeros is grey; the
    largest in size of all filters is its end. A weight that is not finite is left blank, with the pixel's other two.
    """
    kernels = weight.detach().cpu().float().numpy().transpose(0, 2, 3, 1)  # (M, F, F', 3)
    maps, high, wide, _ = kernels.shape
    largest = max(np.abs(kernels[np.isfinite(kernels)]).max(initial=0.0), np.finfo(np.float32).tiny)
    picture = on_paper(mosaic(list(0.5 + kernels / largest / 2), gap=1), PAPER)
    with page(path, fitting(picture.shape, 6, margin=0.3), title) as figure:
        ax = figure.add_subplot()
        ax.imshow(picture)
        bare(ax)
        words = f"{number_of(maps, 'filter')} of {high}×{wide} pixels in red, green and blue; grey = 0"
        ax.set_xlabel(f"{words}, bright = {largest:.3g}, dark = −{largest:.3g}", wrap=True)
    return figure


def units_figure(weight: Tensor, size: tuple[int, int, int], path: Path, title: str) -> Figure:
    """The incoming weights of a fully connected layer's units as images, each scaled by itself [DLT], in 10×10 tiles.

    weight: (U, C·H·W), of which the first 100 units are shown; size: (C, H, W). A unit's smallest weight is white and
    its largest black; C = 3: in these colours, the largest bright; other C: the mean over the channels. A unit of equal
    weights is white, a weight that is not finite is left blank.
    """
    count = UNITS_ASIDE**2
    weights = weight[:count].detach().cpu().float().numpy()
    weights = np.where(np.isfinite(weights), weights, np.nan)
    low, high = np.fmin.reduce(weights, axis=1)[:, None], np.fmax.reduce(weights, axis=1)[:, None]
    scaled = (weights - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    in_colour = size[0] == COLOUR
    tiles = scaled.reshape(len(scaled), *size).transpose(0, 2, 3, 1)  # (U, H, W, C)
    picture = mosaic(
        list(tiles if in_colour else tiles.mean(-1)), gap=1, columns=UNITS_ASIDE if len(tiles) == count else None
    )
    with page(path, fitting(picture.shape, 8, margin=0.3), title) as figure:
        ax = _shown(figure, picture, in_colour)
        first = f"the first {count} of {len(weight):,} units" if len(weight) > count else number_of(len(weight), "unit")
        scale = "dark = smallest weight, bright = largest" if in_colour else "white = smallest weight, black = largest"
        ax.set_xlabel(f"{first}, each scaled by itself: {scale}", wrap=True)
    return figure


def _shown(figure: Figure, picture: np.ndarray, in_colour: bool) -> Axes:
    """The picture, values 0 … 1, on axes without ticks; grey pictures are dark where they are larger."""
    ax = figure.add_subplot()
    if in_colour:
        ax.imshow(on_paper(picture, PAPER))
    else:
        ax.imshow(picture, cmap=GREYS, vmin=0, vmax=1)
    bare(ax)
    return ax


def rows_figure(rows: Mapping[str, Tensor], path: Path, title: str, caption: str) -> Figure:
    """Rows of images, one below another, with their labels on the left.

    rows: label -> (N, C, H, W) in 0 … 1, as many images and of the same size in each row. C = 3: in colour; else the
    mean over the channels, dark = larger. Values that are not finite are left blank.
    """
    images = torch.cat([*rows.values()]).detach().cpu().float().permute(0, 2, 3, 1).numpy()  # (rows · N, H, W, C)
    count, height, in_colour = len(images) // len(rows), images.shape[1], images.shape[-1] == COLOUR
    gap = max(1, height // 14)
    picture = mosaic(list(images.clip(0, 1) if in_colour else images.mean(-1)), gap=gap, columns=count)
    with page(path, fitting(picture.shape, 10, margin=1.5), title) as figure:
        ax = _shown(figure, picture, in_colour)
        ax.set_yticks([place * (height + gap) + gap + height / 2 - 0.5 for place in range(len(rows))], list(rows))
        ax.tick_params(axis="y", length=0)
        ax.set_xlabel(caption, wrap=True)
    return figure


def errors_figure(images: Tensor, given: Vote, path: Path, who: str) -> Figure:
    """The misclassified test images, the true digit at the top right of each, the given one at the bottom right [N6].

    images: (N, C, H, W) uint8 or float32, all of them; of more than MOST_ERRORS the first are shown, and the title says
    so. C = 3: in colour; else the mean over the channels, dark = larger. Colours and greys range over what a byte can
    be, or for float32 from the smallest to the largest value shown.
    """
    errors, total = given.errors, int((given.answers != NO_ANSWER).sum())
    if not errors:
        with page(path, (7, 2.5), f"{who}: no test image misclassified") as figure:
            words = f"All {total:,} test images have the right answer."
            figure.text(0.5, 0.4, words, ha="center", va="center", fontsize=14)
        return figure
    shown = errors[:MOST_ERRORS]
    limit = f" (the first {len(shown)} shown)" if len(shown) < len(errors) else ""
    height, width = images.shape[-2:]
    margin = (5 + 4 * max(len(str(digit)) for error in shown for digit in (error.true, error.given))) * width // 28 + 1
    pictures = images[[error.image for error in shown]].cpu().permute(0, 2, 3, 1).double().numpy()  # (E, H, W, C)
    ends = (0.0, 255.0) if images.dtype == torch.uint8 else (pictures.min(), max(pictures.max(), pictures.min() + 1e-9))
    in_colour = pictures.shape[-1] == COLOUR
    pictures = (pictures - ends[0]) / (ends[1] - ends[0]) if in_colour else pictures.mean(axis=-1)
    blank = np.full((height, margin, *pictures.shape[3:]), np.nan)  # where the digits stand
    cells = [np.hstack([one, blank]) for one in pictures]
    columns = min(ERROR_COLUMNS, len(shown))
    gap = max(1, height // 7)
    picture = mosaic(cells, gap=gap, columns=columns)
    title = f"{who}: {len(errors):,} of {total:,} test images misclassified{limit}"
    inches = max(1.5 * columns, 6)
    with page(path, fitting(picture.shape, inches, margin=0.3), title) as figure:
        ax = figure.add_subplot()
        if in_colour:
            ax.imshow(on_paper(picture, "white"))
        else:
            grey = matplotlib.colormaps["binary"].with_extremes(bad="white")
            ax.imshow(picture, cmap=grey, vmin=ends[0], vmax=ends[1])
        for place, error in enumerate(shown):
            top = place // columns * (height + gap) + gap
            left = place % columns * (width + margin + gap) + gap
            frame = matplotlib.patches.Rectangle(
                (left - 0.5, top - 0.5), width, height, fill=False, edgecolor="#BBBBBB", linewidth=0.6
            )
            ax.add_patch(frame)
            right = left + width + 1
            ax.text(right, top - 0.5, str(error.true), color=BLUE, ha="left", va="top", fontsize=12)
            ax.text(
                right, top + height - 0.5, str(error.given), color=VERMILLION, ha="left", va="bottom", fontsize=12
            )  # fmt: skip
        bare(ax)
        ax.set_xlabel("top right: true class; bottom right: given answer")
    return figure
