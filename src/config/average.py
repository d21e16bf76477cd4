"""The section average: whether a running mean of the weights counts in the place of the weights that are trained."""

from typing import Literal

from pydantic import Field

from src.config.section import PER_MEMBER, Section

# The means (src/training/averages.py), each with those of its keys that not all read.
Average = Literal["none", "swa", "ema"]
AVERAGES: dict[str, tuple[str, ...]] = {
    "none": (),
    "swa": ("start", "every_batches"),
    "ema": ("start", "every_batches", "decay"),
}


class AverageConfig(Section):
    """Which mean of its weights a member is judged by (src/training/averages.py); all of it may differ in a stack."""

    rule: Average = Field("none", json_schema_extra=PER_MEMBER)
    start: float = Field(0.0, ge=0, lt=1, json_schema_extra=PER_MEMBER)  # the part of the training without a mean
    every_batches: int | None = Field(None, ge=1, json_schema_extra=PER_MEMBER)  # None: an epoch
    decay: float = Field(0.9, ge=0, lt=1, json_schema_extra=PER_MEMBER)  # ema

    @property
    def stops(self) -> int:
        """After how many mini-batches training pauses each time; 0 where it need not, but at an epoch's end."""
        return self.every_batches or 0 if self.rule != "none" else 0

    def enters(self, done: int, batches: int, total: int) -> bool:
        """Whether the weights after a member's first `done` mini-batches enter; batches: of an epoch; total: of all."""
        return self.rule != "none" and done % (self.every_batches or batches) == 0 and done > self.start * total
