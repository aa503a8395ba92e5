"""What the cells of any column are: missing, numbers, text, dates; and the cells as an array."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Container, Iterable
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

__all__ = [
    "cells_of",
    "families_of",
    "family_of",
    "first_stranger",
    "has_size",
    "is_missing",
    "objects",
]

_NUMBERS = frozenset({"number", "decimal"})
_SIZES = frozenset({"number", "moment", "span"})


def is_missing(value: Any) -> bool:
    """Whether a cell holds None, NaN, NaT or pandas' NA."""
    if value is None or value is np.ma.masked:
        return True
    pandas = sys.modules.get("pandas")
    if pandas is not None and value is pandas.NA:
        return True
    # the missing values of floats and times alone differ from themselves
    try:
        return bool(value != value)
    except (ArithmeticError, TypeError, ValueError):
        return isinstance(value, Decimal)  # a signalling NaN


def family_of(value: Any) -> str:
    """What a cell is.

    Parameters
    ----------
    value : object
        Not missing.

    Returns
    -------
    str
        "bool", "number", "decimal", "text", "moment" (a time stamp), "date" (without a time of
        day), "span" (a duration), or the name of another type.

    Examples
    --------
    >>> [family_of(value) for value in (True, 2.5, "a", b"a")]
    ['bool', 'number', 'text', 'bytes']
    """
    if isinstance(value, bool | np.bool_):
        return "bool"
    # NumPy's durations are whole numbers by their class
    if isinstance(value, datetime.timedelta | np.timedelta64):
        return "span"
    if isinstance(value, Decimal):
        return "decimal"
    if isinstance(value, Real):
        return "number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, datetime.datetime | np.datetime64):
        return "moment"
    return type(value).__name__


def families_of(column: Any) -> frozenset[str]:
    """Families of the cells of a column, missing ones left out.

    Parameters
    ----------
    column : 1-D ndarray, pandas or polars Series
        Where the dtype says what the cells are, none is looked at; of a category dtype, the
        labels count.

    Returns
    -------
    frozenset of str
        Empty if all cells are missing and the dtype says nothing.
    """
    known = _family_of_dtype(column.dtype)
    if known is not None:
        return frozenset({known})
    dtype: Any = column.dtype
    labels = getattr(dtype, "categories", None)
    if hasattr(dtype, "is_numeric"):
        return frozenset({"text"}) if labels is not None or _coded(dtype) else frozenset()
    if labels is not None:
        return families_of(labels)
    return _families(column)


def has_size(dtype: Any, families: Iterable[str]) -> bool:
    """Whether a column holds numbers, moments or durations rather than categories.

    Parameters
    ----------
    dtype : of NumPy, pandas or polars
    families : iterable of str
        Of its cells; among objects, numbers alone have a size.
    """
    found = frozenset(families)
    if hasattr(dtype, "is_numeric"):
        return dtype.is_numeric() or dtype.is_temporal()
    if hasattr(dtype, "categories") or not found:
        return False
    return found <= (_NUMBERS if dtype == np.dtype(object) else _SIZES)


def _families(values: Iterable[Any]) -> frozenset[str]:
    """Families of objects; a cell's follows from its type, which is looked at once."""
    found: dict[type, str] = {}
    for value in values:
        if type(value) not in found and not is_missing(value):
            found[type(value)] = family_of(value)
    return frozenset(found.values())


def first_stranger(values: Iterable[Any], families: Container[str]) -> int | None:
    """Position of the first cell that is neither missing nor of some families; None if all are."""
    known: set[type] = set()
    for i, value in enumerate(values):
        if type(value) in known or is_missing(value):
            continue
        if family_of(value) not in families:
            return i
        known.add(type(value))
    return None


def _coded(dtype: Any) -> bool:
    """Whether a polars dtype is of texts kept as codes."""
    polars: Any = sys.modules["polars"]
    return dtype in (polars.Categorical, polars.Enum)


def _family_of_dtype(dtype: Any) -> str | None:
    """What the dtype says of its cells; None where it says nothing, or they have categories."""
    if hasattr(dtype, "is_numeric"):
        return _family_of_polars(dtype)
    if hasattr(dtype, "categories"):
        return None
    if isinstance(dtype, np.dtype):
        return None if dtype.kind == "O" else _KINDS.get(dtype.kind, dtype.name)
    # of pandas' own dtypes the type of a cell says most: kinds of text are those of objects
    if issubclass(dtype.type, str):
        return "text"
    if issubclass(dtype.type, Decimal):
        return "number"
    kind = dtype.kind
    return _KINDS[kind] if kind in _KINDS else getattr(dtype.type, "__name__", str(dtype))


_KINDS = {
    "b": "bool",
    "i": "number",
    "u": "number",
    "f": "number",
    "M": "moment",
    "m": "span",
    "U": "text",
    "T": "text",
}


def _family_of_polars(dtype: Any) -> str | None:
    name = str(dtype.base_type())
    if dtype.is_numeric():
        return "number"
    if name in ("Categorical", "Enum", "Null"):
        return None
    named = {"Boolean": "bool", "String": "text", "Date": "moment", "Datetime": "moment"}
    return named.get(name, {"Duration": "span", "Time": "time"}.get(name, name))


def cells_of(column: Any) -> np.ndarray:
    """Cells of a column as a one-dimensional array that keeps each as it is.

    Parameters
    ----------
    column : 1-D ndarray, pandas or polars Series

    Returns
    -------
    ndarray of shape (n,)
        Of numbers, booleans or moments where NumPy has the column's dtype and no cell is lost in
        it; of objects otherwise, with None for cells missing from a dtype that NumPy has not.

    Examples
    --------
    >>> import pandas as pd
    >>> cells_of(pd.Series([1, None], dtype="Int64"))
    array([1, None], dtype=object)
    >>> cells_of(pd.Series([1, 2], dtype="Int64"))
    array([1, 2])
    """
    if isinstance(column, np.ndarray):
        return column
    dtype = column.dtype
    if hasattr(dtype, "is_numeric"):
        return _polars_cells(column)
    if isinstance(dtype, np.dtype):
        return column.to_numpy()
    plain = getattr(dtype, "numpy_dtype", None)
    if isinstance(plain, np.dtype) and plain.kind in "biuf" and not column.isna().any():
        return column.to_numpy(dtype=plain)
    missing = column.isna().to_numpy()
    pairs = zip(column.array, missing, strict=True)
    return objects(None if gone else _python(value) for value, gone in pairs)


def _python(value: Any) -> Any:
    """Python's own type of a NumPy scalar."""
    return value.item() if isinstance(value, np.generic) else value


def _polars_cells(column: Any) -> np.ndarray:
    dtype = column.dtype
    plain = dtype.is_integer() or dtype.is_float() or _family_of_dtype(dtype) == "bool"
    # NumPy's whole numbers end at 64 bits
    if plain and not column.null_count() and "128" not in str(dtype):
        return column.to_numpy()
    return objects(column.to_list())


def objects(cells: Iterable[Any]) -> np.ndarray:
    """A one-dimensional array of objects, whatever they are."""
    held = list(cells)
    out = np.empty(len(held), dtype=object)
    # one by one: NumPy would take lists of equal length for a second axis
    for i, value in enumerate(held):
        out[i] = value
    return out
