"""The style of all figures, with colours that colour-blind readers can tell apart, and the page that becomes a png.

Colours are Okabe and Ito's (jfly.uni-koeln.de/color, 2008). No pyplot, so no state and no window.
"""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

DPI = 150
STYLE = {
    "font.size": 11,
    "axes.titlesize": 12,
    "figure.titlesize": 13,
    "legend.fontsize": 10,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # a name with two dollar signs is a name
}
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#555555",
)  # fmt: skip
COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, GREY)
TITLE_LETTERS = 8.5  # letters of a title that fit in an inch


@contextmanager
def page(path: Path, size: tuple[float, float], title: str = "") -> Iterator[Figure]:
    """A context with an empty figure (size in inches), which is written to `path` at its end."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size, dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
        FigureCanvasAgg(figure)
        if title:
            figure.suptitle(textwrap.fill(title, int(TITLE_LETTERS * size[0])))
        yield figure
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
