"""What one trained network does with the examples that test it: its layers' outputs, what excites a unit, what it
misses when a part of an image is covered, and its codes.

Sources: M. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks" (2014); [CS231n] A. Karpathy et
al., notes, "Understanding and Visualizing Convolutional Neural Networks".
Legend: N examples, U units (maps of a convolution), P places of a map, E examples shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from src.config.task import Kind
from src.data.scaling import as_seen
from src.models.layer_outputs import layer_outputs
from src.models.layers.convolution import Convolution
from src.models.layers.dense import Dense
from src.runs.predictor import Member
from src.runs.run_words import layer_words

PART = 200  # examples at once
GREY = 128  # of bytes, of the square that covers a part
COVERED = 5  # the square's side is the image's divided by this
STEPS = 28  # places of the square along a side, at most
MAPS, SEQUENCE = 4, 3  # dimensions of outputs (B, U, H, W) and (B, T, U)


@dataclass(frozen=True)
class Excited:
    """How much each of N examples excites each unit of a layer, and where in the map."""

    values: Tensor  # (N, U): the largest value of the unit's map
    places: Tensor  # (N, U, 2): its row and column, as parts of the map's height and width

    def strongest(self, unit: int, count: int) -> list[int]:
        """The examples that excite the unit most, the strongest first."""
        return self.values[:, unit].argsort(descending=True, stable=True)[:count].tolist()

    def liveliest(self, count: int) -> list[int]:
        """The units whose values differ most between examples, in ascending order; those that never change are last."""
        return sorted(self.values.std(0).nan_to_num(0).argsort(descending=True, stable=True)[:count].tolist())


@dataclass(frozen=True)
class Look:
    """A network and the examples on which it is looked at.

    inputs: as stored, (N, C, H, W) uint8 or float32, or a table's columns (N, D) float64; targets: of the task.
    """

    member: Member
    kind: Kind
    inputs: Tensor
    targets: Tensor

    @property
    def has_images(self) -> bool:
        """Whether the examples are pictures, not rows of a table."""
        return self.inputs.dim() == MAPS and min(self.inputs.shape[2:]) > 1

    def seen(self, examples: slice | Tensor) -> Tensor:
        """What the network sees of these examples, (E, …) float32."""
        return self._seen(self.inputs[examples])

    def layers(self, examples: slice | Tensor) -> dict[str, Tensor]:
        """The outputs (E, …) of each layer."""
        return self._layers(self.seen(examples))

    def predictions(self, examples: slice | Tensor) -> Tensor:
        """The network's answers (E, C): probabilities or numbers."""
        with torch.no_grad():
            return torch.cat([self.member(part) for part in self.inputs[examples].split(PART)])

    def excited(self, count: int) -> dict[str, Excited]:
        """What excites the units of each layer among the first `count` examples."""
        values: dict[str, list[Tensor]] = {}
        places: dict[str, list[Tensor]] = {}
        for start in range(0, min(count, len(self.inputs)), PART):
            for name, outputs in self.layers(slice(start, min(start + PART, count))).items():
                largest, where = _peaks(outputs)
                values.setdefault(name, []).append(largest)
                places.setdefault(name, []).append(where)
        return {name: Excited(torch.cat(values[name]), torch.cat(places[name])) for name in values}

    def codes(self, count: int) -> tuple[str, Tensor]:
        """The last layer but one with its outputs (N, U) for the first `count` examples; without one the inputs."""
        parts = [self.layers(slice(start, min(start + PART, count))) for start in range(0, count, PART)]
        names = [*parts[0]][:-1]
        if not names:
            return "the inputs", self.seen(slice(count)).flatten(1)
        return names[-1], torch.cat([part[names[-1]].flatten(1) for part in parts])

    def answered(self, examples: Sequence[int]) -> list[int]:
        """The output of each example that `occlusion` follows: its class, its likeliest label, or the first number."""
        if self.kind == "classes":
            return [int(self.targets[one]) for one in examples]
        if self.kind == "numbers":
            return [0] * len(examples)
        answers: list[int] = self.predictions(torch.tensor(examples)).argmax(1).tolist()
        return answers

    def words(self, layer: str) -> str:
        """A layer in short, such as conv 20 (5x5, max 2x2) relu; of a user's network its class."""
        one = self.member.network.get_submodule(layer)
        return layer_words(one.shape) if isinstance(one, Convolution | Dense) else type(one).__name__

    @property
    def square(self) -> int:
        """The side of the square that covers a part of an image, in pixels."""
        return max(2, round(min(self.inputs.shape[2:]) / COVERED))

    def occlusion(self, example: int, output: int) -> Tensor:
        """The prediction for `output` as a grey square covers the image, by the square's middle, (rows, columns)."""
        image, side = self.inputs[example], self.square
        high, wide = image.shape[1:]
        grey = GREY if image.dtype == torch.uint8 else image.mean()
        step = max(1, round(max(high, wide) / STEPS))
        rows, columns = range(0, high, step), range(0, wide, step)
        covered = image.repeat(len(rows) * len(columns), 1, 1, 1)
        for number in range(len(covered)):
            top, left = rows[number // len(columns)] - side // 2, columns[number % len(columns)] - side // 2
            covered[number, :, max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)] = grey
        with torch.no_grad():
            found = torch.cat([self.member(part)[:, output] for part in covered.split(PART)])
        return found.view(len(rows), len(columns))

    def _seen(self, inputs: Tensor) -> Tensor:
        if self.member.features is not None:
            inputs = self.member.features(inputs)[..., None, None]
        return as_seen(inputs, self.member.scaling)

    def _layers(self, x: Tensor) -> dict[str, Tensor]:
        own = {} if self.member.dropout is None else {"dropout": self.member.dropout}
        return layer_outputs(self.member.network, x, **own)


def units_of(outputs: Tensor) -> Tensor:
    """A layer's outputs (B, U, H, W), (B, T, U) or (B, U) as (B, U, places)."""
    if outputs.dim() == SEQUENCE:
        return outputs.transpose(1, 2)
    return outputs.flatten(2) if outputs.dim() > SEQUENCE else outputs[..., None]


def _peaks(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """The largest value (B, U) of each unit, and its row and column as parts of the map's size (B, U, 2)."""
    largest, place = units_of(outputs).max(2)
    high, wide = outputs.shape[2:] if outputs.dim() == MAPS else (1, 1)
    middle = torch.stack([(place // wide + 0.5) / high, (place % wide + 0.5) / wide], dim=-1)
    return largest, middle.clamp(0, 1)
