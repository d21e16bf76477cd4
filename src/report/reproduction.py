"""The reproduction of published results: a file a run, and the page that is written from the files.

docs/reproduction/RUN.json   what one run of reproduce.py left: configuration, its members with their validation
                             curves, its votes, device and time; small, and committed, so that an interrupted
                             reproduction goes on anywhere
docs/reproduction.md         the page (src/report/reproduction_page.py)
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from src.config.error import ConfigError, UserError
from src.config.files import finite, write_text
from src.config.kept_config import recalled
from src.config.metric import Metric
from src.training.result import Result

TOLD = ("task",)  # the section of a member's configuration that stands beside its scores, to read them by
# Settings that change where and how fast a run trains, or what is said of it, but not what it computes.
NOT_COMPUTED = ("trainer", "tracking", "figures", "published")


@dataclass(frozen=True)
class Kept:
    """One run of the reproduction, as its file holds it."""

    run: str
    config: dict[str, Any]
    date: str  # when it ended
    device: str
    seconds: float  # of training, by the clock
    core_seconds: float  # of the process's processors, start-up and figures included
    members: list[Result]  # without config, weights and probabilities
    votes: list[dict[str, Any]]  # src/runs/vote.py, one a repeat of an ensemble
    commit: str = ""  # of the program that ran it
    counted: dict[str, Any] = field(default_factory=dict)  # src/commands/recount.py; empty where all images count

    def answers(self, config: dict[str, Any]) -> bool:
        """Whether the run computed what `config` says; keys that did not exist then count with their defaults."""
        try:
            own = recalled(self.config).shown()
        except ConfigError:
            return False
        return computed(own) == computed(config)


def computed(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a configuration on which results depend, as JSON would hold it."""
    kept: dict[str, Any] = json.loads(json.dumps({k: v for k, v in config.items() if k not in NOT_COMPUTED}))
    return kept


def curves(score: Metric) -> tuple[str, ...]:
    """The keys of an epoch's row of the history that the file keeps."""
    return "epoch", score.key("train"), score.key("validation"), "validation/cost"


def save(kept: Kept, folder: Path) -> Path:
    """Writes the run to RUN.json in `folder`, one line a member, whole or not at all; returns the path."""
    members = []
    for member in kept.members:
        history = [{key: _rounded(row.get(key)) for key in curves(member.score)} for row in member.history]
        scalars = {key: _rounded(value) for key, value in member.as_json().items()}
        config = {key: member.config[key] for key in TOLD if key in member.config}
        members.append(finite(scalars | {"config": config, "history": history}))
    whole = {key: value for key, value in kept.__dict__.items() if key != "members"}
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in whole.items()]
    listed = ",\n".join(f"  {json.dumps(member, allow_nan=False)}" for member in members)
    text = "{\n" + ",\n".join([*lines, f' "members": [\n{listed}\n ]']) + "\n}\n"
    return write_text(folder / f"{kept.run}.json", text)


def read(run: str, folder: Path) -> Kept | None:
    """Reads a run from its file in `folder`; None where there is none yet. Raises UserError where it cannot be read."""
    path = folder / f"{run}.json"
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        members = [Result.from_kept(member) for member in content["members"]]
        return Kept(**{**content, "members": members})
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UserError(f"{path}: cannot be read ({error}); delete it, and the run is made anew.") from None


def _rounded(value: Any) -> Any:
    """A float rounded to six decimals; any other value as it is."""
    return round(value, 6) if isinstance(value, float) else value
