"""A picture of what networks saw of pictures' files: each file's own, what became of it, and the answer."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from src.runs.canvas import page
from src.runs.image_file import Seen
from src.runs.mosaic import PAPER, bare

MOST = 24  # files that are shown
COLUMNS = 4  # pairs beside each other
LETTERS = 34  # of a line below a pair


def seen_figure(seen: Sequence[Seen], names: Sequence[str], answers: Sequence[str], path: Path, title: str) -> None:
    """Draws the first files' own pictures on the left of what the networks saw, as they are: white is 1.

    names, answers: of each file, above and below its pair.
    """
    shown = list(zip(seen, names, answers, strict=True))[:MOST]
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    if len(seen) > MOST:
        title += f" (the first {MOST} of {len(seen):,})"
    with page(path, (max(3.2 * columns, 5), 2.7 * rows + 0.9), title) as figure:
        axes = figure.subplots(rows, 2 * columns, squeeze=False)
        for ax in axes.flat:
            ax.set_axis_off()
        for number, (one, name, answer) in enumerate(shown):
            row, column = divmod(number, columns)
            left, right = axes[row, 2 * column], axes[row, 2 * column + 1]
            _draw(left, one.given, textwrap.shorten(name, LETTERS // 2, placeholder="…"))
            _draw(right, one.image.transpose(1, 2, 0).squeeze(), answer)
            left.set_xlabel(textwrap.fill(one.done, LETTERS), fontsize=7, x=1.0)


def _draw(ax: Axes, picture: np.ndarray, title: str) -> None:
    ax.set_axis_on()
    ax.set_facecolor(PAPER)
    ax.imshow(picture, cmap="gray", vmin=0, vmax=255)
    ax.set_adjustable("datalim")
    ax.set_box_aspect(1)  # so that all pictures are as large, and a pair stands on one line
    bare(ax)
    for spine in ax.spines.values():
        spine.set_visible(True)
        spine.set_color("#BBBBBB")
    ax.set_title(title, fontsize=9)
