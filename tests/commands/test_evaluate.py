"""What src.evaluate finds, held to scikit-learn, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, mean_absolute_error, precision_recall_fscore_support, r2_score

from src.commands import evaluate
from src.config.task import TaskConfig
from src.runs import canvas
from src.runs.evaluation import BINS, Evaluation, wilson
from src.tasks.task import task_of
from tests import example
from tests.trained_runs import run_in, table, table_run


def predicted(examples: int = 400, classes: int = 4) -> Evaluation:
    """Probabilities that are right more often than not; the last class is never answered."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, classes, (examples,), generator=generator)
    logits = torch.randn(examples, classes, generator=generator) + 1.5 * torch.eye(classes)[targets]
    logits[:, -1] = -9
    return Evaluation(logits.softmax(1), targets, "classes", task_of(TaskConfig()), [*map(str, range(classes))])


def test_the_figures_of_classes_are_scikit_learns() -> None:
    one = predicted()
    answers = one.predictions.argmax(1)
    assert one.confusion.tolist() == confusion_matrix(one.targets, answers).tolist()
    theirs = precision_recall_fscore_support(one.targets, answers, zero_division=0)
    np.testing.assert_allclose(one.by_class.numpy(), np.stack(theirs, axis=1), rtol=1e-12)
    right = int((answers == one.targets).sum())
    interval = binomtest(right, 400).proportion_ci(method="wilson")
    assert one.interval == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert wilson(0, 10)[0] == pytest.approx(0, abs=1e-12)
    assert wilson(10, 10)[1] == pytest.approx(1, rel=1e-12)


def test_the_calibration_error_is_the_mean_gap_between_probability_and_share_of_right_answers() -> None:
    one, gaps = predicted(), 0.0
    top, answers = one.predictions.double().max(1)
    for low in range(BINS):
        inside = (top > low / BINS) & (top <= (low + 1) / BINS)
        if inside.any():
            right = (answers == one.targets)[inside].double().mean()
            gaps += float(inside.sum() * (right - top[inside].mean()).abs()) / 400
    assert one.calibration_error == pytest.approx(gaps, rel=1e-9)


def test_the_figures_of_labels_and_numbers_are_scikit_learns() -> None:
    generator = torch.Generator().manual_seed(1)
    true, noise = torch.randn(200, 2, generator=generator), torch.randn(200, 2, generator=generator)
    labels = Evaluation(
        (true + noise).sigmoid(), (true > 0).float(), "labels", task_of(TaskConfig(name="multilabel")), ["a", "b"]
    )
    theirs = precision_recall_fscore_support(labels.targets, labels.predictions > 0.5)
    np.testing.assert_allclose(labels.by_class.numpy(), np.stack(theirs, axis=1), rtol=1e-12)
    numbers = Evaluation(true + 0.1 * noise, true, "numbers", task_of(TaskConfig(name="regress")), ["a", "b"])
    mae, determined = numbers.errors_by_target().t().numpy()
    np.testing.assert_allclose(mae, mean_absolute_error(true, true + 0.1 * noise, multioutput="raw_values"), rtol=1e-5)
    np.testing.assert_allclose(determined, r2_score(true, true + 0.1 * noise, multioutput="raw_values"), rtol=1e-5)
    assert numbers.interval[0] < numbers.score < numbers.interval[1]


def test_the_command_writes_figures_and_numbers_beside_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("src.runs.evaluation_data.load", lambda config, kind: example.dataset())
    monkeypatch.setattr(canvas, "DPI", 60)
    run = run_in(tmp_path / "run")
    assert evaluate.main([f"run={run}"]) == 0
    said = capsys.readouterr().out
    found = json.loads((run / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))
    assert found["examples"] == 30
    assert f"{100 * found['accuracy']:.2f} %, 95 % interval" in said
    assert sum(map(sum, found["confusion"])) == 30
    left = sorted(one.name for one in (run / "evaluation").iterdir())
    assert left == ["classes.csv", "confusion.png", "evaluation.json", "reliability.png"]
    other = run_in(tmp_path / "other", dataset="mnist")
    assert evaluate.main([f"run={other}"]) == 2
    assert "trained on mnist; here is example; accepted: the same data" in capsys.readouterr().err
    assert evaluate.main([f"run={run}", "what"]) == 2
    assert "what: accepted: keys of data" in capsys.readouterr().err
    small = run_in(tmp_path / "small", data={"height": 8, "width": 8})
    assert evaluate.main([f"run={small}"]) == 2
    assert "its examples are 1 × 12 × 12; accepted: 1 × 8 × 8." in capsys.readouterr().err


def test_networks_answer_by_as_many_views_as_the_command_or_their_training_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("src.runs.evaluation_data.load", lambda config, kind: example.dataset())
    monkeypatch.setattr(canvas, "DPI", 60)
    nine, one = "augment.test_shift=1", "augment.test_shift=0"
    trained = {"plain": run_in(tmp_path / "plain"), "nine": run_in(tmp_path / "nine", augment={"test_shift": 1})}

    def found(run: str, *views: str) -> Any:
        assert evaluate.main([f"run={trained[run]}", *views]) == 0
        folder = {(): "", (nine,): "views-9", (one,): "views-1"}[views]
        left = json.loads((trained[run] / "evaluation" / folder / "evaluation.json").read_text(encoding="utf-8"))
        assert left["views"] == {"nine": 9, "plain": 1}[run] if not views else left["views"] == int(folder[-1])
        return left["reliability"]

    assert found("plain", nine) == found("nine") == found("nine", nine) != found("plain")
    assert found("nine", one) == found("plain")
    assert "9 views of an image" in capsys.readouterr().out
    secret = {"kind": "mlflow", "uri": "http://user:***@somewhere"}  # a run keeps its store without the password
    trained["plain"] = run_in(tmp_path / "tracked", tracking=secret)
    assert found("plain", nine) == found("nine")
    assert evaluate.main([f"run={trained['plain']}", "augment.test_shift=9"]) == 2
    assert "augment.test_shift = 9: must be less than or equal to 5" in capsys.readouterr().err


def test_own_data_are_tested_by_the_runs_test_rows_and_other_data_by_all_rows_and_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(canvas, "DPI", 60)
    monkeypatch.chdir(tmp_path)
    run = table_run(tmp_path / "run", folds=2)
    assert evaluate.main([f"run={run}"]) == 0
    said = capsys.readouterr().out
    assert "2 networks" in said
    assert "run, 24 rows, its test split" in said
    assert all(f" {name}  " in said for name in ("high", "low", "middle"))
    frame = table(50, seed=1)
    few = frame[frame["level"] != "high"]  # whose classes would be 0 and 1, were they not known by their names
    few.to_csv("few.csv", index=False)
    assert evaluate.main([f"run={run}", "data.path=few.csv"]) == 0
    found = json.loads((run / "evaluation" / "few" / "evaluation.json").read_text(encoding="utf-8"))
    counts = [int(one["support"]) for one in found["by_class"]]
    assert counts == [0, *(int((few["level"] == name).sum()) for name in ("low", "middle"))]
    frame.assign(level=["odd", *frame["level"][1:]]).to_csv("odd.csv", index=False)
    assert evaluate.main([f"run={run}", "data=table", "data.path=odd.csv"]) == 2
    assert "odd: has the class odd, which the networks do not know; accepted: high, low, middle" in (
        capsys.readouterr().err
    )


def test_numbers_of_a_table_are_drawn_under_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas, "DPI", 60)
    drawn = list[str]()
    monkeypatch.setattr("matplotlib.axes.Axes.set_xlabel", lambda ax, text: drawn.append(f"{text} {len(ax.lines)}"))
    data = {"target": ["price", "area"], "drop": ["level"]}
    run = table_run(tmp_path / "run", task={"name": "regress"}, data=data)
    assert evaluate.main([f"run={run}"]) == 0
    assert drawn == ["true price 2", "true area 2"]  # the points and the line on which both are equal
