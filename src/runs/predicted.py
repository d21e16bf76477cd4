"""The figure of a regression: what the best network predicts for the test set, against what is true.

Legend: N examples, T numbers to predict.
"""

import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from src.runs.canvas import BLUE, GREY, page

PANELS = 6  # numbers that are shown, the first ones
COLUMNS = 3


def predicted_figure(predictions: Tensor, targets: Tensor, path: Path, title: str) -> Figure:
    """Predictions (N, T) against targets (N, T), a panel for each number; on the line both are equal.

    Draws what is finite, writes the figure and returns it.
    """
    count = min(targets.shape[1], PANELS)
    columns = min(count, COLUMNS)
    rows = math.ceil(count / columns)
    with page(path, (max(5.5, 4.5 * columns), 4.8 * rows), title) as figure:
        axes = figure.subplots(rows, columns, squeeze=False).flat
        for column, ax in enumerate(axes):
            if column >= count:
                ax.set_axis_off()
                continue
            known, answer = (one[:, column].cpu().double().numpy() for one in (targets, predictions))
            finite = np.isfinite(answer)
            ax.plot(known[finite], answer[finite], linestyle="none", marker="o", markersize=3, alpha=0.5, color=BLUE)
            ends = [known.min(), known.max()]
            ax.plot(ends, ends, color=GREY, linewidth=1)
            ax.set_xlabel("true" if count == 1 else f"true, number {column + 1}")
            ax.set_ylabel("predicted")
    return figure
