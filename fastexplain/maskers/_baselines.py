"""What takes a removed cell's place: one value a column, in the column's own dtype."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from fastexplain._arrays import unmasked
from fastexplain.maskers._baseline_cells import cells_as_row, columns_as_table
from fastexplain.maskers._players import ColumnNames
from fastexplain.maskers._statistics import statistic
from fastexplain.tables import Table

__all__ = [
    "baseline_row",
    "cells_as_row",
    "check_hashable",
    "conform_rows",
    "first_cell",
]


def baseline_row(
    table: Table, baseline: Any, categorical: Collection[int] = frozenset()
) -> tuple[Table, list[int]]:
    """Build the single row that stands for removed features.

    Parameters
    ----------
    table : Table
        Training rows, which the statistics are taken from.
    baseline : {"mean", "median", "zero"} or row
        A statistic by name; one row as Series, mapping, sequence or 1-row table; or a Series,
        mapping or 1-row table of some columns, the others of which have the mean.
    categorical : collection of int
        Positions of columns whose numbers are codes.

    Returns
    -------
    row : Table
        One row in the container and dtypes of ``table``.
    computed : list of int
        Positions of the columns whose value is a statistic.
    """
    every = list(range(table.n_columns))
    if isinstance(baseline, str):
        if baseline not in ("mean", "median", "zero"):
            raise ValueError(
                f"baseline={baseline!r} is not known: give 'mean', 'median', 'zero', "
                "'marginal', a row of values, or {column: value} for some columns."
            )
        values = [statistic(table, j, baseline, j in categorical) for j in every]
        return cells_as_row(table, values), every
    given = _given_values(table, baseline)
    rest = [j for j in every if j not in given]
    means = {j: statistic(table, j, "mean", j in categorical) for j in rest}
    return cells_as_row(table, [(given | means)[j] for j in every]), rest


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
    return columns_as_table(table, columns)


def _native_dtypes(table: Table) -> list[Any]:
    """The dtypes themselves: as text, those of different categories look alike."""
    return [table.native.dtype] if table.kind == "numpy" else list(table.native.dtypes)


def check_hashable(table: Table) -> None:
    """Raise TypeError that names the first column whose cells are lists, arrays or the like."""
    for j, name in enumerate(table.names):
        column = table.column(j)
        if table.kind == "polars":
            if column.dtype.is_nested() or str(column.dtype) == "Object":
                raise TypeError(f"Column {name!r} holds {column.dtype} values; encode or drop it.")
        elif not isinstance(column.dtype, np.dtype) or column.dtype.kind == "O":
            # of pandas' own dtypes one cell is like the others
            some = column if isinstance(column.dtype, np.dtype) else column.dropna().head(1)
            try:
                for value in some:
                    hash(value)
            except TypeError as error:
                raise TypeError(
                    f"Column {name!r} holds values that cannot be hashed ({error}); encode or "
                    "drop it."
                ) from error


def _given_values(table: Table, baseline: Any) -> dict[int, Any]:
    """What a row says, by the position of the column."""
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
    if isinstance(baseline, np.ma.MaskedArray):
        baseline = unmasked(baseline)
    values = np.asarray(baseline, dtype=object)
    if values.ndim == 2 and len(values) == 1:
        values = values[0]
    if values.shape != (table.n_columns,):
        raise ValueError(
            f"baseline has shape {values.shape}; X has {table.n_columns} columns, so one row "
            f"of {table.n_columns} values is needed, or {{column: value}} for some of them."
        )
    return dict(enumerate(values))


def _named_values(table: Table, names: list[Any], values: list[Any]) -> dict[int, Any]:
    """Values by position, of columns named in whatever order."""
    if [str(name) for name in names] == table.names:
        return dict(enumerate(values))
    columns, found = ColumnNames(table.names), {}
    for name, value in zip(names, values, strict=True):
        places = columns.locate(name, "baseline")
        if len(places) > 1 or places[0] in found:
            raise ValueError(
                f"baseline must name a column once; {name!r} is there {max(len(places), 2)} times. "
                "Columns that share a name must stand in the order of X, all of them, or be given "
                "by position."
            )
        found[places[0]] = value
    return found


def cell(table: Table, i: int, j: int) -> Any:
    """The cell in row ``i`` of column ``j``."""
    column = table.column(j)
    return column.iloc[i] if table.kind == "pandas" else column[i]


def first_cell(table: Table, j: int) -> Any:
    """The first row's cell of column ``j``."""
    return cell(table, 0, j)
