"""What the schema refuses, and that it says so: field, value, rule, what is accepted; all in one go."""

import copy
import math
from importlib.metadata import EntryPoint, EntryPoints
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from pydantic import BaseModel
from sqlalchemy import make_url

from src.config import address, schema
from src.config.address import masked
from src.config.check import parse
from src.config.compose import CONF, composed
from src.config.data import DATA_KEYS, DataConfig
from src.config.error import ConfigError
from src.config.problems import all_keys
from src.config.schema import RULES, RunConfig, structure_key
from src.config.unread import unread_keys
from tests import example

words = st.text(alphabet="abcdefgxyz", min_size=1, max_size=8).map(lambda word: f"{word}_")
whole = st.integers(-5, 10**6)
not_a_number = st.one_of(words, st.none(), st.lists(st.integers(), max_size=2), st.booleans())
not_a_whole_number = st.one_of(not_a_number, st.floats(0.1, 0.9))
not_finite = st.sampled_from([math.nan, math.inf, -math.inf])


def optional(bad):
    """What is bad even where null is allowed."""
    return bad.filter(lambda value: value is not None)


def at_least(low):
    return st.one_of(not_a_whole_number, st.integers(max_value=low - 1))


def numbers(*, above=None, low=None, below=None, high=None):
    outside = [not_a_number, not_finite]
    outside += [st.floats(max_value=above, allow_nan=False)] if above is not None else []
    outside += [st.floats(max_value=low, exclude_max=True, allow_nan=False)] if low is not None else []
    outside += [st.floats(min_value=below, allow_nan=False)] if below is not None else []
    outside += [st.floats(min_value=high, exclude_min=True, allow_nan=False)] if high is not None else []
    return st.one_of(outside)


no_option = st.one_of(words, st.integers(), st.none(), st.lists(words, max_size=1))
no_text = st.one_of(st.integers(), st.lists(words, max_size=1), st.booleans())
no_units = st.one_of(words, st.integers(), st.lists(st.integers(max_value=0), min_size=1, max_size=3), st.just([1.5]))
bad_layers = [{"fc": 0}, {"conv": -1}, {"dense": 3}, 3, {"fc": 3, "dropout": 1.0}, {"conv": 2, "pool": "mean"}]
no_layers = st.one_of(words, st.integers(), st.lists(st.sampled_from(bad_layers), min_size=1, max_size=2))


def strength(low, high):
    """What is neither a number from low to high nor a list of two of them in order."""
    outside = st.floats(max_value=low, exclude_max=True) | st.floats(min_value=high, exclude_min=True)
    lists = [[], [high], [low, high, high], [high, low], [low, high + 1], [low - 1, high], [True, high]]
    return st.one_of(words, st.none(), st.booleans(), not_finite, outside, st.sampled_from(lists))


BAD = {
    "name": st.one_of(no_text, st.none(), st.just("")),
    "published": optional(numbers(low=0, high=100)),
    "data.name": no_option,
    "data.dir": no_text,
    "data.path": optional(st.one_of(no_text, st.just(""))),
    "data.function": st.one_of(no_text, words, st.just("a.b-c"), st.just("a..b")),
    "data.target": st.one_of(st.integers(), st.booleans(), st.just([3])),
    "data.drop": st.one_of(words, st.integers(), st.none(), st.just([3])),
    "data.columns": st.one_of(words, st.integers(), st.just([3])),
    "data.split": no_option,
    "data.group": no_text,
    "data.time": no_text,
    "data.weight": no_text,
    "data.test": optional(st.one_of(not_a_number, st.sampled_from([0, -1, 0.0, 1.0, 1.5, -0.2, math.nan]))),
    "data.expand": no_option,
    "data.normalise": no_option,
    "data.epsilon": numbers(above=0),
    "data.sampling": no_option,
    "data.order": no_option,
    "data.channels": at_least(1),
    "data.height": at_least(1),
    "data.width": at_least(1),
    "data.classes": st.one_of(at_least(2), st.integers(min_value=257)),
    "data.outer_folds": optional(st.one_of(at_least(2), st.integers(min_value=1001))),
    "data.outer_fold": at_least(0),
    "data.refit": st.one_of(words, st.integers(), st.none()),
    "data.split_seed": st.one_of(at_least(0), st.integers(min_value=2**32)),
    "data.folds": optional(st.one_of(at_least(2), st.integers(min_value=1001))),
    "data.target_count": at_least(1),
    "data.shape": st.one_of(words, st.integers(), st.lists(st.integers(max_value=0), min_size=1, max_size=3)),
    "data.train": optional(at_least(1)),
    "data.validation": at_least(1),
    "augment.shift": strength(0, 1000),
    "augment.rotate": strength(0, 180),
    "augment.shear": strength(0, 60),
    "augment.rotate_or_shear": st.one_of(words, st.integers(), st.none()),
    "augment.half_angle": st.one_of(words, st.integers(), st.none(), st.just([-1]), st.just([1.5])),
    "augment.scale": strength(0, 0.9),
    "augment.flip": numbers(low=0, high=1),
    "augment.crop": st.one_of(at_least(0), st.integers(min_value=1001)),
    "augment.alpha": strength(0, 1000),
    "augment.sigma": strength(0.1, 100),
    "augment.brightness": strength(0, 1),
    "augment.contrast": strength(0, 1),
    "augment.saturation": strength(0, 1),
    "augment.colour_pca": strength(0, 1),
    "augment.cutout": st.one_of(at_least(0), st.integers(min_value=1001)),
    "augment.test_shift": st.one_of(at_least(0), st.integers(min_value=6)),
    "augment.test_flip": st.one_of(words, st.integers(), st.none()),
    "average.rule": st.one_of(words, st.integers(), st.none()),
    "average.start": st.one_of(numbers(low=0, high=1), st.just(1.0)),
    "average.every_batches": optional(at_least(1)),
    "average.decay": st.one_of(numbers(low=0, high=1), st.just(1.0)),
    "model.target": st.one_of(st.integers(), words, st.just("a.b-c"), st.just("a..B"), st.just(".A")),
    "model.args": st.one_of(words, st.integers(), st.just({"a": math.inf}), st.just({1: 2}), st.just({"a": [{1, 2}]})),
    "model.per_member": st.one_of(words, st.integers(), st.just([3])),
    "model.maps": no_units,
    "model.hidden": no_units,
    "model.layers": no_layers,
    "model.activation": no_option,
    "model.field": at_least(1),
    "model.stride": at_least(1),
    "model.padding": st.one_of(words, st.integers(max_value=-1), st.none(), st.booleans()),
    "model.norm": no_option,
    "model.groups": optional(at_least(1)),
    "model.bias": st.one_of(words, st.integers(), st.none()),
    "model.order": st.one_of(words, st.integers(), st.just(["bias"])),
    "model.pool": no_option,
    "model.pool_size": at_least(1),
    "model.pool_stride": optional(at_least(1)),
    "model.init": no_option,
    "model.start": st.one_of(st.integers(), st.booleans(), st.just("")),
    "model.dropout": numbers(low=0, below=1),
    "model.dropout_convention": no_option,
    "optim.eta": numbers(above=0),
    "optim.lambda_": numbers(low=0),
    "optim.l1": numbers(low=0),
    "task.name": no_option,
    "task.corruption": numbers(low=0, below=1),
    "task.k": st.one_of(at_least(1), st.integers(min_value=1001)),
    "task.persistent": st.one_of(words, st.integers(), st.none()),
    "task.loss": optional(no_option),
    "task.score": optional(no_option),
    "task.metrics": st.one_of(words, st.integers(), st.none(), st.lists(words, min_size=1, max_size=2)),
    "task.class_weights": st.one_of(words, st.none(), st.booleans(), st.lists(st.floats(max_value=-0.1), min_size=1)),
    "task.label_smoothing": numbers(low=0, below=1),
    "task.delta": numbers(above=0),
    "task.standardise": st.one_of(words, st.integers(), st.none()),
    "pretrain.task": no_option,
    "pretrain.corruption": st.one_of(words, st.lists(numbers(low=0, below=1), min_size=1, max_size=2)),
    "pretrain.k": st.one_of(at_least(1), st.integers(min_value=1001)),
    "pretrain.persistent": st.one_of(words, st.integers(), st.none()),
    "pretrain.eta": numbers(above=0),
    "pretrain.batch_size": at_least(1),
    "pretrain.max_epochs": at_least(0),
    "optim.rule": no_option,
    "optim.nesterov": st.one_of(words, st.integers(), st.none()),
    "optim.weight_decay": numbers(low=0),
    "optim.decay_all": st.one_of(words, st.integers(), st.none()),
    "optim.momentum": numbers(low=0, below=1),
    "optim.beta1": numbers(low=0, below=1),
    "optim.beta2": numbers(low=0, below=1),
    "optim.alpha": numbers(low=0, below=1),
    "optim.epsilon": numbers(above=0),
    "optim.eta_adamw": optional(numbers(above=0)),
    "optim.schedule": no_option,
    "optim.decay": numbers(low=0),
    "optim.eta_end": optional(numbers(above=0)),
    "optim.cycles": at_least(1),
    "optim.plateau_epochs": at_least(1),
    "optim.min_eta_factor": numbers(above=0, high=1),
    "optim.clip_norm": optional(numbers(above=0)),
    "optim.max_norm": optional(numbers(above=0)),
    "optim.steps": st.one_of(words, st.integers(), st.lists(st.floats(max_value=0), min_size=1, max_size=2)),
    "optim.step_factor": numbers(above=0, high=1),
    "optim.warmup_steps": at_least(0),
    "stop.rule": no_option,
    "stop.patience_epochs": at_least(1),
    "stop.patience_batches": at_least(1),
    "stop.patience_increase": numbers(low=1),
    "stop.improvement_threshold": numbers(above=0, high=1),
    "stop.keep": no_option,
    "trainer.accelerator": no_option,
    "trainer.devices": st.one_of(no_option, st.sampled_from(["cuda:-1", "CUDA:1", "cuda:01", "cuda:1\n", "mps"])),
    "trainer.engine": no_option,
    "trainer.compile": st.one_of(words, st.integers(), st.none()),
    "trainer.precision": st.one_of(words, st.integers(), st.none()),
    "trainer.threads": optional(at_least(1)),
    "trainer.chunk": optional(at_least(1)),
    "trainer.watch": st.one_of(words, st.integers(), st.none()),
    "tracking.kind": no_option,
    "tracking.uri": st.one_of(no_text, st.none(), words.map("foo{}://x".format)),
    "tracking.experiment": st.one_of(no_text, st.none(), st.just("")),
    "batch_size": at_least(1),
    "max_epochs": at_least(1),
    "repeats": at_least(1),
    "ensemble": at_least(1),
    "snapshots": at_least(0),
    "snapshot_every_epochs": at_least(1),
    "seed": st.one_of(at_least(0), st.integers(min_value=2**32)),
    "figures": st.one_of(words, st.integers(), st.none()),
    "plan": st.one_of(words, st.integers(), st.none()),
    "from_study": st.one_of(st.integers(), st.booleans(), st.just("")),
    "from_storage": st.one_of(st.integers(), st.booleans(), st.none()),
    "top": at_least(1),
}  # fmt: skip


def with_value(key, value):
    raw = copy.deepcopy(example.raw())
    section = raw
    *parents, last = key.split(".")
    for parent in parents:
        section = section[parent]
    section[last] = value
    return raw


def test_every_field_has_its_bad_values_here():
    assert set(BAD) == set(all_keys())


@pytest.mark.parametrize("key", sorted(BAD))
def test_a_bad_value_is_refused_by_the_name_of_its_field(key):
    @given(BAD[key])
    def refused(value):
        with pytest.raises(ConfigError) as caught:
            parse(with_value(key, value))
        lines = str(caught.value).splitlines()[1:]
        assert any(line.strip().startswith(key) for line in lines), caught.value
        assert "must" in str(caught.value)

    refused()


@given(
    st.lists(st.sampled_from(sorted(set(BAD) - {"model.layers", "model.args"})), min_size=2, max_size=6, unique=True)
)
def test_all_that_is_wrong_is_reported_in_one_go(keys):
    raw = copy.deepcopy(example.raw())
    for key in keys:
        *parents, last = key.split(".")
        section = raw
        for parent in parents:
            section = section[parent]
        section[last] = {"no": "value"}
    with pytest.raises(ConfigError) as caught:
        parse(raw)
    for key in keys:
        assert f"  {key} = " in str(caught.value)


@given(st.sampled_from(["data", "model", "optim", "stop", "trainer", "tracking"]), words)
def test_an_unknown_key_is_refused_with_the_nearest_known_ones(section, word):
    with pytest.raises(ConfigError, match=f"{section}.{word}: no such key; did you mean {section}"):
        parse(with_value(f"{section}.{word}", 1))


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("seed", 2**32, "accepted: at least 0 and below 4294967296"),
        (
            "tracking.uri",
            "foo://me:secret@x",
            "tracking.uri = 'foo://me:***@x': must be a database's address",
        ),
    ],
)
def test_a_value_that_is_refused_is_answered_with_the_rule(key, value, line):
    with pytest.raises(ConfigError) as caught:
        parse(with_value(key, value))
    assert line in str(caught.value)


def test_members_whose_seeds_would_begin_again_at_zero_are_refused():
    last = {"seed": 2**32 - 6}
    assert example.config(**last, repeats=3, ensemble=2).members == 6
    with pytest.raises(
        ConfigError, match=r"its 8 members would have the seeds 4294967290 to .* accepted: 0 to 4294967288"
    ):
        example.config(**last, repeats=4, ensemble=2)


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:////a/b.db",
        "mysql+pymysql://me:x@host/runs",
        "http://host:5000",
        "databricks",
    ],
)
def test_every_store_that_mlflow_knows_is_accepted(uri):
    assert parse(with_value("tracking.uri", uri)).tracking.uri == uri


def test_a_store_of_a_plugin_of_mlflows_is_accepted(monkeypatch):
    plugin = EntryPoint("arn", "plugin.module", "mlflow.tracking_store")
    monkeypatch.setattr(address, "entry_points", lambda group: EntryPoints([plugin]).select(group=group))
    assert parse(with_value("tracking.uri", "arn:aws:store")).tracking.uri == "arn:aws:store"


def test_a_typed_mistake_is_answered_with_the_key_that_was_meant():
    with pytest.raises(ConfigError, match=r"optim.lambda: no such key; did you mean optim.lambda_"):
        parse(with_value("optim.lambda", 1))


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        ({"maps": [2, 2, 2], "hidden": []}, ["3x3 convolution", "1x1 input"]),
        ({"maps": [2], "field": 13}, ["13x13 convolution", "12x12 input", "at most 12"]),
        ({"maps": [2], "pool_size": 11}, ["11x11 pooling", "10x10", "at most 10"]),
        ({"layers": [{"fc": 3}, {"conv": 2}]}, ["layer 2", "put convolutions first"]),
    ],
)
def test_a_layer_that_does_not_fit_is_named_with_the_sizes(model, sizes):
    with pytest.raises(ConfigError) as caught:
        parse(example.raw(model=model))
    assert all(part in str(caught.value) for part in sizes)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"data": {"dir": None}}, "data=idx needs the folder"),
        ({"data": {"name": "mnist"}}, "describe data=idx only"),
        ({"data": {"name": "cifar10"}}, "cifar10 has 32x32x3 images of 10 classes, not 12x12x1 of 4"),
        ({"data": {"name": "digits", "dir": "here"}}, "data=digits reads no folder"),
        ({"augment": {"alpha": 3.0}, "pretrain": {"task": "contrast"}, "model": {"maps": []}}, "or pretrain=none"),
        ({"augment": {"crop": 12}}, "augment.crop = 12: the images have 12x12 pixels, .* accepted: 0 to 11"),
        ({"augment": {"saturation": 0.5}}, "data.channels=1 have no colours"),
        ({"augment": {"rotate": 9.0, "half_angle": [4]}}, "the data have 4 classes, from 0 to 3"),
        (
            {"augment": {"flip": 0.5}, "data": {"height": 1, "width": 5}, "model": {"maps": []}},
            "1x5 pixels are no images",
        ),
        ({"augment": {"flip": 0.5}, "data": {"folds": 3, "normalise": "channel"}}, "would not be black"),
        ({"augment": {"flip": 0.5}, "data": {"normalise": "zca"}}, "=zca whitens the images once, .*=none, centre or"),
        ({"data": {"normalise": "pca"}}, "no neighbours that a convolution could look at; accepted: zca"),
        ({"data": {"normalise": "zca", "height": 65, "width": 64}}, "are 4,160 numbers each.*; accepted: up to 4,096"),
        (
            {"data": {"normalise": "centre"}, "task": {"name": "reconstruct"}, "model": {"maps": []}},
            "takes each input for a probability",
        ),
        ({"data": {"sampling": "over"}}, "data.order=fixed keeps them; accepted: data.order=epoch"),
        ({"data": {"sampling": "over", "order": "epoch"}, "task": {"class_weights": "balanced"}}, "one of the two"),
        ({"data": {"sampling": "under", "order": "epoch"}, "task": {"name": "regress"}}, "has no classes to draw from"),
        (
            {"data": {"sampling": "over", "order": "epoch"}, "pretrain": {"task": "contrast"}, "model": {"maps": []}},
            "pretraining looks at no classes",
        ),
        ({"optim": {"schedule": "exponential"}}, "needs the last epoch's rate"),
        ({"optim": {"schedule": "steps"}}, "needs where eta falls"),
        ({"pretrain": {"task": "contrast"}, "model": {"maps": [], "norm": "group"}}, "layer 1 has norm = 'group', so"),
        ({"snapshots": 3}, "snapshots = 3: need 3 epochs, and max_epochs is 2; accepted: 0 to 2"),
        ({"snapshots": 2, "snapshot_every_epochs": 2}, "2 epochs apart need 4 epochs, .* accepted: 0 to 1"),
        ({"snapshots": 1, "task": {"name": "reconstruct"}}, "of which task=reconstruct has none; accepted: 0"),
        ({"trainer": {"engine": "cpu", "accelerator": "cuda"}}, "cannot run on trainer.accelerator=cuda"),
        ({"trainer": {"devices": "cuda:1", "accelerator": "cpu"}}, r"contradicts trainer\.accelerator=cpu; accepted"),
        ({"trainer": {"devices": "cuda", "accelerator": "auto", "engine": "cpu"}}, r"contradicts trainer\.engine=cpu"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(sections, words):
    with pytest.raises(ConfigError, match=words):
        parse(example.raw(**sections))


def test_a_key_that_no_rule_of_the_run_or_sweep_reads_is_refused():
    sgd, adam = (example.config(optim={"rule": rule, "momentum": 0.9, "beta1": 0.5}) for rule in ("sgd", "adam"))
    assert unread_keys([example.config()]) == []
    assert unread_keys([example.config(), sgd]) == [
        "optim.beta1 = 0.5: optim.rule=sgd does not read it; accepted: 0.9, or optim.rule=adam,adamw,muon"
    ]
    assert unread_keys([sgd, adam]) == []
    seen, whitened = (example.config(data={"normalise": one, "epsilon": 0.1}) for one in ("centre", "zca"))
    assert unread_keys([seen]) == [
        "data.epsilon = 0.1: data.normalise=centre does not read it; accepted: 1e-05, or data.normalise=pca,zca"
    ]
    assert unread_keys([seen, whitened]) == []
    none = example.config(pretrain={"eta": 0.3})
    pretrained = example.config(model={"maps": []}, pretrain={"task": "contrast", "eta": 0.3})
    assert unread_keys([none])[0].startswith("pretrain.eta = 0.3: pretrain=none does not read it; accepted: 0.01, or")
    assert unread_keys([none, pretrained]) == []
    how = example.config(augment={"sigma": [2.0, 3.0], "half_angle": [1], "flip": 0.5})
    assert unread_keys([how]) == [
        "augment.half_angle = [1]: nothing reads it, for augment.rotate and augment.shear are 0; accepted: [], or "
        "augment.rotate or augment.shear above 0",
        "augment.sigma = [2.0, 3.0]: nothing reads it, for augment.alpha is 0; accepted: 4.0, or augment.alpha above 0",
    ]
    read = example.config(augment={"alpha": [0.0, 3.0], "rotate": 9.0})
    assert unread_keys([how, read]) == []


@pytest.mark.parametrize(
    ("sections", "overrides", "words"),
    [
        (
            {"optim": {"eta_end": 0.001}},
            [],
            "optim.eta_end = 0.001: optim.schedule=constant does not read it; accepted: None",
        ),
        (
            {"optim": {"schedule": "inverse", "step_factor": 0.5}},
            [],
            "step_factor = 0.5: optim.schedule=inverse does not",
        ),
        ({"stop": {"patience_epochs": 5}}, ["stop.patience_epochs=5"], "accepted: 10, or stop=patience_epochs"),
        (
            {"stop": {"rule": "patience_epochs", "patience_batches": 5}},
            ["stop.patience_batches=5"],
            "stop=patience_epochs does not read it",
        ),
        (
            {"average": {"decay": 0.5}},
            ["++average.decay=0.5"],
            "average=none does not read it; accepted: 0.9, or average=ema",
        ),
        ({"average": {"rule": "swa", "decay": 0.5}}, ["average.decay=0.5"], "average=swa does not read it"),
        ({"optim": {"nesterov": True}}, [], "optim.nesterov = True: optim.momentum is 0; accepted"),
        ({"snapshot_every_epochs": 3}, [], "snapshot_every_epochs = 3: snapshots is 0; accepted"),
    ],
)
def test_a_key_that_no_schedule_stop_or_mean_reads_is_refused(sections, overrides, words):
    assert words in "".join(unread_keys([example.config(**sections)], overrides))


@pytest.mark.parametrize(("stop", "average"), [("none", "none"), ("patience_epochs", "swa")])
def test_what_an_experiment_sets_may_be_switched_off(stop, average):
    sections = {"stop": {"rule": stop, "patience_batches": 50}, "average": {"rule": average, "decay": 0.98}}
    assert unread_keys([example.config(**sections)], [f"stop={stop}", f"average={average}"]) == []


def test_maps_and_hidden_are_a_short_form_of_layers():
    short = example.config(model={"maps": [3], "hidden": [6, 5]})
    long = example.config(model={"layers": [{"conv": 3}, {"fc": 6}, {"fc": 5}]})
    assert short.shapes() == long.shapes()


def test_dropout_is_on_the_inputs_of_every_fully_connected_layer_and_of_the_softmax():
    model = {"layers": [{"conv": 3}, {"fc": 6, "dropout": 0.1}, {"fc": 5}], "dropout": 0.5}
    assert example.config(model=model).model.dropouts() == [0.1, 0.5, 0.5]


@given(
    st.sampled_from(
        [
            "optim.eta",
            "optim.lambda_",
            "model.dropout",
            "optim.momentum",
            "augment.alpha",
            "augment.scale",
            "average.decay",
        ]
    ),
    st.floats(0.1, 0.9),
)
def test_members_of_one_stack_may_differ_in_hyperparameters(key, value):
    assert structure_key(parse(with_value(key, value))) == structure_key(example.config())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.hidden", [7]),
        ("optim.clip_norm", 1.0),
        ("batch_size", 6),
        ("max_epochs", 3),
        ("model.activation", "relu"),
        ("data.dir", "other"),
    ],
)
def test_members_of_one_stack_share_the_structure(key, value):
    assert structure_key(parse(with_value(key, value))) != structure_key(example.config())


def test_the_files_in_conf_hold_the_schemas_defaults():
    """So that a program that builds a configuration itself gets what the command line gets."""

    def check(section: type[BaseModel], values: dict, prefix: str) -> None:
        for name, field in section.model_fields.items():
            if prefix == "data." and name in chain(*DATA_KEYS.values()):
                continue  # of own data: in the files of the sources that read it
            assert name in values, f"{prefix}{name} is missing in conf"
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                continue
            if not field.is_required() and (prefix, name) not in {("model.", "hidden"), ("data.", "name")}:
                assert values[name] == field.default, f"{prefix}{name}"

    sections = {
        "data": "auto",
        "augment": "none",
        "model": "shallow",
        "task": "classify",
        "pretrain": "none",
        "optim": "sgd",
        "average": "none",
        "stop": "none",
        "trainer": "auto",
        "tracking": "mlflow",
    }
    top = OmegaConf.to_container(OmegaConf.load(CONF / "config.yaml"))
    check(RunConfig, {**top, **dict.fromkeys(sections)}, "")
    for group, option in sections.items():
        loaded = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{option}.yaml"))
        check(RunConfig.model_fields[group].annotation, loaded, f"{group}.")


@pytest.mark.parametrize("source", DATA_KEYS)
def test_each_source_of_own_data_has_a_file_in_conf_with_the_keys_that_it_reads(source):
    values = OmegaConf.to_container(OmegaConf.load(CONF / "data" / f"{source}.yaml"))
    others = {*chain(*DATA_KEYS.values())} - {*DATA_KEYS[source]} | ({"dir"} if source != "folder" else set())
    assert {*values} == {*DataConfig.model_fields} - others


def test_trials_that_differ_in_their_groups_of_strengths_share_a_stack():
    groups = [path.stem for path in (CONF / "augment").glob("*.yaml") if path.stem != "cifar"]
    each = [composed(["data=mnist", f"augment={group}"]) for group in groups]
    assert len(groups) >= 4
    assert len({structure_key(parse(raw)) for raw in each}) == 1
    assert parse(composed(["data=cifar10", "augment=cifar"])).augment.wanted


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_has_a_file_in_conf_with_all_keys_and_none_set_that_it_does_not_read(rule):
    values = OmegaConf.to_container(OmegaConf.load(CONF / "optim" / f"{rule}.yaml"))
    assert set(values) == set(schema.OptimConfig.model_fields)
    assert values["rule"] == rule
    assert unread_keys([parse({**example.raw(), "optim": values})]) == []


def test_the_schema_is_imported_without_torch():
    import subprocess
    import sys

    code = (
        "import sys, src.config.check, src.commands.help; sys.exit('torch' in sys.modules or 'mlflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert schema.__name__ == "src.config.schema"


# Passwords

users = st.text("ab@.-_%", max_size=4)
# Neither a space first nor a port and a space, for that is prose; a space and then :// is another address.
passwords = st.from_regex(r"(?!\d{1,5}(?!\w))[^@\s](?:(?! \S*://)[ -?A-~é])*", fullmatch=True)
hosts = st.sampled_from(["host", "host:5432", "[::1]:5432", "127.0.0.1"])
ends = st.sampled_from(["", "/", "/base", "/base?x=1"])
addresses = st.tuples(st.sampled_from(["http://", "postgresql+psycopg://"]), users, passwords, hosts, ends)


def joined(parts, password=None):
    scheme, user, secret, host, end = parts
    return f"{scheme}{user}:{secret if password is None else password}@{host}{end}"


@given(addresses)
def test_what_sqlalchemy_reads_as_the_password_is_masked(parts):
    address = joined(parts)
    assert make_url(address).password is not None
    assert masked(address) == joined(parts, "***")
    assert make_url(masked(address)).password == "***"
    assert masked(masked(address)) == masked(address)


plain = st.sampled_from(["http://a:5000", "http://[::1]:5000/path", "sqlite:///a.db", "http://me@a", "no address: x"])


@given(st.lists(addresses | plain, max_size=4), st.sampled_from([" and ", ", ", ",", "\n", " -> "]))
def test_of_several_addresses_each_is_masked_and_the_text_between_stays(parts, between):
    text, expected = (
        between.join(part if isinstance(part, str) else joined(part, password) for part in parts)
        for password in (None, "***")
    )
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "at http://a:5000 and me@b",
        "scheme://host:5000/path with me@x",
        "http://host:5000, me@x",
        "http://host: nobody answers, ask me@x",
        "http://[::1]:5000/path with me@x",
        "http://host:port\nme@x",
        "http://me@host/path",
        "sqlite:///mlruns/a.db of me@x",
        "me:a@x",
    ],
)
def test_text_without_a_password_stays_as_it_is(text):
    assert masked(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:a/b@host/db", "postgresql://u:***@host/db"),
        ("postgresql://u:a b@host/db", "postgresql://u:***@host/db"),
        ("postgresql://u:12/3@host/db", "postgresql://u:***@host/db"),
        ("postgresql://u@server:a@host/db", "postgresql://u@server:***@host/db"),
        ("http://u:a@b@host:5000/x@y", "http://u:***@host:5000/x@y"),  # MLflow reads a@b
        ("from http://a:5000,http://u:p@b to me@c", "from http://a:5000,http://u:***@b to me@c"),
    ],
)
def test_a_password_ends_at_its_at_sign(text, shown):
    assert masked(text) == shown
