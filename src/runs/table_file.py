"""A table's file as the inputs of networks that were trained on a table."""

from pathlib import Path

import torch
from torch import Tensor

from src.config.error import UserError
from src.data.columns import Columns
from src.data.table import ENDINGS, read_frame


def read_table(path: Path, columns: Columns | None) -> Tensor:
    """The rows of a .csv or .parquet file as networks take them, (N, D) float64.

    columns: those of the table that the networks were trained on, None where it was none. Raises UserError where the
    file cannot be read, or a column is missing or holds texts in place of numbers.
    """
    if columns is None:
        raise UserError(f"{path}: the networks were not trained on a table; accepted: arrays (.npy, .npz) or pictures.")
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"{path}: the networks were trained on a table; accepted: a table ({', '.join(ENDINGS)}).")
    return torch.from_numpy(columns.coded(read_frame(path, str(path)), str(path)))
