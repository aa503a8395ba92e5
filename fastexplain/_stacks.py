"""Two columns below each other in one dtype, no cell changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastexplain._casts import cast, changed, common_dtype
from fastexplain._cells import cells_of, families_of, is_missing

__all__ = ["stacked_arrays", "stacked_pandas", "stacked_polars"]


def stacked_arrays(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Arrays below each other, in a dtype that holds the cells of both.

    Parameters
    ----------
    first, second : ndarray with the same number of axes

    Raises
    ------
    ValueError
        Where no dtype holds numbers of both unchanged.
    """
    if first.dtype == second.dtype:
        return np.concatenate([first, second])
    dtype = common_dtype(first, second)
    if dtype is None:
        wider = np.result_type(first.dtype, second.dtype)
        lost = next(a[changed(a, wider)][0] for a in (first, second) if changed(a, wider).any())
        raise _no_place(lost, first.dtype, second.dtype)
    return np.concatenate([cast(first, dtype), cast(second, dtype)])


def stacked_pandas(first: Any, second: Any) -> Any:
    """Two pandas Series below each other, as the array behind a Series."""
    import pandas as pd

    a, b = first.dtype, second.dtype
    if a == b:
        return pd.concat([first, second], ignore_index=True).array
    if isinstance(a, np.dtype) and isinstance(b, np.dtype):
        found = stacked_arrays(first.to_numpy(), second.to_numpy())
        return pd.Series(found, dtype=found.dtype).array
    for dtype in (a, b):
        parts = [_kept(part, dtype) for part in (first, second)]
        if all(part is not None for part in parts):
            return pd.concat(parts, ignore_index=True).array
    _check_mixable(first, second)
    parts = [part.astype(object) for part in (first, second)]
    return pd.concat(parts, ignore_index=True).array


def stacked_polars(first: Any, second: Any) -> Any:
    """Two polars Series below each other."""
    import polars as pl

    first = first.clone()  # append works in place
    if first.dtype != second.dtype:
        # the first, of the rows to be explained, has the dtype that holds both
        kept = second.cast(first.dtype, strict=False)
        if not bool((kept.cast(second.dtype, strict=False).eq_missing(second)).all()):
            _check_mixable(first, second)
            raise pl.exceptions.SchemaError(
                f"Column {first.name!r} is {first.dtype} in one table and {second.dtype} in the "
                "other; bring both to one dtype."
            )
        second = kept
    return first.append(second).rechunk()


def _kept(column: Any, dtype: Any) -> Any:
    """A pandas column in another dtype, None where a cell changes."""
    try:
        found = column.astype(dtype)
    except Exception:  # each dtype has exceptions of its own
        return None
    same = all(_equal(a, b) for a, b in zip(cells_of(column), cells_of(found), strict=True))
    return found if same else None


def _equal(a: Any, b: Any) -> bool:
    if is_missing(a) or is_missing(b):
        return is_missing(a) and is_missing(b)
    # Python compares its own numbers exactly, NumPy after rounding
    a, b = (v.item() if isinstance(v, np.generic) else v for v in (a, b))
    return bool(a == b)


def _check_mixable(first: Any, second: Any) -> None:
    """Raise for numbers or dates that no dtype holds together: objects would be another type."""
    both = families_of(first) | families_of(second)
    if both <= {"number", "decimal"} or both in ({"moment"}, {"span"}):
        raise _no_place(cells_of(second)[0], first.dtype, second.dtype)


def _no_place(value: Any, first: Any, second: Any) -> ValueError:
    return ValueError(
        f"Cells of dtype {first} and of dtype {second} have no dtype in common that holds them "
        f"unchanged, {value!r} among them. Bring both to one dtype: whole numbers beyond 2**53 "
        "have no place among floats."
    )
