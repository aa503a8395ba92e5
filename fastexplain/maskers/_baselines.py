"""What takes a removed cell's place: one value a column, in the column's own dtype."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastexplain.tables import Table

__all__ = ["baseline_row", "cells_as_row", "first_cell"]


def baseline_row(table: Table, baseline: Any) -> Table:
    """Build the single row that stands for removed features.

    Parameters
    ----------
    table : Table
        Training rows, which the statistics are taken from.
    baseline : {"mean", "median", "zero"} or row
        A statistic by name, or one row as Series, mapping, sequence or 1-row table.

    Returns
    -------
    Table
        One row in the container and dtypes of ``table``.
    """
    if isinstance(baseline, str):
        if baseline not in ("mean", "median", "zero"):
            raise ValueError(
                f"baseline={baseline!r} is not known: give 'mean', 'median', 'zero', "
                "'marginal', or a row of values."
            )
        values = [_statistic(table, j, baseline) for j in range(table.n_columns)]
    else:
        values = _row_values(table, baseline)
    return cells_as_row(table, values)


def _row_values(table: Table, baseline: Any) -> list[Any]:
    if isinstance(baseline, Mapping):
        missing = [name for name in table.names if name not in {str(k) for k in baseline}]
        if missing or len(baseline) != table.n_columns:
            raise ValueError(
                f"baseline must name each of the {table.n_columns} columns once; missing: {missing}"
            )
        by_name = {str(key): value for key, value in baseline.items()}
        return [by_name[name] for name in table.names]
    if hasattr(baseline, "columns"):
        row = Table(baseline)
        if len(row) != 1:
            raise ValueError(f"baseline has {len(row)} rows; give one, or a masker of several.")
        if row.names != table.names:
            raise ValueError(f"baseline has columns {row.names}, X has {table.names}.")
        return [first_cell(row, j) for j in range(row.n_columns)]
    if hasattr(baseline, "index") and hasattr(baseline, "to_numpy"):
        return _row_values(table, dict(zip(baseline.index, baseline.array, strict=True)))
    values = np.asarray(baseline, dtype=object)
    if values.ndim == 2 and len(values) == 1:
        values = values[0]
    if values.shape != (table.n_columns,):
        raise ValueError(
            f"baseline has shape {values.shape}; X has {table.n_columns} columns, so one row "
            f"of {table.n_columns} values is needed."
        )
    return list(values)


def first_cell(table: Table, j: int) -> Any:
    """The first row's cell of column ``j``."""
    column = table.column(j)
    return column.iloc[0] if table.kind == "pandas" else column[0]


def cells_as_row(table: Table, values: list[Any]) -> Table:
    """One row with the table's dtypes; a value that a column cannot hold is named."""
    if table.kind == "numpy":
        dtype = table.native.dtype
        try:
            row = np.array([values], dtype=dtype)
        except (TypeError, ValueError) as error:
            raise ValueError(f"baseline {values!r} does not fit X's dtype {dtype}.") from error
        return Table(row)
    if table.kind == "pandas":
        import pandas as pd

        frame = pd.DataFrame({j: _pandas_cell(table, j, value) for j, value in enumerate(values)})
        frame.columns = table.native.columns
        return Table(frame)
    import polars as pl

    series = [
        pl.Series(name, [value], dtype=dtype)
        for (name, dtype), value in zip(table.native.schema.items(), values, strict=True)
    ]
    return Table(pl.DataFrame(series))


def _pandas_cell(table: Table, j: int, value: Any) -> Any:
    import pandas as pd

    dtype = table.column(j).dtype
    try:
        if isinstance(dtype, pd.CategoricalDtype) and not pd.isna(value):
            if value not in dtype.categories:
                raise ValueError(f"{value!r} is not among its categories")
        return pd.Series([value], dtype=dtype).array
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"baseline {value!r} does not fit column {table.names[j]!r} of dtype {dtype}: {error}"
        ) from error


def _statistic(table: Table, j: int, how: str) -> Any:
    """Mean, median or zero of a column; its mode where it holds no quantities."""
    column = table.column(j)
    if table.kind == "polars":
        return _polars_statistic(column, how)
    import pandas as pd
    from pandas.api import types

    series = pd.Series(column) if table.kind == "numpy" else column
    dtype = series.dtype
    if dtype == object:
        inferred = series.infer_objects()
        if types.is_numeric_dtype(inferred.dtype) and not types.is_bool_dtype(inferred.dtype):
            series, dtype = inferred, inferred.dtype
    quantity = types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype)
    moment = types.is_datetime64_any_dtype(dtype) or types.is_timedelta64_dtype(dtype)
    if how == "zero":
        if types.is_bool_dtype(dtype):
            return False
        if quantity:
            return 0
        raise ValueError(
            f"baseline='zero' means nothing for column {table.names[j]!r} of dtype {dtype}: "
            "use baseline='mean', or give a row of values."
        )
    if quantity or moment:
        present = series.dropna()
        if quantity and len(present) and types.is_float_dtype(dtype):
            present = present[np.isfinite(present.to_numpy(dtype=float))]
        if not len(present):
            return _missing(series)
        value = present.mean() if how == "mean" else present.median()
        # a whole-number column stays one: the model must see the dtype it was fitted on
        return round(value) if types.is_integer_dtype(dtype) else value
    return _mode(series, table.names[j])


def _missing(series: Any) -> Any:
    import pandas as pd

    return pd.NaT if series.dtype.kind in "mM" else getattr(series.dtype, "na_value", np.nan)


def _mode(series: Any, name: str) -> Any:
    try:
        counts = series.value_counts(dropna=True, sort=False)
    except TypeError as error:
        raise TypeError(
            f"Column {name!r} holds values that cannot be hashed ({error}); encode or drop it."
        ) from error
    if not len(counts) or counts.max() == 0:
        return _missing(series)
    # ties go to the smallest label, so that row order does not decide
    best = [label for label, count in counts.items() if count == counts.max()]
    return min(best, key=lambda label: (str(type(label)), label) if len(best) > 1 else "")


def _polars_statistic(column: Any, how: str) -> Any:
    import polars as pl

    dtype = column.dtype
    if how == "zero":
        if dtype == pl.Boolean:
            return False
        if dtype.is_numeric():
            return 0
        raise ValueError(
            f"baseline='zero' means nothing for column {column.name!r} of dtype {dtype}: "
            "use baseline='mean', or give a row of values."
        )
    if dtype.is_numeric() or dtype.is_temporal():
        present = column.drop_nulls()
        if dtype.is_float():
            present = present.filter(present.is_finite())
        if present.is_empty():
            return None
        value = present.mean() if how == "mean" else present.median()
        return round(value) if dtype.is_integer() else value
    if dtype.is_nested():
        raise TypeError(f"Column {column.name!r} holds {dtype} values; encode or drop it.")
    present = column.drop_nulls()
    return None if present.is_empty() else present.mode().sort()[0]
