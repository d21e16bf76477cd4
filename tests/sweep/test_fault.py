"""Whose fault an error is: by its kind, and by a probe."""

import gc
import traceback
from sqlite3 import DatabaseError
from weakref import ref

import pytest
import torch

from src.config.error import ConfigError, StoreError
from src.data.error import DataError
from src.models import model as stack
from src.sweep import fault
from src.training.memory import TooLargeError
from tests.example import config, dataset


def broken():
    raise RuntimeError("nothing runs here")


@pytest.mark.parametrize(
    "error", [StoreError("gone"), OSError("full"), ImportError("no module"), DatabaseError("locked")]
)
def test_some_errors_are_the_surroundings_by_their_kind(error):
    assert fault.is_of_surroundings(error)


def test_a_refused_configuration_is_the_trials_without_a_probe():
    assert not fault.is_of_surroundings(ConfigError("batch_size = 5000"), broken)


@pytest.mark.parametrize("error", [RuntimeError("?"), MemoryError(), TooLargeError("layers"), DataError("data.train")])
def test_of_all_else_the_probe_decides(error):
    assert fault.is_of_surroundings(error, broken)
    assert not fault.is_of_surroundings(error)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")]
)
def test_lack_of_memory_is_known_by_kind_and_words(error):
    assert fault.is_of_memory(error)


def test_an_error_is_told_in_full_but_holds_nothing_that_the_probe_needs_room_for():
    held = []

    def stack():
        module = torch.nn.Linear(1, 1)
        held.append(ref(module))
        raise MemoryError("no room")

    def trained():
        try:
            stack()
        except MemoryError as cause:
            raise RuntimeError("it broke") from cause

    with pytest.raises(RuntimeError) as caught:
        trained()
    before = traceback.format_exception(caught.value)
    fault.let_go(caught.value)
    gc.collect()
    assert held[0]() is None
    assert traceback.format_exception(caught.value) == before


def test_the_probe_has_neither_sizes_nor_rates_nor_seed_of_the_trial(monkeypatch):
    shapes, original = [], stack.initial_weights

    def seen(layers, init, seed):
        shapes.append(([layer.outputs for layer in layers[:-1]], seed))
        return original(layers, init, seed)

    monkeypatch.setattr(stack, "initial_weights", seen)
    one = config(model={"maps": [], "hidden": [300]}, optim={"eta": 1e30}, batch_size=5000)
    fault.train_plainly(one, dataset())
    assert shapes == [([1], fault.PROBE_SEED)]
