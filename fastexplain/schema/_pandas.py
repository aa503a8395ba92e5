"""Columns of pandas in the dtype that the explainer was fitted on, no cell changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastexplain._casts import cast, changed, common_dtype
from fastexplain._cells import cells_of, is_missing, objects
from fastexplain.schema._columns import (
    InexactCellError,
    as_flags,
    as_numbers,
    as_objects,
    as_stamps,
    as_texts,
    in_dtype,
    plain_cells,
)

__all__ = ["pandas_column"]


def pandas_column(column: Any, fitted: Any, families: frozenset[str]) -> Any:
    """A column as pandas holds it: in the fitted dtype, or in one that holds both.

    Parameters
    ----------
    column : pandas Series or 1-D ndarray
    fitted : pandas Series
        Some cells of the fitted column.
    families : frozenset of str
        Of the fitted cells.

    Returns
    -------
    pandas Series or extension array
        ``column`` itself where it changes nothing.

    Raises
    ------
    WrongCellError
        For a cell of another family; InexactCellError for one that would change.
    TypeError, ValueError
        Where pandas refuses the cast.
    """
    import pandas as pd

    dtype = fitted.dtype
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        cells = cells_of(column)
        if cells.dtype.kind in "mM":
            # pandas' own stamps in the place of NumPy's
            cells = objects(None if is_missing(value) else value for value in pd.Series(column))
        found = as_objects(cells, families)
        same = found is cells and column.dtype == dtype and not isinstance(column, np.ndarray)
        return column if same else pd.Series(found, dtype=object)
    if isinstance(dtype, pd.CategoricalDtype):
        return _recoded(column, dtype, families)
    if families == {"bool"}:
        flags = as_flags(cells_of(column))
        if isinstance(dtype, np.dtype):
            # True, False and a missing value are objects to pandas, too
            return pd.Series(flags, dtype=flags.dtype)
        return _array(pd, flags, dtype)
    if families == {"number"}:
        return _pandas_numbers(pd, as_numbers(cells_of(column)), fitted)
    if families == {"text"}:
        return _array(pd, as_texts(cells_of(column)), dtype)
    if families in ({"moment"}, {"span"}):
        return _pandas_stamps(pd, column, fitted)
    return _array(pd, as_objects(cells_of(column), families), dtype)


def _array(pd: Any, cells: np.ndarray, dtype: Any) -> Any:
    """Objects or flags in a dtype of pandas' own."""
    held = [None if is_missing(value) else value for value in plain_cells(cells)]
    return pd.array(held, dtype=dtype)


def _pandas_numbers(pd: Any, values: np.ndarray, fitted: Any) -> Any:
    dtype = fitted.dtype
    if isinstance(dtype, np.dtype):
        found = in_dtype(values, fitted.to_numpy())
        return pd.Series(found, dtype=found.dtype)
    plain = getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", None))
    if not isinstance(plain, np.dtype) or plain.kind not in "iuf":
        return _decimal_array(pd, values, dtype)
    missing = np.array([is_missing(value) for value in values], dtype=bool)
    present = values[~missing]
    if present.dtype.itemsize > 8 and not changed(present, np.dtype(np.float64)).any():
        present = cast(present, np.dtype(np.float64))
    bad = changed(present, plain)
    if bad.any():
        # float16 has no nullable kind
        held = fitted[fitted.notna()].to_numpy(dtype=plain)
        wider = common_dtype(present, held)
        if wider is None or wider.kind == "O" or wider.itemsize > 8:
            row = int(np.flatnonzero(~missing)[np.argmax(bad)])
            raise InexactCellError(row, values[row])
        plain = np.result_type(wider, np.float32) if wider.kind == "f" else wider
        dtype = _of_kind(pd, dtype, plain)
    filled = np.zeros(len(values), dtype=plain)
    filled[~missing] = cast(present, plain)
    return pd.Series(filled).astype(dtype).mask(missing)


def _of_kind(pd: Any, dtype: Any, plain: np.dtype) -> Any:
    """The dtype of numbers of the same make as another: sparse, of Arrow, or nullable."""
    if isinstance(dtype, pd.SparseDtype):
        return pd.SparseDtype(plain)
    if isinstance(dtype, pd.ArrowDtype):
        return f"{plain.name}[pyarrow]"
    return {"i": "Int", "u": "UInt", "f": "Float"}[plain.kind] + str(8 * plain.itemsize)


def _decimal_array(pd: Any, values: np.ndarray, dtype: Any) -> Any:
    """Numbers in a dtype of decimals, which has a number of digits."""
    wanted = as_objects(values, frozenset({"decimal"}))
    try:
        found = _array(pd, wanted, dtype)
    except Exception as error:  # Arrow has exceptions of its own
        row = next(i for i, value in enumerate(wanted) if not is_missing(value))
        raise InexactCellError(row, wanted[row]) from error
    for i, (value, kept) in enumerate(zip(wanted, found, strict=True)):
        if not is_missing(value) and value != kept:
            raise InexactCellError(i, value)
    return found


def _pandas_stamps(pd: Any, column: Any, fitted: Any) -> Any:
    """Stamps or durations; a time zone is neither dropped nor given."""
    kind, zone = fitted.dtype.kind, _zone(fitted.dtype)
    values, zoned = _instants(pd, column, kind)
    present = np.flatnonzero(~np.isnat(values))
    if len(present) and zoned != (zone is not None):
        row = int(present[0])
        raise InexactCellError(row, cells_of(column)[row])
    found = in_dtype(values, _instants(pd, fitted, kind)[0])
    made = pd.Series(found)
    if not isinstance(fitted.dtype, np.dtype | pd.DatetimeTZDtype):
        return _arrow_stamps(pd, made.dt.tz_localize(zone) if zone else made, fitted.dtype)
    return made if zone is None else made.dt.tz_localize("UTC").dt.tz_convert(zone)


def _arrow_stamps(pd: Any, made: Any, dtype: Any) -> Any:
    """Stamps or durations in a dtype of Arrow's, which may have days alone."""
    found = made.astype(dtype)
    before, after = (_instants(pd, part, dtype.kind)[0] for part in (made, found))
    bad = ~((before == after) | np.isnat(before))
    if bad.any():
        row = int(np.argmax(bad))
        raise InexactCellError(row, made.iloc[row])
    return found


def _instants(pd: Any, column: Any, kind: str) -> tuple[np.ndarray, bool]:
    """Stamps in universal time, or durations, as NumPy has them; and whether they had a zone."""
    if kind == "M" and isinstance(getattr(column, "dtype", None), pd.DatetimeTZDtype):
        return column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(), True
    cells = cells_of(column)
    if cells.dtype.kind == kind:
        return cells, False
    zoned = [getattr(value, "tzinfo", None) is not None for value in plain_cells(cells)]
    if kind == "m" or not any(zoned):
        return as_stamps(cells, kind), False
    there = [not is_missing(value) for value in cells]
    if zoned != there:
        row = zoned.index(True)
        raise InexactCellError(row, cells[row])
    moved = cells.copy()
    moved[there] = [pd.Timestamp(v).tz_convert("UTC").tz_localize(None) for v in cells[there]]
    return as_stamps(moved, kind), True


def _zone(dtype: Any) -> Any:
    return getattr(getattr(dtype, "pyarrow_dtype", dtype), "tz", None)


def _recoded(column: Any, dtype: Any, families: frozenset[str]) -> Any:
    """A column in the fitted categories; ``astype`` would drop others silently."""
    import pandas as pd

    if families == {"number"}:
        cells = plain_cells(as_numbers(cells_of(column)))
    else:
        cells = as_objects(cells_of(column), families)
    codes = dtype.categories.get_indexer(cells)
    for row in np.flatnonzero(codes < 0):
        if not is_missing(cells[row]):
            raise InexactCellError(int(row), cells[row])
    return pd.Categorical.from_codes(codes, dtype=dtype)
