"""Whole numbers that may be codes: where their mean is a value that hardly any row has."""

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
_MOST_CODES, _MOST_FLOATS = 256, 64
#: most distinct values of floats whose frequencies are those of codes
_MOST_ALIKE_FLOATS = 32
#: how much of frequencies may be noise where their shape tells codes from quantities
_MOST_NOISE = 0.2
#: most columns of one range that may be codes
_MOST_ALIKE = 7
#: rows that are looked at
_ROWS = 20_000
#: rows for each distinct value from which values are said to repeat
_REPEATS = 3
#: distinct values on either side of a baseline that tell how close together they are
_NEAR = 16
#: how likely a column whose values are all as frequent may be to be told of
_CHANCE = 0.005
_NAMED = 5


def rare_values(
    table: Table, background: Table, columns: Collection[int]
) -> dict[int, tuple[float, float]]:
    """Columns of whole numbers, maybe codes, whose baseline is a value that hardly any row has.

    A column is told of in three cases.

    - A gap: fewer rows hold the whole number next to the baseline than half of what each value
      would have if all were as frequent, and chance does not explain it: codes {1, 9} and 5.
    - Few numbers of a wide range, which repeat: no row holds the baseline, each value is held by
      three rows or more, and the values next to it are far apart, such as postal codes. Not told
      of are columns of which more than half end in the same digit: these are amounts, rounded or
      priced.
    - Floats of up to 32 whole numbers with a fraction as the baseline, if all values are about as
      frequent or their frequencies go up and down: codes 1 to 20 and 10.39. Frequencies that rise
      to one value and fall after it, zeros left out, are those of quantities, such as ages and
      counts, whose fractions mean something; so are those of more than 32 values. Of codes that
      rise and fall alike, and of too few rows to say, nothing is told.

    Nothing is told of columns of 0 and 1 alone, whose mean is a share, which models of such columns
    mostly take; of many columns of one range, which are readings of one kind, such as pixels or
    marks; nor of amounts that are mostly zero.

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
        Position to the baseline and the share of rows that hold it.
    """
    step = max(1, len(table) // _ROWS)
    some = table.take(slice(None, None, step)) if step > 1 else table
    held = {j: np.unique(cells, return_counts=True) for j, cells in _whole_columns(some, columns)}
    ranges = Counter((values[0], values[-1]) for values, _ in held.values() if len(values))
    found = {}
    for j, (values, counts) in held.items():
        if len(values) < 2 or values.tolist() == [0, 1]:
            continue
        if ranges[values[0], values[-1]] > _MOST_ALIKE or _are_amounts(values, counts):
            continue
        cell = cells_of(background.column(j))[0]
        baseline = float(cell)
        most = _MOST_CODES if _holds_integers(table, j) else _MOST_FLOATS
        if (
            (len(values) <= most and _in_gap(values, counts, baseline))
            or _among_few(values, counts, baseline)
            or (_kin(ranges, values) <= _MOST_ALIKE and _between_codes(values, counts, baseline))
        ):
            share = _share_of(table, j, baseline)
            # rows that were left out may hold it
            if share < 0.5 / len(values):
                found[j] = (int(cell) if _holds_integers(table, j) else baseline, share)
    return found


def _kin(ranges: Counter[tuple[float, float]], values: np.ndarray) -> int:
    """How many columns begin where this one does and end near its end, as pixels do."""
    low, high = values[0], values[-1]
    kin = [n for (a, b), n in ranges.items() if a == low and abs(b - high) <= (high - low) / 4]
    return sum(kin)


def _in_gap(values: np.ndarray, counts: np.ndarray, baseline: float) -> bool:
    """Whether the whole number next to the baseline is rarer than chance explains."""
    rows = int(counts[values == round(baseline)].sum())
    even = counts.sum() / len(values)
    return bool(rows < even / 2 and _chance(rows, even) < _CHANCE)


def _among_few(values: np.ndarray, counts: np.ndarray, baseline: float) -> bool:
    """Whether no row holds the baseline, and few whole numbers around it are held by many rows."""
    if counts.sum() < _REPEATS * len(values) or round(baseline) in values:
        return False
    digits = np.bincount((np.abs(values) % 10).astype(int), weights=counts)
    if digits.max() > counts.sum() / 2:
        return False
    place = int(np.searchsorted(values, baseline))
    near = slice(max(0, place - _NEAR), place + _NEAR)
    width, rows = np.ptp(values[near]) + 1, counts[near].sum()
    # distinct numbers among as many that are drawn from all of the range
    expected = -width * np.expm1(-rows / width)
    return bool(rows >= _REPEATS * len(values[near]) and len(values[near]) < expected / 2)


def _between_codes(values: np.ndarray, counts: np.ndarray, baseline: float) -> bool:
    """Whether the baseline is a fraction, and the frequencies of the values are no quantity's."""
    rows, size = counts.sum(), len(values)
    if baseline == round(baseline) or size > _MOST_ALIKE_FLOATS or rows < _REPEATS * size:
        return False
    noise = math.sqrt(size / rows)
    if size == 2 or noise > _MOST_NOISE:
        return size == 2
    uneven = np.abs(counts / rows - 1 / size).sum() / 2
    # how many rows would fill the valleys between peaks; many quantities are often zero
    counts = counts[values != 0]
    up, down = np.maximum.accumulate(counts), np.maximum.accumulate(counts[::-1])[::-1]
    valleys = (np.minimum(up, down) - counts).sum() / rows
    return bool(uneven < 0.04 + 0.45 * noise or valleys > 0.12 + noise)


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
        f"{table.names[j]!r} by {_number(value)} ({_share(share)})"
        for j, (value, share) in list(found.items())[:_NAMED]
    ]
    more = f" and {len(found) - _NAMED} more columns" if len(found) > _NAMED else ""
    name = table.names[next(iter(found))]
    other = "" if median else ", or take baseline='median'"
    warn_user(
        f"The {'median' if median else 'mean'} replaces removed cells of {', '.join(told)}{more}: "
        f"values that hardly any row has, of whole numbers. If they are codes of categories, say "
        f"categorical=[{name!r}], so that the most frequent one replaces them; or name the value, "
        f"baseline={{{name!r}: value}}{other}."
    )


def _number(value: float) -> str:
    """A baseline as text: in full, if it is whole."""
    return str(int(value)) if value == round(value) else f"{value:.6g}"


def _share_of(table: Table, j: int, value: float) -> float:
    """Share of the present cells of a column of whole numbers that hold a value."""
    cells = _whole_numbers(table, j)
    return 0.0 if cells is None or not len(cells) else float(np.mean(cells == value))


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
