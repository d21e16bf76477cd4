"""One trial to train: its checked configuration, its folder, and what tells it from the sweep's other trials."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus

from src.config.schema import RunConfig

if TYPE_CHECKING:
    from src.training.engines.engine import State


@dataclass(eq=False)
class Job:
    """One trial to train. `number`: in a grid Hydra's number of the job; in a study the trial's place in the budget."""

    config: RunConfig
    folder: Path
    overrides: list[str]  # the whole command's, as Hydra reads them
    number: int = 0
    label: str = ""  # what its overrides set differently from other trials', such as "eta=0.03"
    goes_on: list[Path] = field(default_factory=list)  # folders that may hold its checkpoint, the latest first
    returned: Any = field(default=None, repr=False)  # Hydra's JobReturn
    # The weights with which members begin, by their numbers, where these are not from their seeds.
    starts: "dict[int, State]" = field(default_factory=dict, repr=False)


@dataclass
class Returned(JobReturn):
    """Hydra's JobReturn, but it prints nothing before it raises a job's error: the command reports the error once."""

    @property
    def return_value(self) -> Any:
        """The job's value. Raises its error."""
        if self.status is JobStatus.FAILED:
            raise self._return_value
        return super().return_value

    @return_value.setter
    def return_value(self, value: Any) -> None:
        self._return_value = value
