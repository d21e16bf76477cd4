"""The report: its figures by hand, what it says of what it cannot know, and that any study has one."""

import base64
import math
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from src.report.study_report import report, write_report
from src.sweep.studies.study_record import Study
from tests.report.study_example import diverged, made, members, sampled, trial
from tests.report.test_document import Checked


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures have tests of their own; a point of a png stands for each."""
    pixel = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    )

    def draw(*about: Any) -> None:
        about[-1].parent.mkdir(parents=True, exist_ok=True)
        about[-1].write_bytes(pixel)

    for name in ("importance", "history", "parallel", "slices", "curves", "front"):
        monkeypatch.setattr(f"src.report.study_figures.{name}_figure", draw)


def text(study: Study, folder: Path) -> str:
    """The Markdown, runs of blanks as one."""
    return re.sub(r" {2,}", " ", report(study, folder).markdown(folder))


def section(study: Study, folder: Path, title: str) -> str:
    return text(study, folder).split(f"## {title}\n")[1].split("\n## ")[0]


def pair(**settings: Any) -> Study:
    """The published setting, and a better trial with the same three seeds."""
    trials = [
        trial(0, {"model.activation": "sigmoid"}, [0.940, 0.941, 0.942], [0.930, 0.931, 0.932]),
        trial(1, {}, [0.95, 0.96, 0.97], [0.94, 0.95, 0.96]),
    ]
    return made(trials, settings={"first": [{"optim.eta": 0.1}], **settings})


@pytest.mark.usefixtures("no_pictures")
class TestText:
    """What the report says; pictures left out."""

    def test_the_best_trial_stands_first_with_its_interval(self, tmp_path: Path) -> None:
        # Standard deviation 0.01 over three: 4.302653 · 0.01 / sqrt(3) = 0.02484.
        first = text(pair(), tmp_path).splitlines()[2]
        assert first.startswith(
            "**Best: trial 1**, validation accuracy **96.00 ± 2.48 %** (mean and 95 % interval, n = 3), "
            "test accuracy 95.00 ± 2.48 %: `"
        )
        assert "model.activation=relu" in first

    def test_a_network_that_diverged_counts_as_0_in_the_mean_and_in_its_interval(self, tmp_path: Path) -> None:
        # 98, 99 and 0: mean 65.667, sd 56.871; 4.302653 · 56.871 / sqrt(3) = 141.28. Tests: 97, 98, 0, sd 56.294.
        trials = [trial(0, {}, [0.5, 0.5, 0.5]), trial(1, {}, [0.98, 0.99, None])]
        study = made(trials, settings={"first": [{}]})
        first = text(study, tmp_path).splitlines()[2]
        assert "validation accuracy **65.67 ± 141.28 %** (mean and 95 % interval, n = 3)" in first
        assert "test accuracy 65.00 ± 139.84 %" in first
        assert "| validation | 50.00 | 65.67 | +15.67 ± 141.28 | 3 |" in section(
            study, tmp_path, "Against the published setting"
        )

    def test_the_leaderboard_has_intervals_and_no_test_accuracy(self, tmp_path: Path) -> None:
        shown = section(pair(), tmp_path, "Leaderboard")
        assert "| 1 | 1 | 96.00 ± 2.48 | 3 | 0.1 | relu |" in shown
        assert "| 2 | 0 (published) | 94.10 ± 0.25 | 3 | 0.1 | sigmoid |" in shown
        assert "Within the best one's interval: trial 0." in shown
        assert not re.search(r"9[35]\.\d\d", shown)  # nothing of the test accuracies

    def test_the_paired_test_stands_beside_the_means_of_both(self, tmp_path: Path) -> None:
        # Differences 0.010, 0.019, 0.028: sd 0.009, half 4.302653 · 0.009 / sqrt(3) = 0.02236; t = 3.6566, p = 0.067.
        shown = section(pair(), tmp_path, "Against the published setting")
        assert "| validation | 94.10 | 96.00 | +1.90 ± 2.24 | 3 | 0.067 |" in shown
        assert "| test | 93.10 | 95.00 | +1.90 ± 2.24 | 3 | 0.067 |" in shown
        assert "**the two cannot be told apart**" in shown
        assert "With 3 seeds, only differences above about 2.24 points can be seen." in shown
        assert "python -m src.rerun study=activation trial=0 repeats=5 seed=100" in shown

    def test_a_clear_difference_is_called_one(self, tmp_path: Path) -> None:
        seeds = range(8)
        trials = [
            trial(0, {}, [0.90 + n / 1000 for n in seeds]),
            trial(1, {}, [0.95 + n / 900 for n in seeds]),
        ]
        shown = section(made(trials, settings={"first": [{}]}), tmp_path, "Against the published setting")
        assert "the best trial is **better** than the published setting" in shown
        assert "| 8 | < 0.001 |" in shown
        assert "can be seen" not in shown

    def test_the_best_of_many_is_said_to_be_too_good_and_by_how_much(self, tmp_path: Path) -> None:
        trials = [trial(place, {}, [0.899, 0.901]) for place in range(4)]
        shown = text(made(trials, settings={}), tmp_path)
        assert "> **The best of 4 looks better than it is**" in shown
        assert "would still stand out by about 0.10 points" in shown  # Φ⁻¹(3.625 / 4.25) · 0.001
        assert "python -m src.rerun study=activation trial=0 repeats=5 seed=100`" in shown

    def test_what_was_not_chosen_by_its_accuracy_is_not_said_to_look_too_good(self, tmp_path: Path) -> None:
        trials = [
            trial(0, {}, [0.94, 0.95], values=[2000.0]),
            trial(1, {}, [0.96, 0.98], values=[1000.0]),
        ]
        objectives = {"objectives": ["parameters"], "first": [{}]}
        shown = text(made(trials, maximised=[False], settings=objectives), tmp_path)
        assert "looks better than it is" not in shown
        assert "chosen by it" not in shown
        assert "The test row is the one to read" in shown

    def test_without_repeats_luck_is_said_to_be_unknown(self, tmp_path: Path) -> None:
        shown = text(made([trial(0, {}, [0.9]), trial(1, {}, [0.8])], settings={}), tmp_path)
        assert "(n = 1, so no interval)" in shown
        assert "nothing here tells a good setting from a lucky seed" in shown

    @pytest.mark.parametrize(
        ("published", "first", "said"),
        [
            (trial(0, {}, [0.9, 0.8]), [], "The sweep has no fixed first trial"),
            (trial(0, {}, [0.99, 0.98]), [{}], "Trial 0, the published setting, is itself the best"),
            (trial(0, {}, [0.9], [None], state=TrialState.PRUNED), [{}], "the published setting, is PRUNED"),
            (trial(0, {}, [0.9]), [{}], "The difference is +5.00 points. They have 1 seed in common"),
            (trial(0, {}, [], members=members([0.9, 0.8], [0.9, 0.8], seed=7), values=[0.85]), [{}], "0 seeds in com"),
        ],
    )
    def test_why_there_is_no_comparison_is_said(
        self, published: FrozenTrial, first: list[Any], said: str, tmp_path: Path
    ) -> None:
        study = made([published, trial(1, {}, [0.95, 0.95])], settings={"first": first})
        assert said in section(study, tmp_path, "Against the published setting")

    def test_what_pruning_saved_is_counted_by_networks(self, tmp_path: Path) -> None:
        trials = [trial(0, {}, [0.9, 0.9]), trial(1, {}, [0.9, 0.9], epochs=17)]
        trials.append(trial(2, {}, [0.5, 0.5], state=TrialState.PRUNED, epochs=5))
        shown = section(made(trials, settings={"pruner": "asha"}), tmp_path, "What pruning saved")
        assert "Pruning (pruner: asha) ended 1 trial early and saved **15 of 60 epochs (25 %)**" in shown
        assert "a further 3 epochs" in shown

    def test_the_cost_leaves_out_what_killed_trials_took_for_nobody_knows_their_end(self, tmp_path: Path) -> None:
        start = datetime(2026, 1, 1, 12)
        killed = trial(0, {}, [], state=TrialState.FAIL, killed=True, epochs=None, seconds=None, curve={1: 0.5})
        trials = [killed, trial(0, {}, [0.9], attempt=1)]
        for one, hours in zip(trials, (50, 1), strict=True):
            one.datetime_start, one.datetime_complete = start, start + timedelta(hours=hours)
        shown = section(made(trials, settings={}), tmp_path, "Cost")
        assert "| networks' epochs trained | 10 |" in shown
        assert "| by the clock, while at least one trial trained | 60.0 min |" in shown
        assert "| added up over trials (those of one stack, trained together, share their time) | 2.5 s |" in shown
        assert "| to | 2026-01-01 13:00 |" in shown
        assert "| left out: killed, without a note of how long they trained | 1 trial |" in shown
        assert "left out" not in section(made(trials[1:], settings={}), tmp_path, "Cost")

    def test_states_failures_and_retries_are_listed(self, tmp_path: Path) -> None:
        trials = [
            trial(0, {}, [], state=TrialState.FAIL, killed=True),
            trial(0, {}, [0.9], attempt=1),
            trial(1, {}, [], state=TrialState.FAIL, reason="Traceback …\nValueError: <too> much"),
            trial(2, {}, [], state=TrialState.FAIL, killed=True),
        ]
        shown = section(made(trials, settings={"n_trials": 9}), tmp_path, "States")
        for state, count in (("COMPLETE", 1), ("FAIL", 1), ("KILLED", 1)):
            assert f"| {state} | {count} | " in shown
        assert "Killed and started again: trial 0." in shown
        assert "Failed: trial 1, with `optim.eta=0.1 " in shown
        assert "ValueError: <too> much" in shown

    def test_trials_that_diverged_are_named_so_and_are_no_savings_of_the_pruner(self, tmp_path: Path) -> None:
        study = made([trial(0, {}, [0.9]), diverged(1), diverged(2)], settings={})
        assert "3 trials: 1 COMPLETE, 2 DIVERGED." in text(study, tmp_path)
        assert section(study, tmp_path, "What pruning saved").strip() == "No trial was pruned (pruner: none)."
        shown = section(study, tmp_path, "States")
        assert "| DIVERGED | 2 | given up, no network had a finite validation cost in any epoch" in shown
        assert "| PRUNED |" not in shown

    @pytest.mark.parametrize(("pruner", "there"), [("median", True), ("wilcoxon", False)])
    def test_where_trials_report_repeats_there_are_no_curves_by_epoch(
        self, pruner: str, there: bool, tmp_path: Path
    ) -> None:
        study = made([trial(0, {}, [0.9], curve={1: 0.9})], settings={"pruner": pruner})
        assert ("## Curves of the best" in text(study, tmp_path)) == there

    def test_trials_that_failed_alike_are_told_once(self, tmp_path: Path) -> None:
        trials = [trial(place, {}, [], state=TrialState.FAIL, reason="Error: the same") for place in range(3)]
        shown = section(made(trials, settings={}), tmp_path, "States")
        assert "Failed: trials 0, 1, 2, the first with `optim.eta" in shown
        assert shown.count("Error: the same") == 1

    def test_an_unfinished_study_says_so(self, tmp_path: Path) -> None:
        assert "**The study is not finished**" in text(made([trial(0)], settings={"n_trials": 2}), tmp_path)
        assert "not finished" not in text(made([trial(0)], settings={}), tmp_path)

    def test_several_objectives_have_a_front_and_no_best(self, tmp_path: Path) -> None:
        values = [(0.95, 1000.0), (0.97, 3000.0), (0.94, 1000.0)]
        trials = [trial(place, {}, [pair[0]], values=pair) for place, pair in enumerate(values)]
        objectives = {"objectives": ["validation_accuracy", "parameters"]}
        shown = text(made(trials, maximised=[True, False], settings=objectives), tmp_path)
        assert "**Pareto front: trials 1, 0**, of 3 complete ones." in shown
        assert "higher validation accuracy and lower parameters" in shown
        assert "| 1 | 1 | 97.00 | 1 | 3,000 |" in shown
        assert "Best: trial" not in shown

    def test_a_trial_left_out_for_a_constraint_is_named(self, tmp_path: Path) -> None:
        study = made([trial(0), trial(1, {}, [0.99])], settings={"constraints": ["parameters <= 1000"]})
        assert "Left out, as they break a constraint: trial 1." in section(study, tmp_path, "Leaderboard")

    def test_why_there_is_no_best_trial_is_said(self, tmp_path: Path) -> None:
        rules = {"constraints": ["parameters <= 10", "seconds <= 1"]}
        shown = text(made([trial(0), trial(1, seconds=0.5)], settings=rules), tmp_path)
        assert "**No trial keeps all constraints**, so there is no best one. 2 trials complete; " in shown
        assert "broken: `parameters <= 10` by 2 trials, `seconds <= 1` by 1 trial." in shown
        pruned = trial(0, state=TrialState.PRUNED)
        assert "**No trial is complete**" in text(made([pruned], settings={}), tmp_path)
        assert "**No trial is complete yet**" in text(made([pruned], settings={"n_trials": 2}), tmp_path)

    def test_many_parameters_stand_in_one_column(self, tmp_path: Path) -> None:
        space = {f"a.p{n}": CategoricalDistribution([1, 2]) for n in range(5)}
        study = made([trial(0, dict.fromkeys(space, 1), [0.9], space=dict(space))], settings={})
        assert "| `a.p0=1 a.p1=1 " in section(study, tmp_path, "Leaderboard")

    def test_the_command_of_the_sweep_is_repeated(self, tmp_path: Path) -> None:
        study = made([trial(0)], settings={}, command="python -m src.train +sweeps=activation")
        shown = section(study, tmp_path, "How to repeat it")
        assert "python -m src.train +sweeps=activation" in shown
        assert "python -m src.rerun study=activation trial=0" in shown

    def test_a_study_made_by_hand_is_not_offered_what_only_sweeps_can_do(self, tmp_path: Path) -> None:
        trials = [trial(place, {}, [], values=[float(place)], members=None, epochs=None) for place in range(3)]
        shown = text(made(trials, maximised=[False]), tmp_path)
        assert "**Best: trial 0**, value **0**" in shown
        assert "src.rerun" not in shown
        assert "published" not in shown


ODD: dict[str, list[FrozenTrial]] = {
    "nothing has started": [],
    "only a running trial": [trial(0, {}, [], state=TrialState.RUNNING, curve={1: 0.5})],
    "only failures": [trial(place, {}, [], state=TrialState.FAIL) for place in range(3)],
    "only pruned ones": [trial(place, {}, [0.5], state=TrialState.PRUNED, curve={1: 0.5}) for place in range(3)],
    "only diverged ones": [diverged(place) for place in range(3)],
    "one complete": [trial(0, {}, [0.9])],
    "no parameters": [trial(place, {}, [0.9 + place / 100], space={}) for place in range(3)],
    "nothing noted": [
        trial(place, {}, [], values=[0.1 * place], members=None, epochs=None, max_epochs=None, seconds=None)
        for place in range(12)
    ],
    "an infinite value": [trial(0, {}, [0.9]), trial(1, {}, [], values=[math.inf])],
    "equal trials": [trial(place, {}, [0.9, 0.9]) for place in range(12)],
}


@pytest.mark.parametrize("trials", ODD.values(), ids=list(ODD))
@pytest.mark.parametrize("settings", [None, {"first": [{}], "pruner": "asha"}], ids=["by hand", "of a sweep"])
def test_any_study_has_a_report(trials: list[FrozenTrial], settings: dict[str, Any] | None, tmp_path: Path) -> None:
    paths = write_report(made(trials, settings=settings), tmp_path)
    assert [path.name for path in paths[:2]] == ["report.html", "report.md"]
    Checked(paths[0].read_text())
    assert "nan" not in re.findall(r"\w+", paths[1].read_text())


def test_the_whole_report_is_one_page_with_all_pictures(tmp_path: Path) -> None:
    def accuracy(params: dict[str, Any], chance: Any) -> float:
        return float(0.9 + 0.05 * params["model.dropout"] + 0.001 * chance.normal())

    study = made(sampled(24, accuracy, pruned=6), settings={"first": [{}], "pruner": "asha"})
    html, markdown, *pictures = write_report(study, tmp_path)
    names = ["importance", "history", "parallel", "slices", "curves"]
    assert [path.stem for path in pictures] == names
    page = Checked(html.read_text())
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert len(page.sources) == len(names)
    assert all(link[1:] in page.anchors for link in page.links)
    assert all(f"](figures/{name}.png)" in markdown.read_text() for name in names)
    assert html.stat().st_size < 5_000_000


def test_where_the_forest_knows_nothing_no_picture_says_otherwise(tmp_path: Path) -> None:
    luck = made(sampled(40, lambda _, chance: 0.9 + 0.01 * float(chance.normal())), settings={})
    shown = section(luck, tmp_path, "What mattered")
    assert "hardly more than noise" in shown
    assert "importance.png" not in shown
    plain = made(sampled(40, lambda params, _: params["model.dropout"]), settings={})
    assert "importance.png" in section(plain, tmp_path, "What mattered")
