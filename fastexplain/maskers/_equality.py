"""Cells that equal the baseline's, missing equal to missing."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastexplain._cells import is_missing
from fastexplain.tables import Table

__all__ = ["equal_arrays", "equals_all"]


def equal_arrays(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where arrays of numbers or times are equal, missing equal to missing."""
    same = a == b
    if a.dtype.kind in "fmM" and b.dtype.kind in "fmM":
        same |= np.isnan(a) & np.isnan(b)
    return same


def equals_all(table: Table, background: Table, j: int) -> np.ndarray:
    """Where column ``j`` equals every row of the background, missing equal to missing."""
    column, reference = table.column(j), background.column(j)
    same = np.ones(len(table), dtype=bool)
    for i in range(len(background)):
        if table.kind == "polars":
            # a series of one value is compared with all; null equals null, NaN equals NaN
            equal = column.eq_missing(reference.slice(i, 1).cast(column.dtype))
            same &= equal.to_numpy().astype(bool)
        elif column.dtype == np.dtype(object):
            value = reference[i] if table.kind == "numpy" else reference.iloc[i]
            same &= np.fromiter((_same_cell(cell, value) for cell in column), bool, len(column))
        else:
            same &= _equals_value(column, reference.iloc[i])
    return same


def _same_cell(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if is_missing(a) or is_missing(b):
        return is_missing(a) and is_missing(b)
    return bool(a == b)


def _equals_value(column: Any, value: Any) -> np.ndarray:
    """Where a pandas column, of any dtype but object, holds a value."""
    missing = column.isna().to_numpy()
    if is_missing(value):
        return missing
    equal = (column.array == value) & ~missing
    # nullable columns answer with missing truth values
    return np.asarray(
        equal.to_numpy(dtype=bool, na_value=False) if hasattr(equal, "to_numpy") else equal,
        dtype=bool,
    )
