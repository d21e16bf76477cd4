"""The torch engine with its step written out: what would a GPU gain without vmap and without autograd?

Not a part of the product but a candidate for it, to be judged where there is a GPU. Fewer kernels a step, since
* activations keep one layout, (B, K·maps, H, W) behind convolutions and (K, B, units) behind dense layers;
* what depends on no weights (images, answers, dropout's masks) is computed once a block, and so is the cost;
* gradients are computed by formulas that include the learning rate: that of softmax and cross-entropy is
  (y − answer)·eta/B, in one kernel;
* a dense layer's weights are updated by one product, all other parameters together in one call.

It serves the networks of nets.py: max pooling, sigmoid, tanh or ReLU, the chapter's dropout; no momentum, no L1.
Legend: K members, S mini-batches in a block, R = K or 1 orders, B images, C classes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from src.config.shapes import ConvPool, Dense
from src.models.dropout import drop
from src.training.engines.graphs import Steps
from src.training.engines.torch_engine import TorchEngine
from src.training.spec import StackSpec

_aten = torch.ops.aten
_ACTIVATE: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu_, "sigmoid": torch.sigmoid_, "tanh": torch.tanh_}
_SLOPED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # for each activation: (g, a = σ(z)) -> g · σ'(z)
    "relu": lambda g, a: _aten.threshold_backward(g, a, 0),
    "sigmoid": _aten.sigmoid_backward,
    "tanh": _aten.tanh_backward,
}


class _Seen(NamedTuple):
    """The tensors of a layer's forward pass that its backward pass needs."""

    x: Tensor  # its inputs
    a: Tensor  # its outputs
    mask: Tensor | None = None  # dropout's, of a dense layer's inputs
    z: Tensor | None = None  # a convolution's result before pooling
    places: Tensor | None = None  # the indices of the largest value of each pool
    groups: int = 1


class ByHand(TorchEngine):
    """A torch engine without vmap and autograd; it trains as TorchEngine does, up to rounding."""

    def __init__(self, spec: StackSpec, *arguments: Any, **options: Any) -> None:
        super().__init__(spec, *arguments, **options)
        self.layers = layers = list(spec.model.plan or ())
        self.convolutions = [number for number, layer in enumerate(layers) if isinstance(layer, ConvPool)]
        assert all(layer.pool == "max" for layer in layers if isinstance(layer, ConvPool))
        assert not any((self.numbers.slots, self.numbers.shrinks_by_amounts, spec.model.inverted))

    def _block(self, inputs: Tensor, targets: Tensor, steps: Steps, cost: Tensor, score: Tensor) -> None:
        """Trains on the steps, and adds their costs and scores to the sums `cost` (K,) and `score` (K,)."""
        order, keys, numbers = steps
        etas, shares = (numbers[:, self.numbers.names.index(name)] for name in ("eta", "share"))  # (S, K)
        count, _, batch = order.shape
        x = inputs[order.transpose(1, 2)].flatten(2, 3).float().div_(255)  # (S, B, R·channels, H, W)
        y, scales = targets[order], (etas / batch)[..., None, None]  # (S, R, B), (S, K, 1, 1)
        classes = torch.arange(self.layers[-1].output[0], device=y.device)
        answers = (y[..., None] == classes) * -scales  # (S, K, B, C)
        masks = self._masks(keys, batch)
        logits = torch.empty(*answers.shape, device=y.device)
        for s in range(count):
            seen = self._forward(x[s], [mask[s] for mask in masks], logits[s])
            self._backward(seen, torch.addcmul(answers[s], logits[s].softmax(-1), scales[s]), shares[s])
        cost -= logits.log_softmax(-1).gather(-1, y.expand(-1, len(cost), -1)[..., None]).mean((2, 3)).sum(0)
        score += self.spec.task.scores(logits, y).sum(0)

    def _masks(self, keys: Tensor, batch: int) -> list[Tensor]:
        """The dropout masks of each dense layer's inputs, 0 or 1: (S, K, B, inputs)."""
        if "dropout" not in self.each:
            return []
        dense = [layer for layer in self.layers if isinstance(layer, Dense)]
        draw = torch.vmap(torch.vmap(drop, (None, 0, 0, None, None)), (None, None, 0, None, None))
        ones = [torch.ones(batch, layer.inputs, device=keys.device) for layer in dense]
        return [draw(one, self.each["dropout"][:, n], keys, n, False) for n, one in enumerate(ones)]

    def _forward(self, x: Tensor, masks: list[Tensor], logits: Tensor) -> list[_Seen]:
        """Forward pass of x (B, R·channels, H, W); returns a _Seen for each layer, and writes `logits` (K, B, C)."""
        seen, members, batch = list[_Seen](), len(self._seed), len(x)
        for number, layer in enumerate(self.layers):
            weight, bias = self.parameters[f"layers.{number}.weight"], self.parameters[f"layers.{number}.bias"]
            if isinstance(layer, ConvPool):
                groups = x.shape[1] // layer.input[0]
                z = torch.conv2d(x, weight.flatten(0, 1), stride=layer.stride, groups=groups)
                size, stride = [layer.pool_size] * 2, [layer.pool_stride] * 2
                a, places = _aten.max_pool2d_with_indices(z, size, stride)
                a = _ACTIVATE[layer.activation](a.add_(bias.view(1, -1, 1, 1)))
                seen.append(_Seen(x, a, None, z, places, groups))
            else:
                if x.dim() == 4:  # to (K, B, inputs)
                    x = x.reshape(batch, -1, layer.inputs).transpose(0, 1).expand(members, -1, -1)
                mask = masks[number - len(self.convolutions)] if masks else None
                x = x if mask is None else x * mask
                last = number == len(self.layers) - 1
                z = torch.bmm(x, weight.transpose(1, 2), out=logits if last else None).add_(bias[:, None])
                a = z if last else _ACTIVATE[layer.activation](z)
                seen.append(_Seen(x, a, mask))
            x = a
        return seen

    def _backward(self, seen: list[_Seen], g: Tensor, decay: Tensor) -> None:
        """Backward pass, which updates all parameters.

        g (K, B, C): eta times the gradient of the mean cost in the logits; decay (K,): the share that weights lose.
        """
        steps: dict[str, Tensor] = {}  # the changes of those parameters that are updated together at the end
        for number in reversed(range(len(self.layers))):
            layer, kept, name = self.layers[number], seen[number], f"layers.{number}"
            weight = self.parameters[f"{name}.weight"]
            if isinstance(layer, ConvPool):
                if g.dim() == 3:
                    g = g.transpose(0, 1).reshape(kept.a.shape)
                g = _SLOPED[layer.activation](g, kept.a)
                steps[f"{name}.bias"] = g.sum((0, 2, 3)).view(len(weight), -1)
                size, stride = [layer.pool_size] * 2, [layer.pool_stride] * 2
                g = _aten.max_pool2d_with_indices_backward(g, kept.z, size, stride, [0, 0], [1, 1], False, kept.places)
                g, step, _ = _aten.convolution_backward(
                    g, kept.x, weight.flatten(0, 1), None, [layer.stride] * 2, [0, 0], [1, 1], False, [0, 0],
                    kept.groups, [number > 0, True, False],
                )  # fmt: skip
                steps[f"{name}.weight"] = step.view(weight.shape)
            else:
                if number < len(self.layers) - 1:
                    g = _SLOPED[layer.activation](g, kept.a)
                below = torch.bmm(g, weight) if number else g
                if self.numbers.shrinks:
                    weight.addcmul_(decay[:, None, None], weight, value=-1)
                weight.baddbmm_(g.transpose(1, 2), kept.x, alpha=-1)
                steps[f"{name}.bias"] = g.sum(1)
                g = below if kept.mask is None or not number else below.mul_(kept.mask)
        if self.numbers.shrinks:
            for number in self.convolutions:
                weight = self.parameters[f"layers.{number}.weight"]
                weight.addcmul_(decay.view(-1, 1, 1, 1, 1), weight, value=-1)
        torch._foreach_sub_([self.parameters[name] for name in steps], list(steps.values()))
