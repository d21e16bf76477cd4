"""How the cpu engine's cost grows: with the members of a stack, with the width of a layer, with the images.

    members   µs a step and member, K = 1 … 64, all nets
    width     µs a step and member, net c with FC 100 … 1000, K = 16
    images    ms an epoch of training and member, 1,000 … 50,000 images, nets a and c, K = 4

Interleaved rounds, medians with smallest and largest; three tables and a figure.

    python -m benchmarks.scaling                    about three minutes on two cores; draws docs/img/scaling.png
    python -m benchmarks.scaling --figure FILE
"""

import argparse
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks import command, images, nets, stack
from benchmarks.measure import Contender, Sample, interleaved, number
from benchmarks.report import Report
from src.config.schema import RunConfig
from src.data.dataset import Split
from src.runs.canvas import COLOURS, DPI, STYLE

FIGURE = Path(__file__).resolve().parent.parent / "docs" / "img" / "scaling.png"
MEMBERS = (1, 2, 4, 8, 16, 32, 64)
WIDTHS = (100, 200, 300, 500, 1000)
IMAGES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
WIDTH_MEMBERS, EPOCH_MEMBERS = 16, 4  # members of the stacks whose width and images vary
WIDTH_TITLE = nets.TITLES["c"].replace("FC 100", "FC …")
NET_COLOURS = {**dict(zip(nets.TITLES.values(), COLOURS, strict=False)), WIDTH_TITLE: COLOURS[2]}
LEGEND_LETTERS = 34  # the most characters of a line in the legend

Lines = dict[str, dict[int, Sample]]  # for each line, by name: members, width or images -> cost


def main() -> None:
    """The command."""
    options = _options()
    report = Report("How the cpu engine's cost grows (median, smallest–largest)", options.quick)
    data = images.dataset()
    split = images.filled(data.train, images.TRAINING)
    report.say(f"Images: {images.words(data)}. {options.rounds} interleaved rounds of about {options.seconds:g} s.")
    members = {nets.TITLES[net]: _members(net, split, options) for net in options.nets}
    report.say("µs a step and member against the members K of the stack:")
    _table("K", members, report)
    width_name = f"{WIDTH_TITLE}, K = {options.width_members}"
    widths = {width_name: _widths(split, options)}
    report.say("µs a step and member against the units of the fully connected layer:")
    _table("units", widths, report)
    epochs = {f"{nets.TITLES[net]}, K = {EPOCH_MEMBERS}": _epochs(net, split, options) for net in options.epoch_nets}
    report.say("ms an epoch of training and member against the training images:")
    _table("images", epochs, report)
    draw(members, widths, epochs, options.figure)
    report.say(f"Figure: {options.figure.name}")
    report.save(options.json)


def _options() -> argparse.Namespace:
    parser = command.parser("scaling", __doc__)
    parser.add_argument("--rounds", type=command.at_least_one, default=5, help="interleaved rounds (5)")
    parser.add_argument("--figure", type=command.new_file, metavar="FILE", help="docs/img/scaling.png")
    options = parser.parse_args()
    if options.quick and options.figure is None:
        parser.error("argument --figure: --quick needs a FILE, as its figure means nothing; accepted: a file")
    options.figure = options.figure or FIGURE
    options.nets, options.epoch_nets, options.seconds = "abcd", "ac", 0.2
    options.members, options.widths, options.images, options.width_members = MEMBERS, WIDTHS, IMAGES, WIDTH_MEMBERS
    if options.quick:
        options.rounds, options.seconds, options.nets, options.epoch_nets = 2, 0.01, "a", "a"
        options.members, options.widths, options.images, options.width_members = (1, 2), (20, 40), (100, 200), 2
    return options


def _trained(config: RunConfig, split: Split) -> stack.Trained:
    return stack.Trained(stack.cpu_engine(config, len(split) // nets.BATCH_SIZE), config, split)


def _members(net: str, split: Split, options: argparse.Namespace) -> dict[int, Sample]:
    configs = {size: nets.config(net, repeats=size) for size in options.members}
    return _costs({size: (config, split) for size, config in configs.items()}, options)


def _widths(split: Split, options: argparse.Namespace) -> dict[int, Sample]:
    size = options.width_members
    configs = {width: nets.config("c", repeats=size, hidden=[width]) for width in options.widths}
    return _costs({width: (config, split) for width, config in configs.items()}, options)


def _costs(varied: Mapping[int, tuple[RunConfig, Split]], options: argparse.Namespace) -> dict[int, Sample]:
    """The cost of each configuration on its split, in µs a step and member."""
    contenders = [
        Contender(str(value), _trained(config, split).seconds, config.members)
        for value, (config, split) in varied.items()
    ]
    taken = interleaved(contenders, options.rounds, options.seconds)
    return {value: taken[str(value)] for value in varied}


def _epochs(net: str, split: Split, options: argparse.Namespace) -> dict[int, Sample]:
    """The cost of an epoch for each number of images, in ms a member."""
    config = nets.config(net, repeats=EPOCH_MEMBERS)
    values: dict[int, list[float]] = {count: [] for count in options.images}
    stacks = {count: _trained(config, images.filled(split, count)) for count in options.images}
    for _ in range(options.rounds if options.quick else min(3, options.rounds)):
        for count, own in stacks.items():
            values[count].append(own.seconds(count // nets.BATCH_SIZE) / EPOCH_MEMBERS * 1e3)
    return {count: Sample(tuple(taken)) for count, taken in values.items()}


def _table(varied: str, lines: Lines, report: Report) -> None:
    values = next(iter(lines.values()))
    rows = [[f"{value:,}", *(str(line[value]) for line in lines.values())] for value in values]
    raw = {name: {value: sample.values for value, sample in line.items()} for name, line in lines.items()}
    report.table([varied, *lines], rows, raw)


def draw(members: Lines, widths: Lines, epochs: Lines, path: Path) -> None:
    """Draws the three figures as panels to `path`: medians as lines, smallest to largest as bands."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 4.6), dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
        FigureCanvasAgg(figure)
        figure.suptitle("What a network costs on the cpu engine")
        left, middle, right = figure.subplots(1, 3)
        _panel(left, members, "members in the stack", "µs a step and member", log=True)
        _panel(middle, widths, "units of the fully connected layer", "µs a step and member", log=False)
        _panel(right, epochs, "training images", "ms an epoch and member", log=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)


def _panel(ax: Axes, lines: Lines, x: str, y: str, log: bool) -> None:
    for name, line in lines.items():
        values, colour = list(line), NET_COLOURS[name.split(", K = ")[0]]
        low, high = zip(*(sample.spread for sample in line.values()), strict=True)
        ax.fill_between(values, low, high, color=colour, alpha=0.2, linewidth=0)
        medians = [sample.median for sample in line.values()]
        ax.plot(values, medians, "o-", markersize=4, color=colour, label=textwrap.fill(name, LEGEND_LETTERS))
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if log:
        ax.set_xscale("log")
        ax.set_yscale("log")
        _plain_ticks(ax, list(next(iter(lines.values()))))
    else:
        ax.set_xlim(left=0)
        ax.set_ylim(bottom=0)
    ax.legend(loc="best")


def _plain_ticks(ax: Axes, values: Sequence[int]) -> None:
    """Puts ticks at the values that were measured, written as plain numbers and not as powers of ten."""
    ax.xaxis.set_major_locator(FixedLocator(values))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}")
    )
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value) if value < 10 else f"{value:,.0f}"))


if __name__ == "__main__":
    command.run(main)
