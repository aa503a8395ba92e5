"""Columns of polars in the dtype that the explainer was fitted on, no cell changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastexplain._casts import changed
from fastexplain._cells import cells_of, is_missing
from fastexplain.schema._columns import (
    InexactCellError,
    WrongCellError,
    as_flags,
    as_numbers,
    as_objects,
    as_stamps,
    as_texts,
)

__all__ = ["polars_column"]


def polars_column(column: Any, fitted: Any, families: frozenset[str]) -> Any:
    """A column as polars holds it: in the fitted dtype, or in one that holds both.

    Parameters
    ----------
    column : polars Series or 1-D ndarray
    fitted : polars Series
        Some cells of the fitted column, and its name.
    families : frozenset of str
        Of the fitted cells.

    Returns
    -------
    polars Series

    Raises
    ------
    WrongCellError
        For a cell of another family; InexactCellError for one that would change.
    """
    import polars as pl

    given = column if isinstance(column, pl.Series) else _series(pl, cells_of(column), families)
    cells = cells_of(given)
    if families == {"number"}:
        as_numbers(cells)
        given = given.cast(pl.UInt8) if given.dtype == pl.Boolean else given
    elif families == {"bool"}:
        flags = as_flags(cells)
        held = [None if is_missing(value) else bool(value) for value in flags]
        return pl.Series(fitted.name, held, dtype=pl.Boolean)
    elif families == {"text"}:
        as_texts(cells)
    elif families in ({"moment"}, {"span"}):
        _check_zone(given, fitted.dtype, "M" if families == {"moment"} else "m")
    elif families:
        as_objects(cells, families)
    return _polars_cast(pl, given, fitted).alias(fitted.name)


def _series(pl: Any, cells: np.ndarray, families: frozenset[str]) -> Any:
    """Cells of an array as a Series, missing ones null."""
    if families == {"number"}:
        missing = [value is None for value in cells]
        values = as_numbers(cells)
        if values.dtype.itemsize > 8 and not changed(values, np.dtype(np.float64)).any():
            values = values.astype(np.float64)
        if not any(missing) and values.dtype != object:
            return pl.Series(values)
        held = [None if gone else v for gone, v in zip(missing, values.tolist(), strict=True)]
        return pl.Series(held, strict=False)
    if families == {"bool"}:
        return pl.Series([None if is_missing(v) else v for v in as_flags(cells)], dtype=pl.Boolean)
    zoned = any(getattr(value, "tzinfo", None) is not None for value in cells)
    if families in ({"moment"}, {"span"}) and not zoned:
        kind = "M" if families == {"moment"} else "m"
        stamps = as_stamps(cells, kind)
        # polars counts in no coarser unit
        fine = np.dtype(f"{kind}8[us]")
        exact = not changed(stamps, fine).any()
        return pl.Series(stamps.astype(fine if exact else f"{kind}8[ns]"))
    found = as_objects(cells, families)
    return pl.Series([None if is_missing(value) else value for value in found])


def _check_zone(given: Any, dtype: Any, kind: str) -> None:
    present = np.flatnonzero(given.is_not_null().to_numpy())
    if not len(present):
        return
    row = int(present[0])
    temporal = {"M": ("Date", "Datetime"), "m": ("Duration",)}[kind]
    if str(given.dtype.base_type()) not in temporal:
        raise WrongCellError(row, given[row])
    zones = [getattr(d, "time_zone", None) is not None for d in (given.dtype, dtype)]
    if zones[0] != zones[1]:
        raise InexactCellError(row, given[row])


def _polars_cast(pl: Any, given: Any, fitted: Any) -> Any:
    dtype = fitted.dtype
    if given.dtype == dtype:
        return given
    # a missing number among whole ones is null, as NaN cannot be
    plain = given.fill_nan(None) if given.dtype.is_float() and not dtype.is_float() else given
    bad = _polars_changed(plain, dtype)
    if not bad.any():
        return plain.cast(dtype)
    if dtype.is_numeric() or dtype.is_temporal():
        wider = _supertype(pl, given.dtype, dtype)
        if not (_polars_changed(given, wider).any() or _polars_changed(fitted, wider).any()):
            return given.cast(wider)
    row = int(np.argmax(bad))
    raise InexactCellError(row, given[row])


def _supertype(pl: Any, first: Any, second: Any) -> Any:
    parts = [pl.Series("x", [], dtype=dtype).to_frame() for dtype in (first, second)]
    return pl.concat(parts, how="vertical_relaxed").to_series().dtype


def _polars_changed(column: Any, dtype: Any) -> np.ndarray:
    """Which cells are others after a cast there and back."""
    import polars as pl

    try:
        there = column.cast(dtype, strict=False)
        same = there.cast(column.dtype, strict=False).eq_missing(column)
    except pl.exceptions.PolarsError:
        return column.is_not_null().to_numpy()
    return ~(same & (there.is_null() == column.is_null())).to_numpy()
