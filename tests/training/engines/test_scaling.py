"""What a network sees: bytes / 255 or floats, normalised or not, in training and after it."""

from dataclasses import replace

import pytest
import torch

from src.config.schema import RunConfig
from src.data.dataset import Split
from src.data.scaling import Scaling
from src.models.network import Network
from src.training.engines import cpu
from src.training.engines.torch_engine import TorchEngine
from src.training.fit import prepare, run
from src.training.spec import spec_of
from src.training.stack import first_state, hyper_of_stack, members_of
from tests import example
from tests.training import twin

SCALING = Scaling([0.4, 0.5, 0.1], [0.2, 0.3, 1.7])
STEPS, BATCHES = 30, 12
CONFIG = example.config(data={"channels": 3}, repeats=2)
DENSE = example.config(data={"channels": 3}, model={"maps": []}, repeats=2)

both = pytest.mark.parametrize("engine", ["torch", "cpu"])


def split(images: int, seed: int) -> Split:
    """The example's images in three channels that differ."""
    grey = example.split(images, seed)
    return Split(torch.cat([grey.inputs, grey.inputs // 2, 255 - grey.inputs], dim=1), grey.targets)


def plainly(images: torch.Tensor, scaled: bool) -> torch.Tensor:
    x = images.float() / 255
    mean, sd = torch.tensor([SCALING.mean, SCALING.sd])[..., None, None]
    return (x - mean) / sd if scaled else x


def trained(engine: str, images: torch.Tensor, scaling: Scaling | None, config: RunConfig = CONFIG):
    stack, spec = members_of([config]), spec_of(config, BATCHES, scaling)
    hyper, state = hyper_of_stack(stack), first_state(stack, spec.model)
    order = torch.randint(0, 60, (2, STEPS, 5), generator=torch.Generator().manual_seed(7))
    built = (
        cpu.CpuEngine(spec, hyper, state, 1)
        if engine == "cpu"
        else TorchEngine(spec, hyper, state, torch.device("cpu"))
    )
    sums = built.train(images, split(60, 1).targets, order, torch.tensor(0), torch.full((2,), 0.1))
    return built, sums, state, order


@both
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("config", [CONFIG, DENSE], ids=["convolution", "dense"])
def test_bytes_are_seen_as_the_floats_that_they_stand_for(engine, scaled, config):
    images, test = split(60, 1).inputs, split(20, 2)
    one, sums, *_ = trained(engine, images, SCALING if scaled else None, config)
    other, expected, *_ = trained(engine, plainly(images, scaled), None, config)
    for name, value in other.state().items():
        torch.testing.assert_close(one.state()[name], value, rtol=0, atol=0)
    assert sums.cost.equal(expected.cost)
    assert one.evaluate(*vars(test).values()).cost.equal(
        other.evaluate(plainly(test.inputs, scaled), test.targets).cost
    )
    assert one.predictions(test.inputs).equal(other.predictions(plainly(test.inputs, scaled)))


@both
def test_floats_are_trained_on_as_in_a_plain_loop(engine):
    images, labels = plainly(split(60, 1).inputs, True), split(60, 1).targets
    built, sums, state, order = trained(engine, images, None)
    for number in range(2):
        own = {name: value[number] for name, value in state.items()}
        weights, total = twin.train(
            CONFIG.shapes(), own, images, labels, order[number], 0.1, CONFIG.optim, BATCHES, [0.0, 0.0], "chapter", 0
        )
        for name, value in weights.items():
            torch.testing.assert_close(built.state()[name][number], value, rtol=1e-3, atol=1e-5)
        assert float(sums.cost[number]) == pytest.approx(total, rel=1e-4)


def test_a_result_says_what_its_network_saw():
    data = replace(example.dataset(), train=split(60, 1), validation=split(20, 2), test=split(30, 3), scaling=SCALING)
    (result, _) = run(prepare([CONFIG], data, lambda _: None), [])
    network = Network(CONFIG.shapes())
    network.load_state_dict(result.weights)
    with torch.no_grad():
        answers = network(plainly(data.test.inputs, True)).softmax(1)
    torch.testing.assert_close(result.probabilities, answers, rtol=1e-4, atol=1e-6)
    assert result.as_json()["scaling"] == {"mean": list(SCALING.mean), "sd": list(SCALING.sd)}
