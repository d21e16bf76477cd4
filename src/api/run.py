"""A run in Python: what it has left in its folder, as numbers, tables and pictures."""

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.api.html import table
from src.config.error import UserError
from src.config.wording import number_of

if TYPE_CHECKING:
    from pandas import DataFrame

    from src.config.metric import Metric
    from src.training.result import Result

# Of a member's configuration, what is no hyperparameter.
_NO_HYPERPARAMETERS = ("data.", "trainer.", "tracking.")
_HYPERPARAMETERS = ("batch_size", "max_epochs")


class Run:
    """A run, or one trial of a sweep, as its folder holds it.

    folder: its absolute path. results: one Result a member, without its weights, which `weights` reads.
    """

    def __init__(self, folder: Path, results: "list[Result]") -> None:
        self.folder, self.results = folder, results

    @property
    def config(self) -> dict[str, Any]:
        """The whole configuration of the first member, as nested dicts."""
        return self.results[0].config

    @property
    def score(self) -> "Metric":
        """The metric of the scores, such as the accuracy."""
        return self.results[0].score

    @property
    def status(self) -> str:
        """FINISHED where all members are; else that of the first member that is not, such as KILLED or FAILED."""
        return next((one.status for one in self.results if one.status != "FINISHED"), "FINISHED")

    def frame(self) -> "DataFrame":
        """A DataFrame with a row for each member: seed, status, best epoch, scores (0…1 or so), seconds, settings.

        The settings have the names of their keys, such as optim.eta; those of data, device and tracking are left out.
        """
        import pandas as pd

        return pd.DataFrame([_row(number, result) for number, result in enumerate(self.results)]).set_index("member")

    def history(self) -> "DataFrame":
        """A DataFrame with a row for each epoch of each member: member, seed, epoch, then costs, scores and norms."""
        import pandas as pd

        rows = [
            {"member": number, "seed": result.seed, **row}
            for number, result in enumerate(self.results)
            for row in result.history
        ]
        return pd.DataFrame(rows, columns=None if rows else ["member", "seed", "epoch"])

    @property
    def figures(self) -> dict[str, Path]:
        """The pictures that the run has drawn: name -> png file."""
        return {path.stem: path for path in sorted((self.folder / "figures").glob("*.png"))}

    @cached_property
    def votes(self) -> list[dict[str, Any]]:
        """For an ensemble its votes, one a repeat: accuracies and the list of errors; else []."""
        path = self.folder / "votes.json"
        votes: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        return votes

    def weights(self, member: int = 0) -> dict[str, Any]:
        """A member's weights of its best epoch, a plain state_dict. Raises UserError where there are none."""
        from src.runs.result_files import read_weights

        try:
            return read_weights(self.folder, member)
        except (OSError, ValueError) as error:
            raise UserError(f"member = {member!r}: has no weights that can be read ({error})") from None

    def __repr__(self) -> str:
        tested = [result.test_score for result in self.results if result.test_score is not None]
        scores = ", ".join(map(self.score.written, tested[:5])) + (", …" if len(tested) > 5 else "")
        words = f"{self.config.get('name')}: {number_of(len(self.results), 'member')}, {self.status}"
        return f"<Run {words}{f', test {scores}' if tested else ''}; {self.folder}>"

    def _repr_html_(self) -> str:
        heads = [
            "member",
            "seed",
            "best epoch",
            *(self.score.heading(split) for split in ("validation", "test")),
            "status",
        ]
        rows = []
        for number, one in enumerate(self.results):
            scores = [self.score.figure(one.validation_score), self.score.figure(one.test_score)]
            rows.append([str(number), str(one.seed), str(one.best_epoch or "–"), *scores, one.status])
        return table(f"{self.config.get('name')} on {self.results[0].dataset}", heads, rows, str(self.folder))


def _row(number: int, result: "Result") -> dict[str, Any]:
    from src.config.kept_config import dotted
    from src.training.result import SNAPSHOTS

    kept, score = result.as_json(), result.score
    splits = ("validation", "test", *(SNAPSHOTS if result.snapshot_epochs else ()))
    names = ("seed", "repeat", "vote", "status", "best_epoch", *map(score.field, splits), "seconds")
    settings = {
        key: value
        for key, value in dotted(result.config).items()
        if key in _HYPERPARAMETERS or ("." in key and not key.startswith(_NO_HYPERPARAMETERS))
    }
    return {"member": number, **{name: kept[name] for name in names}, "epochs": len(result.history), **settings}


def load_run(folder: Any) -> Run:
    """The run that a folder holds. Raises UserError where it holds none."""
    from src.training.result import Result

    try:
        path = Path(folder).expanduser().resolve()
        results = json.loads((path / "result.json").read_text(encoding="utf-8"))
        members = [Result.from_kept(content) for content in results]
    except (OSError, ValueError, TypeError, LookupError) as error:
        members, why = [], " ".join(str(error).split())
    else:
        why = "result.json is empty"
    if not members:
        raise UserError(
            f"folder = {str(folder)!r}: holds no run that can be read ({why}); accepted: the folder of a run or of one "
            "trial, with its result.json, such as mlruns/hydra/DATE/TIME-NAME"
        )
    return Run(path, members)
