"""The figures of a trial, each a png: which there are of it, and under which names.

Legend: N images, C channels, H × W pixels.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from src.config.task import task_in
from src.config.wording import number_of
from src.data.scaling import as_seen
from src.models import gibbs
from src.runs.curves import about, about_member, free_energy_figure, overfitting_figure, score_figure, watch_figure
from src.runs.mosaic import COLOUR
from src.runs.pictures import colour_filters_figure, errors_figure, filters_figure, rows_figure, units_figure
from src.runs.predicted import predicted_figure
from src.runs.reconstruction import reconstructions
from src.runs.samples import BRIEF_STEPS, CHAINS, ROWS, STEPS, sampled
from src.runs.vote import Vote
from src.runs.vote import vote as take_vote
from src.training.result import Result

RECONSTRUCTED = 10  # test images

Named = Callable[[str], Path]  # a figure's name -> the file for it


def draw(
    results: Sequence[Result], folder: Path, test_images: Tensor, test_labels: Tensor, vote: Vote | None = None
) -> list[Path]:
    """Every figure that applies to one trial's members, as png files in `folder`; returns their paths.

    test_images: (N, C, H, W) uint8 or float32; test_labels: (N,) classes, or (N, T) numbers or labels; vote: the
    ensemble's vote, None for the answers of the best member (best validation score) alone, whose filters,
    reconstructions and samples are also drawn.
    Empty or unfinished results draw less.
    """
    paths = list[Path]()

    def named(name: str) -> Path:
        paths.append(folder / f"{name}.png")
        return paths[-1]

    drawn = [result for result in results if result.history]
    if drawn:
        score_figure(drawn, named(drawn[0].score.name))
    best = best_member(drawn)
    if best is None:
        return paths

    overfitting_figure(drawn, named("overfitting"))
    if any(key.startswith("update_ratio/") for key in best.history[-1]):
        watch_figure(drawn, named("watch"))
    if "validation/free_energy" in best.history[-1]:
        free_energy_figure(drawn, named("free_energy"))
    _draw_filters(best, test_images, named)
    if task_in(best.config).tied and _sees(best, test_images):
        _draw_examples(best, test_images, named)
    answered = f"vote of {number_of(vote.voters, 'network')}" if vote else f"seed {best.seed}"
    if vote is None and best.probabilities is not None and task_in(best.config).votes:
        vote = take_vote(best.probabilities[None], test_labels)
    if task_in(best.config).kind == "numbers" and best.probabilities is not None:
        words = f"{about_member(best)}: {best.score.words('test')} {best.score.written(best.test_score)}"
        predicted_figure(best.probabilities, test_labels, named("predicted"), words)
    if vote is not None and vote.voters and min(test_images.shape[2:]) > 1:  # not of rows of a table
        errors_figure(test_images, vote, named("errors"), f"{about([best])}, {answered}")
    return paths


def best_member(results: Sequence[Result]) -> Result | None:
    """The member with the best finite validation score, of equals and after a refit the first; None without any."""
    ranked = [result for result in results if math.isfinite(result.score.merit(result.validation_score))]
    return max(ranked, key=lambda result: result.merit, default=None)


def _draw_filters(best: Result, test_images: Tensor, named: Named) -> None:
    """The filters of each convolution, and the weights of a fully connected first layer; none of a user's class."""
    if best.config["model"].get("target"):
        return
    kernels = [weight for name, weight in best.weights.items() if name.endswith("weight") and weight.ndim == 4]
    for number, weight in enumerate(kernels, start=1):
        words = f"{about_member(best)}: filters of convolution {number}"
        figure = colour_filters_figure if number == 1 and weight.shape[1] == COLOUR else filters_figure
        figure(weight, named(f"filters_conv{number}"), words)
    if _sees(best, test_images):
        channels, height, width = test_images.shape[1:]
        words = f"{about_member(best)}: weights of the first layer"
        units_figure(best.weights["layers.0.weight"], (channels, height, width), named("filters_fc1"), words)


def _draw_examples(best: Result, test_images: Tensor, named: Named) -> None:
    """Reconstructions of the first test images, and samples of a restricted Boltzmann machine."""
    rows = reconstructions(best.config, best.weights, as_seen(test_images[:RECONSTRUCTED].cpu(), None))
    caption = f"the first {len(rows['test image'])} test images; dark = 1"
    rows_figure(rows, named("reconstructions"), f"{about_member(best)}: reconstructions", caption)
    if task_in(best.config).name == "contrast":
        chains = min(CHAINS, len(test_images))
        made = sampled([gibbs.machine(best.weights)], test_images, chains, ROWS, BRIEF_STEPS, seed=0)
        hint = f"\npython -m src.sample run=FOLDER draws with {STEPS:,} steps between rows"
        made.figure(named("samples"), f"{about_member(best)}: samples", hint)


def _sees(best: Result, test_images: Tensor) -> bool:
    """Whether the first layer is fully connected and its inputs are the pixels of images, not codes or components."""
    if best.config.get("data", {}).get("normalise") == "pca":
        return False
    weight = best.weights.get("layers.0.weight")
    channels, height, width = test_images.shape[1:]
    return weight is not None and min(height, width) > 1 and weight.shape[1:] == (channels * height * width,)
