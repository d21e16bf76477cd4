"""Which networks of a study vote (tests/sweep/test_sweep.py lets them vote)."""

from dataclasses import replace

import pytest
import torch
from optuna.trial import TrialState

from src.config.error import ConfigError
from src.data.scaling import Scaling
from src.models.network import Network
from src.runs.trained import Trained
from src.sweep.from_study import _tested, chosen
from src.training.result import Result
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


def test_a_network_votes_on_what_it_saw_in_training():
    config, data = example.config(), example.dataset()
    network = Network(config.shapes())
    weights = network.state_dict()
    left = Result({}, 0, "FINISHED", [], 1, 0.5, None, 1.0, "example", "cpu", weights=weights)
    scaled = replace(left, scaling={"mean": [0.3], "sd": [0.2]})
    plain, own = (_tested(Trained(one, config, "trial 0"), 0, data).result for one in (left, scaled))
    x = data.test.inputs / 255
    with torch.no_grad():
        torch.testing.assert_close(plain.probabilities, network(x, torch.zeros(2)).softmax(-1))
        torch.testing.assert_close(own.probabilities, network((x - 0.3) / 0.2, torch.zeros(2)).softmax(-1))
    assert Scaling(**scaled.scaling).as_json() == scaled.scaling
