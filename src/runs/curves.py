"""The figures that show curves by epoch, each a png: the score, several runs' scores, overfitting, free energy.

Every function draws one figure, writes it and returns it as matplotlib's object, so that tests can look at what was
drawn. Lines leave out values that are not finite, and the legend names members without any finite value. Results
without a history are skipped.

Legend: E epochs.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from src.config.metric import UNITS, Metric
from src.config.task import task_in
from src.config.wording import number_of
from src.runs.canvas import BLUE, COLOURS, GREY, ORANGE, SKY, VERMILLION, page
from src.training.result import Result

DASHES = ("-", "--", ":", "-.")  # line styles, one after another whenever all colours have been used

FEW = 5  # up to so many members have a line and a legend entry each; more are thin lines around their mean
MANY, ROW = 6, 0.1  # so many entries of a panel's legend stand in two columns; a row's part of the panel's height
LONGEST_LABEL = 70  # characters of a name in a legend
NARROW_LABEL = 30  # characters up to which two names stand side by side
CUT_BELOW = 0.05  # the share of the worst scores that an axis may leave out,
CUT_GAIN = 3.0  # if that magnifies the others at least by this factor


def score_figure(results: Sequence[Result], path: Path) -> Figure:
    """Validation score by epoch of a trial's members; marked is each one's best epoch, or the last where that is kept.

    Up to FEW members have a legend entry each, more are thin lines around the mean of those still training.
    """
    score = results[0].score
    with page(path, (9, 5.5), f"{about(results)}: {score.words('validation')} by epoch") as figure:
        ax = figure.add_subplot()
        many = len(results) > FEW
        for place, result in enumerate(results):
            epochs, values = _scores(result, "validation")
            colour = SKY if many else COLOURS[place]
            label = "one network" if many and place == 0 else None if many else _best_words(result)
            thin = {"linewidth": 0.8, "alpha": 0.7} if many else {}
            ax.plot(epochs, values, color=colour, label=label, **_dots(values) | thin)
            if result.best_epoch is not None:
                ax.plot(
                    *_at(epochs, values, result.best_epoch),
                    linestyle="none", marker="*", markersize=7 if many else 13,
                    markeredgecolor="black", markeredgewidth=0.6, color=colour, zorder=3,
                    label="its best epoch" if many and place == 0 else None,
                )  # fmt: skip
        if many:
            epochs, mean = _mean([_scores(result, "validation") for result in results])
            ax.plot(epochs, mean, color=BLUE, linewidth=2.5, label=f"mean of {_counted(results)}", **_dots(mean))
        _epoch_axis(ax, score.axis("validation"))
        _zoom(ax, score)
        ax.legend(loc="best")
    return figure


def compare_figure(runs: Mapping[str, Sequence[Result]], path: Path, title: str) -> Figure:
    """Validation score by epoch of several runs of one task: a colour a run, its members thin around their mean.

    runs: what the legend calls each -> its members; the mean is over those still training at that epoch.
    """
    score = next(result.score for results in runs.values() for result in results)
    columns = 1 if len(runs) < 4 or max(map(len, runs)) > NARROW_LABEL else 2
    with page(path, (9, 5 + 0.3 * math.ceil(len(runs) / columns)), title) as figure:
        ax = figure.add_subplot()
        legend = []  # matplotlib's own legend would leave out names that begin with _
        for place, (name, results) in enumerate(runs.items()):
            style: dict[str, Any] = {
                "color": COLOURS[place % len(COLOURS)],
                "linestyle": DASHES[place // len(COLOURS) % len(DASHES)],
            }
            lines = [_scores(result, "validation") for result in results]
            lines = [(epochs, values) for epochs, values in lines if np.isfinite(values).any()]
            for epochs, values in lines if len(lines) > 1 else []:
                ax.plot(epochs, values, linewidth=0.7, alpha=0.45, **style, **_dots(values))
            epochs, mean = _mean(lines)
            words = f"{_short(name)} (mean of {len(lines)})" if len(lines) > 1 else _short(name)
            words += "" if lines else f": no finite {score.title}"
            legend += ax.plot(epochs, mean, linewidth=2, label=words, **style, **_dots(mean))
        _epoch_axis(ax, score.axis("validation"))
        _zoom(ax, score)
        figure.legend(handles=legend, loc="outside lower center", ncols=columns)
    return figure


def overfitting_figure(results: Sequence[Result], path: Path) -> Figure:
    """Train against validation: score, cost, the gap between the scores, and each layer's weight norm.

    The lines are means over the members still training. Training figures are means over the mini-batches of the epoch,
    with dropout if there is any, so that early in training they lie below those of validation.
    """
    score = results[0].score
    who = "" if len(results) == 1 else f", mean of {_counted(results)}"
    with page(path, (12, 8), f"{about(results)}{who}: overfitting") as figure:
        axes = figure.subplots(2, 2)
        pairs = (("train, while training", "train", ORANGE, "--"), ("validation", "validation", BLUE, "-"))
        for label, split, colour, dash in pairs:
            for ax, key, scale in ((axes[0, 0], score.key(split), score.scaled(1)), (axes[0, 1], f"{split}/cost", 1)):
                epochs, values = _mean([_series(result, key) for result in results])
                known = label if np.isfinite(values).any() else None  # no AUROC, say, while an epoch trains
                ax.plot(epochs, scale * values, color=colour, linestyle=dash, label=known, **_dots(values))
        _panel(axes[0, 0], score.title.capitalize(), score.axis())
        _zoom(axes[0, 0], score)
        task = task_in(results[0].config)
        in_nats = (task.votes and not task.owns_loss) or score.name in UNITS
        _panel(axes[0, 1], "Cost", "cost (nats an image)" if in_nats else "cost")

        gaps = []
        for result in results:
            epochs, train = _scores(result, "train")
            gaps.append((epochs, train - _scores(result, "validation")[1]))
        epochs, gap = _mean(gaps)
        axes[1, 0].axhline(0, color=GREY, linewidth=1)
        axes[1, 0].plot(epochs, gap, color=VERMILLION, label="train − validation", **_dots(gap))
        known_better = f"Gap: {'above' if score.maximise else 'below'} 0, training data is known better"
        _panel(axes[1, 0], known_better, score.axis().replace("(%)", "(percentage points)").replace(" (", " gap ("))
        _zoom_gap(axes[1, 0], gap)

        _draw_layers(axes[1, 1], results, "weight_norm/")
        _panel(axes[1, 1], "Weights of each layer", "Euclidean norm")
    return figure


def watch_figure(results: Sequence[Result], path: Path) -> Figure:
    """What trainer.watch found by layer and epoch: update-to-weight ratios, and means, spread and ends of activations.

    The lines are means over the members still training.
    """
    who = "" if len(results) == 1 else f", mean of {_counted(results)}"
    with page(path, (12, 8), f"{about(results)}{who}: updates and activations") as figure:
        axes = figure.subplots(2, 2)
        _draw_layers(axes[0, 0], results, "update_ratio/")
        axes[0, 0].set_yscale("log")
        axes[0, 0].yaxis.set_major_formatter("{x:g}")
        _panel(axes[0, 0], "Update of the epoch's last step / weight", "ratio of Euclidean norms")
        for ax, key, words in ((axes[0, 1], "mean", "mean"), (axes[1, 0], "sd", "standard deviation")):
            _draw_layers(ax, results, f"activation_{key}/")
            _panel(ax, f"Activations, {words}", words)
        _draw_layers(axes[1, 1], results, "activation_zero/", ": 0")
        _draw_layers(axes[1, 1], results, "activation_saturated/", ": saturated")
        axes[1, 1].set_ylim(-0.02, 1.02)
        _panel(axes[1, 1], "Activations that are 0 or saturated", "share")
    return figure


def free_energy_figure(results: Sequence[Result], path: Path) -> Figure:
    """Mean free energy of training and validation examples by epoch, and their gap, which grows with overfitting.

    Means over the members still training. Free energies hold an unknown constant: only differences have a meaning.
    """
    who = "" if len(results) == 1 else f", mean of {_counted(results)}"
    with page(path, (12, 4.8), f"{about(results)}{who}: free energy") as figure:
        values_ax, gap_ax = figure.subplots(1, 2)
        lines = {split: [_series(one, f"{split}/free_energy") for one in results] for split in ("train", "validation")}
        for split, colour, dash in (("train", ORANGE, "--"), ("validation", BLUE, "-")):
            epochs, values = _mean(lines[split])
            values_ax.plot(epochs, values, color=colour, linestyle=dash, label=split, **_dots(values))
        _panel(values_ax, "Free energy", "mean free energy (nats an image)")
        pairs = zip(lines["train"], lines["validation"], strict=True)
        epochs, gap = _mean([(epochs, validation - train) for (epochs, train), (_, validation) in pairs])
        gap_ax.axhline(0, color=GREY, linewidth=1)
        gap_ax.plot(epochs, gap, color=VERMILLION, label="validation − train", **_dots(gap))
        _panel(gap_ax, "Gap: as it rises, training data is known better", "gap (nats an image)")
    return figure


def about(results: Sequence[Result]) -> str:
    """Experiment and data set, such as `conv2 on mnist`, or after a refit (data.refit) `conv2 on mnist, refit`."""
    refit = ", refit" if any(result.refit for result in results) else ""
    names = dict.fromkeys(_short(str(result.config.get("name", "custom"))) for result in results)
    return f"{', '.join(names)} on {', '.join(dict.fromkeys(result.dataset for result in results))}{refit}"


def about_member(result: Result) -> str:
    """Experiment, data set, what sets a task with tied weights apart, and seed, such as `dae on mnist, seed 0`."""
    task = task_in(result.config)
    apart = {
        "reconstruct": f", corruption {task.corruption:g}",
        "contrast": f", {'PCD' if task.persistent else 'CD'}-{task.k}",
    }
    return f"{about([result])}{apart.get(task.name, '')}, seed {result.seed}"


def _draw_layers(ax: Axes, results: Sequence[Result], prefix: str, what: str = "") -> None:
    """A line for each key of the history that begins with `prefix`, a layer's; of shares those that are 0 throughout
    are left out.

    what: behind the layer's name in the legend.
    """
    keys = dict.fromkeys(key for result in results for row in result.history for key in row if key.startswith(prefix))
    for key in keys:
        epochs, values = _mean([_series(result, key) for result in results])
        if what and not np.nan_to_num(values).any():
            continue
        place = len(ax.lines)
        style: dict[str, Any] = {
            "color": COLOURS[place % len(COLOURS)],
            "linestyle": DASHES[place // len(COLOURS) % len(DASHES)],
        }
        ax.plot(epochs, values, label=key.removeprefix(prefix) + what, **style, **_dots(values))


def _best_words(result: Result) -> str:
    score, value = result.score, _number(result.validation_score)
    if not math.isfinite(value) or result.best_epoch is None:
        return f"seed {result.seed}: no finite {score.title}"
    kept = "last" if result.config.get("stop", {}).get("keep") == "last" else "best"
    return f"seed {result.seed}: {kept} {score.written(value)} in epoch {result.best_epoch}"


def _counted(results: Sequence[Result]) -> str:
    """The number of members in a mean, and how many of them have no finite value."""
    finite = sum(bool(np.isfinite(_scores(result, "validation")[1]).any()) for result in results)
    rest = len(results) - finite
    return number_of(finite, "network") + (f" ({rest} more without a finite {results[0].score.title})" if rest else "")


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"


def _number(value: Any) -> float:
    """The value as a float; NaN for null, which result.json holds for numbers that are not finite, and for infinity."""
    number = math.nan if value is None else float(value)
    return number if math.isfinite(number) else math.nan


def _series(result: Result, key: str) -> tuple[np.ndarray, np.ndarray]:
    """The epochs (E,) and the values (E,) of `key` in the history; NaN where it is missing or not finite."""
    epochs = np.array([row.get("epoch") or place for place, row in enumerate(result.history, start=1)], dtype=float)
    return epochs, np.array([_number(row.get(key)) for row in result.history])


def _scores(result: Result, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The epochs and the scores of a split, in the unit of axes."""
    score = result.score
    epochs, values = _series(result, score.key(split))
    return epochs, score.scaled(1) * values


def _mean(lines: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Epochs and the mean over those lines that have a finite value there; NaN where none has."""
    epochs = np.unique(np.concatenate([epochs for epochs, _ in lines])) if lines else np.zeros(0)
    table = np.full((len(lines), len(epochs)), np.nan)
    for row, (own_epochs, values) in zip(table, lines, strict=True):
        row[np.searchsorted(epochs, own_epochs)] = values
    count = np.isfinite(table).sum(axis=0)
    total = np.nansum(table, axis=0)
    return epochs, np.divide(total, count, out=np.full(len(epochs), np.nan), where=count > 0)


def _dots(values: np.ndarray) -> dict[str, Any]:
    """A marker for lines through a single value, which would be invisible without one."""
    return {"marker": "o", "markersize": 5} if np.isfinite(values).sum() == 1 else {}


def _at(epochs: np.ndarray, values: np.ndarray, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    here = epochs == epoch
    return epochs[here], values[here]


def _epoch_axis(ax: Axes, label: str) -> None:
    ax.set_xlabel("epoch")
    ax.set_ylabel(label)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    last = max([1.0, *(np.max(line.get_xdata(), initial=1) for line in ax.lines)])
    ax.set_xlim(0.5, last + 0.5)


def _panel(ax: Axes, title: str, label: str) -> None:
    ax.set_title(title, loc="left")
    _epoch_axis(ax, label)
    handles, labels = ax.get_legend_handles_labels()
    if labels:
        columns = 1 if len(labels) < MANY else 2
        if columns > 1 and ax.get_autoscaley_on() and ax.get_yscale() == "linear":  # room for it above the lines
            low, high = ax.get_ylim()
            ax.set_ylim(low, high + ROW * -(-len(labels) // columns) * (high - low))
        ax.legend(handles, labels, loc="best", fontsize=9, ncols=columns)


def _zoom(ax: Axes, score: Metric) -> None:
    """Sets the axis of a score to all values, or, if a few far worse ones would flatten the rest, without these.

    A note then says so.
    """
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in ax.lines])
    values = values[np.isfinite(values)]
    if not values.size:
        ax.set_ylim(0, score.scaled(1))
        return
    signed = values if score.maximise else -values
    low, cut, top = signed.min(), np.quantile(signed, CUT_BELOW), signed.max()
    if top - low > CUT_GAIN * (top - cut) > 0:
        side, most = ("down", "below") if score.maximise else ("up", "above")
        worst = f"{low:.1f} %" if score.percent else score.figure(low if score.maximise else -low)
        ax.set_title(f"values {side} to {worst} lie {most} this axis", loc="right", fontsize=9, color=GREY)
        low = cut
    room = max(0.08 * (top - low), 0.05 if score.percent else 1e-9)
    ends = low - room, top + room
    ax.set_ylim(ends if score.maximise else (-ends[1], -ends[0]))


def _zoom_gap(ax: Axes, gap: np.ndarray) -> None:
    """Sets the axis of a gap by epoch (E,) so that it includes 0.

    If a tenth of the epochs, usually the first ones, would flatten the others, it leaves them out and a note says so.
    """
    gap = gap[np.isfinite(gap)]
    if gap.size < 3:
        return
    usual = gap[np.argsort(np.abs(gap))][: gap.size - max(1, gap.size // 10)]
    low, top = min(0.0, usual.min()), max(0.0, usual.max())
    if max(0.0, gap.max()) - min(0.0, gap.min()) > CUT_GAIN * (top - low) > 0:
        room = 0.08 * (top - low)
        ax.set_ylim(low - room, top + room)
        words = f"{number_of(gap.size - usual.size, 'epoch')} off this axis, down to {gap.min():.1f}"
        words = words if gap.min() < low else words.replace(f"down to {gap.min():.1f}", f"up to {gap.max():.1f}")
        ax.text(0.98, 0.03, words, transform=ax.transAxes, ha="right", fontsize=9, color=GREY)
