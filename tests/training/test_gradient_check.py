"""The gradient check: right gradients of every task and kind of layer pass, wrong ones do not."""

import pytest
import torch

from src.data.dataset import Dataset
from src.tasks.targets import targets_of
from src.training import sanity
from src.training.gradient_check import FloatingMember, check_gradients
from src.training.sanity import by_heart, first_cost
from src.training.spec import spec_of
from src.training.stack import members_of
from tests import example


def own(name, **args):
    return {"maps": [], "hidden": [], "target": f"tests.own_networks.{name}", "args": args}


def checked(config, data: Dataset, sample=8):
    spec = spec_of(config, 12, targets=targets_of(config, data.train.targets))
    member = FloatingMember(spec, members_of([config])[0])
    few = data.train.first(6)
    x = few.inputs.double() / (255 if few.inputs.dtype == torch.uint8 else 1)
    y = few.targets.double() if few.targets.is_floating_point() else few.targets
    return list(check_gradients(member, spec.task, x, y, sample))


LAYERS = [
    {"conv": 3, "field": 3, "pool": "max", "norm": "batch", "activation": "relu"},
    {"conv": 4, "field": 3, "pool": "l2", "norm": "group", "groups": 2, "activation": "rrelu", "dropout": 0.3},
    {"fc": 6, "activation": "prelu"},
]


@pytest.mark.parametrize(
    "sections",
    [
        {"model": {"dropout": 0.5, "activation": "tanh"}},
        {"model": {"maps": [], "hidden": [], "layers": LAYERS, "dropout_convention": "inverted"}},
        {"model": own("Mlp", dropout=0.5)},
        {"model": own("Lstm"), "data": {"shape": [12, 12]}},
        {"model": own("Transformer"), "data": {"shape": [12, 12]}},
        {"model": own("Noisy")},
        {"model": own("Embedded")},
        {"task": {"loss": "tests.tasks.own_losses.focal"}},
        {"task": {"class_weights": "balanced", "label_smoothing": 0.1}},
        {"task": {"name": "contrast", "k": 2, "persistent": True}, "model": {"maps": []}, "batch_size": 6},
        {"task": {"name": "reconstruct", "corruption": 0.3}, "model": {"maps": []}},
    ],
    ids=lambda sections: str(next(iter(sections.values())))[:40],
)
def test_the_gradients_of_every_network_and_loss_on_images_are_right(sections):
    found = checked(example.config(**sections), example.dataset())
    assert [one.name for one in found if one.wrong] == []
    assert all(one.kinks <= len(one.derivatives) / 2 for one in found)
    assert not all(one.empty for one in found)  # what is compared is no row of zeros
    assert max(one.error for one in found) < 1e-4


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("numbers", {"name": "regress"}),
        ("numbers", {"name": "regress", "loss": "mae"}),
        ("numbers", {"name": "regress", "loss": "tests.tasks.own_losses.pinball"}),
        ("labels", {"name": "multilabel"}),
    ],
)
def test_the_gradients_of_numbers_and_labels_of_a_table_are_right(kind, task):
    found = checked(example.table_config(task=task), example.table(kind=kind))
    assert [one.name for one in found if one.wrong or one.empty] == []


def test_a_wrong_gradient_is_found_in_the_layers_below_it_alone():
    found = {one.name: one for one in checked(example.config(model=own("Wrong")), example.dataset())}
    assert {name for name, one in found.items() if one.wrong} == {"first.weight", "first.bias"}
    worst = found["first.bias"].derivatives[0]
    assert worst.autograd == pytest.approx(1.5 * worst.difference, rel=1e-6)
    assert worst.error == pytest.approx(1 / 3, rel=1e-6)


def test_a_kink_in_the_way_is_no_wrong_gradient_and_no_excuse_for_one():
    class Kinked(torch.nn.Module):
        """|w| at 3e-6, ReLU at 0, and a value whose gradient is cut off."""

        def __init__(self):
            super().__init__()
            self.near, self.at, self.cut = (torch.nn.Parameter(torch.tensor([v, 1.0])) for v in (3e-6, 0.0, 0.5))

        def forward(self, x, key=None):
            return x.new_ones(1) * (self.near.abs().sum() + self.at.relu().sum() + 2 * self.cut.detach().sum())

    class Sum:
        def cost(self, call, x, y, key):
            return call(x, key).sum(), x

    member = FloatingMember.__new__(FloatingMember)
    member.module, member.arguments, member.key = Kinked().double(), {}, torch.tensor(0)
    near, at, cut = check_gradients(member, Sum(), torch.ones(1, 1).double(), torch.ones(1), 2)
    assert (near.kinks, at.kinks, near.wrong, at.wrong) == (1, 1, [], [])
    assert len(cut.wrong) == 2


def test_the_first_cost_is_that_of_chance_and_a_few_examples_are_learnt_by_heart(monkeypatch):
    config, data = example.config(optim={"eta": 2.0}, model={"maps": []}), example.dataset()
    spec = spec_of(config, 12)
    found = first_cost(
        FloatingMember(spec, members_of([config])[0]), spec.task, data.train.inputs.double() / 255, data.train.targets
    )
    assert found.cost == pytest.approx(found.at_chance) == pytest.approx(torch.tensor(4.0).log().item())
    assert not found.is_high
    learnt = by_heart(config, data, 10)
    assert learnt.learnt
    assert learnt.score == 1
    monkeypatch.setattr(sanity, "EPOCHS", 3)
    assert not by_heart(example.config(optim={"eta": 1e-9}, model={"maps": []}), data, 10).learnt
