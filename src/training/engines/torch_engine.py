"""The torch engine: serves any network on any device. `vmap` turns the step of one member into that of the stack.

A network that vmap cannot turn is trained by one_by_one.py.

On a GPU, blocks of steps are captured as CUDA graphs (graphs.py). Legend: K members, M mini-batches in a chunk,
S mini-batches in a block of it, B examples in a mini-batch, N examples, H numbers that the update reads in a step.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap
from torch.nn import Module
from torch.utils.hooks import RemovableHandle

from src.data.dataset import BY_MEMBER
from src.data.scaling import as_seen
from src.models.dropout import step_key
from src.models.hidden import hidden_matrices
from src.models.layers.convolution import Convolution
from src.models.layers.dense import Dense
from src.models.own import OwnModel, own_state
from src.training.engines.arithmetic import cuda_arithmetic
from src.training.engines.compilation import COMPILE_SECONDS, compiled_step, first_error, first_line
from src.training.engines.engine import (
    AnotherEngineError,
    Means,
    State,
    Sums,
    joined_states,
    means_of,
    slot_name,
    slots_of,
)
from src.training.engines.graphs import BLOCK, Block, CudaRecorder, Recorder, Replay, Steps, no_sums
from src.training.engines.unfused import unfused, unfused_call
from src.training.hyper import Hyper, joined, select
from src.training.spec import StackSpec
from src.training.update.norms import bound, clipped
from src.training.update.numbers import StepNumbers

# Images of a mini-batch in evaluation; 1,000 and more are up to twice as slow for convolutions on a CPU.
EVALUATION_BATCH = 500
# On other devices, larger mini-batches where members are few, so many images in all members together: a mini-batch is a
# few hundred kernels, whose start takes time.
EVALUATION_IMAGES = 8_000
# Members from which on a GPU's convolutions are faster as products of matrices: measured, docs/benchmarks.md.
BY_PRODUCTS = 24


class TorchEngine:
    """An engine (engine.py) that keeps the parameters of K members in tensors with a leading axis K."""

    def __init__(
        self,
        spec: StackSpec,
        hyper: Hyper,
        state: State,
        device: torch.device,
        precision: int | str = 32,
        compiled: bool = False,
        say: Callable[[str], None] = print,
    ) -> None:
        self.spec, self.device, self.precision, self.say = spec, device, precision, say
        self.resize_seconds = COMPILE_SECONDS if compiled else 0.0
        self._scaling = spec.scaling.on(device) if spec.scaling else None
        # The network lends its structure only; its weights come from `state`.
        with torch.device("meta") if spec.model.plan else contextlib.nullcontext():
            self.network = spec.model.build()
        if not spec.model.plan:  # a user's class may hold tensors that are no part of its state
            self.network.to(device)
        dense = [(name, module) for name, module in self.network.named_modules() if isinstance(module, Dense)]
        self._dense = [name for name, module in dense if module.bias is not None]
        self._hidden = hidden_matrices(self.network)
        self.recorder: Recorder | None = CudaRecorder(device) if device.type == "cuda" else None
        self._replay: Replay | None = None
        self._replay_reads: tuple[Tensor, Tensor, torch.Size] | None = None
        self._compiled_step = compiled_step(self._plain_step) if compiled else None
        self._take(hyper, {name: value.to(device, copy=True) for name, value in state.items()})

    @classmethod
    def refuses(cls, spec: StackSpec) -> str | None:
        """None: this engine serves whatever torch can differentiate."""
        return None

    def _take(self, hyper: Hyper, state: State) -> None:
        """Makes these the members; `state` is on the device and is not copied."""
        self.hyper = hyper
        self.numbers = StepNumbers(self.spec, hyper)
        on_cuda = self.device.type == "cuda" and not self.compiled
        self.convolve_by_products(on_cuda and len(hyper["seed"]) >= BY_PRODUCTS)
        self._seed = hyper["seed"].to(self.device)
        arguments = self.spec.model.arguments(hyper)
        # Further arguments of the network's call: each member's own (K, …), and those that all members share.
        self.each = {name: one.to(self.device) for name, one in arguments.items() if isinstance(one, Tensor)}
        self.shared = {name: one for name, one in arguments.items() if not isinstance(one, Tensor)}
        self._own = {name: state[name] for name in own_state(self.network)}
        trained = [name for name, value in self.network.named_parameters() if value.requires_grad]
        self.parameters = {name: self._own[name] for name in trained}
        # Such as the running statistics of batch norm.
        self.buffers = {name: value for name, value in self._own.items() if name not in self.parameters}
        self._slots = slots_of(state, self.numbers.slots, self.parameters)

    @property
    def compiled(self) -> bool:
        """Whether steps run through torch.compile."""
        return self._compiled_step is not None

    def convolve_by_products(self, wanted: bool) -> None:
        """Whether training convolves by one product of matrices a member, or by torch's convolutions in groups."""
        for one in self.network.modules():
            if isinstance(one, Convolution):
                one.as_products = wanted

    @property
    def description(self) -> str:
        """The engine in words for the run's header, such as "torch, compiled, 2 threads"."""
        words = ["torch", *self._ways()]
        if self.device.type == "cpu":
            threads = torch.get_num_threads()
            words.append(f"{threads} thread{'s' if threads > 1 else ''}")
        elif self.precision != 32:
            words.append(str(self.precision))
        return ", ".join(words)

    def _ways(self) -> list[str]:
        """How steps run, in words."""
        return ["compiled"] * self.compiled + ["CUDA graph"] * (self.recorder is not None) or ["eager"]

    def state(self, slots: bool = True) -> State:
        """The members' parameters and buffers and, with `slots`, the update rule's slots; not copies."""
        return self._own | self._slots if slots else self._own

    def load(self, state: State) -> None:
        """Replaces the members' state in place, so that captured graphs read the new one; missing slots become zero."""
        for name, value in self.state(slots=False).items():
            value.copy_(state[name])
        for name, value in self._slots.items():
            if name in state:
                value.copy_(state[name])
            else:
                value.zero_()

    def select(self, rows: Tensor) -> None:
        """Keeps the members at the positions `rows`; the step is compiled and captured anew for their number."""
        self._replay = None
        here = rows.to(self.device)
        state = {name: value[here].contiguous() for name, value in self.state().items()}
        self._take(select(self.hyper, rows), state)

    def add(self, hyper: Hyper, state: State) -> None:
        """Adds new members behind the present ones; graphs are captured anew, compilations for their number reused."""
        self._replay = None
        self._refuse_other_arguments(hyper)
        both = joined(self.hyper, hyper)
        here = {name: value.to(self.device) for name, value in state.items()}
        slots = self.spec.rule.slots(both)
        self._take(both, joined_states([self.state(), here], slots, self.parameters))

    def _refuse_other_arguments(self, hyper: Hyper) -> None:
        """Raises AnotherEngineError where new members are built with arguments that change more than their state."""
        model = self.spec.model
        if isinstance(model, OwnModel) and (strange := model.strangers(self.network, hyper["arguments"].tolist())):
            raise AnotherEngineError(strange)

    def train(self, inputs: Tensor, targets: Tensor, order: Tensor, first_step: Tensor, eta: Tensor) -> Sums:
        """Trains one chunk; arguments and result as in Engine.train."""
        order = order.to(self.device).transpose(0, 1).contiguous()  # (M, K or 1, B)
        numbers = self.numbers.of(eta, first_step, len(order))
        values = torch.from_numpy(np.ascontiguousarray(numbers.values.transpose(2, 1, 0))).to(self.device)  # (M, H, K)
        steps = torch.arange(len(order), device=self.device)[:, None] + first_step.to(self.device)  # (M, K)
        keys = step_key(self._seed, steps)
        self.network.train()
        with torch.no_grad(), self.arithmetic():
            cost, score = self._chunk(inputs, targets, Steps(order, keys, values))
        return Sums(cost.cpu().double(), score.cpu().double())

    def first_keys(self) -> Tensor:
        """The keys (K,) of each member's first step."""
        return step_key(self._seed, torch.zeros_like(self._seed))

    def evaluate(self, inputs: Tensor, targets: Tensor, members: Sequence[int] | None = None) -> Means:
        """Mean cost and mean score of every member, or of these, over the N examples."""
        count, task = len(self.hyper["seed"] if members is None else members), self.spec.task
        cost, score = torch.zeros(2, count, device=self.device)
        monitors: dict[str, Tensor] = {}
        predictions = []
        for part, y in zip(self._parts(inputs), targets.split(self._evaluation_batch), strict=True):
            outputs = self._outputs(part, members)  # (K, B, …)
            cost += task.costs(outputs, y)
            score += task.scores(outputs, y)
            if task.measures:
                predictions.append(task.predictions(outputs))
            for name, value in task.monitors(outputs).items():
                monitors[name] = monitors[name] + value if name in monitors else value
        means = [value.cpu().double() / len(targets) for value in (cost, score, *monitors.values())]
        whole = torch.cat(predictions, dim=1) if predictions else outputs
        return means_of(task, means[0], means[1], whole, targets, dict(zip(monitors, means[2:], strict=True)))

    def predictions(self, inputs: Tensor, members: Sequence[int] | None = None) -> Tensor:
        """The task's predictions of every member, or of these, for N inputs, (K, N, …) float32."""
        parts = [self.spec.task.predictions(self._outputs(part, members)).cpu() for part in self._parts(inputs)]
        return torch.cat(parts, dim=1)

    def _parts(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Mini-batches (B, C, H, W), or (K, B, C, H, W), in which inputs are evaluated."""
        parts: tuple[Tensor, ...] = inputs.split(self._evaluation_batch, dim=-4)
        return parts

    @property
    def _evaluation_batch(self) -> int:
        share = 0 if self.device.type == "cpu" else EVALUATION_IMAGES // len(self.hyper["seed"])
        return max(EVALUATION_BATCH, share)

    def _outputs(self, inputs: Tensor, members: Sequence[int] | None) -> Tensor:
        """(B, C, H, W), or by member (K, B, C, H, W) -> these members' outputs in evaluation (K, B, …) float32."""
        self.network.eval()

        def one(state: State, own: State, x: Tensor) -> Tensor:
            def call(x: Tensor, key: Tensor | None) -> Tensor:
                answer: Tensor = functional_call(self.network, state, (x,), {"key": key, **own, **self.shared})
                return answer

            return unfused_call(self.network, lambda x: self.spec.task.outputs(call, x), x)

        x, state, each = as_seen(inputs, self._scaling), self.state(slots=False), self.each
        if members is not None:
            chosen = list(members)
            state, each = ({name: value[chosen] for name, value in of.items()} for of in (state, each))
            x = x[chosen] if x.dim() == BY_MEMBER else x
        with torch.no_grad(), self.arithmetic():
            axes = (0, 0, 0 if x.dim() == BY_MEMBER else None)
            stacked: Tensor = vmap(one, in_dims=axes)(state, each, x)
        return stacked.float()

    def _chunk(self, inputs: Tensor, targets: Tensor, steps: Steps) -> tuple[Tensor, Tensor]:
        """The sums of mean costs and of scores (K,) of a chunk's steps."""

        def block(steps: Steps, cost: Tensor, score: Tensor) -> None:
            self._block(inputs, targets, steps, cost, score)

        if self.recorder and not self._is_captured(inputs, targets, steps.order):
            self._capture(block, steps, self.recorder)
            self._replay_reads = inputs, targets, steps.order.shape[1:]
        if self._replay:
            return self._replay.run(steps)
        cost, score = no_sums(steps)
        for start in range(0, len(steps.order), BLOCK):
            block(steps.part(start, BLOCK), cost, score)
        return cost, score

    def _is_captured(self, inputs: Tensor, targets: Tensor, order: Tensor) -> bool:
        """Whether there are graphs that read these inputs and targets (by address) and mini-batches of this shape."""
        if self._replay is None or self._replay_reads is None:
            return False
        held_inputs, held_targets, shape = self._replay_reads
        addresses = held_inputs.data_ptr(), held_targets.data_ptr()
        return addresses == (inputs.data_ptr(), targets.data_ptr()) and shape == order.shape[1:]

    def _capture(self, block: Block, steps: Steps, recorder: Recorder) -> None:
        """Captures CUDA graphs for chunks like this one; where that fails, says so and trains without from now on."""
        self._replay = None  # gives its memory back first
        state = self.state().values()
        start = time.perf_counter()
        try:
            self._replay = Replay(block, state, steps, recorder)
        except Exception as error:  # torch's own classes for this differ between releases
            if isinstance(first_error(error), torch.OutOfMemoryError):
                raise first_error(error) from None
            self.recorder = None
            self.say(f"CUDA graphs do not work here ({first_line(error)}); going on without them.")
        else:
            self.resize_seconds = time.perf_counter() - start

    def _block(self, inputs: Tensor, targets: Tensor, steps: Steps, cost: Tensor, score: Tensor) -> None:
        """Trains on the steps, and adds their costs and scores to the sums `cost` (K,) and `score` (K,)."""
        each = [self._call(inputs, targets, *step) for step in zip(*steps, strict=True)]
        costs, outputs = (torch.stack(parts) for parts in zip(*each, strict=True))  # (S, K), (S, K, B, …)
        cost += costs.sum(0)
        task = self.spec.task
        score += task.scores(outputs, task.parted(targets[steps.order], outputs.shape[-1])[0]).sum(0)

    def _call(self, *arguments: Tensor) -> tuple[Tensor, Tensor]:
        """One step, compiled if wanted; where compilation fails, says so and uses the plain step from now on."""
        try:
            return (self._compiled_step or self._plain_step)(*arguments)
        except Exception as error:  # torch's own classes for this differ between releases
            if self._compiled_step is None or isinstance(first_error(error), torch.OutOfMemoryError):
                raise
            self._compiled_step = None
            self.say(f"torch.compile does not work here ({first_line(error)}); going on without it.")
            return self._plain_step(*arguments)

    def _plain_step(
        self, inputs: Tensor, targets: Tensor, order: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One mini-batch: order (K or 1, B), keys (K,), values (H, K) -> mean cost (K,), outputs (K, B, …)."""
        numbers = dict(zip(self.numbers.names, values, strict=True))  # (K,) each
        x, y, shared = self.mini_batch(inputs, targets, order, len(keys))
        fused = self._fused_layers()
        gradients, costs, outputs, seen = self.gradients(x, y, shared, keys, fused)
        for name, value in self.buffers.items():
            value.copy_(seen[name])
        if self.spec.clips:
            gradients = clipped(gradients, numbers["clip_norm"])
        for layer in fused:
            self._update_dense(layer, gradients.pop(f"{layer}.bias"), seen[layer], numbers)
        for name, gradient in gradients.items():
            self._update(name, gradient, numbers)
        return costs, outputs

    def mini_batch(self, inputs: Tensor, targets: Tensor, order: Tensor, count: int) -> tuple[Tensor, Tensor, bool]:
        """What `count` members see of a mini-batch: x (B, …), y (B, …) if all see the same, else (K, B, …) each."""
        by_member = inputs.dim() == BY_MEMBER
        shared = order.shape[0] == 1 and not by_member  # then the first layer is cheaper: all see the same images
        if by_member:
            order = order.expand(count, -1)
            own = inputs[torch.arange(len(order), device=order.device)[:, None], order]
        else:
            order = order[0] if shared else order
            own = inputs[order]
        return as_seen(own, self._scaling), targets[order], shared

    def gradients(
        self, x: Tensor, y: Tensor, shared: bool, keys: Tensor, fused: list[str]
    ) -> tuple[State, Tensor, Tensor, State]:
        """The cost's gradients (K, …) by parameter, mean costs (K,), outputs (K, B, …), and what `_cost` adds to them.

        x, y, shared: a mini-batch as `mini_batch` gives it. fused: layers for whose biases the gradient is that of each
        example, (K, B, outputs), and for whose weights there is none.
        """
        axis = None if shared else 0
        fixed = {f"{layer}.weight": self.parameters[f"{layer}.weight"] for layer in fused}
        moving = {name: value for name, value in self.parameters.items() if name not in fixed}
        for layer in fused:  # with a bias of its own, each image has its own delta
            moving[f"{layer}.bias"] = moving[f"{layer}.bias"][:, None].expand(
                -1, y.shape[0 if shared else 1], -1
            )  # (K, B, outputs)
        gradients, (costs, (outputs, seen)) = vmap(
            grad_and_value(self._cost, has_aux=True), in_dims=(0, 0, axis, axis, 0, 0)
        )(moving, fixed | self.buffers, x, y, self.each, keys)
        return gradients, costs, outputs, seen

    def _cost(
        self, moving: State, fixed: State, x: Tensor, y: Tensor, own: State, key: Tensor
    ) -> tuple[Tensor, tuple[Tensor, State]]:
        """One member's mean cost, its outputs (B, …), and what the step needs besides, by name.

        That is the inputs of each of `_fused_layers`, by the layer's name, and the new value of each buffer.
        """
        buffers = {name: fixed[name].clone() for name in self.buffers}  # which the network changes in place

        def call(x: Tensor, key: Tensor | None) -> Tensor:
            options = {"key": key, **own, **self.shared}
            outputs: Tensor = functional_call(self.network, moving | fixed | buffers, (x,), options)
            return outputs.float()

        with self._inputs(self._fused_layers()) as seen:
            cost, outputs = self.spec.task.cost(call, x, y, key)
        return cost, (outputs, seen | buffers)

    def _fused_layers(self) -> list[str]:
        """The dense layers, by name, that `_update_dense` can update: with a bias, plain SGD, and no compiled step."""
        own, spec = self.numbers, self.spec
        more = own.slots or own.shrinks_by_amounts or spec.decay_all or spec.clips or spec.bounds
        if self.compiled or spec.rule.name != "sgd" or more:
            return []
        return self._dense

    @contextlib.contextmanager
    def _inputs(self, layers: list[str]) -> Iterator[State]:
        """A context in which calls of the network store the inputs (B, inputs) of `layers` in the State it gives."""
        inputs: State = {}

        def listen(layer: str) -> RemovableHandle:
            def seen(_: Module, arguments: tuple[Tensor]) -> None:
                inputs[layer] = arguments[0]

            return self.network.get_submodule(layer).register_forward_pre_hook(seen)

        handles = [listen(layer) for layer in layers]
        try:
            yield inputs
        finally:
            for handle in handles:
                handle.remove()

    def _update_dense(self, layer: str, delta: Tensor, x: Tensor, numbers: dict[str, Tensor]) -> None:
        """Updates a dense layer straight from its delta (K, B, outputs), the cost's gradient in its weighted inputs.

        x (K, B, inputs): what went into the layer. The gradient of the weights is never stored.
        """
        weight, bias = self.parameters[f"{layer}.weight"], self.parameters[f"{layer}.bias"]
        step = delta * -numbers["eta"][:, None, None]
        if self.numbers.shrinks:
            weight.addcmul_(numbers["share"][:, None, None], weight, value=-1)
        weight.baddbmm_(step.transpose(1, 2), x.to(weight.dtype))
        bias.add_(step.sum(1))

    def _update(self, name: str, gradient: Tensor, numbers: dict[str, Tensor]) -> None:
        """Updates one parameter (K, …) by equations (1) to (3) of src/training/update/numbers.py."""
        weight, own = self.parameters[name], self.numbers
        columns = {key: value.view(-1, *[1] * (weight.dim() - 1)) for key, value in numbers.items()}  # (K, 1, …)
        decayed = weight.dim() > 2 or self.spec.decay_all
        if decayed and own.shrinks_by_amounts and own.in_gradient:
            gradient = gradient + columns["l1"] * weight.sign()
        if decayed and own.shrinks and own.in_gradient:
            gradient = gradient + columns["l2"] * weight
        if decayed and own.shrinks_by_amounts:
            weight.addcmul_(columns["amount"], weight.sign(), value=-1)
        if decayed and own.shrinks:
            weight.addcmul_(columns["share"], weight, value=-1)
        slots = {slot: self._slots[slot_name(slot, name)] for slot in own.slots}
        self.spec.rule.step(weight, gradient, slots, columns, name in self._hidden)
        if self.spec.bounds and weight.dim() > 2:
            bound(weight, numbers["max_norm"])

    @contextlib.contextmanager
    def arithmetic(self) -> Iterator[None]:
        """A context with torch's settings for this engine; the previous settings come back at its end.

        Those that a user's network needs under vmap and, on CUDA, those for `precision`.
        """
        nothing = contextlib.nullcontext()
        on_cuda = cuda_arithmetic(self.precision) if self.device.type == "cuda" else nothing
        with nothing if self.spec.model.plan else self._kernels(), on_cuda:
            yield

    def _kernels(self) -> contextlib.AbstractContextManager[None]:
        """A context in which vmap can turn the layers of a user's network."""
        return unfused(self.network)
