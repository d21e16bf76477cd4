"""Layers of torch with fused kernels that vmap does not know, so that it would call them for one member after another.

Taken apart, into matrix products and so on, they are computed for all members at once: the same, up to rounding.
"""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.func import vjp
from torch.nn import Module, RNNBase
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextlib.contextmanager
def unfused(network: Module) -> Iterator[None]:
    """A context in which attention, layers of transformers and, where the network has some, recurrent layers are taken
    apart; the previous settings come back at its end."""
    mha, one_dnn = torch.backends.mha, torch.backends.mkldnn
    before = mha.get_fastpath_enabled(), one_dnn.enabled
    mha.set_fastpath_enabled(False)
    if _is_recurrent(network):
        one_dnn.enabled = False  # type: ignore[assignment]
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        mha.set_fastpath_enabled(before[0])
        one_dnn.enabled = before[1]


def unfused_call(network: Module, call: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """call(x) in evaluation; torch takes recurrent layers apart only where they are differentiated."""
    if _is_recurrent(network):
        outputs: Tensor = vjp(call, x)[0]
        return outputs
    return call(x)


def _is_recurrent(network: Module) -> bool:
    return any(isinstance(module, RNNBase) for module in network.modules())
