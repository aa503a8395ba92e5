"""What takes a removed cell's place: one value a column, in the column's own dtype."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from fastexplain.tables import Table

__all__ = [
    "baseline_row",
    "cells_as_row",
    "check_hashable",
    "conform_rows",
    "first_cell",
    "is_missing",
]


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


def conform_rows(table: Table, rows: Table) -> Table:
    """Bring a background of the user's own into the container and dtypes of ``table``."""
    if rows.n_columns != table.n_columns or (rows.kind != "numpy" and rows.names != table.names):
        raise ValueError(
            f"The background has columns {rows.names}, X has {table.names}; pass the same "
            "columns in the same order."
        )
    if rows.kind == table.kind and _native_dtypes(rows) == _native_dtypes(table):
        return rows
    columns = [[cell(rows, i, j) for i in range(len(rows))] for j in range(table.n_columns)]
    return _columns_as_table(table, columns)


def _native_dtypes(table: Table) -> list[Any]:
    """The dtypes themselves: as text, those of different categories look alike."""
    return [table.native.dtype] if table.kind == "numpy" else list(table.native.dtypes)


def is_missing(value: Any) -> bool:
    """Whether a cell holds None, NaN, NaT or pandas' NA."""
    if value is None:
        return True
    pandas = sys.modules.get("pandas")
    if pandas is not None and value is pandas.NA:
        return True
    # the missing values of floats and times alone differ from themselves
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return False


def check_hashable(table: Table) -> None:
    """Raise TypeError that names the first column whose cells are lists, arrays or the like."""
    for j, name in enumerate(table.names):
        column = table.column(j)
        if table.kind == "polars":
            if column.dtype.is_nested() or str(column.dtype) == "Object":
                raise TypeError(f"Column {name!r} holds {column.dtype} values; encode or drop it.")
        elif column.dtype == np.dtype(object):
            try:
                for value in column:
                    hash(value)
            except TypeError as error:
                raise TypeError(
                    f"Column {name!r} holds values that cannot be hashed ({error}); encode or "
                    "drop it."
                ) from error


def _row_values(table: Table, baseline: Any) -> list[Any]:
    if isinstance(baseline, Mapping):
        return _named_values(table, list(baseline), list(baseline.values()))
    if hasattr(baseline, "columns"):
        row = Table(baseline)
        if len(row) != 1:
            raise ValueError(f"baseline has {len(row)} rows; give one row, or several.")
        return _named_values(
            table, list(row.names), [cell(row, 0, j) for j in range(row.n_columns)]
        )
    if hasattr(baseline, "index") and hasattr(baseline, "iloc"):
        return _named_values(table, list(baseline.index), list(baseline.array))
    if hasattr(baseline, "detach"):
        baseline = baseline.detach().cpu().numpy()
    values = np.asarray(baseline, dtype=object)
    if values.ndim == 2 and len(values) == 1:
        values = values[0]
    if values.shape != (table.n_columns,):
        raise ValueError(
            f"baseline has shape {values.shape}; X has {table.n_columns} columns, so one row "
            f"of {table.n_columns} values is needed."
        )
    return list(values)


def _named_values(table: Table, names: list[Any], values: list[Any]) -> list[Any]:
    """Values in the order of the columns, which ``names`` must be in whatever order."""
    names = [str(name) for name in names]
    if names == table.names:
        return values
    missing = [name for name in table.names if name not in set(names)]
    unknown = [name for name in names if name not in set(table.names)]
    if missing or unknown or len(names) != table.n_columns or len(set(names)) != len(names):
        raise ValueError(
            f"baseline must name each of the {table.n_columns} columns once; missing: {missing}, "
            f"unknown: {unknown}. Columns that share a name must stand in the order of X."
        )
    by_name = dict(zip(names, values, strict=True))
    return [by_name[name] for name in table.names]


def cell(table: Table, i: int, j: int) -> Any:
    """The cell in row ``i`` of column ``j``."""
    column = table.column(j)
    return column.iloc[i] if table.kind == "pandas" else column[i]


def first_cell(table: Table, j: int) -> Any:
    """The first row's cell of column ``j``."""
    return cell(table, 0, j)


def cells_as_row(table: Table, values: list[Any]) -> Table:
    """One row with the table's dtypes; a value that a column cannot hold is named."""
    return _columns_as_table(table, [[value] for value in values])


def _columns_as_table(table: Table, columns: list[list[Any]]) -> Table:
    """Rows with the table's dtypes, from each column's cells."""
    if table.kind == "numpy":
        dtype = table.native.dtype
        native = np.empty((len(columns[0]), len(columns)), dtype=dtype)
        for j, values in enumerate(columns):
            for i, value in enumerate(values):
                try:
                    native[i, j] = _numpy_cell(value, dtype)
                except (TypeError, ValueError, OverflowError) as error:
                    raise _does_not_fit(table, j, value, str(error)) from error
        return Table(native)
    make = _pandas_column if table.kind == "pandas" else _polars_column
    made = [make(table, j, values) for j, values in enumerate(columns)]
    if table.kind == "pandas":
        import pandas as pd

        frame = pd.DataFrame(dict(enumerate(made)))
        frame.columns = table.native.columns
        return Table(frame)
    import polars as pl

    return Table(pl.DataFrame(made))


def _does_not_fit(table: Table, j: int, value: Any, why: str) -> ValueError:
    return ValueError(
        f"baseline {value!r} does not fit column {table.names[j]!r} of dtype "
        f"{table.dtypes()[j]}: {why}. Give a value that the column can hold, or convert the "
        "column before the model is fitted."
    )


def _check_whole(value: Any, kind: str) -> None:
    """Raise ValueError where a number would be cut short silently."""
    if kind in "iu" and isinstance(value, Real) and not isinstance(value, np.integer | int):
        if value != round(value):
            raise ValueError("the column holds whole numbers")
    if kind == "b" and not is_missing(value) and value not in (0, 1):
        raise ValueError("the column holds True and False")


def _numpy_cell(value: Any, dtype: np.dtype) -> Any:
    if dtype.kind in "iub" and is_missing(value):
        raise ValueError("the column cannot hold a missing value")
    if dtype.kind == "f" and is_missing(value):
        return np.nan
    if dtype.kind in "iub":
        _check_whole(value, dtype.kind)
    return value


def _pandas_column(table: Table, j: int, values: list[Any]) -> Any:
    import pandas as pd

    dtype = table.column(j).dtype
    # a missing value of another kind, such as NA, has no place in a column of plain floats
    if isinstance(dtype, np.dtype) and dtype.kind == "f":
        values = [np.nan if is_missing(value) else value for value in values]
    for value in values:
        try:
            if isinstance(dtype, pd.CategoricalDtype):
                if not is_missing(value) and value not in dtype.categories:
                    raise ValueError("it is not among the column's categories")
            elif isinstance(dtype, np.dtype) and dtype.kind in "iub":
                _numpy_cell(value, dtype)
            pd.Series([value], dtype=dtype)
        except (TypeError, ValueError, OverflowError) as error:
            raise _does_not_fit(table, j, value, str(error)) from error
    return pd.Series(values, dtype=dtype)


def _polars_column(table: Table, j: int, values: list[Any]) -> Any:
    import polars as pl

    column = table.column(j)
    dtype = column.dtype
    cells = []
    for value in values:
        if is_missing(value) and not (dtype.is_float() and value is not None):
            value = None
        if isinstance(value, np.generic):
            value = value.item()
        try:
            if dtype.is_integer() and value is not None:
                _check_whole(value, "i")
                value = int(value)
            cells.append(pl.Series(column.name, [value], dtype=dtype).cast(dtype))
        except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
            raise _does_not_fit(table, j, value, str(error)) from error
    return pl.concat(cells)


def _statistic(table: Table, j: int, how: str) -> Any:
    """Mean, median or zero of a column; its mode where it holds no quantities."""
    column = table.column(j)
    if table.kind == "polars":
        return _polars_statistic(column, how)
    if column.dtype == np.dtype(object):
        return _object_statistic(table, j, how)
    if table.kind == "numpy":
        return _numpy_statistic(table, j, how)
    from pandas.api import types

    dtype = column.dtype
    boolean = types.is_bool_dtype(dtype) and not isinstance(dtype, types.CategoricalDtype)
    quantity = types.is_numeric_dtype(dtype) and not boolean
    if how == "zero":
        if not quantity and not boolean:
            raise _no_zero(table, j)
        return 0 if quantity else False
    moment = types.is_datetime64_any_dtype(dtype) or types.is_timedelta64_dtype(dtype)
    present = column.dropna()
    if quantity and types.is_float_dtype(dtype):
        present = present[np.isfinite(present.to_numpy(dtype=float))]
    if not len(present):
        return getattr(dtype, "na_value", np.datetime64("NaT") if moment else np.nan)
    if quantity or moment:
        value = present.mean() if how == "mean" else present.median()
        # a whole-number column stays one: the model must see the dtype it was fitted on
        return round(value) if types.is_integer_dtype(dtype) else value
    counts = present.value_counts(sort=False)
    return _smallest(label for label, count in counts.items() if count == counts.max())


def _no_zero(table: Table, j: int) -> ValueError:
    return ValueError(
        f"baseline='zero' means nothing for column {table.names[j]!r} of dtype "
        f"{table.dtypes()[j]}: use baseline='mean', or give a row of values."
    )


def _smallest(labels: Iterable[Any]) -> Any:
    """Smallest of the most frequent labels, so that row order does not decide."""
    labels = list(labels)
    try:
        return min(labels)
    except TypeError:
        return min(labels, key=lambda label: (type(label).__name__, repr(label)))


def _numpy_statistic(table: Table, j: int, how: str) -> Any:
    column = table.native[:, j]
    kind = column.dtype.kind
    if how == "zero":
        if kind in "mM":
            raise _no_zero(table, j)
        return 0
    if kind == "b":
        return bool(2 * column.sum() > len(column))
    if kind in "mM":
        whole = column[~np.isnat(column)].astype(np.int64)
        if not len(whole):
            return np.array("NaT", dtype=column.dtype)
        # differences from the first keep the digits that floats of a whole date would lose
        offset = np.mean(whole - whole[0]) if how == "mean" else np.median(whole - whole[0])
        return np.array(whole[0] + round(float(offset))).astype(column.dtype)
    present = column[np.isfinite(column)].astype(np.float64)
    if not len(present):
        return np.nan
    value = float(present.mean() if how == "mean" else np.median(present))
    return round(value) if kind in "iu" else value


def _object_statistic(table: Table, j: int, how: str) -> Any:
    """Statistic of cells of any type: numbers where all are, else the mode."""
    cells = [value for value in table.column(j) if not is_missing(value)]
    booleans = [isinstance(value, bool | np.bool_) for value in cells]
    if cells and not any(booleans) and all(isinstance(value, Real) for value in cells):
        if how == "zero":
            return 0
        finite = np.array([value for value in cells if np.isfinite(float(value))], dtype=float)
        if not len(finite):
            return np.nan
        value = float(finite.mean() if how == "mean" else np.median(finite))
        whole = all(isinstance(value, int | np.integer) for value in cells)
        return round(value) if whole else value
    if how == "zero":
        if cells and all(booleans):
            return False
        raise _no_zero(table, j)
    counts: dict[Any, int] = {}
    for value in cells:
        counts[value] = counts.get(value, 0) + 1
    most = max(counts.values(), default=0)
    if not most:
        # whichever marker the column itself uses
        return next(iter(table.column(j)), None)
    return _smallest(value for value, count in counts.items() if count == most)


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
    present = column.drop_nulls()
    if dtype.is_float():
        present = present.filter(present.is_finite())
    if present.is_empty():
        return None
    if dtype.is_temporal():
        whole = present.to_physical()
        offset = whole - whole[0]
        middle = round(offset.mean() if how == "mean" else offset.median())
        return pl.Series([whole[0] + middle], dtype=whole.dtype).cast(dtype)[0]
    if dtype.is_decimal():
        # the arithmetic of decimals keeps their scale
        floats = present.cast(pl.Float64)
        value = floats.mean() if how == "mean" else floats.median()
        return pl.Series([value]).cast(dtype)[0]
    if dtype.is_numeric():
        value = present.mean() if how == "mean" else present.median()
        return round(value) if dtype.is_integer() else value
    return _smallest(present.mode().to_list())
