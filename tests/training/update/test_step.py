"""Each update rule's step against torch.optim: on float64 tensors, whose rounding is out of the way."""

import numpy as np
import pytest
import torch

from src.config.schema import RULES, OptimConfig
from src.training.update.rule import rule_of
from tests.training.update.optimisers import TORCH, options

STEPS, MEMBERS = 200, 3
# (K,) each, another value in every member.
SETTINGS = {
    "eta": [0.01, 0.003, 0.1],
    "momentum": [0.9, 0.0, 0.5],
    "beta1": [0.9, 0.0, 0.8],
    "beta2": [0.999, 0.99, 0.9],
    "alpha": [0.99, 0.9, 0.5],
    "epsilon": [1e-8, 1e-4, 1e-2],
    "eta_adamw": [0.02, 0.001, 0.03],
}
HYPER = {name: torch.tensor(values, dtype=torch.float64) for name, values in SETTINGS.items()}


def stepped(name, start, gradients):
    """Every member's parameters (K, …) after all steps, stepped as one stack."""
    rule = rule_of(OptimConfig(eta=0.1, **options(name)))
    steps = np.broadcast_to(np.arange(STEPS), (MEMBERS, STEPS))
    eta = np.broadcast_to(HYPER["eta"].numpy()[:, None], (MEMBERS, STEPS))
    numbers = rule.numbers({key: HYPER[key].numpy()[:, None] for key in ("eta", *rule.hyper)}, eta, steps)
    w = start.clone()
    slots = {slot: torch.zeros_like(w) for slot in rule.slots(HYPER)}
    for t in range(STEPS):
        columns = {key: torch.from_numpy(value[:, t].copy()).view(-1, 1, 1) for key, value in numbers.items()}
        rule.step(w, gradients[t].clone(), slots, columns)
    return w


def test_every_rule_is_held_to_torchs():
    assert {name.split()[0] for name in TORCH} == set(RULES)


@pytest.mark.parametrize("name", TORCH)
def test_200_steps_equal_torchs(name):
    generator = torch.Generator().manual_seed(3)
    start = torch.randn(MEMBERS, 4, 5, generator=generator, dtype=torch.float64)
    gradients = torch.randn(STEPS, MEMBERS, 4, 5, generator=generator, dtype=torch.float64)
    found = stepped(name, start, gradients)
    for k in range(MEMBERS):
        w = start[k].clone().requires_grad_()
        optimiser = TORCH[name]([w], {key: values[k] for key, values in SETTINGS.items()})
        for gradient in gradients[:, k]:
            w.grad = gradient.clone()
            optimiser.step()
        torch.testing.assert_close(found[k], w.detach(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", TORCH)
def test_a_rule_reads_the_keys_that_the_schema_says(name):
    settings = options(name)
    rule = rule_of(OptimConfig(eta=0.1, **settings))
    switches = {key for key in OptimConfig.model_fields if OptimConfig.model_fields[key].annotation is bool}
    assert set(rule.hyper) == set(RULES[settings["rule"]]) - switches
