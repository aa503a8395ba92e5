"""Whole numbers that may be codes of categories: where their mean is a value hardly any row has."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator

import numpy as np

from fastexplain._cells import cells_of, families_of, has_size
from fastexplain._warnings import warn_user
from fastexplain.tables import Table

__all__ = ["rare_values", "warn_of_codes"]

#: most distinct values of codes, and of those that are kept as floats
_MOST_CODES, _MOST_FLOATS, _FEWEST_CODES = 256, 64, 3
#: most columns of one range that may be codes
_MOST_ALIKE = 7
#: rows that are looked at
_ROWS = 20_000
#: how likely a column whose values are all as frequent may be to be told of
_CHANCE = 0.005
_NAMED = 5


def rare_values(
    table: Table, background: Table, columns: Collection[int]
) -> dict[int, tuple[int, float]]:
    """Columns of whole numbers whose baseline is a value that hardly any row has.

    A column is told of if fewer rows hold the whole number next to its baseline than half of what
    each of its values would have if all were as frequent, and chance does not explain it. Many
    columns of one range are readings of one kind, such as pixels or marks, and are not told of;
    nor are amounts that are mostly zero.

    Parameters
    ----------
    table : Table
        Training rows.
    background : Table of one row
        The baseline.
    columns : collection of int
        Positions to look at.

    Returns
    -------
    dict
        Position to the whole number and the share of rows that hold it.
    """
    step = max(1, len(table) // _ROWS)
    some = table.take(slice(None, None, step)) if step > 1 else table
    held = {j: np.unique(cells, return_counts=True) for j, cells in _whole_columns(some, columns)}
    ranges = Counter((values[0], values[-1]) for values, _ in held.values() if len(values))
    found = {}
    for j, (values, counts) in held.items():
        most = _MOST_CODES if _holds_integers(table, j) else _MOST_FLOATS
        if not _FEWEST_CODES <= len(values) <= most:
            continue
        if ranges[values[0], values[-1]] > _MOST_ALIKE or _are_amounts(values, counts):
            continue
        value = round(float(cells_of(background.column(j))[0]))
        rows = int(counts[values == value].sum())
        even = counts.sum() / len(values)
        if rows < even / 2 and _chance(rows, even) < _CHANCE:
            found[j] = (value, rows / counts.sum())
    return found


def warn_of_codes(table: Table, background: Table, columns: Collection[int], median: bool) -> None:
    """Tell the user of baselines that would be no category, if the numbers are codes.

    Parameters
    ----------
    table, background, columns
        See ``rare_values``.
    median : bool
        Whether the baseline is the median already, or the mean.
    """
    found = rare_values(table, background, columns)
    if not found:
        return
    told = [
        f"{table.names[j]!r} by {value} ({_share(share)})"
        for j, (value, share) in list(found.items())[:_NAMED]
    ]
    more = f" and {len(found) - _NAMED} more columns" if len(found) > _NAMED else ""
    name = table.names[next(iter(found))]
    other = "" if median else ", or take baseline='median'"
    warn_user(
        f"The {'median' if median else 'mean'} replaces removed cells of {', '.join(told)}{more}: "
        f"whole numbers that hardly any row has. If they are codes of categories, say "
        f"categorical=[{name!r}], so that the most frequent one replaces them; or name the value, "
        f"baseline={{{name!r}: value}}{other}."
    )


def _share(share: float) -> str:
    return "in no row" if share == 0 else f"in {100 * share:.2g}% of the rows"


def _whole_columns(table: Table, columns: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
    for j in columns:
        cells = _whole_numbers(table, j)
        if cells is not None:
            yield j, cells


def _whole_numbers(table: Table, j: int) -> np.ndarray | None:
    """The present cells of a column of whole numbers; None for any other column."""
    column = table.column(j)
    families = families_of(column)
    if not (families & {"number", "decimal"} and has_size(column.dtype, families)):
        return None
    column = column.drop_nulls() if table.kind == "polars" else column
    cells = cells_of(column.dropna() if table.kind == "pandas" else column)
    try:
        numbers = cells.astype(np.float64)
    except (TypeError, ValueError):
        return None
    present = numbers[~np.isnan(numbers)]
    whole = np.isfinite(present).all() and (present == np.floor(present)).all()
    return present if whole else None


def _are_amounts(values: np.ndarray, counts: np.ndarray) -> bool:
    """Whether most cells are zero, and the others far apart: gains, losses, payments."""
    return values[0] == 0 and counts.argmax() == 0 and len(values) < (values[-1] + 1) / 2


def _holds_integers(table: Table, j: int) -> bool:
    dtype = table.column(j).dtype
    if table.kind == "polars":
        return dtype.is_integer()
    return getattr(dtype, "kind", "O") in "iu"


def _chance(held: int, even: float) -> float:
    """How likely so few rows are, or fewer, where as many as ``even`` are expected (Poisson)."""
    return sum(math.exp(-even + k * math.log(even) - math.lgamma(k + 1)) for k in range(held + 1))
