"""Values of a baseline as rows of a table: each in its column's own dtype, or refused by name."""

from __future__ import annotations

from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from fastexplain._cells import families_of, family_of, is_missing
from fastexplain.tables import Table

__all__ = ["cells_as_row", "columns_as_table"]


def cells_as_row(table: Table, values: list[Any]) -> Table:
    """One row with the table's dtypes; a value that a column cannot hold is named."""
    return columns_as_table(table, [[value] for value in values])


def columns_as_table(table: Table, columns: list[list[Any]]) -> Table:
    """Rows with the table's dtypes, from each column's cells."""
    held = [_checked(table, j, values) for j, values in enumerate(columns)]
    if table.kind == "numpy":
        dtype = table.native.dtype
        native = np.empty((len(columns[0]), len(columns)), dtype=dtype)
        for j, values in enumerate(held):
            for i, value in enumerate(values):
                try:
                    native[i, j] = _numpy_cell(value, dtype)
                except (TypeError, ValueError, OverflowError) as error:
                    raise _does_not_fit(table, j, value, str(error)) from error
        return Table(native)
    make = _pandas_column if table.kind == "pandas" else _polars_column
    made = [make(table, j, values) for j, values in enumerate(held)]
    if table.kind == "pandas":
        import pandas as pd

        frame = pd.DataFrame(dict(enumerate(made)))
        frame.columns = table.native.columns
        return Table(frame)
    import polars as pl

    return Table(pl.DataFrame(made))


#: what may be given for cells of a family; dates and durations may be written out as text
_TAKEN = {
    "number": {"number", "decimal", "bool"},
    "decimal": {"number", "decimal"},
    "bool": {"bool", "number", "decimal"},
    "text": {"text"},
    "moment": {"moment", "date", "text"},
    "span": {"span", "text"},
}


def _checked(table: Table, j: int, values: list[Any]) -> list[Any]:
    """Values that are of a kind with the column's; pandas would make text of numbers."""
    families = families_of(table.column(j))
    if not families:
        return values
    taken = set().union(*(_TAKEN.get(family, {family}) for family in families))
    for value in values:
        if not is_missing(value) and family_of(value) not in taken:
            wanted = " or ".join(sorted(families))
            raise _does_not_fit(table, j, value, f"the column's cells are of the kind {wanted}")
    if families != {"decimal"}:
        return values
    # the arithmetic of decimals knows no floats
    return [v if is_missing(v) or isinstance(v, Decimal) else Decimal(str(v)) for v in values]


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
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            held = dtype.type(value)
        if np.isinf(held) and abs(value) != np.inf:
            raise ValueError("it is beyond the largest number of the dtype")
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
            elif isinstance(dtype, np.dtype) and dtype.kind in "iubf":
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
            elif dtype == pl.Boolean and value is not None:
                _check_whole(value, "b")
                value = bool(value)
            cells.append(pl.Series(column.name, [value], dtype=dtype).cast(dtype))
        except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
            raise _does_not_fit(table, j, value, str(error)) from error
    return pl.concat(cells)
