"""A study survives `kill -9` at any moment: at every statement of the database, and between any two of them."""

import os
import random
import signal
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import event

from src.sweep.space.settings import StudySettings
from tests.sweep.children import check_finished, in_file, opened, start, stored, work


def _work_until(settings: StudySettings, statement: int) -> None:
    """Works, and is killed before its n-th statement, a commit among them: so also right after the one before."""
    seen = 0

    def count(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(sqlalchemy.Engine, "before_cursor_execute", count)
    event.listen(sqlalchemy.Engine, "commit", count)
    work(settings, count=3)


def test_a_study_that_is_killed_at_every_statement_in_turn_still_reaches_its_total(tmp_path):
    settings = in_file(tmp_path, n_trials=12)
    statement, ended = 0, -signal.SIGKILL
    while ended == -signal.SIGKILL:
        statement += 1
        process = start(_work_until, settings, statement)
        process.join()
        ended = process.exitcode
    assert ended == 0
    check_finished(settings)
    assert any(trial.user_attrs["attempt"] for trial in stored(settings))


@pytest.mark.parametrize("pruner", ["none", "asha"])
def test_a_study_that_is_killed_at_twenty_random_moments_still_reaches_its_total(tmp_path, pruner):
    settings = in_file(tmp_path, n_trials=40, pruner=pruner)
    opened(settings).close()
    moments = random.Random(pruner)
    killed = 0
    while killed < 20 or not any(trial.user_attrs["attempt"] for trial in stored(settings)):
        process = start(work, settings)
        process.join(timeout=moments.uniform(0.0, 0.6 * max(1, killed / 20)))  # a loaded machine begins late
        process.kill()
        process.join()
        if process.exitcode == 0:  # it was done before; go on with more trials
            settings = settings.model_copy(update={"n_trials": settings.n_trials + 40})
        killed += process.exitcode != 0
    work(settings)
    check_finished(settings)
    assert any(trial.user_attrs["attempt"] for trial in stored(settings))
