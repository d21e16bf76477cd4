"""Which networks of a study vote (tests/sweep/test_sweep.py lets them vote)."""

import pytest
from optuna.trial import TrialState

from src.config.error import ConfigError
from src.sweep.from_study import chosen
from tests import example
from tests.report.study_example import save, trial


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ([], "no trial"),
        ([TrialState.PRUNED, TrialState.PRUNED, TrialState.FAIL], "2 pruned, 1 failed"),
    ],
)
def test_a_study_without_a_complete_trial_has_nobody_to_vote(states, words, tmp_path):
    url = save(
        tmp_path / "s.db", [trial(place, {}, [], state=state) for place, state in enumerate(states)], settings={}
    )
    with pytest.raises(ConfigError) as caught:
        chosen(example.config(from_study="activation", from_storage=url))
    message = f"from_study = activation: has no complete trial, so there is nobody to vote ({words})"
    assert str(caught.value) == message
