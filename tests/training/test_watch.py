"""What the history says of a watched member's layers, held to a plain network, and that watching changes nothing."""

import pytest
import torch

from src.models.network import Network
from src.training.fit import prepare, run
from tests import example

MLP = {"maps": [], "hidden": [], "target": "tests.own_networks.Mlp", "args": {"dropout": 0.5}}


def trained(train=60, watch=True, engine="torch", **sections):
    config = example.config(trainer={"engine": engine, "watch": watch}, repeats=2, stop={"keep": "last"}, **sections)
    return run(prepare([config], example.dataset().first(train), lambda line: None), [])


@pytest.mark.parametrize("engine", ["torch", "cpu"])
def test_a_row_has_the_last_steps_ratio_and_the_activations_of_the_members_own_network(engine):
    model = {"dropout": 0.4, "activation": "relu"}
    for member, before in zip(
        trained(60, engine=engine, max_epochs=1, model=model),
        trained(55, engine=engine, max_epochs=1, model=model),  # without the last mini-batch
        strict=True,
    ):
        (row,) = member.history
        for name in (f"layers.{number}.weight" for number in range(3)):
            change = (member.weights[name] - before.weights[name]).norm() / before.weights[name].norm()
            assert row[f"update_ratio/{name}"] == pytest.approx(float(change), rel=1e-4)
        network = Network(example.config(model=model).shapes()).requires_grad_(False)
        network.load_state_dict(member.weights)
        x = example.dataset().validation.inputs.float() / 255
        maps = network.layers[0](x)
        hidden = network.layers[1](maps.flatten(1) * 0.6)  # as it is in evaluation
        for name, values in (("layers.0", maps), ("layers.1", hidden), ("layers.2", network.layers[2](hidden * 0.6))):
            assert row[f"activation_mean/{name}"] == pytest.approx(float(values.mean()), rel=1e-4)
            assert row[f"activation_sd/{name}"] == pytest.approx(float(values.std(correction=0)), rel=1e-4)
            assert row[f"activation_zero/{name}"] == pytest.approx(float((values == 0).double().mean()), abs=1e-3)
        assert not any(key.startswith("activation_saturated/") for key in row)  # ReLU has one end only


@pytest.mark.parametrize(("engine", "augment"), [("torch", {"shift": 2}), ("cpu", {})])
def test_watching_changes_no_weight_by_one_bit(engine, augment):
    stop = {"rule": "patience_batches", "patience_batches": 20, "keep": "best"}  # looks within epochs
    settings = {"stop": stop, "augment": augment, "max_epochs": 4, "repeats": 2}
    both = [example.config(trainer={"engine": engine, "watch": watch}, **settings) for watch in (True, False)]
    watched, plain = (run(prepare([config], example.dataset(), lambda line: None), []) for config in both)
    for one, other in zip(watched, plain, strict=True):
        assert len(one.history) == len(other.history)
        assert all(torch.equal(value, other.weights[name]) for name, value in one.weights.items())
        assert all(set(row) == set(one.history[0]) for row in one.history)


@pytest.mark.parametrize(
    ("sections", "layers"),
    [
        ({"model": MLP}, {"first", "norm", "last"}),
        ({"model": {"maps": []}, "task": {"name": "contrast"}}, {"layers.0"}),
        ({"model": {"maps": []}, "task": {"name": "reconstruct"}}, {"layers.0"}),
    ],
)
def test_own_networks_and_those_with_tied_weights_are_watched_by_their_layers(sections, layers):
    row = trained(max_epochs=1, **sections)[1].history[0]
    assert {key.partition("/")[2] for key in row if key.startswith("activation_mean/")} == layers
    saturated = {key.partition("/")[2] for key in row if key.startswith("activation_saturated/")}
    assert saturated == ({"layers.0"} if "layers.0" in layers else set())
    assert all(0 < row[key] < 1 for key in row if key.startswith("update_ratio/"))
