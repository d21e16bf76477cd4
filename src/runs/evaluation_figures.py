"""The figures of an evaluation: confusion matrix, reliability, and predicted against true numbers.

Legend: N examples, C classes or numbers.
"""

from pathlib import Path

import numpy as np
from matplotlib.colors import LogNorm
from torch import Tensor

from src.runs.canvas import BLUE, GREY, ORANGE, page
from src.runs.evaluation import BINS, Evaluation

MOST_NUMBERED = 20  # classes of a confusion matrix whose cells show their numbers
MOST_POINTS = 5_000
MOST_LETTERS = 24  # of a class's name
LETTER = 0.09  # inches, its width


def confusion_figure(evaluation: Evaluation, path: Path, title: str) -> None:
    """Draws (C, C) counts, a row a true class; the darker a cell, the larger its count, on a logarithmic scale."""
    cells = evaluation.confusion.numpy().astype(float)
    count, names = len(cells), [shortened(name) for name in evaluation.outputs]
    numbered = count <= MOST_NUMBERED
    side = max(4.5, 0.5 * count + 1.5) if numbered else 8.0
    beside = LETTER * max(map(len, names)) if numbered else 0.0
    upright = beside > 0.9 * side / count  # below the columns names would run into one another
    with page(path, (side + 0.6 + beside, side + 0.6 + (beside if upright else 0)), title) as figure:
        ax = figure.add_subplot()
        ax.grid(False)
        top = max(cells.max(), 2.0)
        ax.imshow(np.where(cells > 0, cells, np.nan), cmap="Blues", norm=LogNorm(1 / 3, top))
        ax.set_xlabel("answer")
        ax.set_ylabel("true class")
        if numbered:
            ax.set_xticks(range(count), names, rotation=90 if upright else 0)
            ax.set_yticks(range(count), names)
            for row, column in zip(*np.nonzero(cells), strict=True):
                value = int(cells[row, column])
                colour = "white" if value > (top / 3) ** 0.75 else "black"
                ax.text(column, row, f"{value:,}", ha="center", va="center", color=colour, fontsize=9)


def reliability_figure(reliability: Tensor, path: Path, title: str) -> None:
    """Draws (BINS, 3) of `Evaluation.reliability`: right answers by probability above, examples by bin below."""
    count, probability, right = reliability.numpy().T
    there = count > 0
    edges = np.arange(BINS) / BINS
    with page(path, (6.5, 6.5), title) as figure:
        above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
        above.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="calibrated")
        above.plot(probability[there], right[there], marker="o", color=BLUE, label="the networks")
        above.set_ylabel("share of right answers")
        above.set_ylim(-0.02, 1.02)
        above.legend(loc="upper left")
        below.bar(edges, count, width=1 / BINS, align="edge", color=ORANGE, edgecolor="white")
        below.set_yscale("symlog", linthresh=1)
        below.yaxis.set_major_formatter("{x:,.0f}")
        below.set_ylabel("examples")
        below.set_xlabel("probability of the answer")
        below.set_xlim(0, 1)


def numbers_figure(evaluation: Evaluation, path: Path, title: str) -> None:
    """Draws predicted (N, C) against true numbers (N, C), a panel each; of many examples the first MOST_POINTS."""
    predictions, targets, names = evaluation.predictions, evaluation.targets, evaluation.outputs
    count = len(names)
    with page(path, (4.5 * min(count, 3) + 0.5, 4.5 * -(-count // 3) + 0.5), title) as figure:
        axes = list(figure.subplots(-(-count // 3), min(count, 3), squeeze=False).flat)
        for ax in axes[count:]:
            ax.set_axis_off()
        for number, ax in zip(range(count), axes, strict=False):
            true, given = targets[:MOST_POINTS, number].numpy(), predictions[:MOST_POINTS, number].numpy()
            ends = [min(true.min(), given.min()), max(true.max(), given.max())]
            ax.plot(ends, ends, color=GREY, linestyle="--", linewidth=1)
            ax.plot(true, given, ".", color=BLUE, alpha=0.5, markersize=4)
            ax.set_xlabel(f"true {shortened(names[number])}")
            ax.set_ylabel("predicted")


def shortened(name: str) -> str:
    """A name as it fits beside an axis."""
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"
