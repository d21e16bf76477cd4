"""Each engine against the slow twin in tests/training/twin.py, and a member's independence of its neighbours."""

import pytest
import torch

from src.training.engines import cpu
from src.training.engines.torch_engine import TorchEngine
from src.training.spec import spec_of
from src.training.stack import first_state, hyper_of_stack, members_of
from tests import example
from tests.training import twin

STEPS = 200
BATCHES = 12  # of an epoch: the divisor of lambda_ and l1


def build(engine, configs, convention="chapter"):
    stack, spec = members_of(configs), spec_of(configs[0], BATCHES)
    hyper, state = hyper_of_stack(stack), first_state(stack, spec.model)
    if engine == "cpu":
        return cpu.CpuEngine(spec, hyper, state, 2)
    return TorchEngine(spec, hyper, state, torch.device("cpu"))


def orders(members, steps=STEPS):
    generator = torch.Generator().manual_seed(7)
    return torch.randint(0, 60, (members, steps, 5), generator=generator)


def trained(engine, configs, order, convention="chapter", eta=None):
    built = build(engine, configs, convention)
    split = example.dataset().train
    rates = torch.tensor([config.optim.eta for config in configs for _ in range(config.members)])
    cost, correct = built.train(split.inputs, split.targets, order, torch.tensor(0), rates if eta is None else eta)
    return built, cost, correct


TWINS: dict[str, list[tuple[dict[str, torch.Tensor], float]]] = {}


def twins(config, convention):
    """Each member's weights after these steps of the twin, and its summed cost; once for both engines."""
    key = config.model_dump_json() + convention
    if key not in TWINS:
        split, stack, order = example.dataset().train, members_of([config]), orders(config.members)
        initial = first_state(stack, spec_of(config, BATCHES).model)
        TWINS[key] = [
            twin.train(
                config.shapes(), {name: value[number] for name, value in initial.items()}, split.inputs, split.targets,
                order[number], config.optim.eta, config.optim, BATCHES, config.model.dropouts(), convention,
                member.seed,
            )
            for number, member in enumerate(stack)
        ]  # fmt: skip
    return TWINS[key]


def check_against_twin(engine, config, convention="chapter"):
    built, cost, _ = trained(engine, [config], orders(config.members), convention)
    for number, (expected, total) in enumerate(twins(config, convention)):
        for name, value in expected.items():
            # 200 steps of float32 in another order of summation; a wrong term would show at 1e-2.
            torch.testing.assert_close(built.state(slots=False)[name][number], value, rtol=2e-3, atol=2e-4)
        assert float(cost[number]) == pytest.approx(total, rel=1e-3)


both = pytest.mark.parametrize("engine", ["torch", "cpu"])


@both
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu"])
def test_200_steps_equal_a_plain_loop_for_every_activation(engine, activation):
    check_against_twin(engine, example.config(model={"activation": activation}, repeats=2))


@both
@pytest.mark.parametrize(
    "optim",
    [{"lambda_": 0.5}, {"l1": 0.2}, {"momentum": 0.8, "eta": 0.03}, {"lambda_": 0.3, "l1": 0.1, "momentum": 0.5}],
)
def test_200_steps_equal_a_plain_loop_with_regularisation_and_momentum(engine, optim):
    check_against_twin(engine, example.config(optim=optim, model={"activation": "tanh"}, repeats=2))


@both
@pytest.mark.parametrize("convention", ["chapter", "inverted"])
def test_200_steps_equal_a_plain_loop_with_dropout(engine, convention):
    model = {"hidden": [8, 7], "dropout": 0.4, "dropout_convention": convention, "activation": "relu"}
    check_against_twin(engine, example.config(model=model, optim={"eta": 0.05}, repeats=2), convention)


@both
@pytest.mark.parametrize(
    "layers",
    [
        [{"conv": 3, "field": 3, "pool": "l2"}, {"fc": 5}],
        [{"conv": 3, "field": 4, "stride": 2, "pool": "none"}, {"fc": 5, "dropout": 0.3}, {"fc": 4}],
        [{"conv": 2, "field": 3}, {"conv": 4, "field": 2, "pool_size": 2, "pool_stride": 1}],
        [{"conv": 3, "field": 3, "pool_size": 1, "pool_stride": 2}, {"fc": 4}],
        [{"conv": 2, "field": 3, "pool_size": 3, "pool_stride": 2}, {"conv": 3, "field": 2, "pool": "none"}],
        [],
    ],
)
def test_200_steps_equal_a_plain_loop_for_any_layers(engine, layers):
    check_against_twin(engine, example.config(model={"layers": layers}, repeats=2))


def seven(**model):
    """Seven members that differ in everything that may differ."""
    return [
        example.config(
            seed=seed,
            model={"hidden": [8], "dropout": 0.1 * (seed % 3), **model},
            optim={
                "eta": 0.02 + 0.03 * seed,
                "lambda_": [0.0, 1e-3, 0.2, 0.3, 1e-5, 0.5, 0.6][seed],  # saved up, or taken off in each step
                "l1": [0.0, 0.01, 0.0, 1e-4][seed % 4],
                "momentum": 0.1 * (seed % 4),
            },
        )
        for seed in range(7)
    ]


@both
def test_a_member_alone_equals_the_same_member_in_a_stack_of_seven(engine):
    configs, order = seven(), orders(7)
    stacked, cost, correct = trained(engine, configs, order)
    for place in (0, 3, 6):
        alone, own_cost, own_correct = trained(engine, configs[place : place + 1], order[place : place + 1])
        for name, value in alone.state(slots=False).items():
            exact = {"rtol": 0, "atol": 0} if engine == "cpu" else {"rtol": 2e-3, "atol": 2e-4}
            torch.testing.assert_close(stacked.state(slots=False)[name][place], value[0], **exact)
        assert float(cost[place]) == pytest.approx(float(own_cost), rel=1e-4)
        assert abs(int(correct[place]) - int(own_correct)) <= 1


@both
def test_where_chunks_are_cut_changes_nothing(engine):
    configs, order = seven(), orders(7)
    whole, _, _ = trained(engine, configs, order)
    cut = build(engine, configs)
    split, eta = example.dataset().train, torch.tensor([config.optim.eta for config in configs])
    for start in range(0, STEPS, 37):
        cut.train(split.inputs, split.targets, order[:, start : start + 37], torch.tensor(start), eta)
    for name, value in cut.state(slots=False).items():
        torch.testing.assert_close(value, whole.state(slots=False)[name], rtol=0, atol=0)


@both
@pytest.mark.parametrize("bad", [float("nan"), 1e30])
def test_a_nan_stays_in_its_member(engine, bad):
    configs, order = seven(), orders(7, steps=60)
    eta = torch.tensor([config.optim.eta for config in configs])
    clean, _, _ = trained(engine, configs, order, eta=eta)
    eta = eta.clone()
    eta[2] = bad
    dirty, _, _ = trained(engine, configs, order, eta=eta)
    split = example.dataset().validation
    costs, accuracies, *_ = dirty.evaluate(split.inputs, split.targets)
    assert not costs[2].isfinite()
    assert accuracies[2] == 0  # a NaN is a wrong answer
    for place in (0, 1, 3, 4, 5, 6):
        assert costs[place].isfinite()
        for name, value in dirty.state(slots=False).items():
            torch.testing.assert_close(value[place], clean.state(slots=False)[name][place], rtol=0, atol=0)


@both
@pytest.mark.parametrize("convention", ["chapter", "inverted"])
def test_evaluation_equals_a_plain_forward_pass(engine, convention):
    configs = seven(dropout_convention=convention)
    built, _, _ = trained(engine, configs, orders(7, steps=20), convention)
    split = example.dataset().test
    costs, accuracies, *_ = built.evaluate(split.inputs, split.targets)
    probabilities = built.predictions(split.inputs)
    for place, config in enumerate(configs):
        own = {name: value[place] for name, value in built.state(slots=False).items()}
        logits = twin.forward(config.shapes(), own, split.inputs.float() / 255, config.model.dropouts(), convention)
        log_probabilities = logits.log_softmax(1)
        expected = -log_probabilities[torch.arange(30), split.targets].mean()
        torch.testing.assert_close(costs[place], expected.double(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(probabilities[place], log_probabilities.exp(), rtol=1e-3, atol=1e-5)
        assert float(accuracies[place]) == pytest.approx(float((logits.argmax(1) == split.targets).double().mean()))


@both
def test_members_that_stay_go_on_as_if_nobody_had_left(engine):
    configs, order = seven(), orders(7)
    whole, _, _ = trained(engine, configs, order)
    shrunk, _, _ = trained(engine, configs, order[:, :100])
    rows = torch.tensor([5, 1, 3])
    shrunk.select(rows)
    split, eta = example.dataset().train, torch.tensor([configs[row].optim.eta for row in rows])
    shrunk.train(split.inputs, split.targets, order[rows][:, 100:], torch.tensor(100), eta)
    for name, value in shrunk.state(slots=False).items():
        exact = {"rtol": 0, "atol": 0} if engine == "cpu" else {"rtol": 2e-3, "atol": 2e-4}
        torch.testing.assert_close(value, whole.state(slots=False)[name][rows], **exact)


@both
def test_loading_weights_starts_velocities_at_zero(engine):
    configs, order = seven(), orders(7, steps=30)
    fresh, _, _ = trained(engine, configs, order)
    used, _, _ = trained(engine, configs, order)
    used.load(first_state(members_of(configs), used.spec.model))
    split, eta = example.dataset().train, torch.tensor([config.optim.eta for config in configs])
    used.train(split.inputs, split.targets, order, torch.tensor(0), eta)
    for name, value in used.state(slots=False).items():
        torch.testing.assert_close(value, fresh.state(slots=False)[name], rtol=0, atol=0)


@both
def test_shared_mini_batches_equal_the_same_ones_given_to_each_member(engine):
    configs, order = seven(), orders(1)
    shared, _, _ = trained(engine, configs, order)
    own, _, _ = trained(engine, configs, order.expand(7, -1, -1))
    for name, value in shared.state(slots=False).items():
        torch.testing.assert_close(value, own.state(slots=False)[name], rtol=2e-3, atol=2e-4)
