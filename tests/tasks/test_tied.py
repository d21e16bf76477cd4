"""Networks whose weights lead both ways, against brute force: every state of a small machine, autograd, plain loops."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from src.config.shapes import Tied
from src.models.dropout import CORRUPTION, GIBBS, step_key
from src.models.rbm import DIFFERENCE, FREE_ENERGY, LIKELIHOOD, Rbm, own_bits
from src.training.engines.cpu import TiedEngine
from src.training.engines.engine import Sums
from src.training.engines.torch_engine import TorchEngine
from src.training.spec import spec_of
from src.training.stack import first_state, hyper_of_stack, members_of
from tests import example
from tests.training.twin import dropped, uniform

VISIBLE, HIDDEN = 6, 4
ENGINES = {
    "torch": lambda *arguments: TorchEngine(*arguments, torch.device("cpu")),
    "cpu": lambda *arguments: TiedEngine(*arguments, 1),
    "cpu, two threads": lambda *arguments: TiedEngine(*arguments, 2),
}
TASKS = {
    "reconstruct": [{"corruption": 0.0}, {"corruption": 0.3}, {"corruption": 0.5}],
    "contrast": [{"k": 1}, {"k": 3, "persistent": True}, {"k": 2}],
}


def machine(batch=4):
    """A 6×4 machine with all its parameters drawn from a normal distribution, as double-precision numbers."""
    torch.manual_seed(3)
    made = Rbm(Tied(HIDDEN, "sigmoid", VISIBLE), batch).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
    return made


def states(count):
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=count)), dtype=torch.float64)


def log_sums(rbm):
    """ln Σ_h exp(−E(v, h)) for each of the 64 visible states, by the definition of the energy."""
    v, h = states(VISIBLE), states(HIDDEN)
    energy = -(v @ rbm.visible_bias)[:, None] - h @ rbm.layers[0].bias - v @ rbm.layers[0].weight.t() @ h.t()
    return (-energy).logsumexp(1)


def test_the_free_energy_is_that_of_all_hidden_states_together():
    rbm = machine()
    v = states(VISIBLE)
    torch.testing.assert_close(-rbm.free_energy(v, rbm.up(v)), log_sums(rbm))


@torch.no_grad()
def test_the_pseudo_likelihood_of_all_bits_is_the_sum_of_their_conditional_probabilities():
    rbm = machine()
    v, log_p = states(VISIBLE), log_sums(rbm)
    index = (v @ 2.0 ** torch.arange(VISIBLE - 1, -1, -1, dtype=torch.float64)).long()
    exact, measured = (torch.zeros(len(v), dtype=torch.float64) for _ in range(2))
    for bit in range(VISIBLE):
        other = v.clone()
        other[:, bit] = 1 - other[:, bit]
        there = (other @ 2.0 ** torch.arange(VISIBLE - 1, -1, -1, dtype=torch.float64)).long()
        exact += log_p[index] - torch.logaddexp(log_p[index], log_p[there])
        rbm.flipped.fill_(bit)
        measured += rbm._pseudo_likelihood(v, training=True) / VISIBLE
        assert rbm.flipped == (bit + 1) % VISIBLE
    torch.testing.assert_close(measured, exact)
    rbm.flipped.fill_(int(own_bits(v)[17]))
    torch.testing.assert_close(rbm(v)[17, LIKELIHOOD], rbm._pseudo_likelihood(v, training=True)[17])
    assert set(own_bits(v).tolist()) == set(range(VISIBLE))


@pytest.mark.parametrize("persistent", [False, True])
def test_the_gradient_of_long_chains_is_that_of_the_exact_likelihood(persistent):
    count = 30_000
    rbm = machine(count)
    data = states(VISIBLE)[[3, 17, 42, 60]].repeat(count // 4, 1)
    key = step_key(torch.tensor(5), torch.tensor(0))
    figures = rbm(data, k=torch.tensor(30.0), persistent=torch.tensor(float(persistent)), most=30, key=key)
    parameters = list(rbm.parameters())
    ours = torch.autograd.grad(figures[:, DIFFERENCE].mean(), parameters, retain_graph=True)
    log_z = log_sums(rbm).logsumexp(0)
    exact = torch.autograd.grad(figures[:, FREE_ENERGY].mean() + log_z, parameters)
    for one, other in zip(ours, exact, strict=True):
        torch.testing.assert_close(one, other, atol=0.02, rtol=0)  # 3 standard errors of 30,000 chains are 0.009
    assert rbm.chain.unique().tolist() == [0, 1]


def stack(task, own, optim=(), **fields):
    """Engine, hyperparameters, state and spec of three members with seeds 0, 1, 2 and rates of their own."""
    configs = [
        example.config(
            task={"name": task, **one},
            model={"maps": [], "hidden": [6], "init": "glorot"},
            optim={"eta": 0.05 * (number + 1), **dict(optim)},
            seed=number,
            **fields,
        )
        for number, one in enumerate(own)
    ]
    members, spec = members_of(configs), spec_of(configs[0], 12)
    return members, spec, hyper_of_stack(members), first_state(members, spec.model)


def trained(engine, task, own, parts=(8,), etas=None, rows=(0, 1, 2), batch=5):
    """The state after some steps, and the means over the images, of those of three members.

    parts: the steps of each chunk; after each the state goes to an engine made anew.
    """
    _, spec, hyper, state = stack(task, own, batch_size=batch)
    if etas:
        hyper["eta"] = torch.tensor(etas, dtype=torch.float64)
    rows = torch.tensor(rows)
    hyper, state = ({name: value[rows] for name, value in one.items()} for one in (hyper, state))
    split = example.dataset().train
    order, start = torch.arange(sum(parts) * batch).view(1, -1, batch) % 60, 0
    cost, score = 0, 0
    for steps in parts:
        one = ENGINES[engine](spec, hyper, state)
        sums = one.train(
            split.inputs, split.targets, order[:, start : start + steps], torch.tensor(start), one.hyper["eta"].float()
        )
        state, start = one.state(), start + steps
        cost, score = cost + sums.cost, score + sums.score
    return state, Sums(cost, score), one.evaluate(split.inputs, split.targets)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("task", TASKS)
def test_a_member_alone_is_the_member_in_a_stack(task, engine):
    rounding = {"rtol": 1e-5, "atol": 1e-6} if engine == "torch" else {"rtol": 0, "atol": 0}
    state, sums, means = trained(engine, task, TASKS[task])
    for row in range(3):
        alone, own, mine = trained(engine, task, TASKS[task], rows=(row,))
        for name, value in alone.items():
            torch.testing.assert_close(state[name][row], value[0], **rounding)
        torch.testing.assert_close(sums.score[row], own.score[0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(means.score[row], mine.score[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("engine", ["torch", "cpu"])
@pytest.mark.parametrize("task", TASKS)
def test_all_members_may_leave_before_others_join(task, engine):
    _, spec, hyper, first = stack(task, TASKS[task])
    emptied, fresh = ENGINES[engine](spec, hyper, first), ENGINES[engine](spec, hyper, first)
    emptied.select(torch.tensor([], dtype=torch.int64))
    emptied.add(hyper, first)
    for name, value in emptied.state().items():
        assert torch.equal(value, fresh.state()[name]), name


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("batch", [5, 1])
def test_neither_threads_nor_chunks_change_what_the_kernels_compute(task, batch):
    state, sums, _ = trained("cpu", task, TASKS[task], (16,), batch=batch)
    for engine, parts in (("cpu, two threads", (16,)), ("cpu", (3, 11, 2))):
        other, others, _ = trained(engine, task, TASKS[task], parts, batch=batch)
        assert all(other[name].equal(value) for name, value in state.items())
        torch.testing.assert_close(others, sums)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("task", TASKS)
def test_a_nan_stays_in_its_member(task, engine):
    whole, _, _ = trained(engine, task, TASKS[task])
    broken, _, means = trained(engine, task, TASKS[task], etas=[0.05, math.nan, 0.15])
    assert broken["layers.0.weight"][1].isnan().all()
    assert means.cost.isfinite().tolist() == [True, False, True]
    for name, value in whole.items():
        assert broken[name][[0, 2]].equal(value[[0, 2]])


@pytest.mark.parametrize("batch", [5, 1])
@pytest.mark.parametrize("task", TASKS)
def test_the_kernels_agree_with_torch(task, batch):
    """Decay, images of floats and of each member's own, an odd number of inputs, mini-batches of one.

    A unit whose probability is within rounding of its random number might flip; none does with these seeds.
    """
    fields = {"optim": {"lambda_": 0.3}, "data": {"height": 3, "width": 7}, "batch_size": batch}
    _, spec, hyper, first = stack(task, TASKS[task], **fields)
    images = torch.rand(3, 12, 1, 3, 7, generator=torch.Generator().manual_seed(2))
    order, eta = torch.arange(60).view(1, -1, batch) % 12, hyper["eta"].float()
    y = torch.zeros(12, dtype=torch.int64)
    ours = ENGINES["cpu"](spec, hyper, first)
    sums = ours.train(images, y, order, torch.tensor(3), eta)
    for row in range(3):
        alone = ({name: value[[row]] for name, value in one.items()} for one in (hyper, first))
        plain = ENGINES["torch"](spec, *alone)
        own = plain.train(images[row], y, order, torch.tensor(3), eta[[row]])
        for name, value in plain.state().items():
            torch.testing.assert_close(ours.state()[name][row], value[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(sums.cost[row], own.cost[0], rtol=1e-5, atol=0)
        torch.testing.assert_close(sums.score[row], own.score[0], rtol=1e-4, atol=0)


@pytest.mark.parametrize("fields", [{"momentum": 0.9}, {"l1": 0.1}])
def test_what_the_kernels_do_not_compute_torch_does(fields):
    _, spec, hyper, state = stack("reconstruct", [{}], optim={"eta": 0.1, **fields})
    ours, plain = (ENGINES[name](spec, hyper, state) for name in ("cpu", "torch"))
    split, order = example.dataset().train, torch.arange(20).view(1, 4, 5)
    for engine in (ours, plain):
        engine.train(split.inputs, split.targets, order, torch.tensor(0), hyper["eta"].float())
    assert all(plain.state()[name].equal(value) for name, value in ours.state().items())
    assert ours.description == plain.description


def test_what_the_kernels_refuse_is_named():
    refused = {
        "optim.rule=adam": {"optim": {"rule": "adam"}},
        "optim.max_norm": {"optim": {"max_norm": 1.0}},
        "another network than one tied layer of sigmoid units": {"model": {"activation": "tanh"}},
    }
    for reason, fields in refused.items():
        base = {"task": {"name": "reconstruct"}, "model": {"maps": [], "hidden": [6], "init": "glorot"}}
        config = example.config(**{name: base.get(name, {}) | fields.get(name, {}) for name in {**base, **fields}})
        assert TiedEngine.refuses(spec_of(config, 12)) == reason


@pytest.mark.parametrize("engine", ["torch", "cpu"])
def test_an_autoencoder_trains_as_autograd_says(engine):
    own = TASKS["reconstruct"]
    _, _, hyper, first = stack("reconstruct", own)
    state, sums, means = trained(engine, "reconstruct", own)
    pixels = example.dataset().train.inputs.flatten(1).float() / 255
    for row, one in enumerate(own):
        w, b, back = (
            first[name][row].requires_grad_() for name in ("layers.0.weight", "layers.0.bias", "visible_bias")
        )
        total = 0.0
        for step in range(8):
            x = pixels[step * 5 : step * 5 + 5]
            lost = dropped(row, step, CORRUPTION, tuple(x.shape), one["corruption"])
            z = torch.sigmoid(torch.sigmoid(x.masked_fill(lost, 0) @ w.t() + b) @ w + back)
            cost = F.binary_cross_entropy(z, x, reduction="sum") / 5
            total += float(cost.detach())
            gradients = torch.autograd.grad(cost, (w, b, back))
            with torch.no_grad():
                for parameter, gradient in zip((w, b, back), gradients, strict=True):
                    parameter -= float(hyper["eta"][row]) * gradient
        torch.testing.assert_close(state["layers.0.weight"][row], w.detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(state["visible_bias"][row], back.detach(), rtol=1e-4, atol=1e-5)
        assert math.isclose(float(sums.cost[row]), total, rel_tol=1e-5)
        z = torch.sigmoid(torch.sigmoid(pixels @ w.t() + b) @ w + back).detach()
        clean = F.binary_cross_entropy(z, pixels, reduction="sum") / len(pixels)
        assert math.isclose(float(means.score[row]), float(clean), rel_tol=1e-5)


@pytest.mark.parametrize("engine", ["torch", "cpu"])
def test_a_machine_trains_as_its_chains_by_hand(engine):
    own = TASKS["contrast"]
    _, _, hyper, first = stack("contrast", own)
    state, _, means = trained(engine, "contrast", own)
    pixels = example.dataset().train.inputs.flatten(1).float() / 255
    for row, one in enumerate(own):
        w, b, back = (first[name][row].clone() for name in ("layers.0.weight", "layers.0.bias", "visible_bias"))
        chain = torch.zeros(5, 6)
        for step in range(8):
            x = pixels[step * 5 : step * 5 + 5]
            up = torch.sigmoid(x @ w.t() + b)
            h = chain if one.get("persistent") else chance(up, row, step, GIBBS)
            for number in range(one["k"]):
                v = chance(torch.sigmoid(h @ w + back), row, step, GIBBS + 1 + 2 * number)
                h = chance(torch.sigmoid(v @ w.t() + b), row, step, GIBBS + 2 + 2 * number)
            chain, end = h, torch.sigmoid(v @ w.t() + b)
            eta = float(hyper["eta"][row]) / 5
            w = w + eta * (up.t() @ x - end.t() @ v)
            b = b + eta * (up - end).sum(0)
            back = back + eta * (x - v).sum(0)
        torch.testing.assert_close(state["layers.0.weight"][row], w, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(state["chain"][row], chain)
        assert int(state["flipped"][row]) == 8
        z = torch.sigmoid(torch.sigmoid(pixels @ w.t() + b) @ w + back)
        cost = F.binary_cross_entropy(z, pixels, reduction="sum") / len(pixels)
        assert math.isclose(float(means.cost[row]), float(cost), rel_tol=1e-4)
    assert set(means.monitors) == {"free_energy"}


def chance(p, seed, step, stream):
    """1 with probability p, else 0, by the numbers of equation (4) of src/training/engines/engine.py."""
    return (uniform(seed, step, stream, tuple(p.shape)) < p).float()
