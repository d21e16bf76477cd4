"""Dropout for networks of the user's: torch.nn's layers, replaced by ones whose masks follow from member and step.

The masks are those of src/models/dropout.py, so a member draws the same ones alone, in any stack, and after it was
stopped. The probability is a buffer, `dropout_p`: a part of each member's state. Kept values are rescaled as torch has
it. Legend: B examples, C channels.
"""

import torch
from torch import Tensor, nn

from src.models.dropout import uniform

OWN = 0x50000  # the first stream of these layers, plus the number of the call in a forward
# Of AlphaDropout: the value of SELU far below 0 [G. Klambauer et al., "Self-normalizing neural networks", 2017].
ALPHA = -1.7580993408473766
P = "dropout_p"  # the last part of the buffer's name


class Draws:
    """What the dropout layers of one network draw from: the key of the step, and how many have drawn in this forward.

    A layer that is called twice in a forward draws twice.
    """

    def __init__(self) -> None:
        self.key: Tensor | None = None
        self.count = 0
        self.inside = False  # whether a forward is under way

    def begin(self, key: Tensor | None) -> None:
        """Begins a forward."""
        self.key, self.count, self.inside = key, 0, True

    def end(self) -> None:
        """Ends a forward."""
        self.key, self.inside = None, False

    def stream(self) -> int:
        """The stream of the next call."""
        self.count += 1
        return OWN + self.count - 1


class CountedDropout(nn.Module):
    """nn.Dropout: values of any shape, each zeroed with probability p, others divided by 1 − p; none in evaluation."""

    dropout_p: Tensor

    def __init__(self, p: float, draws: Draws) -> None:
        super().__init__()
        self.draws, self.p = draws, p
        self.register_buffer(P, torch.tensor(p, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """x, some of it zeroed in training."""
        if not self.training or self.draws.key is None:
            return x
        dropped = uniform(self.drawn(x), self.draws.key, self.draws.stream()) < self.dropout_p
        return self.applied(x, dropped)

    def drawn(self, x: Tensor) -> torch.Size:
        """The shape of what is drawn for x; it broadcasts to that of x."""
        return x.shape

    def applied(self, x: Tensor, dropped: Tensor) -> Tensor:
        """x with what is `dropped` zeroed and the rest rescaled; with p = 1 all is 0."""
        kept = (1 - self.dropout_p).clamp(min=torch.finfo(torch.float32).tiny)
        return torch.where(dropped, torch.zeros_like(x), x / kept.to(x.dtype))


class CountedChannelDropout(CountedDropout):
    """nn.Dropout1d, 2d and 3d: whole channels of (B, C, …)."""

    def drawn(self, x: Tensor) -> torch.Size:
        """(B, C, 1, …)."""
        lead = 2 if x.dim() > 2 else 1
        return torch.Size([*x.shape[:lead], *[1] * (x.dim() - lead)])


class CountedAlphaDropout(CountedDropout):
    """nn.AlphaDropout: dropped values become ALPHA, and all are shifted and scaled to keep mean and variance."""

    def applied(self, x: Tensor, dropped: Tensor) -> Tensor:
        """x by the formula of its source."""
        p = self.dropout_p.to(x.dtype)
        scale = ((1 - p) * (1 + p * ALPHA**2)) ** -0.5
        return scale * torch.where(dropped, torch.full_like(x, ALPHA), x) - scale * ALPHA * p


COUNTED: dict[type[nn.Module], type[CountedDropout]] = {
    nn.Dropout: CountedDropout,
    **dict.fromkeys((nn.Dropout1d, nn.Dropout2d, nn.Dropout3d), CountedChannelDropout),
    nn.AlphaDropout: CountedAlphaDropout,
}


def with_counted_dropout(module: nn.Module) -> Draws:
    """Replaces the dropout layers within `module`, in place; what they draw from."""
    draws, made = Draws(), dict[int, CountedDropout]()
    for parent in list(module.modules()):
        for name, child in list(parent._modules.items()):
            if child is not None and type(child) in COUNTED:
                kind, p = COUNTED[type(child)], float(child.p)  # type: ignore[arg-type]
                setattr(parent, name, made.setdefault(id(child), kind(p, draws)))
    return draws
