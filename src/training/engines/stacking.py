"""Whether a user's network can be stacked: the first step of the stack under vmap against that of its members alone.

What vmap cannot turn raises: branches on data, .item(), random numbers, some changes in place. What it turns wrongly
shows in the comparison: arguments of a member that reach its network neither through parameters nor through buffers,
state outside of torch's.
"""

import torch
from torch import Tensor

from src.config.error import ConfigError
from src.config.own_error import said
from src.models.own import OwnModel
from src.training.engines.engine import State
from src.training.engines.one_by_one import OneByOne
from src.training.engines.torch_engine import TorchEngine

# The largest difference that is rounding: of float32 sums in another order, with a wide margin. Relative to the largest
# value of the same kind in the member.
ROUNDING = 1e-3


def why_not(found: TorchEngine, alone: OneByOne, inputs: Tensor, targets: Tensor, order: Tensor) -> str | None:
    """In one line, why `found` cannot train the members; None where it gives what `alone` does. Both are left changed.

    Both hold the same members in the same state; order: a mini-batch (K or 1, B) of inputs and targets. Raises
    ConfigError where a member cannot take a step even alone.
    """
    try:
        wanted = _first_step(alone, inputs, targets, order)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # the class is the user's and may raise anything
        hint = (
            ""
            if "same device" not in str(error)
            else (
                "; a tensor that forward reads moves to the GPU where it is a parameter or a buffer: "
                "self.register_buffer(NAME, TENSOR, persistent=False)"
            )
        )
        raise ConfigError(f"model.target: its first step of training fails: {said(error)}{hint}") from error
    model = found.spec.model
    if isinstance(model, OwnModel) and model.known_strangers and not isinstance(found, OneByOne):
        return model.known_strangers
    try:
        got = _first_step(found, inputs, targets, order)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # as above, and vmap's own errors
        return said(error, most=120)
    kinds = {name.partition(":")[0] if name.startswith("gradient:") else name for name in wanted}
    for kind in sorted(kinds):
        names = [name for name in wanted if name == kind or name.startswith(f"{kind}:")]
        scale = torch.stack([_largest(wanted[name]) for name in names]).amax(0)  # (K,)
        for name in names:
            gap = _largest(got[name].double() - wanted[name].double())
            odd = got[name].isnan() != wanted[name].isnan()
            if bool(odd.any()) or bool((gap > ROUNDING * scale + 1e-12).any()):
                return f"{name} of a member in the stack is not what it is alone"
    return None


def _largest(value: Tensor) -> Tensor:
    """The largest absolute value of each member, NaNs left out: (K, …) -> (K,)."""
    return value.double().nan_to_num(posinf=0, neginf=0).abs().reshape(len(value), -1).amax(1)


def _first_step(engine: TorchEngine, inputs: Tensor, targets: Tensor, order: Tensor) -> State:
    """What the first step computes, by name, (K, …) each: gradients, cost, outputs, buffers, outputs in evaluation."""
    evaluated, keys = engine.predictions(inputs[..., :2, :, :, :]), engine.first_keys()
    with torch.no_grad(), engine.arithmetic():
        engine.network.train()
        x, y, shared = engine.mini_batch(inputs, targets, order.to(engine.device), len(keys))
        gradients, costs, outputs, seen = engine.gradients(x, y, shared, keys, [])
        buffers = {name: seen[name].clone() for name in engine.buffers}
    state = {f"gradient:{name}": value for name, value in gradients.items()} | buffers
    state |= {"the cost": costs[:, None], "the outputs": outputs, "the prediction": evaluated}
    return {name: value.cpu() for name, value in state.items()}
