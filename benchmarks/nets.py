"""The four networks that every benchmark measures, as configurations of the product.

    a   784, FC 100, softmax                             sigmoid    [N6] `shallow`
    b   conv 20, FC 100, softmax                         sigmoid    [N6] `conv`
    c   conv 20, conv 40, FC 100, softmax                ReLU       [N6] `conv2_relu`, without weight decay
    d   conv 20, conv 40, FC 1000, FC 1000, softmax      ReLU, dropout 0.5      [N6] `dropout`

Mini-batches of 10 images of 28 × 28 pixels. [N6] M. Nielsen, Neural Networks and Deep Learning (2015), chapter 6.
"""

from typing import Any

from src.config.check import parse
from src.config.schema import RunConfig

BATCH_SIZE = 10

TITLES = {
    "a": "784-100-10, sigmoid",
    "b": "conv 20, FC 100, sigmoid",
    "c": "conv 20, conv 40, FC 100, ReLU",
    "d": "conv 20, conv 40, FC 1000, FC 1000, ReLU, dropout 0.5",
}
_MODELS: dict[str, dict[str, Any]] = {
    "a": {"hidden": [100]},
    "b": {"maps": [20], "hidden": [100]},
    "c": {"maps": [20, 40], "hidden": [100], "activation": "relu"},
    "d": {"maps": [20, 40], "hidden": [1000, 1000], "activation": "relu", "dropout": 0.5},
}
_ETAS = {"a": 0.1, "b": 0.1, "c": 0.03, "d": 0.03}  # the chapter's


def config(
    net: str, repeats: int = 1, eta: float | None = None, hidden: list[int] | None = None, **fields: Any
) -> RunConfig:
    """A trial of `net` with `repeats` members; hidden: other widths of the dense layers; fields: those of RunConfig."""
    model = _MODELS[net] | ({} if hidden is None else {"hidden": hidden})
    raw: dict[str, Any] = {
        "name": net,
        "data": {"name": "mnist", "order": "epoch"},  # every member shuffles in every epoch, as the plain project does
        "model": model,
        "optim": {"eta": _ETAS[net] if eta is None else eta},
        "stop": {},
        "trainer": {},
        "tracking": {"kind": "none"},
        "batch_size": BATCH_SIZE,
        "repeats": repeats,
        "figures": False,
    }
    return parse(raw | fields)
