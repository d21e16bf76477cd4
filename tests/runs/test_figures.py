"""What the figures show, by their artists' data and by the pixels of the files."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.config.task import task_in
from src.models.model import model_of
from src.runs import canvas, curves, figures, mosaic, pictures
from src.runs.reconstruction import reconstructions
from src.runs.vote import Vote, vote
from src.training.result import Result
from tests import example

NAN = math.nan
SIDE = 8  # pixels of the test images here


def result(accuracies: list[float | None], seed: int = 0, **changes: Any) -> Result:
    """A member with this validation accuracy by epoch; train accuracy is 0.01 above it."""
    history: list[dict[str, Any]] = [
        {
            "epoch": epoch,
            "eta": 0.1,
            "validation/accuracy": value,
            "validation/cost": None if value is None else 1 - value,
            "train/accuracy": None if value is None else value + 0.01,
            "train/cost": None if value is None else 0.5 - value / 2,
            "weight_norm/layers.0.weight": 2.0 * epoch,
            "weight_norm/layers.1.weight": 3.0,
        }
        for epoch, value in enumerate(accuracies, start=1)
    ]
    finite = [value for value in accuracies if value is not None and math.isfinite(value)]
    best = max(finite, default=None)
    made = Result(
        config={"name": "conv", "model": {}},
        seed=seed,
        status="FINISHED" if finite else "FAILED",
        history=history,
        best_epoch=None if best is None else accuracies.index(best) + 1,
        validation_score=best,
        test_score=best,
        seconds=1.0,
        dataset="mnist",
        device="cpu",
    )
    return replace(made, **changes)


def a_vote(wrong: int, images: int = 50, classes: int = 10) -> tuple[torch.Tensor, torch.Tensor, Vote]:
    """Images, labels 0 1 2 …, and a vote that gives (label + 1) for the first `wrong` of them."""
    labels = torch.arange(images) % classes
    given = labels.clone()
    given[:wrong] = (given[:wrong] + 1) % classes
    pictures = torch.randint(0, 256, (images, 1, SIDE, SIDE), dtype=torch.uint8, generator=torch.manual_seed(0))
    return pictures, labels, vote(torch.nn.functional.one_hot(given, classes).float()[None], labels)


@pytest.fixture(autouse=True)
def coarse_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layout in inches does not depend on the resolution, and the tests wait for the pixels."""
    monkeypatch.setattr(canvas, "DPI", 60)


def title(figure: Figure) -> str:
    text = figure.get_suptitle()
    return " ".join(text.split())


def legend(holder: Axes | Figure) -> list[str]:
    box = holder.get_legend() if isinstance(holder, Axes) else holder.legends[0]
    assert box is not None
    return [text.get_text() for text in box.get_texts()]


def assert_picture(path: Path) -> None:
    """A png with ink on white, and no ink on its outermost pixels, where a label would have been cut."""
    pixels = matplotlib.image.imread(path)[..., :3]
    assert pixels.shape[0] > 2 * canvas.DPI
    assert pixels.min() < 0.5
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert border.min() == 1.0


def test_few_members_have_a_line_each_with_the_best_epoch_marked(tmp_path: Path) -> None:
    members = [result([0.5, 0.75, 0.7], seed=4), result([0.6, 0.65], seed=5)]
    figure = curves.score_figure(members, tmp_path / "a.png")
    (ax,) = figure.axes
    assert [list(line.get_ydata()) for line in ax.lines] == [[50, 75, 70], [75], [60, 65], [65]]
    assert list(ax.lines[1].get_xdata()) == [2]
    assert legend(ax) == ["seed 4: best 75.00 % in epoch 2", "seed 5: best 65.00 % in epoch 2"]
    assert title(figure) == "conv on mnist: validation accuracy by epoch"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "validation accuracy (%)")
    assert_picture(tmp_path / "a.png")


def test_many_members_are_thin_lines_around_their_mean(tmp_path: Path) -> None:
    members = [result([0.5, 0.5 + seed / 100], seed) for seed in range(6)] + [result([NAN, NAN], 6)]
    (ax,) = curves.score_figure(members, tmp_path / "a.png").axes
    assert legend(ax) == ["one network", "its best epoch", "mean of 6 networks (1 more without a finite accuracy)"]
    assert list(ax.lines[-1].get_ydata()) == pytest.approx([50, 52.5])
    assert ax.lines[-1].get_linewidth() > 2 * ax.lines[0].get_linewidth()


def test_the_mean_is_over_the_members_still_training(tmp_path: Path) -> None:
    runs = {"a run": [result([0.5, 0.75]), result([0.25]), result([NAN, NAN])]}
    (ax,) = curves.compare_figure(runs, tmp_path / "c.png", "a title").axes
    assert list(ax.lines[-1].get_ydata()) == pytest.approx([37.5, 75])


def test_a_member_without_finite_values_is_named_and_not_drawn(tmp_path: Path) -> None:
    (ax,) = curves.score_figure([result([NAN, None], seed=3)], tmp_path / "a.png").axes
    assert legend(ax) == ["seed 3: no finite accuracy"]
    assert np.isnan(ax.lines[0].get_ydata()).all()
    assert ax.get_ylim() == (0, 100)


def test_a_single_epoch_is_a_dot(tmp_path: Path) -> None:
    figure = curves.overfitting_figure([result([0.5])], tmp_path / "o.png")
    assert all(line.get_marker() == "o" for line in figure.axes[0].lines)
    assert all(tick == round(tick) for tick in figure.axes[0].get_xticks())  # no half epochs


def test_values_far_below_the_rest_are_cut_and_the_figure_says_so(tmp_path: Path) -> None:
    (cut,) = curves.score_figure([result([0.1] + [0.97, 0.98, 0.99] * 10)], tmp_path / "a.png").axes
    assert cut.get_ylim()[0] > 90
    assert cut.get_title(loc="right") == "values down to 10.0 % lie below this axis"
    (whole,) = curves.score_figure([result([0.1, 0.5, 0.99])], tmp_path / "b.png").axes
    assert whole.get_ylim()[0] < 10
    assert whole.get_title(loc="right") == ""


def test_several_runs_differ_by_colour_then_by_dashes(tmp_path: Path) -> None:
    runs = {f"_run $x$ {i}": [result([0.5, 0.6 + i / 100])] for i in range(9)}
    figure = curves.compare_figure(runs, tmp_path / "c.png", "nine runs on mnist")
    styles = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(styles) == 9
    assert legend(figure) == list(runs)  # neither the underscore nor the dollars are taken for a command
    assert_picture(tmp_path / "c.png")


def test_a_comparison_names_means_and_runs_without_values_and_cuts_long_names(tmp_path: Path) -> None:
    runs = {
        "tanh": [result([0.5]), result([0.7])],
        "dead": [result([NAN])],
        "none": [result([])],
        "x" * 99: [result([1])],
    }
    figure = curves.compare_figure(runs, tmp_path / "c.png", "a title")
    assert legend(figure)[:3] == ["tanh (mean of 2)", "dead: no finite accuracy", "none: no finite accuracy"]
    assert legend(figure)[3] == "x" * (curves.LONGEST_LABEL - 1) + "…"
    assert_picture(tmp_path / "c.png")


def test_overfitting_shows_both_splits_their_gap_and_every_norm(tmp_path: Path) -> None:
    figure = curves.overfitting_figure([result([0.5, 0.7]), result([0.7, 0.9])], tmp_path / "o.png")
    accuracy, cost, gap, norms = figure.axes
    assert [list(line.get_ydata()) for line in accuracy.lines] == [pytest.approx([61, 81]), pytest.approx([60, 80])]
    assert [list(line.get_ydata()) for line in cost.lines] == [pytest.approx([0.2, 0.1]), pytest.approx([0.4, 0.2])]
    assert list(gap.lines[1].get_ydata()) == pytest.approx([1, 1])
    assert legend(norms) == ["layers.0.weight", "layers.1.weight"]
    assert list(norms.lines[0].get_ydata()) == [2, 4]
    assert title(figure) == "conv on mnist, mean of 2 networks: overfitting"
    assert [ax.get_ylabel().split(" (")[-1] for ax in figure.axes[:2]] == ["%)", "nats an image)"]
    assert_picture(tmp_path / "o.png")


def test_the_first_epoch_does_not_rule_the_gap(tmp_path: Path) -> None:
    one = result([0.9] * 20)
    for row, gap in zip(one.history, [-0.3, *[0.001] * 18, 0.01], strict=True):
        row["train/accuracy"] = 0.9 + gap
    (_, _, ax, _) = curves.overfitting_figure([one], tmp_path / "o.png").axes
    assert -1 < ax.get_ylim()[0] < 0 < 0.1 < ax.get_ylim()[1] < 2
    assert [text.get_text() for text in ax.texts] == ["2 epochs off this axis, down to -30.0"]


@pytest.mark.parametrize(("maps", "columns", "rows"), [(20, 5, 4), (40, 8, 5), (1, 1, 1), (7, 3, 3), (2, 2, 1)])
def test_filters_stand_in_a_grid_of_the_chapters_proportions(
    tmp_path: Path, maps: int, columns: int, rows: int
) -> None:
    figure = pictures.filters_figure(torch.rand(maps, 1, 5, 5), tmp_path / "f.png", "filters")
    picture = figure.axes[0].images[0].get_array()
    assert picture is not None
    assert picture.shape == (rows * 6 + 1, columns * 6 + 1)
    assert np.isfinite(np.ma.filled(picture, NAN)).sum() == maps * 25


def test_a_larger_weight_is_darker(tmp_path: Path) -> None:
    weight = torch.zeros(2, 1, 2, 2)
    weight[1] = 1.0
    figure = pictures.filters_figure(weight, tmp_path / "f.png", "filters")
    image = figure.axes[0].images[0]
    small, large = image.get_cmap()(image.norm(np.array([0.0, 1.0])))
    assert list(small) == [1, 1, 1, 1]
    assert list(large) == [0, 0, 0, 1]
    pixels = matplotlib.image.imread(tmp_path / "f.png")[..., :3]
    middle = pixels[pixels.shape[0] // 2]
    dark = (middle[: len(middle) * 3 // 4] < 0.01).all(axis=1).nonzero()[0]  # left of the grey scale
    assert dark.min() > len(middle) * 0.35  # the second map only


def test_several_input_channels_are_a_grid_within_each_tile(tmp_path: Path) -> None:
    weight = torch.arange(3 * 2 * 4.0).reshape(3, 2, 2, 2)
    figure = pictures.filters_figure(weight, tmp_path / "f.png", "filters")
    picture = np.ma.filled(figure.axes[0].images[0].get_array(), NAN)
    tile_height, tile_width = 2 + 2, 2 * 3 + 1
    assert picture.shape == (2 * (tile_height + 4) + 4, 2 * (tile_width + 4) + 4)
    assert picture[5:7, 5:7].tolist() == weight[0, 0].tolist()
    assert picture[5:7, 8:10].tolist() == weight[0, 1].tolist()
    assert "3 maps, a tile each: its 2 filters of 2×2 pixels" in figure.axes[0].get_xlabel()


def test_weights_that_are_not_finite_are_blank(tmp_path: Path) -> None:
    pictures.filters_figure(torch.full((3, 1, 5, 5), NAN), tmp_path / "f.png", "filters")
    half = torch.tensor([NAN, math.inf, 1.0, 2.0]).reshape(1, 1, 2, 2)
    image = pictures.filters_figure(half, tmp_path / "g.png", "filters").axes[0].images[0]
    assert image.get_clim() == (1.0, 2.0)


def test_the_filters_of_colour_images_are_in_colour(tmp_path: Path) -> None:
    weight = torch.zeros(3, 3, 2, 2)
    weight[0, 0] = 2.0  # all red
    weight[1, 2] = -1.0  # half without blue
    weight[2, 1, 0, 0] = NAN
    best = result([0.5], weights={"layers.0.weight": weight, "layers.1.weight": torch.rand(4, 3, 2, 2)})
    paths = figures.draw([best], tmp_path, torch.zeros(1, 3, 4, 4), torch.zeros(1, dtype=torch.int64))
    assert [path.stem for path in paths[2:]] == ["filters_conv1", "filters_conv2"]  # three maps are no colours
    assert_picture(tmp_path / "filters_conv1.png")
    figure = pictures.colour_filters_figure(weight, tmp_path / "f.png", "filters")
    picture = np.ma.filled(figure.axes[0].images[0].get_array(), NAN)
    blank = matplotlib.colors.to_rgb(mosaic.PAPER)
    assert picture[1, 1].tolist() == [1, 0.5, 0.5]
    assert picture[1, 4].tolist() == [0.5, 0.5, 0.25]
    assert picture[4, 1] == pytest.approx(blank)  # not finite
    assert picture[0, 0] == pytest.approx(blank)  # between them
    assert picture[5, 2].tolist() == [0.5] * 3


@pytest.mark.parametrize("channels", [2, 3])
def test_wrong_images_of_three_channels_are_in_colour_others_in_grey(tmp_path: Path, channels: int) -> None:
    images, _, given = a_vote(wrong=1)
    images = torch.rand(len(images), channels, SIDE, SIDE) - 0.5
    images[0, :, 0, 0], images[0, :, 1, 1] = -2, 2  # the smallest, the largest
    image = pictures.errors_figure(images, given, tmp_path / "e.png", "conv").axes[0].images[0]
    picture = np.ma.filled(image.get_array(), NAN)
    gap = max(1, SIDE // 7)
    shown = picture[gap : gap + SIDE, gap : gap + SIDE]
    if channels == 3:
        np.testing.assert_allclose(shown, images[0].permute(1, 2, 0) / 4 + 0.5, atol=1e-6)
        assert picture[0, 0].tolist() == [1, 1, 1]
    else:
        np.testing.assert_allclose(shown, images[0].mean(0), atol=1e-6)
        assert image.get_clim() == (-2, 2)


def test_each_wrong_image_stands_with_its_two_digits_at_its_right(tmp_path: Path) -> None:
    images, _, given = a_vote(wrong=11)
    figure = pictures.errors_figure(images, given, tmp_path / "e.png", "conv on mnist, vote of 5 networks")
    (ax,) = figure.axes
    digits = [(text.get_text(), *text.get_position()) for text in ax.texts]
    assert [word for word, _, _ in digits] == [str(d) for e in given.errors for d in (e.true, e.given)]
    picture = np.ma.filled(ax.images[0].get_array(), NAN)
    for place, frame in enumerate(ax.patches):
        left, top = round(frame.get_x() + 0.5), round(frame.get_y() + 0.5)
        assert picture[top : top + SIDE, left : left + SIDE].tolist() == images[place, 0].tolist()
        (_, true_x, true_y), (_, given_x, given_y) = digits[2 * place : 2 * place + 2]
        assert true_x == given_x >= left + SIDE
        assert (true_y, given_y) == (top - 0.5, top + SIDE - 0.5)
    assert len(ax.patches) == 11
    assert title(figure) == "conv on mnist, vote of 5 networks: 11 of 50 test images misclassified"
    assert_picture(tmp_path / "e.png")


def test_of_many_wrong_images_the_first_are_shown_and_the_title_says_so(tmp_path: Path) -> None:
    images, _, given = a_vote(wrong=45)
    figure = pictures.errors_figure(images, given, tmp_path / "e.png", "conv on mnist")
    assert len(figure.axes[0].patches) == pictures.MOST_ERRORS
    assert title(figure) == "conv on mnist: 45 of 50 test images misclassified (the first 40 shown)"


def test_classes_of_three_figures_do_not_reach_into_the_next_image(tmp_path: Path) -> None:
    images, _, given = a_vote(wrong=40, images=256, classes=256)
    given.errors[:] = [type(error)(error.image, 255, 254) for error in given.errors]
    figure = pictures.errors_figure(images, given, tmp_path / "e.png", "letters")
    (ax,) = figure.axes
    frames = [frame.get_window_extent() for frame in ax.patches]
    for number, text in enumerate(ax.texts[:14]):
        assert text.get_window_extent().x1 < frames[number // 2 + 1].x0


def test_no_wrong_image_gives_a_figure_that_says_so(tmp_path: Path) -> None:
    images, _, given = a_vote(wrong=0)
    figure = pictures.errors_figure(images, given, tmp_path / "e.png", "conv on mnist")
    assert "All 50 test images have the right answer." in [text.get_text() for text in figure.texts]
    assert title(figure) == "conv on mnist: no test image misclassified"
    assert_picture(tmp_path / "e.png")


def test_draw_makes_every_figure_of_a_convolutional_trial(tmp_path: Path) -> None:
    images, labels, given = a_vote(wrong=3)
    weights = {
        "layers.0.weight": torch.rand(4, 1, 3, 3),
        "layers.0.bias": torch.rand(4),
        "layers.1.weight": torch.rand(5, 4, 3, 3),
        "layers.2.weight": torch.rand(10, 5),
    }
    members = [result([0.5, 0.6], seed, weights=weights) for seed in range(2)]
    paths = figures.draw(members, tmp_path / "figures", images, labels, given)
    names = ["accuracy.png", "overfitting.png", "filters_conv1.png", "filters_conv2.png", "errors.png"]
    assert [path.name for path in paths] == names
    for path in paths:
        assert path.parent == tmp_path / "figures"
        assert_picture(path)


def test_draw_takes_the_best_members_answers_where_there_is_no_vote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels, _ = a_vote(wrong=0)
    right = torch.nn.functional.one_hot(labels, 10).float()
    members = [result([0.5], 1, probabilities=right.roll(1, dims=1)), result([0.6], 2, probabilities=right)]
    seen = []
    monkeypatch.setattr(figures, "errors_figure", lambda images, given, path, who: seen.append((given.accuracy, who)))
    figures.draw(members, tmp_path, images, labels)
    assert seen == [(1.0, "conv on mnist, seed 2")]


def test_draw_leaves_out_what_there_is_nothing_of(tmp_path: Path) -> None:
    images, labels, _ = a_vote(wrong=0)
    assert figures.draw([], tmp_path, images, labels) == []
    assert figures.draw([result([])], tmp_path, images, labels) == []
    assert figures.draw([result([NAN])], tmp_path, images, labels) == [tmp_path / "accuracy.png"]
    plain = figures.draw([result([0.5]), result([])], tmp_path, images, labels)
    assert [path.name for path in plain] == ["accuracy.png", "overfitting.png"]
    nobody = vote(torch.full((1, 50, 10), NAN), labels)
    assert tmp_path / "errors.png" not in figures.draw([result([0.5])], tmp_path, images, labels, nobody)


def test_a_long_title_is_broken_and_not_cut(tmp_path: Path) -> None:
    config = {"name": "a name with many words that goes on and on " * 3}
    curves.score_figure([result([0.5, 0.6], config=config, dataset="a_folder_" * 12)], tmp_path / "a.png")
    assert_picture(tmp_path / "a.png")


def test_a_units_weights_are_an_image_scaled_by_itself_in_ten_rows_of_ten(tmp_path: Path) -> None:
    weight = torch.rand(120, 6) * torch.arange(1, 121)[:, None] + 5
    weight[0] = torch.tensor([-1.0, 0, 1, 1, 1, 3])
    weight[1] = 2.0
    weight[2, 0], weight[2, 1] = NAN, math.inf
    weight[3] = NAN
    figure = pictures.units_figure(weight, (1, 2, 3), tmp_path / "f.png", "weights")
    image = figure.axes[0].images[0]
    picture = np.ma.filled(image.get_array(), NAN)
    assert picture.shape == (10 * 3 + 1, 10 * 4 + 1)  # one pixel between tiles
    assert picture[1:3, 1:4].tolist() == [[0, 0.25, 0.5], [0.5, 0.5, 1]]
    assert picture[1:3, 5:8].tolist() == [[0] * 3] * 2
    assert np.isnan(picture[1:3, 9:12]).tolist() == [[True, True, False], [False] * 3]
    assert np.isnan(picture[1:3, 13:16]).all()
    tiles = picture[1:].reshape(10, 3, 41)[:, :2, 1:].reshape(10, 2, 10, 4)[..., :3]
    rest = tiles.transpose(0, 2, 1, 3).reshape(100, 6)[4:]
    assert (rest.min(1).tolist(), rest.max(1).tolist()) == ([0] * 96, [1] * 96)
    assert image.get_clim() == (0, 1)
    assert figure.axes[0].get_xlabel().startswith("the first 100 of 120 units, each scaled by itself")
    assert_picture(tmp_path / "f.png")


def test_a_units_weights_of_colour_images_are_in_colour(tmp_path: Path) -> None:
    weight = torch.arange(24.0).reshape(2, 12)
    picture = pictures.units_figure(weight, (3, 2, 2), tmp_path / "f.png", "weights").axes[0].images[0].get_array()
    assert picture is not None
    np.testing.assert_allclose(picture[1, 1], np.array([0, 4, 8]) / 11)
    np.testing.assert_allclose(picture[2, 5], np.array([3, 7, 11]) / 11)  # the second unit, its last pixel


def test_rows_of_images_stand_beside_their_labels(tmp_path: Path) -> None:
    rows = {"first": torch.rand(3, 1, 4, 4), "second": torch.rand(3, 1, 4, 4)}
    figure = pictures.rows_figure(rows, tmp_path / "r.png", "a title", "a caption")
    (ax,) = figure.axes
    picture = np.ma.filled(ax.images[0].get_array(), NAN)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(rows)
    for height, row in zip(ax.get_yticks(), rows.values(), strict=True):
        middle = int(height + 0.5)  # between the second and the third row of pixels
        np.testing.assert_allclose(picture[middle - 2 : middle + 2, 11:15], row[2, 0])
    assert_picture(tmp_path / "r.png")


@pytest.mark.parametrize(
    ("task", "curve_names", "examples"),
    [
        ({"name": "reconstruct", "corruption": 0.5}, ["reconstruction_cost", "overfitting"], ["reconstructions"]),
        ({"name": "contrast"}, ["pseudo_likelihood", "overfitting", "free_energy"], ["reconstructions", "samples"]),
    ],
)
def test_draw_makes_every_figure_of_a_network_with_tied_weights(
    tmp_path: Path, task: dict[str, Any], curve_names: list[str], examples: list[str]
) -> None:
    raw = example.raw(task=task, model={"maps": [], "hidden": [6]}, stop={"keep": "last"})
    score = task_in(raw).metric
    weights = model_of(example.config(**raw)).first_state(0)
    monitored = {f"{split}/free_energy": -5.0 for split in ("train", "validation") if "free_energy" in curve_names}
    history: list[dict[str, Any]] = [{"epoch": 1, score.key("validation"): -70.0} | monitored]
    member = result([0.5], config=raw, weights=weights, history=history, validation_score=-70.0)
    test = example.dataset().test
    paths = figures.draw([member], tmp_path, test.inputs, test.targets)
    assert [path.stem for path in paths] == [*curve_names, "filters_fc1", *examples]
    for path in paths:
        assert_picture(path)
    (ax,) = curves.score_figure([member], tmp_path / "a.png").axes
    assert legend(ax) == ["seed 0: last -70 in epoch 1"]
    assert ax.get_ylabel() == score.axis("validation")
    assert ax.get_ylabel().endswith(" (nats an image)")
    codes = figures.draw([member], tmp_path, torch.rand(30, example.SIDE**2, 1, 1), test.targets)
    assert [path.stem for path in codes] == curve_names  # pictures of a deeper layer's inputs say nothing


def test_reconstructions_are_of_the_corrupted_images() -> None:
    raw = example.raw(task={"name": "reconstruct", "corruption": 0.4}, model={"maps": [], "hidden": [6]})
    weights = model_of(example.config(**raw)).first_state(0)
    images = example.dataset().test.inputs / 255 + 0.01
    rows = reconstructions(raw, weights, images)
    assert list(rows) == ["test image", "corrupted", "reconstruction"]
    kept = rows["corrupted"] != 0
    assert kept.float().mean() == pytest.approx(0.6, abs=0.03)  # 4 standard deviations of 30 · 144 pixels
    assert rows["corrupted"][kept].equal(images[kept])
    w, b, back = (weights[name] for name in ("layers.0.weight", "layers.0.bias", "visible_bias"))
    expected = ((rows["corrupted"].flatten(1) @ w.t() + b).sigmoid() @ w + back).sigmoid()
    torch.testing.assert_close(rows["reconstruction"].flatten(1), expected)


def test_the_gap_of_free_energies_rises_as_training_data_is_known_better(tmp_path: Path) -> None:
    members = [result([0.5, 0.6]), result([0.5])]
    for member in members:
        for row in member.history:
            row |= {"train/free_energy": -10.0 * row["epoch"], "validation/free_energy": -9.0 * row["epoch"]}
    values, gap = curves.free_energy_figure(members, tmp_path / "f.png").axes
    assert [list(line.get_ydata()) for line in values.lines] == [[-10, -20], [-9, -18]]
    assert list(gap.lines[1].get_ydata()) == [1, 2]
    assert_picture(tmp_path / "f.png")
