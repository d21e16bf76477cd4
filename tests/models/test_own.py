"""Networks of the user's: each trains alone as in a stack, stacked or one by one, and as torch itself would."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from src.config.check import parse, unread_keys
from src.config.error import ConfigError
from src.config.schema import structure_key
from src.data.dataset import Dataset, Split
from src.models.own import OwnModel, check_network, own_state
from src.models.own_dropout import CountedDropout
from src.training.engines.one_by_one import ChannelsLast, OneByOne
from src.training.engines.stacking import why_not
from src.training.engines.torch_engine import TorchEngine
from src.training.fit import prepare, run
from src.training.hyper import select
from src.training.spec import spec_of
from src.training.stack import first_state, hyper_of_stack, members_of
from tests import example, own_networks

CPU = torch.device("cpu")
ROWS = {"shape": [12, 12]}
COLOURS = {"channels": 3, "height": 32, "width": 32}
STACKED = {
    "Mlp": {},
    "Resnet": COLOURS,
    "Lstm": ROWS,
    "Transformer": ROWS,
    "Embedded": {},
}
ALONE = {"Branching": "data-dependent control flow", "Noisy": "random operation"}


def config(name, data=None, **sections):
    model = {"maps": [], "hidden": [], "field": 5, "target": f"tests.own_networks.{name}", **sections.pop("model", {})}
    return parse(example.raw(model=model, data=data or {}, **sections))


def images(data=None):
    if data is COLOURS:
        generator = torch.Generator().manual_seed(1)
        splits = [
            Split(torch.rand(count, 3, 32, 32, generator=generator), torch.randint(0, 4, (count,), generator=generator))
            for count in (20, 10, 10)
        ]
        return Dataset("colours", "made up", *splits, 4)
    return example.dataset()


def engines(kind, configs, data=None, **options):
    """An engine of this kind with the stack of all configurations, and one for each member alone."""
    stack, spec = members_of(configs), spec_of(configs[0], batches=12)
    hyper, state = hyper_of_stack(stack), first_state(stack, spec.model)
    alone = [
        kind(spec, select(hyper, torch.tensor([k])), {name: value[k : k + 1] for name, value in state.items()}, CPU)
        for k in range(len(stack))
    ]
    return kind(spec, hyper, state, CPU, **options), alone


def train(engine, dataset, steps=4):
    order = torch.arange(5 * steps).view(1, steps, 5) % len(dataset.train)
    eta = engine.hyper["eta"].float()
    engine.train(dataset.train.inputs, dataset.train.targets, order, torch.tensor(0), eta)
    return engine.state()


def rows_of(states):
    return {name: torch.cat([state[name] for state in states]) for name in states[0]}


@pytest.mark.parametrize("name", STACKED)
def test_a_member_in_a_stack_is_what_it_is_alone(name):
    data = STACKED[name]
    configs = [
        config(name, data, optim={"rule": "adamw", "eta": eta}, seed=seed) for seed, eta in enumerate((0.01, 0.002))
    ]
    dataset = images(data)
    stack, alone = engines(TorchEngine, configs)
    order = torch.arange(5)[None]
    split = dataset.train
    assert why_not(stack, engines(OneByOne, configs)[0], split.inputs, split.targets, order) is None
    stack = engines(TorchEngine, configs)[0]
    torch.testing.assert_close(train(stack, dataset), rows_of([train(one, dataset) for one in alone]))
    wanted = torch.cat([one.predictions(dataset.test.inputs) for one in alone])
    torch.testing.assert_close(stack.predictions(dataset.test.inputs), wanted)


@pytest.mark.parametrize("name", [*STACKED, *ALONE])
def test_one_by_one_a_member_is_what_it_is_alone_bit_for_bit(name):
    data = STACKED.get(name, {})
    configs = [
        config(name, data, optim={"rule": "adamw", "eta": eta}, seed=seed) for seed, eta in enumerate((0.01, 0.002))
    ]
    dataset = images(data)
    stack, alone = engines(OneByOne, configs)
    together, each = train(stack, dataset), rows_of([train(one, dataset) for one in alone])
    assert all(torch.equal(together[item], each[item]) for item in together)
    wanted = torch.cat([one.predictions(dataset.test.inputs) for one in alone])
    assert torch.equal(stack.predictions(dataset.test.inputs), wanted)


def test_a_convolution_gives_the_same_with_channels_last():
    configs, dataset = [config("Resnet", COLOURS, seed=seed) for seed in range(2)], images(COLOURS)
    found, wanted = (engines(kind, configs)[0] for kind in (ChannelsLast, OneByOne))
    split, order = dataset.train, torch.arange(5)[None]
    assert why_not(found, wanted, split.inputs, split.targets, order) is None
    found, alone = engines(ChannelsLast, configs)
    together, each = train(found, dataset), rows_of([train(one, dataset) for one in alone])
    assert all(torch.equal(together[item], each[item]) for item in together)


@pytest.mark.parametrize("name", ALONE)
def test_what_cannot_be_stacked_is_told_in_one_line_and_trained_one_by_one(name):
    told, configs = [], [config(name, seed=seed) for seed in range(2)]
    prepared = prepare(configs, images(), told.append)
    assert isinstance(prepared.engine, OneByOne)
    assert len(told) == 1
    assert ALONE[name] in told[0]
    assert "own_networks.py, line" in told[0]
    before = torch.get_rng_state()
    results = run(prepared, [])
    assert torch.equal(torch.get_rng_state(), before)
    assert [result.status for result in results] == ["FINISHED"] * 2


def test_an_argument_of_a_member_reaches_it_through_its_state_or_else_one_by_one():
    def stack(**swept):
        own = {"args": {"dropout": 0.1, "leak": 0.0}, "per_member": list(swept)}
        each = [{**own, "args": {**own["args"], **{key: values[k] for key, values in swept.items()}}} for k in range(2)]
        return [config("Mlp", model=one, optim={"rule": "adam", "eta": 0.01}) for one in each]

    for swept, kind in (({"dropout": (0.0, 0.6)}, TorchEngine), ({"leak": (0.0, 0.5)}, OneByOne)):
        configs, told = stack(**swept), []
        assert structure_key(configs[0]) == structure_key(configs[1])
        engine = prepare(configs, images(), told.append).engine
        if kind is OneByOne:
            assert type(engine) is OneByOne
            assert "is not what it is alone" in told[0]
        trained = train(engines(kind, configs)[0], images())
        for k, own in enumerate(configs):
            alone = train(engines(kind, [own])[0], images())
            torch.testing.assert_close(
                {name: value[k] for name, value in trained.items()}, {name: value[0] for name, value in alone.items()}
            )
        assert not torch.equal(trained["first.weight"][0], trained["first.weight"][1])


def test_a_network_that_equals_our_layers_trains_to_the_same_numbers():
    ours, own = config("Plain"), parse(example.raw(model={"maps": [], "hidden": [6]}))
    names = {"first": "layers.0", "last": "layers.1"}
    spec = spec_of(own, batches=12)
    hyper, state = hyper_of_stack(members_of([own])), first_state(members_of([own]), spec.model)
    layered = train(TorchEngine(spec, hyper, state, CPU), images())
    renamed = {f"{to}.{part}": state[f"{name}.{part}"] for to, name in names.items() for part in ("weight", "bias")}
    for kind in (TorchEngine, OneByOne):
        engine = kind(spec_of(ours, batches=12), hyper_of_stack(members_of([ours])), renamed, CPU)
        found = train(engine, images())
        for to, name in names.items():
            torch.testing.assert_close(found[f"{to}.weight"], layered[f"{name}.weight"])


def test_a_plain_torch_loop_gives_the_same_weights():
    network, dataset = own_networks.Mlp(), images()
    own = config("Mlp", optim={"eta": 0.1, "momentum": 0.9})
    network.load_state_dict(OwnModel("tests.own_networks.Mlp", {}, (1, 12, 12)).build(0).state_dict(), strict=False)
    optimiser = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    for step in range(4):
        part = slice(5 * step, 5 * step + 5)
        optimiser.zero_grad()
        F.cross_entropy(network(dataset.train.inputs[part] / 255), dataset.train.targets[part]).backward()
        optimiser.step()
    for kind in (TorchEngine, OneByOne):
        found = train(engines(kind, [own])[0], dataset)
        for name, value in network.state_dict().items():
            torch.testing.assert_close(found[name][0], value, rtol=1e-4, atol=1e-6)


def test_initial_weights_are_those_that_the_class_draws_from_the_seed():
    with torch.random.fork_rng():
        torch.manual_seed(7)
        wanted = own_networks.Embedded()
    state = OwnModel("tests.own_networks.Embedded", {}, (1, 12, 12)).first_state(7)
    assert "head.weight" not in state  # the same tensor as words.weight
    assert all(torch.equal(value, wanted.state_dict()[name]) for name, value in state.items())


def test_dropout_layers_draw_by_member_and_step():
    class Drops(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Dropout(0.5), nn.Dropout2d(0.5)
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, x):
            return self.one(self.one(x)) + self.two(x)

    own_networks.Drops = Drops
    try:
        module = OwnModel("tests.own_networks.Drops", {}, (2, 10, 10)).build()
    finally:
        del own_networks.Drops
    assert isinstance(module.one, CountedDropout)
    assert set(own_state(module)) == {"weight", "one.dropout_p", "two.dropout_p"}
    x = torch.ones(50, 2, 10, 10)
    outputs = module(x, torch.tensor(5))
    assert torch.equal(outputs, module(x, torch.tensor(5)))
    assert not torch.equal(outputs, module(x, torch.tensor(6)))
    assert torch.equal(module(x), 2 * x)
    parts = outputs % 4  # whole channels add 2; the two calls of one layer draw two masks: a quarter of values stay
    assert set(outputs.unique().tolist()) == {0.0, 2.0, 4.0, 6.0}
    assert float((outputs >= 4).double().mean()) == pytest.approx(0.25, abs=0.03)
    whole = (parts == 2).flatten(2)
    assert bool((whole.all(-1) | ~whole.any(-1)).all())


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"target": "tests.no_such.Net"}, "tests.no_such cannot be imported: ModuleNotFoundError"),
        ({"target": "tests.own_networks.Mpl"}, "has no Mpl; accepted: Mlp, Plain, Block"),
        ({"target": "tests.own_networks.F"}, "is no class of torch.nn.Module"),
        ({"args": {"widht": 3}}, "unexpected keyword argument 'widht' (own_networks.py, line 8)"),
        ({"args": {"inputs": 100}}, "cannot be multiplied (5x144 and 100x6) (own_networks.py, line 17)"),
        ({"args": {"outputs": 3}}, "gives torch.float32 (5, 3)"),
    ],
)
def test_a_network_that_cannot_train_is_refused_in_one_paragraph(model, words):
    with pytest.raises(ConfigError) as caught:
        check_network(config("Mlp", model=model), torch.zeros(5, 1, 12, 12))
    assert words.replace("5x", "4x").replace("(5,", "(4,") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_keys_that_a_users_network_does_not_read_are_told_and_what_contradicts_it_is_refused():
    assert "model.activation = 'relu': model.target=" in unread_keys([config("Mlp", model={"activation": "relu"})])[0]
    assert not unread_keys([config("Mlp", model={"hidden": [100]})])
    for sections, words in (
        ({"model": {"per_member": ["leak"]}}, "leak is no key of model.args"),
        ({"model": {"target": None, "args": {"a": 1}}}, "builds the class of model.target"),
        ({"task": {"name": "contrast"}}, "task=contrast trains one layer"),
        ({"pretrain": {"task": "contrast"}}, "needs the list of its layers"),
    ):
        with pytest.raises(ConfigError, match=words):
            config("Mlp", **sections)
