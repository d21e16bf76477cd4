"""On a GPU every kind of run learns what it learns on the CPU: each task, rule, layer, own network, and what acts
between steps. Skipped where there is none.

Both train with the torch engine in float32; their sums round differently, so curves agree to a few parts in a thousand.
"""

import os
import re

import numpy as np
import pytest
import torch

from src import Stopped, load_run, train
from src.commands import evaluate, look, resume
from src.config.error import UserError
from src.runs import checkpoint
from src.training.engines.torch_engine import BY_PRODUCTS
from tests.commands.test_resume import stops_after
from tests.own_networks import Transformer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and none is here")

BASE = {
    "data": "digits",
    "data.train": 200,
    "max_epochs": 2,
    "repeats": 3,
    "trainer.engine": "torch",
    "trainer.compile": False,
    "trainer.threads": 1,
    "tracking": "none",
    "figures": False,
}
DENSE = {"model.maps": [], "model.hidden": [20], "optim.eta": 0.1}
OWN = {"data": "arrays", "data.path": "own.npz", "data.train": None, "optim": "adamw", "optim.eta": 0.01}
IMAGES, VALUES = "images.npz", "values.npz"
NETS = "tests.own_networks."
RUNS = {
    "sgd": DENSE,
    "momentum": {"optim.momentum": 0.9, "model.maps": [4], "optim.lambda_": 0.5},
    "many": {"optim.momentum": 0.9, "model.maps": [4, 4], "repeats": BY_PRODUCTS},
    "l1 and bounds": DENSE | {"optim.l1": 0.01, "optim.max_norm": 3.0, "optim.clip_norm": 1.0},
    "rmsprop": DENSE | {"optim": "rmsprop", "optim.eta": 0.003},
    "adam, by step": DENSE | {"optim": "adam", "optim.eta": 0.003, "optim.schedule": "one_cycle"},
    "adamw": DENSE | {"optim": "adamw", "optim.eta": 0.003, "optim.clip_norm": 1.0},
    "muon": DENSE | {"optim": "muon", "model.hidden": [20, 20], "optim.eta": 0.003},
    "dropout": {"exp": "dropout", "model.hidden": [30], "model.maps": [4, 4]},
    "batch norm": {"model.maps": [4, 4], "model.norm": "batch", "model.activation": "relu"},
    "ensemble": DENSE | {"ensemble": 2, "repeats": 2},
    "watch": DENSE | {"trainer.watch": True},
    "swa": DENSE | {"average": "swa"},
    "ema": {"average": "ema", "average.every_batches": 3, "model.maps": [4], "model.norm": "batch"},
    "augment": DENSE | {"augment": "mnist"},
    "elastic": {"augment": "simard", "model.maps": [4]},
    "smoothing, class weights": DENSE | {"task.label_smoothing": 0.1, "task.class_weights": "balanced"},
    "scaled": DENSE | {"data.normalise": "channel"},
    "whitened, sampled": DENSE | {"data.normalise": "zca", "data.epsilon": 0.1, "data.order": "epoch",
                                  "data.sampling": "over"},
    "logistic": {"exp": "logistic", "batch_size": 40, "max_epochs": 3},
    "mlp": {"exp": "mlp", "max_epochs": 2, "model.hidden": [30]},
    "lenet": {"exp": "lenet", "batch_size": 40, "max_epochs": 2, "model.maps": [4, 6]},
    "dae": {"exp": "dae", "max_epochs": 2, "model.hidden": [30]},
    "rbm": {"exp": "rbm", "max_epochs": 2, "model.hidden": [30], "task.k": 3},
    "sda": {"exp": "sda", "max_epochs": 2, "model.hidden": [30, 20], "pretrain.max_epochs": 2,
            "pretrain.corruption": [0.1, 0.2]},
    "dbn": {"exp": "dbn", "max_epochs": 2, "model.hidden": [30, 20], "pretrain.max_epochs": 2},
    "folds": DENSE | {"data.folds": 3, "repeats": 1},
    "own mlp": OWN | {"model.target": NETS + "Mlp", "model.args": {"dropout": 0.2}},
    "own plain": OWN | {"model.target": NETS + "Plain"},
    "own lstm": OWN | {"model.target": NETS + "Lstm", "data.path": "rows.npz"},
    "own attention": OWN | {"model.target": "tests.commands.test_on_cuda.Attention", "data.path": "rows.npz"},
    "own residual": OWN | {"model.target": NETS + "Resnet", "data.path": IMAGES},
    "own embedding": OWN | {"model.target": NETS + "Embedded"},
    "own branching": OWN | {"model.target": NETS + "Branching"},
    "regress": OWN | DENSE | {"task": "regress", "data.path": VALUES, "optim.eta": 0.01},
    "multilabel": OWN | DENSE | {"task": "multilabel", "data.path": "labels.npz", "optim.eta": 0.01},
}  # fmt: skip


class Attention(Transformer):
    """The same, with its position in a buffer, which moves to the GPU."""

    def __init__(self) -> None:
        super().__init__()
        position = self.position
        del self.position
        self.register_buffer("position", position, persistent=False)


LOOSE = {"rbm": 0.03, "dbn": 0.03}  # Gibbs chains take another turn where a probability is rounded differently


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with data of several shapes; own networks are found in it as in the repository."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(1)
    y = np.arange(240) % 4
    x = generator.normal(size=(240, 144)).astype(np.float32) + y[:, None] * 0.3
    np.savez("own.npz", x=x, y=y)
    np.savez("rows.npz", x=x.reshape(240, 12, 12), y=y)
    np.savez(IMAGES, x=generator.normal(size=(240, 3, 32, 32)).astype(np.float32) + y[:, None, None, None] * 0.3, y=y)
    np.savez(VALUES, x=x, y=x[:, :2] + 0.1)
    np.savez("labels.npz", x=x, y=(x[:, :2] > 0.3).astype(np.float32))
    return tmp_path


def trained(name, accelerator):
    return train(BASE | RUNS[name] | {"trainer.accelerator": accelerator})


@pytest.mark.parametrize("name", RUNS)
def test_on_cuda_a_run_learns_what_it_learns_on_the_cpu(name, capsys):
    here = trained(name, "cuda")
    said = capsys.readouterr().out
    there = trained(name, "cpu")
    assert "going on without" not in said
    if not name.startswith("own"):  # these train in whichever way is faster
        assert "CUDA graph" in said
    print(name, re.findall("engine: .*", said))
    table, other = here.history(), there.history()
    columns = [column for column in table if column.endswith("/cost")]
    assert len(table) == len(other) > 0
    for column in columns:
        np.testing.assert_allclose(table[column], other[column], rtol=LOOSE.get(name, 5e-3), err_msg=column)


def test_on_cuda_a_tensor_that_does_not_move_is_named():
    with pytest.raises(UserError, match=r"moves to the GPU where it is a parameter or a buffer: self\.register_buffer"):
        train(BASE | RUNS["own attention"] | {"model.target": NETS + "Transformer", "trainer.accelerator": "cuda"})


def test_on_cuda_a_run_that_was_stopped_goes_on_as_if_it_had_not(monkeypatch):
    settings = BASE | RUNS["momentum"] | {"trainer.accelerator": "cuda", "max_epochs": 4, "trainer.chunk": 20}
    whole = train(settings)
    monkeypatch.setattr(checkpoint, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 1e9)
    with monkeypatch.context() as patched:
        stops_after(2, patched)
        with pytest.raises(Stopped) as stopped:
            train(settings)
    folder = stopped.value.kept.folder
    assert resume.main([os.fspath(folder)]) == 0
    table, other = whole.history(), load_run(folder).history()
    assert len(table) == len(other) == 12
    np.testing.assert_allclose(table["train/cost"], other["train/cost"], rtol=1e-3)


def test_on_cuda_a_run_is_evaluated_and_looked_at():
    run = train(BASE | RUNS["momentum"] | {"trainer.accelerator": "cuda"})
    for command in (evaluate, look):
        assert command.main([f"run={os.fspath(run.folder)}"]) == 0
