"""Mean, median and mode of a column, in what its own dtype can hold."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from fastexplain._cells import cells_of, families_of, has_size, is_missing
from fastexplain.tables import Table

__all__ = ["statistic"]


def statistic(table: Table, j: int, how: str, categorical: bool = False) -> Any:
    """What stands for a removed cell of a column.

    Parameters
    ----------
    table : Table
        Training rows.
    j : int
        Position of the column.
    how : {"mean", "median", "zero"}
    categorical : bool, default=False
        Whether the column's numbers are codes of categories.

    Returns
    -------
    object
        The mean or median of present cells, whole in columns of whole numbers; the most frequent
        value of categories, text and flags; the column's own missing value where nothing is
        present.

    Raises
    ------
    ValueError
        For the zero of what has none.
    """
    column = table.column(j)
    families = families_of(column)
    labels = hasattr(column.dtype, "categories")
    if how == "zero":
        if families == {"bool"} and not labels:
            return False
        if families and families <= {"number", "decimal"} and not labels:
            return Decimal(0) if families == {"decimal"} else 0
        raise ValueError(
            f"baseline='zero' means nothing for column {table.names[j]!r} of dtype "
            f"{table.dtypes()[j]}: use baseline='mean', or give a row of values."
        )
    sized = has_size(column.dtype, families) and not categorical
    if table.kind == "polars":
        return _polars_statistic(column, how if sized else "mode")
    if table.kind == "pandas" and sized and not families & {"number", "decimal"}:
        present = column.dropna()
        return _pandas_moment(present, how) if len(present) else _nothing(table, j)
    if table.kind == "pandas" and column.dtype != np.dtype(object):
        column = column.dropna()
    cells = cells_of(column)
    if not sized:
        found = _mode(column, cells)
        return _nothing(table, j) if found is None else found
    found = _moment(cells, how) if cells.dtype.kind in "mM" else _number(cells, how)
    if found is None:
        return _nothing(table, j)
    return _in_scale(found, column.dtype)


def _nothing(table: Table, j: int) -> Any:
    """What a column without any present cell has."""
    dtype: Any = table.column(j).dtype
    if table.kind == "numpy" and dtype.kind in "mM":
        return np.array("NaT", dtype=dtype)[()]
    if dtype == np.dtype(object):
        # whichever marker the column itself uses
        return next(iter(table.column(j)), None)
    if getattr(dtype, "kind", "") in "mM":
        return np.datetime64("NaT") if dtype.kind == "M" else np.timedelta64("NaT")
    return getattr(dtype, "na_value", np.nan)


def _number(cells: np.ndarray, how: str) -> Any:
    """Mean or median of numbers; None where none is finite."""
    if cells.dtype.kind in "iu":
        return _whole(cells, how)
    if cells.dtype.kind == "f":
        wide = np.result_type(cells.dtype, np.float64)
        present = cells[np.isfinite(cells)].astype(wide)
        return _middle(present, how) if len(present) else None
    held = [value for value in cells if not is_missing(value) and _is_finite(value)]
    if not held:
        return None
    if all(isinstance(value, int | np.integer) for value in held):
        return round(_exact([int(value) for value in held], how))
    if all(isinstance(value, Decimal | int | np.integer) for value in held):
        # the arithmetic of decimals knows no floats
        exact = _exact([Fraction(value) for value in held], how)
        return Decimal(exact.numerator) / Decimal(exact.denominator)
    return float(_middle(np.array(held, dtype=np.float64), how))


def _is_finite(value: Any) -> bool:
    return abs(value) != float("inf")


def _middle(present: np.ndarray, how: str) -> Any:
    """Mean or median of finite floats, whose sum may overflow."""
    unit = present.dtype.type(max(1.0, float(np.abs(present).max()) / 1e150))
    held = present / unit if unit > 1 else present
    found = (held.mean() if how == "mean" else np.median(held)) * unit
    return found if present.dtype.itemsize > 8 else float(found)


def _whole(cells: np.ndarray, how: str) -> int | None:
    """Mean or median of whole numbers, rounded; exact however large they are.

    A column of whole numbers stays one: the model must see the dtype that it was fitted on.
    """
    if not len(cells):
        return None
    if how == "median":
        order = np.sort(cells)
        low, high = order[(len(order) - 1) // 2], order[len(order) // 2]
        return round(Fraction(int(low) + int(high), 2))
    # sums of halves stay within 64 bits
    high = int((cells >> 32).sum(dtype=np.int64)) if cells.dtype.itemsize > 4 else 0
    low_bits = cells & cells.dtype.type(2**32 - 1) if cells.dtype.itemsize > 4 else cells
    return round(Fraction((high << 32) + int(low_bits.sum(dtype=np.int64)), len(cells)))


def _exact(held: list[Any], how: str) -> Fraction:
    """Mean or median of whole numbers or fractions of Python's own."""
    if how == "mean":
        return Fraction(sum(held)) / len(held)
    order = sorted(held)
    return Fraction(order[(len(order) - 1) // 2] + order[len(order) // 2]) / 2


def _in_scale(value: Any, dtype: Any) -> Any:
    """A decimal with as many digits as a dtype of Arrow's keeps."""
    scale = getattr(getattr(dtype, "pyarrow_dtype", None), "scale", None)
    if scale is None or not isinstance(value, Decimal):
        return value
    return value.quantize(Decimal(1).scaleb(-scale))


def _moment(cells: np.ndarray, how: str) -> Any:
    """Mean or median of NumPy's moments or durations; None where all are missing."""
    whole = _whole(cells[~np.isnat(cells)].astype(np.int64), how)
    return None if whole is None else np.array(whole).astype(cells.dtype)[()]


def _pandas_moment(present: Any, how: str) -> Any:
    """The same of a pandas column, whose own mean may lose digits."""
    import pandas as pd

    zone = getattr(present.dtype, "tz", None)
    if zone is not None:
        there = present.dt.tz_convert("UTC").dt.tz_localize(None)
        return pd.Timestamp(_pandas_moment(there, how)).tz_localize("UTC").tz_convert(zone)
    if not isinstance(present.dtype, np.dtype):
        return present.mean() if how == "mean" else present.median()
    return _moment(present.to_numpy(), how)


def _mode(column: Any, cells: np.ndarray) -> Any:
    """The most frequent cell, the smallest of several; None where all are missing."""
    if cells.dtype != object:
        gone = np.isnat if cells.dtype.kind in "mM" else np.isnan
        there = cells[~gone(cells)] if cells.dtype.kind in "fmM" else cells
        labels, numbers = np.unique(there, return_counts=True)
        counts = dict(zip(labels, numbers.tolist(), strict=True))
    elif column.dtype == np.dtype(object):
        counts = {}
        for value in cells:
            if not is_missing(value):
                counts[value] = counts.get(value, 0) + 1
    else:
        counts = column.value_counts(sort=False).to_dict()
    most = max(counts.values(), default=0)
    return _smallest(label for label, count in counts.items() if count == most) if most else None


def _smallest(labels: Iterable[Any]) -> Any:
    """Smallest of the most frequent labels, so that row order does not decide."""
    held = list(labels)
    try:
        return min(held)
    except TypeError:
        return min(held, key=lambda label: (type(label).__name__, repr(label)))


def _polars_statistic(column: Any, how: str) -> Any:
    import polars as pl

    dtype = column.dtype
    present = column.drop_nulls()
    if dtype.is_float():
        present = present.filter(present.is_finite())
    if present.is_empty():
        return None
    if how == "mode":
        return _smallest(present.mode().to_list())
    if dtype.is_temporal():
        whole = _whole(cells_of(present.to_physical()), how)
        return pl.Series([whole], dtype=present.to_physical().dtype).cast(dtype)[0]
    if dtype.is_decimal():
        # the arithmetic of decimals keeps their scale
        floats = present.cast(pl.Float64)
        value = floats.mean() if how == "mean" else floats.median()
        return pl.Series([value]).cast(dtype)[0]
    return _number(cells_of(present), how)
