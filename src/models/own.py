"""A network of the user's: a class of torch.nn.Module, by its dotted name, that knows nothing of this tool.

It takes a mini-batch of inputs (B, *example) and gives outputs (B, outputs). Its initial weights are its own, drawn by
the constructor; its dropout layers become layers whose masks follow from a member's seed and step (own_dropout.py).
Legend: B examples of a mini-batch; *example: the shape of one example (DataConfig.example).
"""

import json
import random
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from src.config.error import ConfigError
from src.config.own_error import said
from src.config.own_module import own_module
from src.config.schema import RunConfig
from src.config.shapes import LayerShape
from src.models.hidden import hidden_matrices
from src.models.own_dropout import Draws, with_counted_dropout

# The arguments that the members of stacks were built with, in the order of their first use in this process: a
# hyperparameter is a number, so a member's arguments are theirs by position (`arguments_number`).
_ARGUMENTS: list[str] = []
_STRANGERS: dict[str, str] = {}  # classes of which a stack cannot hold members with other arguments, and why
_CHECKED = 4  # examples of the mini-batch that a network is checked with, at most


def arguments_number(arguments: Mapping[str, Any]) -> int:
    """A number for these arguments of a class, the same for equal ones as long as the process lives."""
    text = json.dumps(arguments, sort_keys=True)
    if text not in _ARGUMENTS:
        _ARGUMENTS.append(text)
    return _ARGUMENTS.index(text)


class OwnModel:
    """The network that `model.target` names, built with `model.args`."""

    plan: Sequence[LayerShape] | None = None  # it is no list of layers that kernels could compute
    inverted = True

    def __init__(self, target: str, arguments: Mapping[str, Any], example: tuple[int, ...]) -> None:
        """example: the shape of one example as the class sees it."""
        self.target, self.own_arguments, self.example = target, dict(arguments), example

    def of(self, config: RunConfig) -> "OwnModel":
        """The same network with the arguments of a member's own configuration."""
        return OwnModel(self.target, config.model.args, self.example)

    def numbered(self, number: int) -> "OwnModel":
        """The same network with the arguments of this number (`arguments_number`)."""
        return OwnModel(self.target, json.loads(_ARGUMENTS[number]), self.example)

    def build(self, seed: int = 0) -> nn.Module:
        """One member's module on the CPU, with the weights that its class draws from `seed`.

        Its forward(x, key=None) takes inputs (B, …), with a key in training, and gives them the shape of the examples.
        Raises ConfigError where the class cannot be imported or built.
        """
        kind = _class(self.target)
        with seeded(seed), torch.device("cpu"):
            try:
                module = kind(**self.own_arguments)
            except Exception as error:  # the class is the user's and may raise anything
                raise ConfigError(
                    f"model.target = {self.target!r}: cannot be built with model.args = {self.own_arguments!r}: "
                    f"{said(error, kind)}"
                ) from error
            draws = with_counted_dropout(module)
            _takes_key(module, draws, self.example)
            if any(isinstance(one, nn.parameter.UninitializedParameter) for one in module.parameters()):
                with torch.no_grad():  # a lazy layer learns its sizes, and draws its weights, from the first inputs
                    module(torch.zeros(2, *self.example))
        return module

    def first_state(self, seed: int) -> dict[str, Tensor]:
        """One member's initial parameters and buffers as its class draws them from the seed, on the CPU."""
        return {name: value.detach().clone() for name, value in own_state(self.build(seed)).items()}

    def strangers(self, network: nn.Module, numbers: Sequence[int]) -> str:
        """In one line, which arguments change more than a network's state; empty where those of all `numbers` do not.

        network: this model's, built. With the state of another it has to give the outputs of that other one. What was
        found is kept: from then on no stack of this class is trained under vmap (`known_strangers`).
        """
        for number in set(numbers):
            other = self.numbered(number)
            module = other.build().to(next(network.parameters()).device)
            for key in (torch.tensor(0), None):
                if not _agree(network, module, self.example, key):
                    found = f"model.args = {other.own_arguments!r} reaches the network not by its state alone"
                    _STRANGERS[self.target] = found
                    return found
        return ""

    @property
    def known_strangers(self) -> str:
        """What `strangers` has found for this class in this process."""
        return _STRANGERS.get(self.target, "")

    @property
    def parameters(self) -> int:
        """The number of its weights and biases."""
        return _parameters(self.target, json.dumps(self.own_arguments, sort_keys=True), self.example)

    def arguments(self, hyper: dict[str, Tensor]) -> dict[str, Tensor | int]:
        """No further arguments of a call: what differs by member is in its parameters and buffers."""
        return {}


def own_state(module: nn.Module) -> dict[str, Tensor]:
    """The parameters and persistent buffers by name, not copies; one that has several names only under its first."""
    state: dict[str, Tensor] = {}
    known = set[int]()
    for name, value in module.state_dict(keep_vars=True).items():
        if isinstance(value, Tensor) and id(value) not in known:
            known.add(id(value))
            state[name] = value
    return state


def load_own_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copies `state`, as `own_state` has it, into the module. Raises KeyError where a name is missing."""
    with torch.no_grad():
        for name, value in own_state(module).items():
            value.copy_(state[name])


def check_network(config: RunConfig, inputs: Tensor | None = None) -> None:
    """Builds the user's network and calls it once, in training and in evaluation; without model.target, does nothing.

    inputs: examples (N, …) as networks see them; by default zeros. Raises ConfigError, one paragraph, where it cannot
    be imported or built, its forward raises, or its outputs do not fit the task.
    """
    if config.model.target is None:
        return
    count = min(_CHECKED, config.batch_size)
    x = torch.zeros(count, *config.data.example) if inputs is None else inputs[:count]
    module, field = OwnModel.build(own_model(config)), f"model.target = {config.model.target!r}"
    if not any(one.requires_grad for one in module.parameters()):
        raise ConfigError(f"{field}: has no parameters to train; accepted: a class with at least one")
    if config.optim.rule == "muon" and not hidden_matrices(module):
        raise ConfigError(
            f"optim.rule = 'muon': trains the matrices between the first and the last one, of which {field} has none; "
            "accepted: a class with three or more, or optim=adamw"
        )
    expected = len(x), config.data.outputs(config.task.name)
    for key in (torch.tensor(0), None):
        try:
            with seeded(0), torch.no_grad():
                outputs = module(x, key)
        except Exception as error:  # the class is the user's and may raise anything
            raise ConfigError(
                f"{field}: its forward fails on a mini-batch of shape {(len(x), *config.data.example)}: {said(error)}"
            ) from error
        if not isinstance(outputs, Tensor) or not outputs.is_floating_point() or tuple(outputs.shape) != expected:
            what = f"{outputs.dtype} {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__
            raise ConfigError(
                f"{field}: its forward gives {what} for a mini-batch of shape {(len(x), *config.data.example)}; "
                f"accepted: a tensor of floating-point numbers {expected}, an output for each "
                f"{'class' if config.task.kind == 'classes' else 'target'} of task={config.task.name}"
            )


def check_networks(configs: Sequence[RunConfig]) -> None:
    """Checks the user's networks of all these configurations, each kind once. Raises as `check_network`."""
    kinds = {
        str((config.model, config.data, config.task, config.batch_size, config.optim.rule)): config
        for config in configs
    }
    for config in kinds.values():
        check_network(config)


def own_model(config: RunConfig) -> OwnModel:
    """The network that `model.target` names; it has to be set."""
    assert config.model.target is not None
    return OwnModel(config.model.target, config.model.args, config.data.example)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A context in which the global random generators of torch, NumPy and Python begin from `seed`; it leaves no trace.

    torch's generators of GPUs are not touched.
    """
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def code_of(target: str | None) -> int | None:
    """The checksum (CRC-32) of the file that holds the class; None where there is none, as for one in a notebook."""
    file = _file(target) if target else None
    return zlib.crc32(file.read_bytes()) if file else None


def changed_code(target: str | None, before: int | None) -> str:
    """A line that says so where the class's file is another one than `before`, its checksum; else empty."""
    if target is None or before is None or code_of(target) == before:
        return ""
    file = _file(target)
    name = file.name if file else "its file"
    return f"model.target = {target}: {name} has changed since this was trained, so that its networks may differ."


def _file(target: str) -> Path | None:
    file = getattr(sys.modules.get(_class(target).__module__), "__file__", None)
    return Path(file) if file and Path(file).is_file() else None


@lru_cache
def _class(target: str) -> type[nn.Module]:
    """The class of this dotted name, looked up in the folder of the command too. Raises ConfigError."""
    place, _, name = target.rpartition(".")
    try:
        found: Any = own_module(place)
    except Exception as error:  # a module of the user's may raise anything
        raise ConfigError(f"model.target = {target!r}: {place} cannot be imported: {said(error)}") from error
    if not hasattr(found, name):
        classes = [key for key, one in vars(found).items() if isinstance(one, type) and issubclass(one, nn.Module)]
        raise ConfigError(
            f"model.target = {target!r}: {place} has no {name}; accepted: {', '.join(classes) or 'another module'}"
        )
    kind = getattr(found, name)
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise ConfigError(f"model.target = {target!r}: is no class of torch.nn.Module; accepted: such a class")
    return kind


@lru_cache
def _parameters(target: str, arguments: str, example: tuple[int, ...]) -> int:
    return sum(one.numel() for one in OwnModel(target, json.loads(arguments), example).build().parameters())


def _agree(network: nn.Module, module: nn.Module, example: tuple[int, ...], key: Tensor | None) -> bool:
    """Whether `network` with the state of `module` gives the outputs of `module`, on random inputs."""
    device = next(network.parameters()).device
    x = torch.rand(_CHECKED, *example, generator=torch.Generator().manual_seed(0)).to(device)
    state = {name: value.detach().clone() for name, value in own_state(module).items()}
    with seeded(0), torch.no_grad():
        found = functional_call(network, state, (x,), {"key": key})
    with seeded(0), torch.no_grad():
        wanted = module(x, key)
    return torch.allclose(found, wanted, rtol=1e-3, atol=1e-5, equal_nan=True)


def _takes_key(module: nn.Module, draws: Draws, example: tuple[int, ...]) -> None:
    """Gives the module a forward(x, key=None): in training with a key, in evaluation without."""
    inner = module.forward

    def forward(x: Tensor, key: Tensor | None = None) -> Tensor:
        if draws.inside:  # the class calls itself
            return inner(x)  # type: ignore[no-any-return]
        if module.training != (key is not None):
            module.train(key is not None)
        draws.begin(key)
        try:
            # A reshape would lose the order in memory of inputs with one channel.
            outputs: Tensor = inner(x if x.shape[1:] == example else x.reshape(-1, *example))
        finally:
            draws.end()
        return outputs

    module.forward = forward
