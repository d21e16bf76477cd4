"""What every task keeps: a member trains in a stack as it does alone, and a NaN stays in its member."""

import math

import pytest
import torch

from src.tasks.targets import targets_of
from src.training.engines import cpu
from src.training.engines.torch_engine import TorchEngine
from src.training.spec import spec_of
from src.training.stack import first_state, hyper_of_stack, members_of
from tests import example

TASKS = {
    "regress": {"name": "regress"},
    "huber": {"name": "regress", "loss": "huber", "delta": 0.5},
    "poisson": {"name": "regress", "loss": "poisson"},
}


def trained(task, rows, etas=(0.05, 0.1, 0.15)):
    """State, sums of a chunk and means over the validation set of the members `rows` of a stack of three."""
    configs = [example.table_config(task=TASKS[task], optim={"eta": etas[row]}, seed=row) for row in rows]
    dataset = example.table(kind="labels" if task == "poisson" else configs[0].task.kind)
    spec = spec_of(configs[0], 12, targets=targets_of(configs[0].task, dataset.train.targets))
    stack = members_of(configs)
    engine = TorchEngine(spec, hyper_of_stack(stack), first_state(stack, spec.model), torch.device("cpu"))
    order = torch.arange(120).view(1, -1, 5) % 60
    eta = engine.hyper["eta"].float()
    sums = engine.train(dataset.train.inputs, dataset.train.targets, order, torch.tensor(0), eta)
    return engine.state(), sums, engine.evaluate(dataset.validation.inputs, dataset.validation.targets)


@pytest.mark.parametrize("task", TASKS)
def test_a_member_alone_is_the_member_in_a_stack(task):
    state, sums, means = trained(task, (0, 1, 2))
    for row in range(3):
        alone, own, mine = trained(task, (row,))
        for name, value in alone.items():
            torch.testing.assert_close(state[name][row], value[0], rtol=1e-5, atol=1e-6)
        for stacked, single in ((sums.cost, own.cost), (means.cost, mine.cost), (means.score, mine.score)):
            torch.testing.assert_close(stacked[row], single[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_a_nan_stays_in_its_member(task):
    state, _, means = trained(task, (0, 1, 2))
    broken, _, others = trained(task, (0, 1, 2), etas=(0.05, 1e30, 0.15))
    assert math.isnan(others.score[1]) or math.isinf(others.cost[1])
    for row in (0, 2):
        assert all(torch.equal(broken[name][row], value[row]) for name, value in state.items())
        assert others.score[row] == means.score[row]


@pytest.mark.parametrize("task", TASKS)
def test_the_cpu_engine_refuses_what_its_kernels_do_not_compute(task):
    assert cpu.engine_for(spec_of(example.table_config(task=TASKS[task]), 12)).refuses(
        spec_of(example.table_config(task=TASKS[task]), 12)
    )
