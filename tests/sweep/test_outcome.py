"""What becomes of a trial in figures: its means by hand."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from src.sweep.job import Job
from src.sweep.outcome import DIVERGED, outcome
from src.training.result import Result
from tests.example import config

JOB = Job(config(), Path(), [])


def member(accuracy: float | None, test: float | None = None) -> Result:
    """A network; one without a validation accuracy diverged."""
    status = "FAILED" if accuracy is None else "FINISHED"
    return Result({}, 0, status, [{"epoch": 1}], None if accuracy is None else 1, accuracy, test, 0.5, "digits", "cpu")


def test_a_network_that_diverged_counts_as_0_in_both_means() -> None:
    found = outcome(JOB, [member(0.9, 0.8), member(None), member(0.6, 0.4)], pruned=False)
    assert (found.status, found.reason) == ("FINISHED", "")
    assert found.validation_score == pytest.approx(0.5)
    assert found.test_score == pytest.approx(0.4)


def test_where_a_network_was_not_tested_there_is_no_mean_of_the_test_accuracy() -> None:
    assert outcome(JOB, [member(0.9, 0.8), member(0.9)], pruned=True).test_score is None


def test_where_all_networks_diverged_there_is_no_mean() -> None:
    found = outcome(JOB, [member(None), member(None)], pruned=False)
    assert (found.status, found.reason) == ("FAILED", DIVERGED)
    assert (found.validation_score, found.test_score) == (None, None)


def test_seconds_are_added_up_where_the_networks_trained_one_after_another() -> None:
    results = [member(0.9), member(0.8), member(0.7)]  # 0.5 s each
    assert outcome(JOB, results, pruned=False).seconds == 0.5
    assert outcome(JOB, results, pruned=False, one_by_one=True).seconds == 1.5


def test_a_trial_notes_how_many_networks_it_was_to_train() -> None:
    job = Job(config(repeats=3, ensemble=2), Path(), [])
    assert outcome(job, [member(0.9)], pruned=True).attributes()["max_networks"] == 6


def test_metrics_of_a_trial_are_means_in_which_a_diverged_network_counts_as_the_worst() -> None:
    job = Job(config(task={"metrics": ["f1", "cross_entropy"]}), Path(), [])
    good = {"validation_f1": 0.8, "test_f1": 0.6, "validation_cross_entropy": 1.0, "test_cross_entropy": 2.0}
    known = outcome(job, [replace(member(0.9, 0.8), metrics=good)], pruned=False).attributes()
    assert {name: known[name] for name in good} == good
    found = outcome(job, [replace(member(0.9, 0.8), metrics=good), member(None)], pruned=False).metrics
    assert (found["validation_f1"], found["test_f1"]) == (pytest.approx(0.4), pytest.approx(0.3))
    assert found["test_cross_entropy"] == math.inf
