"""A nested cross-validation in Python: the study of each outer fold, and the score of their best trials."""

from typing import TYPE_CHECKING, Any

from src.api.study import Study
from src.config.address import STUDIES
from src.config.error import UserError

if TYPE_CHECKING:
    from pandas import DataFrame

    from src.runs.summary import Summary


class Nested:
    """The studies of a nested one as their store held them when this object was made.

    name: the common one. studies: one an outer fold, those that have begun.
    """

    def __init__(self, name: str, studies: list[Study]) -> None:
        self.name, self.studies = name, studies

    @property
    def score(self) -> "Summary":
        """The outer score: mean, sd, low and high (95 % interval) and n of the best trials' test scores.

        No example on which a trial is tested was used to train it or to choose it.
        """
        from src.report.outer_score import outer_score

        return outer_score([study.record for study in self.studies])

    def frame(self) -> "DataFrame":
        """A DataFrame with a row for each outer fold: study, best trial, validation and test score, parameters."""
        import pandas as pd

        from src.report.outer_score import as_json

        rows: list[dict[str, Any]] = as_json([study.record for study in self.studies])["outer_folds"]
        flat = [{**row, **row.get("params", {})} for row in rows]
        return pd.DataFrame(flat).drop(columns="params", errors="ignore").set_index("outer_fold")

    def __repr__(self) -> str:
        from src.report.outer_score import sentence

        return f"<Nested {self.name}: {sentence([study.record for study in self.studies])}>"


def load_nested(name: str, storage: str = STUDIES) -> Nested:
    """The nested study of that common name. Raises UserError where no outer fold's study is in the store."""
    from src.sweep.studies.outer_studies import read_outer

    found = read_outer(name, storage)
    if not found:
        raise UserError(f"study={name}: no outer folds of that name in the store; accepted: one of sweep(nested=5)")
    return Nested(name, [Study(one) for one in found])
