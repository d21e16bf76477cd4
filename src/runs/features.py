"""A table's preprocessing as a part of a network: columns as numbers go in, standardised and one-hot features come out.

It computes what src/data/preprocessing.py says, in float64 until the last step, so that both give equal features.
Legend: N rows, D columns as src/data/columns.py has them, F features, V values of a category.
"""

import torch
from torch import Tensor, nn

from src.data.columns import Columns
from src.data.preprocessing import MISSING, CategoryColumn, NumberColumn, Preprocessing

NO_CODE = -2.0  # compared with codes, it is none


class Features(nn.Module):
    """What one network sees of a table's columns; networks of several folds have means and categories of their own."""

    numbers: Tensor  # (3, D) float64: median, mean and sd; of categories 0, 0 and 1
    codes: Tensor  # (F,) float64: the code for which a feature is 1; NO_CODE where it is a number, or "missing"
    column: Tensor  # (F,) the column of which a feature is made
    is_number: Tensor  # (F,)
    is_missing: Tensor  # (F,) 1 where the value is missing

    def __init__(self, preprocessing: Preprocessing, columns: Columns) -> None:
        super().__init__()
        numbers = torch.zeros(3, len(columns.columns), dtype=torch.float64)
        numbers[2] = 1
        features: list[tuple[int, float, bool, bool]] = []
        for own in preprocessing.columns:
            position = columns.names.index(own.name)
            if isinstance(own, NumberColumn):
                numbers[:, position] = torch.tensor([own.median, own.mean, own.sd], dtype=torch.float64)
            features += _features(own, position, columns.columns[position].values or ())
        column, codes, is_number, is_missing = zip(*features, strict=True)
        self.register_buffer("numbers", numbers)
        self.register_buffer("column", torch.tensor(column))
        self.register_buffer("codes", torch.tensor(codes, dtype=torch.float64))
        self.register_buffer("is_number", torch.tensor(is_number))
        self.register_buffer("is_missing", torch.tensor(is_missing))

    def forward(self, rows: Tensor) -> Tensor:
        """(N, D) float64 -> (N, F) float32."""
        median, mean, sd = self.numbers
        standardised = (torch.where(rows.isnan(), median, rows) - mean) / sd
        own = rows.index_select(1, self.column)  # (N, F)
        one_hot = (own.isnan() & self.is_missing) | (own == self.codes)  # of NaN all false
        numbers = standardised.index_select(1, self.column)
        return torch.where(self.is_number, numbers, one_hot.double()).float()


def _features(
    column: NumberColumn | CategoryColumn, position: int, values: tuple[str, ...]
) -> list[tuple[int, float, bool, bool]]:
    """Of each feature of a column: the column's position, its code, whether it is a number, whether "missing"."""
    if isinstance(column, NumberColumn):
        return [(position, NO_CODE, True, False)]
    return [
        (position, NO_CODE if value == MISSING else float(values.index(value)), False, value == MISSING)
        for value in column.values
    ]
