"""Each update rule on both engines, in a small network: against torch.optim, and each member by itself."""

import pytest
import torch
import torch.nn.functional as F

from src.training import hyper as hypers
from src.training.engines import cpu
from src.training.engines.torch_engine import TorchEngine
from src.training.spec import spec_of
from src.training.stack import first_state, hyper_of_stack, members_of
from tests import example
from tests.training import twin
from tests.training.update.optimisers import TORCH, options

STEPS, BATCHES = 200, 12
# Another value in every member; what a rule does not read does nothing. With an epsilon of 1e-8 a step follows the
# rounding of gradients that are next to nothing: torch's own float32 is 2.6e-3 away from float64 then, with these 2e-6.
OWN = [
    {"eta": 0.003, "momentum": 0.9, "beta1": 0.9, "alpha": 0.99, "epsilon": 1e-4, "weight_decay": 0.1, "lambda_": 0.0},
    {"eta": 0.001, "momentum": 0.0, "beta1": 0.0, "alpha": 0.9, "epsilon": 1e-4, "weight_decay": 0.0, "lambda_": 0.1},
    {"eta": 0.002, "momentum": 0.5, "beta2": 0.9, "alpha": 0.5, "epsilon": 1e-3, "weight_decay": 0.5, "lambda_": 0.0},
]
everywhere = pytest.mark.parametrize("engine", ["torch", "cpu"])
# Every rule on the engines that serve it.
every_rule = pytest.mark.parametrize(
    ("engine", "name"),
    [(engine, name) for engine in ("torch", "cpu") for name in TORCH if engine == "torch" or "muon" not in name],
)


def configs_of(name, **shared):
    """A member a row of OWN; shared: of all members, or a tuple with the value of each."""
    return [
        example.config(
            seed=seed,
            model={"activation": "tanh"},
            optim={**options(name), **own, **{k: v[seed] if isinstance(v, tuple) else v for k, v in shared.items()}},
        )
        for seed, own in enumerate(OWN)
    ]


def built(engine, configs):
    stack, spec = members_of(configs), spec_of(configs[0], BATCHES)
    arguments = spec, hyper_of_stack(stack), first_state(stack, spec.model)
    return cpu.CpuEngine(*arguments, 2) if engine == "cpu" else TorchEngine(*arguments, torch.device("cpu"))


def etas(configs):
    return torch.tensor([config.optim.eta for config in configs])


def trained(built, order, eta, first=0):
    split = example.dataset().train
    built.train(split.inputs, split.targets, order, torch.tensor(first), eta)
    return built


def order_of(members, steps=STEPS):
    return torch.randint(0, 60, (members, steps, 5), generator=torch.Generator().manual_seed(7))


def by_torch(name, config, weights, order):
    """One member's weights after the mini-batches `order` (M, B)."""
    weights = {key: value.clone().requires_grad_() for key, value in weights.items()}
    optim, split = config.optim, example.dataset().train
    decayed = [value for value in weights.values() if value.dim() > 1 or optim.decay_all]
    others = [value for value in weights.values() if value.dim() == 1 and not optim.decay_all]
    groups = [{"params": decayed, "weight_decay": optim.lambda_ / BATCHES}, {"params": others, "weight_decay": 0.0}]
    if name == "adamw" and not optim.lambda_:  # decoupled by torch; elsewhere by hand
        groups[0]["weight_decay"] = optim.weight_decay
        optimiser = torch.optim.AdamW(groups, optim.eta, (optim.beta1, optim.beta2), optim.epsilon)
        optim = optim.model_copy(update={"weight_decay": 0.0})
    else:
        optimiser = TORCH[name](groups if others else groups[:1], optim.model_dump())
    for rows in order:
        x = split.inputs[rows].float() / 255
        logits = twin.forward(config.shapes(), weights, x, config.model.dropouts(), "chapter")
        optimiser.zero_grad()
        F.cross_entropy(logits, split.targets[rows]).backward()
        if optim.clip_norm:
            torch.nn.utils.clip_grad_norm_(weights.values(), optim.clip_norm)
        with torch.no_grad():  # decoupled: from the weights before the step, and behind the gradient
            shrunk = {value: optim.eta * optim.weight_decay * value for value in decayed}
            optimiser.step()
            for value, part in shrunk.items():
                value -= part
            for value in decayed if optim.max_norm else ():
                value.copy_(torch.renorm(value, 2, 0, optim.max_norm))
    return {key: value.detach() for key, value in weights.items()}


def check_against_torch(engine, name, **shared):
    configs, order = configs_of(name, **shared), order_of(len(OWN))
    found = built(engine, configs)
    first = {key: value.clone() for key, value in found.state(slots=False).items()}
    after = trained(found, order, etas(configs)).state(slots=False)
    for k, config in enumerate(configs):
        expected = by_torch(name, config, {key: value[k] for key, value in first.items()}, order[k])
        for key, value in expected.items():
            # 200 steps of float32 in another order of summation, and decay that is saved up to 2e-5 of a weight.
            torch.testing.assert_close(after[key][k], value, rtol=1e-4, atol=2e-5)


@every_rule
def test_200_steps_equal_torchs(engine, name):
    check_against_torch(engine, name)


@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize("option", [{"clip_norm": (0.1, 0.3, 100.0)}, {"max_norm": (0.4, 0.7, 100.0)}])
def test_norms_are_bounded_as_in_a_plain_loop(name, option):
    check_against_torch("torch", name, **option)


@pytest.mark.parametrize("option", ["clip_norm", "max_norm"])
def test_what_the_kernels_do_not_bound_they_refuse(option):
    spec = spec_of(example.config(optim={option: 1.0}), BATCHES)
    assert cpu.CpuEngine.refuses(spec) == f"optim.{option}"


def test_the_kernels_refuse_muon():
    assert cpu.CpuEngine.refuses(spec_of(example.config(optim={"rule": "muon"}), BATCHES)) == "optim.rule=muon"


@everywhere
def test_biases_decay_where_all_is_to(engine):
    check_against_torch(engine, "sgd", decay_all=True, weight_decay=0.5)


@every_rule
def test_a_member_is_the_same_alone_and_wherever_it_goes_on(engine, name):
    """Alone; and cut in two chunks, between which the first member leaves and another engine takes in the last two."""
    configs, order = configs_of(name), order_of(len(OWN), 60)
    exact = {"rtol": 0, "atol": 0} if engine == "cpu" else {"rtol": 2e-3, "atol": 2e-4}
    whole = trained(built(engine, configs), order, etas(configs)).state()
    alone = trained(built(engine, configs[1:2]), order[1:2], etas(configs[1:2])).state(slots=False)
    for key, value in alone.items():
        torch.testing.assert_close(whole[key][1], value[0], **exact)
    left = trained(built(engine, configs), order[:, :24], etas(configs))
    left.select(torch.tensor([2, 1]))
    taken, fresh = {key: value.clone() for key, value in left.state().items()}, built(engine, configs[:1])
    trained(fresh, order[:1, :24], etas(configs[:1]))
    fresh.add(hypers.select(hyper_of_stack(members_of(configs)), torch.tensor([2, 1])), taken)
    rows = torch.tensor([0, 2, 1])
    after = trained(fresh, order[rows, 24:], etas(configs)[rows], first=24).state()
    assert set(after) == set(whole)
    for key, value in after.items():
        torch.testing.assert_close(value, whole[key][rows], **exact)


@every_rule
def test_a_nan_stays_in_its_member(engine, name):
    configs, order = configs_of(name), order_of(len(OWN), 20)
    clean = trained(built(engine, configs), order, etas(configs)).state()
    dirty = trained(built(engine, configs), order, torch.tensor([OWN[0]["eta"], float("nan"), OWN[2]["eta"]])).state()
    for key, value in dirty.items():
        torch.testing.assert_close(value[[0, 2]], clean[key][[0, 2]], rtol=0, atol=0)
    assert not dirty["layers.0.weight"][1].isfinite().all()
