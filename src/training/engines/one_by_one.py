"""The torch engine for networks that vmap cannot turn into a stack: members take their steps in turn.

Each member has a module of its own, built with its own arguments, whose parameters and buffers are views of the stack's
tensors. Only the update is that of the stack. Whatever a forward draws from torch's generator follows from the member's
seed and step, so a member alone gives what it gives in the stack. Legend: K members, B examples in a mini-batch.
"""

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import Conv2d, ConvTranspose2d, Module

from src.data.dataset import BY_MEMBER
from src.data.scaling import as_seen
from src.models.dropout import mix
from src.models.own import OwnModel, own_state
from src.training.engines.engine import State
from src.training.engines.torch_engine import TorchEngine
from src.training.hyper import Hyper


class OneByOne(TorchEngine):
    """An engine (engine.py) that calls each member's own module."""

    def _take(self, hyper: Hyper, state: State) -> None:
        """Makes these the members, each with a module of its own."""
        super()._take(hyper, state)
        self.recorder = None  # CUDA graphs cannot follow a network that looks at values
        self._members = [_Bound(self._module(k), self._own, k) for k in range(len(hyper["seed"]))]
        self._seeds: list[int] = mix(hyper["seed"]).tolist()

    def _module(self, k: int) -> Module:
        model = self.spec.model
        assert isinstance(model, OwnModel)
        return model.numbered(int(self.hyper["arguments"][k])).build().to(self.device)

    def _refuse_other_arguments(self, hyper: Hyper) -> None:
        """Nothing is refused: each member has a module of its own."""

    def _ways(self) -> list[str]:
        """How steps run, in words."""
        return ["one by one"]

    @contextlib.contextmanager
    def arithmetic(self) -> Iterator[None]:
        """As in TorchEngine; torch's generators, which members seed, come back as they were."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices), super().arithmetic():
            yield

    def _kernels(self) -> contextlib.AbstractContextManager[None]:
        """A context that changes nothing."""
        return contextlib.nullcontext()

    def gradients(
        self, x: Tensor, y: Tensor, shared: bool, keys: Tensor, fused: list[str]
    ) -> tuple[State, Tensor, Tensor, State]:
        """As in TorchEngine; the buffers have their new values already."""
        rows: dict[str, list[Tensor]] = {name: [] for name in self.parameters}
        costs, outputs = list[Tensor](), list[Tensor]()
        for k, (member, key) in enumerate(zip(self._members, keys, strict=True)):
            self._begin(int(key))
            parameters = [member.state[name] for name in rows]
            with torch.enable_grad():
                part = self._laid_out(x if shared else x[k])
                cost, own = self.spec.task.cost(member, part, y if shared else y[k], key)
                found = torch.autograd.grad(cost, parameters, allow_unused=True)
            member.keep_buffers()
            for row, gradient, value in zip(rows.values(), found, parameters, strict=True):
                row.append(torch.zeros_like(value) if gradient is None else gradient)
            costs.append(cost.detach())
            outputs.append(own.detach())
        return (
            {name: torch.stack(row) for name, row in rows.items()},
            torch.stack(costs),
            torch.stack(outputs),
            self._own,
        )

    def _laid_out(self, x: Tensor) -> Tensor:
        """The inputs (B, C, H, W) as they lie in memory when a member sees them."""
        return x

    def _begin(self, seed: int) -> None:
        """Seeds the generators from which the next forward may draw."""
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.default_generators[self.device.index or 0].manual_seed(seed)

    def _outputs(self, inputs: Tensor, members: Sequence[int] | None) -> Tensor:
        """(B, C, H, W), or by member (K, B, C, H, W) -> these members' outputs in evaluation (K, B, …) float32."""
        x = as_seen(inputs, self._scaling)
        outputs = []
        with torch.no_grad(), self.arithmetic():
            for k in range(len(self._members)) if members is None else members:
                self._begin(self._seeds[k])
                part = x[k] if x.dim() == BY_MEMBER else x
                outputs.append(self.spec.task.outputs(self._members[k], self._laid_out(part)))
                self._members[k].keep_buffers()
        return torch.stack(outputs)


class ChannelsLast(OneByOne):
    """The same with the channels of a pixel side by side in memory, with which convolutions on a CPU are up to twice as
    fast. Some networks cannot take such inputs: `view` needs the usual order."""

    def _ways(self) -> list[str]:
        """How steps run, in words."""
        return ["one by one, channels last"]

    def _laid_out(self, x: Tensor) -> Tensor:
        """The inputs (B, C, H, W), channels last."""
        return torch.empty_like(x, memory_format=torch.channels_last).copy_(x)


def has_convolutions(network: Module) -> bool:
    """Whether the network has convolutions over the pixels of images."""
    return any(isinstance(module, Conv2d | ConvTranspose2d) for module in network.modules())


class _Bound:
    """A call of one member's module, whose parameters and buffers are views of the stack's tensors."""

    def __init__(self, module: Module, stack: State, k: int) -> None:
        self.module = module
        self.state = own_state(module)
        self._buffers: list[tuple[dict[str, Tensor | None], str, Tensor]] = []
        views = {id(value): stack[name][k] for name, value in self.state.items()}
        for value in module.parameters():
            value.data = views[id(value)]
        for part in module.modules():
            for name, buffer in part._buffers.items():
                if id(buffer) in views:
                    part._buffers[name] = views[id(buffer)]
                    self._buffers.append((part._buffers, name, views[id(buffer)]))

    def __call__(self, x: Tensor, key: Tensor | None = None) -> Tensor:
        outputs: Tensor = self.module(x, key)
        return outputs.float()

    def keep_buffers(self) -> None:
        """Copies the buffers that a forward has replaced, not changed in place, into the stack's tensors."""
        for owner, name, view in self._buffers:
            value = owner[name]
            if value is not view:
                assert value is not None
                view.copy_(value.detach())
                owner[name] = view
