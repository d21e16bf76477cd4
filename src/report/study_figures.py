"""The figures of a study's report, each a png: what mattered, history, parallel coordinates, slices, curves, front.

Every function draws one figure, writes it and returns it (matplotlib's objects, so that tests can look at what was
drawn). The value axis has room to tell the better trials apart. Where values are accuracies, or other parts of 1 that
are better when higher, it shows all trials, in this scale:

(1) an accuracy a (%) stands at the height -log10(max(100 - a, FLOOR)): 98.8 and 99.1 are as far apart as 88 and 91.

Of other values, those far worse than most are drawn on the axis's edge, and a note says how many.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from src.report.study_dimension import Dimension, dimensions, keys, shown
from src.report.study_importance import Importance, Sample
from src.report.study_quantity import Quantity, of_score, quantities
from src.runs.canvas import BLUE, COLOURS, GREEN, GREY, ORANGE, SKY, VERMILLION, page
from src.sweep.studies.study_record import Study, Trial

BEST_CURVES = 5
MOST_LINES = 300  # lines of trials in parallel coordinates (the best ones) and curves; more cannot be told apart
MOST_SLICES = 12  # parameters with a panel of their own
MOST_ELEMENTS = 10  # labels of a choice on an axis
LONGEST_LABEL = 40  # characters of a line below an axis
LONGEST_ELEMENT = 14  # characters of a label on an axis
FLOOR = 0.05  # the smallest error (%) in (1), that of one image in 2,000
# The possible marks on an axis with (1), in %.
TICKS = (0, 20, 40, 60, 70, 80, 85, 90, 92, 94, 95, 96, 97, 98, 98.5, 99, 99.2, 99.4, 99.6, 99.8, 100)
MOST_TICKS, FEWEST_TICKS = 8, 3
ABSENT = -0.14  # where a trial crosses the axis of a parameter that it was not sampled with; the others lie in 0…1
REACH = 4.0  # the value axis reaches from the best value to this many times its distance to the median
BEYOND = 0.2  # at most this share of the trials lies beyond the value axis
WIDE = 20.0  # an axis is logarithmic where its largest value is more than this many times its smallest one
JITTER = 0.05  # part of an axis's height over which lines through one element are spread, to tell them apart
GOLDEN = 0.6180339887  # multiples of it, modulo 1, spread evenly over 0…1


def importance_figure(found: Sequence[Importance], compared: Sequence[Sample], path: Path) -> Figure:
    """Draws each parameter's share of the variation as a bar, one for each sample of trials."""
    with page(path, (8, 1.6 + 0.55 * len(found))) as figure:
        ax = figure.add_subplot()
        rows = np.arange(len(found))
        for place, (sample, colour) in enumerate(zip(compared, (BLUE, ORANGE), strict=True)):
            shares = [one.shares[place] for one in found]
            if any(share is not None for share in shares):
                heights = [100 * (share or 0) for share in shares]
                ax.barh(rows - 0.2 + 0.4 * place, heights, 0.38, color=colour, label=sample.words)
        ax.set_yticks(rows, [one.dimension.label for one in found])
        ax.invert_yaxis()
        ax.grid(axis="y", visible=False)
        ax.set_xlim(0, 100)
        ax.set_xlabel("share of the variation (%)")
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def history_figure(study: Study, path: Path) -> Figure:
    """Draws every trial's value over its number, the best value so far, and the published setting's value."""
    quantity = quantities(study)[0]
    with page(path, (9, 4.8)) as figure:
        ax = figure.add_subplot()
        _scatter(ax, study, quantity, _groups(study), lambda trial: trial.place)
        ranked = sorted(study.ranked, key=lambda trial: trial.place)
        best = (np.maximum if quantity.maximise else np.minimum).accumulate([_value(study, trial) for trial in ranked])
        ax.step([trial.place for trial in ranked], best, where="post", color=ORANGE, linewidth=2, label="best so far")
        published = study.published
        if published is not None and published in ranked:
            ax.axhline(_value(study, published), color=GREEN, linestyle="--", label="published setting")
        _value_axis(ax, study, quantity)
        ax.set_xlabel("trial")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside lower center", ncols=4)
    return figure


def slices_figure(study: Study, path: Path) -> Figure:
    """Draws the trials' values over each parameter that varied, one panel a parameter."""
    quantity = quantities(study)[0]
    shown_ones = [dimension for dimension in dimensions(study) if not dimension.single][:MOST_SLICES]
    columns = min(len(shown_ones), 2 if len(shown_ones) == 4 else 3)
    rows = -(-len(shown_ones) // columns)
    with page(path, (max(4.2 * columns, 6), 3.4 * rows + 0.6)) as figure:
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        for ax in panels[len(shown_ones) :]:
            ax.set_visible(False)
        for place, (ax, dimension) in enumerate(zip(panels, shown_ones, strict=False)):
            _slice(ax, study, quantity, dimension)
            if place % columns == 0:
                ax.set_ylabel(quantity.axis_label)
        _note_worse(panels[columns - 1], study, quantity)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _slice(ax: Axes, study: Study, quantity: Quantity, dimension: Dimension) -> None:
    def at(trial: Trial) -> float:
        if dimension.choices is None:
            return float(dimension.value(trial))
        return dimension.number(trial) + 4 * _jitter(trial)

    groups = [[trial for trial in group if dimension.within(trial)] for group in _groups(study)]
    _scatter(ax, study, quantity, groups, at)
    marked = ((study.published, "D", GREEN, "published setting"), (study.best, "*", VERMILLION, "best"))
    for trial, marker, colour, label in marked:
        if trial is not None and trial in groups[0]:
            size = 15 if marker == "*" else 8
            ax.plot(at(trial), _seen(study, quantity, trial), marker, color=colour, markersize=size, label=label,
                    markeredgecolor="black", markeredgewidth=0.6, linestyle="none", zorder=4)  # fmt: skip
    if dimension.log:
        _logarithmic(ax)
    if dimension.choices is not None:
        labels = [_short(choice) for choice in dimension.choices]
        slanted: dict[str, Any] = {"rotation": 30, "ha": "right"} if sum(map(len, labels)) > 24 else {}
        ax.set_xticks(range(len(labels)), labels, **slanted)
        ax.set_xlim(-0.6, len(labels) - 0.4)
    ax.set_xlabel(textwrap.fill(dimension.label, LONGEST_LABEL))
    _Scale(quantity, *_ends(study, quantity)).apply(ax)


def _logarithmic(ax: Axes) -> None:
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(float(value))))
    ax.xaxis.set_minor_formatter(NullFormatter())


def parallel_figure(study: Study, path: Path) -> Figure:
    """Draws parallel coordinates: one vertical axis a parameter and one for the value, one line a trial.

    Lines are coloured by the trial's value; those of trials that were pruned or diverged are grey and end at the value
    that these had reached.
    """
    quantity = quantities(study)[0]
    axes = [dimension for dimension in keys(study) if not dimension.single]
    trials = study.ranked[:MOST_LINES]
    scale = _Scale(quantity, *_ends(study, quantity))
    colours = matplotlib.colormaps["viridis" if quantity.maximise else "viridis_r"]
    ended = [trial for trial in study.places if trial.state == "PRUNED"][:MOST_LINES]
    with page(path, (max(7.0, 1.7 * (len(axes) + 1)), 4.6)) as figure:
        ax = figure.add_subplot()
        for trial in ended:
            heights = _heights(axes, trial, scale.fraction(_value(study, trial)))
            ax.plot(range(len(heights)), heights, color="#CCCCCC", linewidth=0.7, zorder=1)
        for rank, trial in reversed(list(enumerate(trials))):
            value = scale.fraction(_value(study, trial))
            style: dict[str, Any] = {"linewidth": 3.0, "zorder": 3} if rank == 0 else {"linewidth": 1.1, "alpha": 0.75}
            ax.plot(range(len(axes) + 1), _heights(axes, trial, value), color=colours(value), **style)
        partial = [place for place, one in enumerate(axes) if not all(map(one.within, [*trials, *ended]))]
        for place, dimension in enumerate(axes):
            absent = [(ABSENT, "not sampled")] if place in partial else []
            _upright(ax, place, _ticks(dimension) + absent)
        _upright(ax, len(axes), [(scale.fraction(tick), f"{tick:.4g}") for tick in scale.ticks()], right=True)
        _parallel_frame(ax, [*(dimension.short for dimension in axes), quantity.axis_label], ABSENT if partial else 0.0)
    return figure


def _heights(axes: Sequence[Dimension], trial: Trial, value: float) -> list[float]:
    """The heights, 0…1, at which the trial's line crosses the axes; ABSENT where it lacks the parameter.

    The last one is `value`, the height of its value; it is left out where that is NaN.
    """
    heights = []
    for dimension in axes:
        height = dimension.fraction(dimension.number(trial)) if dimension.within(trial) else ABSENT
        heights.append(height if dimension.choices is None and height >= 0 else height + _jitter(trial))
    return heights if np.isnan(value) else [*heights, value]


def _jitter(trial: Trial) -> float:
    return JITTER * (trial.place * GOLDEN % 1 - 0.5)


def _ticks(dimension: Dimension) -> list[tuple[float, str]]:
    """Height and label of an axis's marks."""
    if dimension.choices is not None:
        step = -(-len(dimension.choices) // MOST_ELEMENTS)
        last = max(1, len(dimension.choices) - 1)
        return [(place / last, _short(choice)) for place, choice in enumerate(dimension.choices)][::step]
    locator = LogLocator(subs=(1.0,), numticks=6) if dimension.log else MaxNLocator(4)
    marks = [
        mark for mark in locator.tick_values(dimension.low, dimension.high) if dimension.low <= mark <= dimension.high
    ]
    if len(marks) < 2:
        marks = [dimension.low, dimension.high]
    scaled = [np.log10(mark) if dimension.log else mark for mark in marks]
    return [(dimension.fraction(height), shown(float(mark))) for height, mark in zip(scaled, marks, strict=True)]


def _upright(ax: Axes, place: int, ticks: Sequence[tuple[float, str]], right: bool = False) -> None:
    ax.axvline(place, color="black", linewidth=1, zorder=2)
    for height, label in ticks:
        box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8}
        side, at = ("left", place + 0.03) if right else ("right", place - 0.03)
        ax.text(at, height, label, ha=side, va="center", fontsize=9, bbox=box, zorder=5)


def _parallel_frame(ax: Axes, names: Sequence[str], lowest: float) -> None:
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks([])
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.set_ylim(lowest - 0.06, 1.06)
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def curves_figure(study: Study, path: Path) -> Figure:
    """Draws what trials reported by epoch: the best ones and the published one in colours, all others thin and grey.

    Trials of a sweep report their validation score, whatever the objectives are.
    """
    quantity = quantities(study)[0] if study.by_hand else of_score(study, "validation")
    best = [trial for trial in study.ranked if trial.curve][:BEST_CURVES]
    named = [*best, *([study.published] if study.published and study.published not in best else [])]
    with page(path, (9, 5.6)) as figure:
        ax = figure.add_subplot()
        for place, trial in enumerate(named):
            epochs, values = _curve(quantity, trial)
            who = f"trial {trial.place}" + (" (published setting)" if trial is study.published else "")
            dash = "--" if trial is study.published else "-"
            marker = "o" if len(epochs) == 1 else None
            ax.plot(epochs, values, dash, color=COLOURS[place], marker=marker, linewidth=2, zorder=3, label=who)
        others = [trial for trial in study.places if trial.curve and trial not in named]
        others = others[:: -(-len(others) // MOST_LINES) or 1]
        for place, trial in enumerate(others):
            label = "all others; pruned ones end early" if place == 0 else None
            ax.plot(*_curve(quantity, trial), color="#BBBBBB", linewidth=0.7, zorder=1, label=label)
        ax.set_xlabel("epoch")
        ax.set_ylabel(quantity.axis_label)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        _Scale(quantity, *_limits(quantity, [value for one in named for value in _curve(quantity, one)[1]])).apply(ax)
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def _curve(quantity: Quantity, trial: Trial) -> tuple[list[int], list[float]]:
    return list(trial.curve), [quantity.scaled(value) for value in trial.curve.values()]


def front_figure(study: Study, second: int, path: Path) -> Figure:
    """Draws the first objective over objective number `second` for all complete trials, and their Pareto front."""
    one, other = quantities(study)[0], quantities(study)[second]
    front = sorted(study.front(), key=lambda trial: trial.values[second])
    rest = [trial for trial in study.ranked if trial not in front]
    values = [_value(study, trial) for trial in front]
    room = 0.06 * (max(values) - min(values)) or 0.01 * abs(max(values)) or 1.0
    ends = (min(values) - room, max(values) + room)
    with page(path, (8, 5)) as figure:
        ax = figure.add_subplot()
        for trials, colour, label in ((rest, SKY, "beaten by another trial"), (front, VERMILLION, "Pareto front")):
            x = [other.scaled(trial.values[second]) for trial in trials]
            y = np.clip([_value(study, trial) for trial in trials], *ends)
            ax.plot(x, y, "o", color=colour, alpha=0.8, label=label, clip_on=False, zorder=3)
        if len(study.maximised) == 2:
            ax.step(x, y, where="pre" if other.maximise else "post", color=VERMILLION)
        for trial, at, height in zip(front, x, y, strict=True):
            ax.annotate(f"{trial.place}", (at, height), (4, 5), textcoords="offset points", fontsize=9)
        everywhere = [other.scaled(trial.values[second]) for trial in study.ranked]
        if min(everywhere) > 0 and max(everywhere) / min(everywhere) > WIDE:
            _logarithmic(ax)
        else:
            ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        ax.set(xlabel=other.axis_label, ylabel=one.axis_label, ylim=ends)
        figure.legend(loc="outside lower center", ncols=2)
    return figure


# Helpers that several figures share.


def _groups(study: Study) -> tuple[list[Trial], list[Trial], list[Trial]]:
    """The trials that have a value to draw: complete ones, pruned ones, diverged ones."""
    standing = [trial for trial in study.places if study.reached(trial) is not None]
    pruned, diverged = ([trial for trial in standing if trial.kind == kind] for kind in ("PRUNED", "DIVERGED"))
    return study.ranked, pruned, diverged


def _value(study: Study, trial: Trial) -> float:
    """The first objective's value that a trial has reached, in the axis's unit; NaN where there is none."""
    reached = study.reached(trial)
    return quantities(study)[0].scaled(np.nan if reached is None else reached)


def _seen(study: Study, quantity: Quantity, trial: Trial) -> float:
    """The value of `_value`, moved to the edge of the value axis where it lies beyond."""
    return float(np.clip(_value(study, trial), *_ends(study, quantity)))


def _ends(study: Study, quantity: Quantity) -> tuple[float, float]:
    """The ends of the value axis; it includes the published setting, unless that would take more than half of it."""
    if quantity.has_error:
        return _limits(quantity, [_value(study, trial) for group in _groups(study) for trial in group])
    low, high = _limits(quantity, [_value(study, trial) for trial in study.ranked])
    height, published = high - low, study.published
    if published is not None and published.value is not None:
        value = _value(study, published)
        if low - height < value < low:
            low = value - 0.03 * height
        elif high < value < high + height:
            high = value + 0.03 * height
    return low, high


@dataclass(frozen=True)
class _Scale:
    """The value axis from `low` to `high`, in its unit; linear, but for accuracies in the scale (1)."""

    quantity: Quantity
    low: float
    high: float

    def fraction(self, value: float) -> float:
        """The height of a value on the axis, 0…1; a value beyond an end lies at that end, NaN stays NaN."""
        low, high, at = (self._height(one) for one in (self.low, self.high, value))
        return float(np.clip((at - low) / (high - low), 0, 1))

    def ticks(self) -> list[float]:
        """The values at which the axis has marks."""
        marks = [float(one) for one in MaxNLocator(5).tick_values(self.low, self.high)]
        if self.quantity.has_error:
            round_ones = [float(one) for one in reversed(TICKS) if self.low <= one <= self.high]
            apart = list[float]()
            for one in round_ones:
                if not apart or self.fraction(apart[-1]) - self.fraction(one) > 1 / MOST_TICKS:
                    apart.append(one)
            marks = apart if len(apart) >= FEWEST_TICKS else marks
        return [one for one in marks if self.low <= one <= self.high]

    def apply(self, ax: Axes) -> None:
        """Makes this the y axis of `ax`."""
        if self.quantity.has_error:
            ax.set_yscale("function", functions=(_stretched, _unstretched))
            ax.yaxis.set_major_locator(FixedLocator(self.ticks()))
            ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.set_ylim(self.low, self.high)

    def _height(self, value: float) -> float:
        return float(_stretched(value)) if self.quantity.has_error else value


def _stretched(accuracy: Any) -> Any:
    return -np.log10(np.maximum(100 - np.asarray(accuracy, dtype=float), FLOOR))


def _unstretched(height: Any) -> Any:
    return 100 - 10.0 ** -np.asarray(height, dtype=float)


def _scatter(ax: Axes, study: Study, quantity: Quantity, groups: Sequence[Sequence[Trial]], at: Any) -> None:
    """Draws complete, pruned and diverged trials (`groups`) as points, at the x that `at` gives for each.

    Those beyond the value axis lie on its edge.
    """
    looks: tuple[dict[str, Any], ...] = (
        {"marker": "o", "color": BLUE, "alpha": 0.75, "markersize": 6, "label": "complete"},
        {"marker": "x", "color": GREY, "alpha": 0.6, "markersize": 5, "label": "pruned, where it stood"},
        {"marker": "x", "color": VERMILLION, "alpha": 0.9, "markersize": 7, "label": "diverged"},
    )
    for trials, look in zip(groups, looks, strict=True):
        if trials:
            values = np.clip([_value(study, trial) for trial in trials], *_ends(study, quantity))
            ax.plot([at(trial) for trial in trials], values, linestyle="none", zorder=2, clip_on=False, **look)


def _limits(quantity: Quantity, values: Sequence[float]) -> tuple[float, float]:
    """The ends of the value axis: they include all accuracies; of other values the best and those within REACH."""
    if not values:
        return 0.0, 1.0
    if quantity.has_error:  # all of them
        low, high = _stretched(min(values)), _stretched(max(values))
        room = max(0.05 * (high - low), 0.01)
        return float(_unstretched(low - room)), float(min(100.0, _unstretched(high + room)))
    signed = np.sort(np.array(values) if quantity.maximise else -np.array(values))
    best, worst = signed[-1], signed[0]
    reach = REACH * (best - np.median(signed))
    if reach > 0:
        worst = max(worst, min(best - reach, np.quantile(signed, BEYOND, method="higher")))
    room = max(0.06 * (best - worst), 1e-3 * abs(best), 1e-9)
    ends = (worst - room, best + room)
    return ends if quantity.maximise else (-ends[1], -ends[0])


def _value_axis(ax: Axes, study: Study, quantity: Quantity) -> None:
    """Makes the y axis that of the first objective, with a note on how many trials would lie beyond it."""
    _Scale(quantity, *_ends(study, quantity)).apply(ax)
    ax.set_ylabel(quantity.axis_label)
    _note_worse(ax, study, quantity)


def _note_worse(ax: Axes, study: Study, quantity: Quantity) -> None:
    values = [_value(study, trial) for group in _groups(study) for trial in group]
    low, high = _ends(study, quantity)
    beyond = sum(not low <= value <= high for value in values)
    if beyond:
        words = f"{beyond} {'worse one lies' if beyond == 1 else 'worse ones lie'} on the edge"
        ax.set_title(words, loc="right", fontsize=9, color=GREY)


def _short(label: str) -> str:
    return label if len(label) <= LONGEST_ELEMENT else label[: LONGEST_ELEMENT - 1] + "…"
