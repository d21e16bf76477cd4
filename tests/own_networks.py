"""Networks as a user would write them: classes of torch.nn that know nothing of this tool."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Mlp(nn.Module):
    """Two layers with batch norm and dropout; `leak` reaches the network through no parameter and no buffer."""

    def __init__(self, inputs: int = 144, width: int = 6, outputs: int = 4, dropout: float = 0.0, leak: float = 0.0):
        super().__init__()
        self.first, self.norm = nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width)
        self.last, self.drop, self.leak = nn.Linear(width, outputs), nn.Dropout(dropout), leak

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.drop(F.leaky_relu(self.norm(self.first(x.flatten(1))), self.leak)))


class Plain(nn.Module):
    """The layers of model.hidden=[6] with sigmoids, and initial weights that torch draws."""

    def __init__(self, inputs: int = 144, width: int = 6, outputs: int = 4):
        super().__init__()
        self.first, self.last = nn.Linear(inputs, width), nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.sigmoid(self.first(x.flatten(1))))


class Block(nn.Module):
    """A residual block."""

    def __init__(self, inputs: int, maps: int, stride: int):
        super().__init__()
        self.one = nn.Conv2d(inputs, maps, 3, stride, 1, bias=False)
        self.two = nn.Conv2d(maps, maps, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(maps), nn.BatchNorm2d(maps)])
        self.short = nn.Sequential() if inputs == maps else nn.Conv2d(inputs, maps, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norms[0](self.one(x)))
        return F.relu(self.norms[1](self.two(y)) + self.short(x))


class Resnet(nn.Module):
    """Two residual blocks on 3 x 32 x 32."""

    def __init__(self, maps: int = 2, outputs: int = 4):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, maps, 3, 2, 1), Block(maps, maps, 1), Block(maps, 2 * maps, 2))
        self.head = nn.Linear(2 * maps, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


class Lstm(nn.Module):
    """Reads the rows of an image one after the other."""

    def __init__(self, inputs: int = 12, width: int = 5, outputs: int = 4):
        super().__init__()
        self.lstm, self.head = nn.LSTM(inputs, width, batch_first=True), nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


class Transformer(nn.Module):
    """One block with attention over the rows of an image, and a position that is no part of the state."""

    def __init__(self, inputs: int = 12, width: int = 8, outputs: int = 4):
        super().__init__()
        self.embed, self.norm = nn.Linear(inputs, width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.mix = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(0.1), nn.Linear(2 * width, width))
        self.head = nn.Linear(width, outputs)
        self.position = torch.arange(12.0)[:, None] / 12

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x) + self.position
        y = self.norm(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return self.head((x + self.mix(x)).mean(1))


class Embedded(nn.Module):
    """Each pixel, dark or bright, is a word; the same weights read them and give the outputs."""

    def __init__(self, width: int = 4, outputs: int = 4):
        super().__init__()
        self.words, self.mix = nn.Embedding(outputs, width), nn.Linear(144 * width, width)
        self.head = nn.Linear(width, outputs, bias=False)
        self.head.weight = self.words.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.mix(self.words((x.flatten(1) > 0.4).long()).flatten(1))))


class Branching(Plain):
    """Looks at its values, which a stack cannot."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x.flatten(1))
        return self.last(y if y.mean() > 0 else -2 * y)


class Noisy(Plain):
    """Draws noise in training and in evaluation."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x.flatten(1))
        return self.last(torch.sigmoid(y + 0.3 * torch.randn_like(y)))


class Tripled(torch.autograd.Function):
    """x², with a gradient that is wrong: 3x in place of 2x."""

    @staticmethod
    def forward(context, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return x.square()

    @staticmethod
    def backward(context, slope: Tensor) -> Tensor:
        return 3 * context.saved_tensors[0] * slope


class Wrong(Plain):
    """A network whose first layer gets a wrong gradient, and whose last layer a right one."""

    def forward(self, x: Tensor) -> Tensor:
        return self.last(Tripled.apply(self.first(x.flatten(1))))
