"""The peer: a plain PyTorch Lightning project, one network at a time, as Lightning's documentation writes one.

A LightningModule with training_step, validation_step, test_step, automatic optimisation and configure_optimizers;
accuracy from torchmetrics; self.log of loss and accuracy; TensorDataset and DataLoader; a Trainer without progress bar,
logger, checkpoints and model summary. Every choice, and whom it favours:

* Images become floats once, before training: no transform an image is left (for the peer).
* Network: `benchmarks.plain.network`, PyTorch's own layers (as written everywhere), same shapes, dropout and η as ours.
* Optimiser: torch.optim.SGD with its defaults, no weight decay; neither side decays (as written).
* Mini-batches of 10 through DataLoader(shuffle=True), its own collation; 0 or 2 workers, torch on one thread or on all:
  whatever `fastest_setting` finds to be the fastest here (for the peer).
* Metrics: torchmetrics' documented pattern, one accuracy object a stage, called in the step and handed to self.log
  (as written). `metrics=False` leaves torchmetrics and self.log out, for a reader who would write neither.
* Evaluation in mini-batches of 500, more than most write (for the peer).
* Lightning's warnings and its word about devices are silenced, which costs nothing.
"""

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import Accuracy

from benchmarks import plain
from benchmarks.measure import Contender, interleaved, threaded
from src.config.schema import RunConfig
from src.data.dataset import Split

EVALUATION_BATCH = 500
WORKERS = (0, 2)
_WARM_UP = 0.2  # steps of the warm-up before a timed run, as a part of its steps
_PROBE_ROUNDS, _PROBE_SECONDS = 5, 0.4  # rounds, and seconds of each, in which a setting is measured


class Peer(pl.LightningModule):
    """One network with its training, validation and test step."""

    def __init__(self, config: RunConfig, metrics: bool = True) -> None:
        super().__init__()
        self.network = plain.network(config)
        self.eta = config.optim.eta
        self.metrics = metrics
        classes = config.data.classes
        self.train_accuracy = Accuracy(task="multiclass", num_classes=classes)
        self.validation_accuracy = Accuracy(task="multiclass", num_classes=classes)
        self.test_accuracy = Accuracy(task="multiclass", num_classes=classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) -> (B, classes)."""
        logits: Tensor = self.network(x)
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """The cost that Lightning minimises."""
        x, y = batch
        logits = self(x)
        loss = F.cross_entropy(logits, y)
        if self.metrics:
            self.train_accuracy(logits, y)
            self.log("train_loss", loss)
            self.log("train_accuracy", self.train_accuracy, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Logs the metrics of a mini-batch of the validation images; called after each epoch."""
        self._evaluate("validation", self.validation_accuracy, batch)

    def test_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Logs the metrics of a mini-batch of the test images; called once, at the end."""
        self._evaluate("test", self.test_accuracy, batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain stochastic gradient descent."""
        return torch.optim.SGD(self.parameters(), lr=self.eta)

    def _evaluate(self, stage: str, accuracy: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
        x, y = batch
        logits = self(x)
        accuracy(logits, y)
        self.log(f"{stage}_loss", F.cross_entropy(logits, y))
        self.log(f"{stage}_accuracy", accuracy)


class _Stopwatch(pl.Callback):
    """Seconds from the end of mini-batch `first` to the end of mini-batch `last`, loading included."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last, self.done = first, last, 0
        self.started = self.seconds = 0.0

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, out: Any, batch: Any, i: int) -> None:
        """Notes the time at the end of the first and of the last mini-batch."""
        i, self.done = self.done, self.done + 1  # through all epochs
        if i in (self.first, self.last):
            if module.device.type == "cuda":
                torch.cuda.synchronize(module.device)
            now = time.perf_counter()
            self.started, self.seconds = (now, 0.0) if i == self.first else (self.started, now - self.started)


def floats(split: Split) -> TensorDataset:
    """The images as floats in 0…1, with their labels."""
    return TensorDataset(split.inputs.float() / 255, split.targets)


def loader(data: TensorDataset, config: RunConfig, workers: int = 0) -> DataLoader[Any]:
    """A DataLoader of mini-batches that are shuffled anew in each epoch."""
    return DataLoader(data, batch_size=config.batch_size, shuffle=True, num_workers=workers)


def evaluation_loader(data: TensorDataset) -> DataLoader[Any]:
    """A DataLoader of large mini-batches in the order of the images."""
    return DataLoader(data, batch_size=EVALUATION_BATCH)


def start_from(peer: Peer, weights: dict[str, Tensor]) -> Peer:
    """The peer with `weights` of one of our members, in the order of its layers."""
    with torch.no_grad():
        for parameter, value in zip(peer.network.parameters(), weights.values(), strict=True):
            parameter.copy_(value)
    return peer


def fit(peer: Peer, train: DataLoader[Any], validation: DataLoader[Any] | None = None, **options: Any) -> pl.Trainer:
    """Trains with Lightning's Trainer; `options` are its own, such as max_epochs."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with quiet():
        trainer = pl.Trainer(
            **{"accelerator": "cpu", "devices": 1} | options,
            enable_progress_bar=False,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        trainer.fit(peer, train, validation)
    return trainer


def test(trainer: pl.Trainer, peer: Peer, loader: DataLoader[Any]) -> float:
    """Accuracy on the test images."""
    with quiet():
        return float(trainer.test(peer, loader, verbose=False)[0]["test_accuracy"])


def step_seconds(
    config: RunConfig,
    data: TensorDataset,
    steps: int,
    workers: int,
    metrics: bool = True,
    accelerator: str = "cpu",
    module: pl.LightningModule | None = None,
) -> float:
    """The seconds of `steps` steps of a new peer, or of `module`, after a warm-up: without the start-up of the Trainer.

    An epoch that is shorter than that is followed by others.
    """
    warm = max(5, round(_WARM_UP * steps))
    watch = _Stopwatch(warm - 1, warm + steps - 1)
    fit(
        module or Peer(config, metrics),
        loader(data, config, workers),
        max_epochs=-1,
        max_steps=warm + steps,
        accelerator=accelerator,
        callbacks=[watch],
    )
    return watch.seconds


@dataclass(frozen=True)
class Setting:
    """The settings that a user of Lightning can change without another program: loading workers, torch's threads."""

    workers: int
    threads: int

    def __str__(self) -> str:
        return f"{self.workers} loading workers and torch on {self.threads} thread{'s' if self.threads > 1 else ''}"


def fastest_setting(config: RunConfig, data: TensorDataset, threads: int, accelerator: str = "cpu") -> Setting:
    """The setting, of 0 or 2 workers and 1 or `threads` threads, with which the peer is the fastest on this machine."""

    def contender(setting: Setting) -> Contender:
        def run(steps: int) -> float:
            return step_seconds(config, data, steps, setting.workers, accelerator=accelerator)

        return Contender(str(setting), threaded(setting.threads, run))

    settings = [Setting(workers, count) for workers in WORKERS for count in sorted({1, threads})]
    taken = interleaved([contender(setting) for setting in settings], _PROBE_ROUNDS, _PROBE_SECONDS)
    return min(settings, key=lambda setting: taken[str(setting)].median)


@contextmanager
def quiet() -> Iterator[None]:
    """A context without Lightning's advice about workers, logging intervals and devices."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
