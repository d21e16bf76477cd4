"""The report's figures: what is drawn where, on which axes."""

from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from src.report import study_figures as figures
from src.report.study_importance import importances, samples
from src.sweep.studies.study_record import Study
from tests.report.study_example import diverged, made, sampled, trial


@pytest.fixture
def study() -> Study:
    """Thirty trials, ten of them pruned, the first one published."""
    return made(
        sampled(30, lambda params, chance: 0.95 + 0.05 * params["model.dropout"] + 0.001 * chance.normal(), pruned=10),
        settings={"first": [{"optim.eta": 0.1}]},
    )


def line(ax: Axes, label: str) -> Line2D:
    return next(one for one in ax.lines if one.get_label() == label)


def test_history_shows_every_trial_and_the_best_so_far(study: Study, tmp_path: Path) -> None:
    (ax,) = figures.history_figure(study, tmp_path / "h.png").axes
    assert len(line(ax, "complete").get_xdata()) == 20
    assert len(line(ax, "pruned, where it stood").get_xdata()) == 10
    best = list(line(ax, "best so far").get_ydata())
    assert best == sorted(best)
    assert study.best is not None
    assert best[-1] == pytest.approx(100 * (study.best.value or 0))
    assert study.published is not None
    assert line(ax, "published setting").get_ydata()[0] == pytest.approx(100 * (study.published.value or 0))
    assert ax.get_ylabel() == "validation accuracy (%)"
    assert (tmp_path / "h.png").stat().st_size > 1000


def test_of_accuracies_all_are_shown_and_the_best_ones_apart(tmp_path: Path) -> None:
    accuracies = [0.988, 0.991, 0.98, 0.96, 0.1, 0.097]
    study = made([trial(place, {}, [value]) for place, value in enumerate(accuracies)], settings={"first": [{}]})
    (ax,) = figures.history_figure(study, tmp_path / "h.png").axes
    assert list(line(ax, "complete").get_ydata()) == pytest.approx(
        sorted((100 * one for one in accuracies), reverse=True)
    )
    to_axes = ax.transLimits.transform  # after the scale
    heights = [to_axes((0, figures._stretched(100 * value)))[1] for value in accuracies]
    assert 0 < min(heights) < max(heights) < 1
    assert heights[1] - heights[0] > 0.05  # of the axis's height; without the scale 0.003
    assert 3 <= len(ax.get_yticks()) <= 9
    assert ax.get_title(loc="right") == ""


def test_of_other_values_those_far_worse_lie_on_the_edge_and_are_counted_but_never_many(tmp_path: Path) -> None:
    for worse, beyond in ((2, 2), (5, 0)):  # of 12 and of 15
        values = [1 + place / 100 for place in range(10)] + [100.0 + place for place in range(worse)]
        trials = [trial(place, {}, [], values=[value]) for place, value in enumerate(values)]
        (ax,) = figures.history_figure(made(trials, maximised=[False]), tmp_path / "h.png").axes
        assert ax.get_title(loc="right").startswith(f"{beyond} worse ones lie" if beyond else "")
        assert (ax.get_ylim()[1] > 100) == (not beyond)


def smallest_first() -> Study:
    """By parameters, the fewest best; a trial diverged."""
    pairs = [(2000.0, 0.9), (1000.0, 0.8)]
    trials = [trial(place, {}, [], values=pair, curve={1: 0.5, 2: pair[1]}) for place, pair in enumerate(pairs)]
    objectives = {"objectives": ["parameters", "validation_accuracy"]}
    return made([*trials, diverged(2)], maximised=[False, True], settings=objectives)


def test_trials_that_diverged_are_drawn_as_such_where_the_axis_is_the_validation_accuracy(tmp_path: Path) -> None:
    trials = [trial(0, {}, [0.9]), trial(1, {}, [0.5], state=TrialState.PRUNED, curve={1: 0.5}), diverged(2)]
    (ax,) = figures.history_figure(made(trials, settings={}), tmp_path / "h.png").axes
    assert list(line(ax, "pruned, where it stood").get_xdata()) == [1]
    assert list(line(ax, "diverged").get_xdata()) == [2]
    (ax,) = figures.history_figure(smallest_first(), tmp_path / "h.png").axes
    assert list(line(ax, "complete").get_ydata()) == [1000, 2000]
    assert not any(one.get_label() in ("pruned, where it stood", "diverged") for one in ax.lines)


def test_curves_are_validation_accuracies_whatever_the_objective_is(tmp_path: Path) -> None:
    (ax,) = figures.curves_figure(smallest_first(), tmp_path / "c.png").axes
    assert ax.get_ylabel() == "validation accuracy (%)"
    assert list(line(ax, "trial 1").get_ydata()) == [50, 80]


def test_of_a_minimised_objective_the_low_values_are_shown(tmp_path: Path) -> None:
    values = [1.0, 0.5, 0.7, 0.6, 90.0]
    trials = [trial(place, {}, [], values=[value]) for place, value in enumerate(values)]
    (ax,) = figures.history_figure(made(trials, maximised=[False]), tmp_path / "h.png").axes
    low, high = ax.get_ylim()
    assert low < 0.5 < 1.0 < high < 10
    assert list(line(ax, "best so far").get_ydata()) == [1.0, 0.5, 0.5, 0.5, 0.5]
    assert ax.get_ylabel() == "value"


def test_a_slice_has_the_parameters_scale_and_marks_best_and_published(study: Study, tmp_path: Path) -> None:
    panels = [ax for ax in figures.slices_figure(study, tmp_path / "s.png").axes if ax.get_visible()]
    assert [ax.get_xlabel() for ax in panels] == ["optim.eta", "model.activation", "model.dropout", "batch_size"]
    assert [ax.get_xscale() for ax in panels] == ["log", "linear", "linear", "linear"]
    assert [label.get_text() for label in panels[1].get_xticklabels()] == ["sigmoid", "tanh", "relu"]
    assert study.best is not None
    assert study.published is not None
    assert line(panels[2], "best").get_xdata() == [study.best.params["model.dropout"]]
    assert line(panels[0], "published setting").get_xdata() == [0.1]


def test_parallel_coordinates_have_a_line_a_trial_the_best_one_thickest(study: Study, tmp_path: Path) -> None:
    (ax,) = figures.parallel_figure(study, tmp_path / "p.png").axes
    names = [label.get_text() for label in ax.get_xticklabels()]
    assert names == ["eta", "activation", "dropout", "batch_size", "validation accuracy (%)"]
    whole = [one for one in ax.lines if len(one.get_xdata()) == 5]
    assert len(whole) == 30  # the pruned ones, too
    thickest = max(whole, key=lambda one: one.get_linewidth())
    assert study.best is not None
    assert thickest.get_ydata()[2] == pytest.approx(study.best.params["model.dropout"] / 0.5, abs=0.03)
    heights = [height for one in whole for height in one.get_ydata()]
    assert -figures.JITTER < min(heights) < max(heights) < 1 + figures.JITTER
    texts = {text.get_text() for text in ax.texts}
    assert {"0.001", "0.01", "0.1", "1", "sigmoid", "tanh", "relu"} <= texts


def test_curves_show_the_best_five_and_the_published_one_in_colours(study: Study, tmp_path: Path) -> None:
    (ax,) = figures.curves_figure(study, tmp_path / "c.png").axes
    named = [one.get_label() for one in ax.lines if str(one.get_label()).startswith("trial ")]
    expected = [f"trial {one.place}" for one in study.ranked[:5]] + ["trial 0 (published setting)"]
    assert named == (expected if study.published not in study.ranked[:5] else expected[:5])
    assert len(ax.lines) == 30
    assert sum(len(one.get_xdata()) == 3 for one in ax.lines) == 10  # pruned after three epochs


def test_the_front_is_named_and_drawn_over_the_others(tmp_path: Path) -> None:
    values = [(0.95, 1e5), (0.97, 3e6), (0.94, 1e5), (0.90, 2e4)]
    trials = [trial(place, {}, [], values=pair) for place, pair in enumerate(values)]
    study = made(trials, maximised=[True, False], settings={"objectives": ["validation_accuracy", "parameters"]})
    (ax,) = figures.front_figure(study, 1, tmp_path / "f.png").axes
    assert list(line(ax, "Pareto front").get_xdata()) == [2e4, 1e5, 3e6]
    assert list(line(ax, "beaten by another trial").get_xdata()) == [1e5]
    assert [text.get_text() for text in ax.texts] == ["3", "0", "1"]
    assert (ax.get_xlabel(), ax.get_xscale()) == ("parameters", "log")


def test_importance_has_a_bar_a_parameter_the_first_one_on_top(study: Study, tmp_path: Path) -> None:
    compared = samples(study)
    found = importances(study, compared)
    (ax,) = figures.importance_figure(found, compared, tmp_path / "i.png").axes
    assert ax.get_yticklabels()[0].get_text() == "model.dropout"
    assert ax.yaxis_inverted()
    assert [text.get_text() for text in ax.figure.legends[0].get_texts()] == [sample.words for sample in compared]
    assert ax.patches[0].get_width() == pytest.approx(100 * (found[0].shares[0] or 0))


@pytest.mark.parametrize("name", ["history_figure", "parallel_figure", "slices_figure", "curves_figure"])
@pytest.mark.parametrize(
    "trials",
    [
        [trial(0, {}, [0.9], curve={1: 0.9})],
        [trial(0, {}, [0.9], curve={1: 0.9}), trial(1, {}, [0.9], curve={1: 0.9})],
        [trial(0, {}, [0.0], curve={1: 0.0}), trial(1, {}, [], state=TrialState.PRUNED, curve={})],
    ],
    ids=["one trial", "equal trials", "nothing learnt"],
)
def test_the_smallest_studies_can_be_drawn(name: str, trials: list, tmp_path: Path) -> None:  # type: ignore[type-arg]
    getattr(figures, name)(made(trials, settings={"first": [{}]}), tmp_path / "a.png")
    assert (tmp_path / "a.png").exists()


def test_a_trial_without_a_parameter_reaches_the_value_all_the_same(tmp_path: Path) -> None:
    space = {"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1)}
    trials = [
        trial(0, {"a": 0.2, "b": 0.4}, [0.9], space=space),
        trial(1, {"a": 0.3}, [0.8], space={"a": space["a"]}),
    ]
    trials.append(trial(2, {"a": 0.5}, [0.7], space={"a": space["a"]}, state=TrialState.PRUNED, curve={1: 0.7}))
    (ax,) = figures.parallel_figure(made(trials, settings={}), tmp_path / "p.png").axes
    lines = sorted(tuple(one.get_ydata()) for one in ax.lines if len(one.get_xdata()) == 3)
    assert [line[0] for line in lines] == [0.2, 0.3, 0.5]
    assert [line[1] == pytest.approx(figures.ABSENT, abs=figures.JITTER) for line in lines] == [False, True, True]
    assert all(0 <= line[2] <= 1 for line in lines)
    assert [text.get_text() for text in ax.texts].count("not sampled") == 1
