"""What all tests share: no GPU, one thread (small tensors gain nothing from more), no tracking of real runs."""

import gc
import os
import signal

import pytest
import torch
import torchmetrics  # noqa: F401  (before src.training.lightning: the benchmarks hand its metrics to Lightning)
from hypothesis import settings

from src.runs import result_files

# Started in the background of a shell, Python finds SIGINT ignored; tests send it, to themselves and to their children.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A loaded machine is slow, not wrong. The same commit gives the same verdict; EXPLORE=1000 tries so many new examples.
EXPLORE = int(os.environ.get("EXPLORE", "0"))
settings.register_profile("here", deadline=None, derandomize=not EXPLORE, max_examples=EXPLORE or 100)
settings.load_profile("here")


def pytest_collection_finish() -> None:
    """What is imported by now stays: every full collection, of which a sweep makes one a stack, leaves it out."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def kept_at_every_epoch(monkeypatch):
    """What a run keeps on its way must change nothing in what it ends with, whenever it is kept."""
    monkeypatch.setattr(result_files, "KEEP_SECONDS", 0.0)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
