"""Our engines, built for a benchmark: a stack of K members with their initial weights."""

import time

import torch
from torch import Tensor

from src.config.schema import RunConfig
from src.data.dataset import Split
from src.data.order import orders
from src.models.model import model_of
from src.training.device import cores
from src.training.engines.engine import Engine, State
from src.training.engines.torch_engine import TorchEngine
from src.training.spec import spec_of
from src.training.stack import first_state, hyper_of_stack, members_of


def first(config: RunConfig) -> State:
    """The state with which the members of `config` begin."""
    return first_state(members_of([config]), model_of(config))


def cpu_engine(config: RunConfig, batches: int, threads: int | None = None) -> Engine:
    """The cpu engine with the members of `config`; batches: mini-batches of an epoch; threads: None for all cores."""
    from src.training.engines import cpu  # with Numba, which a measurement on a GPU needs not

    hyper = hyper_of_stack(members_of([config]))
    return cpu.CpuEngine(spec_of(config, batches), hyper, first(config), threads or cores())


def torch_engine(
    config: RunConfig,
    batches: int,
    device: torch.device | None = None,
    compiled: bool = False,
    precision: int | str = 32,
    kind: type[TorchEngine] = TorchEngine,
) -> TorchEngine:
    """The torch engine, or a subclass `kind` of it, with the members of `config`; torch's number of threads is kept."""
    hyper = hyper_of_stack(members_of([config]))
    spec, device = spec_of(config, batches), device or torch.device("cpu")
    return kind(spec, hyper, first(config), device, precision, compiled)


class Trained:
    """An engine with its members' orders of the images, which a benchmark trains again and again."""

    def __init__(self, engine: Engine, config: RunConfig, split: Split) -> None:
        self.engine, self.split = engine, split
        seeds = [member.seed for member in members_of([config])]
        self.order = orders("epoch", seeds, len(split), config.batch_size, [0] * len(seeds))  # (K, M, B)
        self.eta = torch.tensor([config.optim.eta] * len(seeds))

    def seconds(self, steps: int) -> float:
        """The seconds in which all members train `steps` steps, as one chunk, after a warm-up."""
        self._train(self.order[:, : max(1, steps // 10)])
        order = self.order.repeat(1, -(-steps // self.order.shape[1]), 1)[:, :steps]
        start = time.perf_counter()
        self._train(order)
        return time.perf_counter() - start

    def _train(self, order: Tensor) -> None:
        self.engine.train(self.split.inputs, self.split.targets, order, torch.tensor(0), self.eta)
