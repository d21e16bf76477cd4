"""The figures of a look into one network, each a png: feature maps, exciting images, occlusion, codes.

Legend: E examples shown, C channels, H × W pixels, U units.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

from src.runs.canvas import BLUE, COLOURS, GREY, VERMILLION, page
from src.runs.evaluation_figures import shortened
from src.runs.look import MAPS, SEQUENCE, Excited
from src.runs.mosaic import COLOUR, GREYS, bare, mosaic, on_paper

WIDTH = 10.0  # inches of a page of feature maps
PIXEL, VALUE = 0.055, 0.17  # inches of a map's pixel, and of a value of a dense layer, at most
MOST_MAPS, MOST_VALUES = 40, 500  # of a layer that are shown
MAPS_ASIDE, VALUES_ASIDE = 10, 50
MOST_LAYERS = 12
MOST_LETTERS = 11  # of a class's name above an image
ASIDE = 8  # exciting images side by side
LABEL = 0.22  # of an image's height, for the words above it
MOST_BARS = 20  # outputs with bars and names
MOST_COLOURS = 20  # classes with colours of their own


def maps_figure(
    image: Tensor, layers: Mapping[str, Tensor], answers: Mapping[str, float], path: Path, title: str
) -> None:
    """Draws an image (C, H, W) as the network sees it, the outputs (1, …) of each layer for it, and its answers.

    Maps and values of a layer are on one grey scale, dark = larger. Of many layers, maps and values the first.
    """
    rows = [("what the network sees", _picture(image))] + [
        _row(name, one[0]) for name, one in list(layers.items())[:-1][:MOST_LAYERS]
    ]
    heights = [_inches(picture)[0] for _, picture in rows] + [1.6]
    more = len(layers) - 1 - MOST_LAYERS
    title += f" (the first {MOST_LAYERS} layers)" if more > 0 else ""
    with page(path, (WIDTH + 0.6, sum(heights) + 0.42 * len(heights) + 1.2), title) as figure:
        axes = figure.subplots(len(heights), 1, gridspec_kw={"height_ratios": heights})
        for ax, (name, picture) in zip(axes, rows, strict=False):
            ax.imshow(picture, cmap=GREYS, aspect="equal")  # which has no effect on colours
            width = _inches(picture)[1]
            ax.set_anchor("W")
            ax.set_xlim(-0.5, -0.5 + picture.shape[1] * WIDTH / width)  # so that a pixel is as large as it should be
            high, wide = picture.shape[:2]
            ax.add_patch(Rectangle((-0.5, -0.5), wide, high, fill=False, edgecolor="#BBBBBB", linewidth=0.8))
            ax.set_title(name, loc="left", fontsize=10)
            bare(ax)
        _bars(axes[-1], answers)


def excited_figure(
    excited: Excited, units: Sequence[int], images: Tensor, names: Sequence[str], count: int, path: Path, title: str
) -> None:
    """Draws the `count` images that excite each unit most, a row a unit, with a mark where a map is largest.

    images: (N, C, H, W) in 0 … 1; names: of each, its class, say.
    """
    marked = bool((excited.places != 0.5).any())
    per_row = min(count, ASIDE)
    rows = [(unit, excited.strongest(unit, count)) for unit in units]
    lines = [(unit, ones[start : start + per_row]) for unit, ones in rows for start in range(0, len(ones), per_row)]
    high, wide = images.shape[2:]
    gap = max(2, round(LABEL * high))  # where the words stand
    blank = np.full_like(_shown(images[0]), np.nan)
    tiles = [_shown(images[ones[n]]) if n < len(ones) else blank for _, ones in lines for n in range(per_row)]
    picture = on_paper(mosaic(tiles, gap, per_row), "white")
    size = 1.2 * per_row + 0.9, 1.2 * per_row * picture.shape[0] / picture.shape[1] + 1.1
    with page(path, size, title) as figure:
        ax = figure.add_subplot()
        ax.imshow(picture)
        bare(ax)
        for row, (unit, ones) in enumerate(lines):
            for column, one in enumerate(ones):
                left, top = column * (wide + gap) + gap - 0.5, row * (high + gap) + gap - 0.5
                words = f"{_brief(names[one])}  {float(excited.values[one, unit]):.3g}"
                ax.text(left + wide / 2, top, words, ha="center", va="bottom", fontsize=8)
                if marked:
                    down, right = excited.places[one, unit].tolist()
                    for colour, edge in (("white", 2.8), (VERMILLION, 1.4)):  # seen on any colour
                        [mark] = ax.plot(left + right * wide, top + down * high, "o", color=colour, markersize=9)
                        mark.set(markerfacecolor="none", markeredgewidth=edge)
        middles = [row * (high + gap) + gap + high / 2 for row in range(len(lines))]
        ax.set_yticks(
            middles, [f"unit {unit}" if len(units) > 1 or row == 0 else "" for row, (unit, _) in enumerate(lines)]
        )
        ax.tick_params(axis="y", length=0)
        words = "above each image: its class and the unit's value"
        ax.set_xlabel(words + ("; circle: where its map is largest" if marked else ""))


def occlusion_figure(
    images: Tensor, covered: Sequence[Tensor], whole: Sequence[float], names: Sequence[str], path: Path, title: str
) -> None:
    """Draws images (E, C, H, W) in 0 … 1, above what is predicted as a square covers each place, (rows, columns).

    whole: the prediction without a square; names: of the outputs that are predicted.
    """
    low, high = min(float(one.min()) for one in covered), max(float(one.max()) for one in covered)
    low, high = (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
    with page(path, (1.9 * len(images) + 1.4, 5.3), title) as figure:
        axes = figure.subplots(2, len(images), squeeze=False)
        for above, below, image, map_, name, alone in zip(*axes, images, covered, names, whole, strict=True):
            above.imshow(_shown(image))
            bare(above)
            above.set_title(f"{shortened(name)}: {alone:.3g}", fontsize=10)
            size = image.shape[1:]
            shown = below.imshow(map_.numpy(), cmap="viridis", vmin=low, vmax=high, extent=(0, size[1], size[0], 0))
            below.set_title(f"{float(map_.min()):.3g} to {float(map_.max()):.3g}", fontsize=10)
            bare(below)
        bar = figure.colorbar(shown, ax=axes[1, :], pad=0.01, shrink=0.85, label="prediction")
        bar.ax.grid(False)
        figure.supxlabel(
            "above: the image and the prediction for it; below: the same as the square's middle moves", fontsize=9
        )


def codes_figure(
    codes: Tensor, targets: Tensor, wrong: Tensor | None, names: Sequence[str], path: Path, title: str
) -> None:
    """Draws codes (E, U) in two dimensions, by their principal components and by t-SNE, coloured by their targets.

    Three or more, not all the same. targets: classes (E,) int64, or numbers (E,), those of the first of `names`; wrong:
    (E,) bool, which ones have a wrong answer, marked by a cross. t-SNE begins with the principal components.
    """
    flat = codes.double().nan_to_num().numpy()
    planes = [_components(flat), _neighbours(flat)]
    many = targets.dtype == torch.int64 and len(names) <= MOST_COLOURS
    with page(path, (13.2 if many else 12.6, 6.0), title) as figure:
        axes = figure.subplots(1, 2)
        for ax, (plane, head, labels) in zip(axes, planes, strict=True):
            points = _scatter(ax, plane, targets, names if many else [])
            if wrong is not None and wrong.any():
                marks: dict[str, Any] = {
                    "marker": "x",
                    "s": 26,
                    "linewidths": 1.0,
                    "color": "black",
                    "label": "wrong answer",
                }
                ax.scatter(*plane[wrong.numpy()].T, **marks)
            ax.set_title(head, loc="left")
            ax.set_xlabel(labels[0])
            ax.set_ylabel(labels[1])
            ax.set_xticks([])
            ax.set_yticks([])
            ax.grid(False)
        if many:
            handles, labels = axes[0].get_legend_handles_labels()
            figure.legend(handles, map(shortened, labels), loc="outside right center", markerscale=1.6)
        else:
            figure.colorbar(points, ax=axes, pad=0.01, label="class" if targets.dtype == torch.int64 else names[0])


def _components(flat: np.ndarray) -> tuple[np.ndarray, str, tuple[str, str]]:
    """The first two principal components (E, 2), a title, and the axes' labels with their share of the variance."""
    from sklearn.decomposition import PCA

    count = min(2, *flat.shape)
    fitted = PCA(count, svd_solver="full").fit(flat)
    plane = np.zeros((len(flat), 2))
    plane[:, :count] = fitted.transform(flat)
    shares = [*np.nan_to_num(fitted.explained_variance_ratio_), 0.0][:2]
    first, second = (
        f"component {number} ({100 * share:.0f} % of the variance)" for number, share in enumerate(shares, 1)
    )
    return plane, "Principal components", (first, second)


def _neighbours(flat: np.ndarray) -> tuple[np.ndarray, str, tuple[str, str]]:
    """t-SNE's plane (E, 2), always the same for the same codes, a title and empty labels."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, max(1.0, (len(flat) - 1) / 3))
    start = "pca" if min(flat.shape) > 1 else "random"
    plane = TSNE(perplexity=perplexity, init=start, random_state=0).fit_transform(flat)
    return plane, f"t-SNE, perplexity {perplexity:.3g}: who is near whom, not how far", ("", "")


def _scatter(ax: Axes, plane: np.ndarray, targets: Tensor, names: Sequence[str]) -> Any:
    """Points, coloured by class with an entry in the legend each; without names by number, and returned for a bar."""
    x, y = plane.T
    if not names:
        return ax.scatter(x, y, c=targets.numpy(), cmap="viridis", s=9)
    palette = matplotlib.colormaps["tab10" if len(names) <= 10 else "tab20"]
    for number, name in enumerate(names):
        here = (targets == number).numpy()
        colour = COLOURS[number] if len(names) <= len(COLOURS) else palette(number)
        ax.scatter(x[here], y[here], color=colour, s=9, label=name)
    return None


def _picture(image: Tensor) -> np.ndarray:
    """(C, H, W) as a picture, (H, W, 3) in 0 … 1 or (H, W): in colour, or the mean of the channels."""
    values: np.ndarray = image.detach().float().numpy()
    if len(values) != COLOUR:
        grey: np.ndarray = values.mean(0)
        return grey
    low, high = values.min(), values.max()
    coloured: np.ndarray = (values.transpose(1, 2, 0) - low) / max(high - low, 1e-12)
    return coloured


def _brief(name: str) -> str:
    """A name as it fits beside a value above an image."""
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"


def _shown(image: Tensor) -> np.ndarray:
    """An image (C, H, W) in 0 … 1 as colours (H, W, 3): in its own, or grey with 1 = black."""
    if len(image) == COLOUR:
        return image.permute(1, 2, 0).clip(0, 1).numpy()
    return np.repeat(1 - image.mean(0).clip(0, 1).numpy()[..., None], COLOUR, axis=-1)


def _row(name: str, outputs: Tensor) -> tuple[str, np.ndarray]:
    """The title of a layer's row, and its outputs for one image, (U, H, W), (T, U) or (U,), as one picture."""
    values = outputs.detach().float().numpy()
    if outputs.dim() == MAPS - 1:
        count, high, wide = values.shape
        head = f"{name}: {count} maps of {high}×{wide}" + (f", the first {MOST_MAPS}" if count > MOST_MAPS else "")
        if high * wide > 1:
            return head, mosaic(list(values[:MOST_MAPS]), gap=1, columns=min(count, MAPS_ASIDE))
    elif outputs.dim() == SEQUENCE - 1:
        return f"{name}: {len(values)} steps of {values.shape[1]} values", values
    flat = values.ravel()
    head = f"{name}: {flat.size:,} values" + (f", the first {MOST_VALUES}" if flat.size > MOST_VALUES else "")
    flat = flat[:MOST_VALUES]
    columns = min(VALUES_ASIDE, flat.size)
    strip = np.full((-(-flat.size // columns), columns), np.nan)
    strip.ravel()[: flat.size] = flat
    return head, strip


def _inches(picture: np.ndarray) -> tuple[float, float]:
    """Height and width of a picture in a row of its own."""
    high, wide = picture.shape[:2]
    pixel = min(WIDTH / wide, VALUE if wide <= VALUES_ASIDE and high <= MOST_VALUES / VALUES_ASIDE else PIXEL)
    return high * pixel, wide * pixel


def _bars(ax: Axes, answers: Mapping[str, float]) -> None:
    """The network's answers as bars with their names; of many the largest."""
    shown = dict(sorted(answers.items(), key=lambda one: -one[1])[:MOST_BARS]) if len(answers) > MOST_BARS else answers
    ax.bar(range(len(shown)), list(shown.values()), color=BLUE, width=0.7)
    ax.axhline(0, color=GREY, linewidth=0.8)
    long = max(map(len, shown)) > 60 / len(shown)
    ax.set_xticks(
        range(len(shown)),
        [shortened(name) for name in shown],
        rotation=30 if long else 0,
        ha="right" if long else "center",
    )
    ax.grid(axis="x", visible=False)
    ax.set_title(
        "the answer" + (f": the {MOST_BARS} largest" if len(answers) > MOST_BARS else ""), loc="left", fontsize=10
    )
