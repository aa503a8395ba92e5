"""One column's cells as what the explainer was fitted on: numbers, flags, text, dates.

Nothing is guessed: a cell becomes the equal value of the fitted family, or it is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from fastexplain._casts import as_moments, cast, changed, common_dtype, tightened
from fastexplain._cells import family_of, first_stranger, is_missing

__all__ = [
    "InexactCellError",
    "WrongCellError",
    "as_flags",
    "as_numbers",
    "as_objects",
    "as_stamps",
    "as_texts",
    "in_dtype",
    "numpy_column",
    "plain_cells",
    "side_by_side",
]

#: text that names a truth value: what Python, pandas, R and JSON write
_FLAGS = {"True": True, "true": True, "TRUE": True, "False": False, "false": False, "FALSE": False}


class WrongCellError(Exception):
    """A cell of another family than the column's.

    Parameters
    ----------
    row : int
    value : object
    """

    def __init__(self, row: int, value: Any) -> None:
        super().__init__(row, value)
        self.row, self.value = row, value


class InexactCellError(WrongCellError):
    """A cell that the fitted dtype, and any that holds both, would change."""


def as_numbers(cells: np.ndarray) -> np.ndarray:
    """Cells as numbers; flags become 0 and 1.

    Parameters
    ----------
    cells : ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (n,)
        Of a dtype of numbers, missing cells NaN; of objects where none holds all of them.

    Raises
    ------
    WrongCellError
        For a cell that is no number.
    """
    if cells.dtype.kind in "iuf":
        return cells
    if cells.dtype.kind == "b":
        return cells.astype(np.uint8)
    held = _each(cells, {"number", "decimal", "bool"})
    return tightened(_map(held, lambda value: int(value) if _is_flag(value) else value))


def as_flags(cells: np.ndarray) -> np.ndarray:
    """Cells as truth values: flags, 0 and 1, and text that says so.

    Returns
    -------
    ndarray of shape (n,)
        Of booleans, or of objects where some are missing.

    Raises
    ------
    WrongCellError
        For any other cell.
    """
    if cells.dtype.kind == "b":
        return cells
    held = _each(cells, {"number", "decimal", "bool", "text"})
    out = np.empty(len(held), dtype=object)
    for i, value in enumerate(held):
        if is_missing(value):
            out[i] = value if cells.dtype == object else None
        elif isinstance(value, str) and value in _FLAGS:
            out[i] = _FLAGS[value]
        elif not isinstance(value, str) and value in (0, 1):
            out[i] = bool(value)
        else:
            raise WrongCellError(i, value)
    return out.astype(bool) if not any(is_missing(value) for value in out) else out


def as_texts(cells: np.ndarray) -> np.ndarray:
    """Cells as they are, which must be text or missing."""
    return _each(cells, {"text"})


def as_stamps(cells: np.ndarray, kind: str) -> np.ndarray:
    """Cells as NumPy's stamps (``kind`` "M") or durations ("m").

    Raises
    ------
    WrongCellError
        For a cell of another family; InexactCellError for one with a time zone.
    """
    if cells.dtype.kind == kind:
        return cells
    held = _each(cells, {"moment", "date"} if kind == "M" else {"span"})
    found = as_moments(held)
    if found is None:
        row = next(i for i, value in enumerate(held) if not is_missing(value))
        raise InexactCellError(row, held[row])
    if found.dtype.kind != kind:
        return np.full(len(found), "NaT", dtype=f"{kind}8[s]")
    return found


def as_objects(cells: np.ndarray, families: frozenset[str]) -> np.ndarray:
    """Cells of a column of objects, each of a family that was there before.

    Parameters
    ----------
    cells : ndarray of shape (n,)
    families : frozenset of str
        Of the fitted cells. Where these were all flags, all numbers or all decimals, the others
        of these become equal ones; empty, where none is known, takes any cell.

    Returns
    -------
    object ndarray of shape (n,)
        ``cells`` themselves where none changed.
    """
    if not families:
        return plain_cells(cells)
    if families == {"bool"}:
        return plain_cells(as_flags(cells))
    if families == {"decimal"}:
        return _as_decimals(_each(cells, {"number", "decimal", "bool"}))
    if families == {"number"}:
        held = _each(cells, {"number", "decimal", "bool"})
        odd = [not is_missing(v) and family_of(v) in ("decimal", "bool") for v in held]
        return _map(held, _plain_number) if any(odd) else held
    return _each(cells, families | ({"decimal"} if "number" in families else set()))


def in_dtype(values: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Values in the fitted dtype where that changes no cell, else in one that holds both.

    Parameters
    ----------
    values : ndarray of shape (n,) or (n, C)
        Numbers, stamps or durations.
    fitted : ndarray
        Some cells of the fitted dtype, which will stand beside them.

    Returns
    -------
    ndarray of the shape of ``values``

    Raises
    ------
    InexactCellError
        Where no dtype holds both; ``row`` counts over all cells.
    """
    bad = changed(values, fitted.dtype)
    if not bad.any():
        return cast(values, fitted.dtype)
    dtype = common_dtype(values, fitted)
    if dtype is None or dtype.kind == "O":
        at = int(np.flatnonzero(bad)[0])
        raise InexactCellError(at, values.ravel()[at])
    return cast(values, dtype)


def numpy_column(cells: np.ndarray, fitted: np.ndarray, families: frozenset[str]) -> np.ndarray:
    """A column's cells in the dtype of the fitted array, or in one that holds both.

    Parameters
    ----------
    cells, fitted : ndarray of shape (n,), (m,)
    families : frozenset of str
        Of the fitted cells.

    Returns
    -------
    ndarray of shape (n,)
        ``cells`` themselves where nothing changes.
    """
    kind = fitted.dtype.kind
    if kind == "O":
        return as_objects(cells, families)
    if kind == "b":
        return as_flags(cells)
    values = as_stamps(cells, kind) if kind in "mM" else as_numbers(cells)
    return in_dtype(values, fitted)


def side_by_side(columns: list[np.ndarray], fitted: np.ndarray) -> np.ndarray:
    """Columns as one array, in a dtype that holds them all and the fitted cells.

    Raises
    ------
    InexactCellError
        Where there is none; ``row`` counts over all cells, row by row.
    """
    dtypes = {column.dtype for column in columns}
    if len(dtypes) == 1:
        return np.stack(columns, axis=1)
    if any(dtype.kind == "O" for dtype in dtypes):
        return np.stack([plain_cells(column) for column in columns], axis=1)
    dtype = np.result_type(*dtypes, fitted.dtype)
    for j, column in enumerate(columns):
        bad = changed(column, dtype)
        if bad.any():
            row = int(np.argmax(bad))
            raise InexactCellError(row * len(columns) + j, column[row])
    return np.stack([cast(column, dtype) for column in columns], axis=1)


def plain_cells(cells: np.ndarray) -> np.ndarray:
    """The cells as objects: Python's own numbers, flags and stamps, None for a missing stamp."""
    if cells.dtype == object:
        return cells
    out = np.empty(len(cells), dtype=object)
    kind, wide = cells.dtype.kind, cells.dtype.itemsize > 8
    if kind not in "mM":
        # Python has no number as wide
        out[:] = list(cells) if wide else cells.tolist()
        return out
    exact = not changed(cells, np.dtype(f"{kind}8[us]")).any()
    out[:] = cells.astype(f"{kind}8[us]").tolist() if exact else list(cells)
    out[np.isnat(cells)] = None
    return out


def _each(cells: np.ndarray, families: frozenset[str] | set[str]) -> np.ndarray:
    """The cells as objects, all of them missing or of some families."""
    held = plain_cells(cells)
    row = first_stranger(held, families)
    if row is not None:
        raise WrongCellError(row, held[row])
    return held


def _map(held: np.ndarray, change: Callable[[Any], Any]) -> np.ndarray:
    """The cells changed one by one, missing ones as they are."""
    out = held.copy()
    for i, value in enumerate(held):
        if not is_missing(value):
            try:
                out[i] = change(value)
            except (ArithmeticError, ValueError) as error:
                raise InexactCellError(i, value) from error
    return out


def _is_flag(value: Any) -> bool:
    return family_of(value) == "bool"


def _plain_number(value: Any) -> Any:
    """A flag as 0 or 1, a decimal as the whole number or the float that prints as it."""
    if _is_flag(value):
        return int(value)
    if not isinstance(value, Decimal):
        return value
    if value.is_finite() and value == value.to_integral_value():
        return int(value)
    if changed(np.array([value], dtype=object), np.dtype(np.float64))[0]:
        raise ValueError("it has more digits than a float")
    return float(value)


def _as_decimals(held: np.ndarray) -> np.ndarray:
    """Numbers as decimals that print as they do."""
    if all(isinstance(v, Decimal) or is_missing(v) for v in held):
        return held
    plain = _map(held, lambda v: int(v) if _is_flag(v) else v)
    return _map(plain, lambda v: v if isinstance(v, Decimal) else Decimal(str(v)))
