"""Running means of the weights: those of torch, judged and kept in the weights' place, each member's its own."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn

from src.config.average import AverageConfig
from src.models.model import model_of
from src.training.averages import Averages
from src.training.fit import prepare, run
from tests import example


def trained(**sections):
    """The results of a small run, whose weights are those of its last epoch."""
    config = example.config(stop={"keep": "last"}, **sections)
    return run(prepare([config], example.dataset(), lambda line: None), [])


@pytest.mark.parametrize(
    ("config", "theirs"),
    [
        (AverageConfig(rule="swa"), get_swa_multi_avg_fn()),
        (AverageConfig(rule="ema", decay=0.7), get_ema_multi_avg_fn(0.7)),
    ],
)
def test_means_are_those_of_torch(config, theirs):
    model = model_of(example.config(model={"norm": "batch"}))
    networks = [model.build() for _ in range(2)]
    wanted = [AveragedModel(network, multi_avg_fn=theirs, use_buffers=True) for network in networks]
    averages = Averages(model)
    averages.join([({}, 0)] * 2, dict)
    for step in range(4):
        for network in networks:
            for value in [*network.parameters(), *network.buffers()]:
                with torch.no_grad():
                    value.copy_(torch.randn(value.shape) if value.is_floating_point() else torch.tensor(step))
        state = {name: torch.stack([one.state_dict()[name] for one in networks]) for name in networks[0].state_dict()}
        for k, network in enumerate(networks):
            averages.enter(k, config, state)
            wanted[k].update_parameters(network)
    for k, one in enumerate(wanted):
        for name, value in one.module.state_dict().items():
            torch.testing.assert_close(averages.values[name][k], value)


@pytest.mark.parametrize("engine", ["torch", "cpu"])
def test_the_mean_of_the_last_epochs_is_judged_and_kept(engine):
    trainer, data = {"engine": engine}, example.dataset()
    epochs = [trained(max_epochs=epoch, trainer=trainer)[0].weights for epoch in (1, 2, 3, 4)]
    (result,) = trained(max_epochs=4, trainer=trainer, average={"rule": "swa", "start": 0.5})
    network = model_of(example.config()).build()
    for name, value in result.weights.items():
        torch.testing.assert_close(value, (epochs[2][name] + epochs[3][name]) / 2)
    network.load_state_dict(result.weights)
    with torch.no_grad():
        answers = network(data.validation.inputs.float() / 255)
    cost = nn.functional.cross_entropy(answers, data.validation.targets)
    assert result.history[-1]["validation/cost"] == pytest.approx(float(cost), rel=1e-5)


def test_members_of_a_stack_have_means_of_their_own_or_none():
    means = [{"rule": "none"}, {"rule": "ema", "decay": 0.5}, {"rule": "swa"}]
    means = [{"every_batches": number, **own} for number, own in enumerate(means, start=3)]
    configs = [example.config(stop={"keep": "last"}, average=own, max_epochs=3) for own in means]
    together = run(prepare(configs, example.dataset(), lambda line: None), [])
    for result, own in zip(together, means, strict=True):
        (alone,) = trained(average=own, max_epochs=3)
        for name, value in alone.weights.items():
            torch.testing.assert_close(result.weights[name], value)
    assert not torch.equal(together[0].weights["layers.0.weight"], together[1].weights["layers.0.weight"])


def test_a_member_with_a_mean_joins_those_that_have_none_so_far():
    """As a trial that goes on does in a stack whose members have not reached `average.start`."""
    averages, name = Averages(model_of(example.config())), "layers.2.bias"
    averages.join([({}, 0)] * 2, dict)
    state = {name: torch.arange(12.0).view(3, 4)}
    averages.join([({name: torch.full((4,), 7.0)}, 5)], lambda: state)
    assert averages.counts == [0, 0, 5]
    wanted = torch.stack([state[name][0], state[name][1], torch.full((4,), 7.0)])
    assert torch.equal(averages.over(state)[name], wanted)
    assert averages.of(1) == ({}, 0)
