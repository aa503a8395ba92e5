"""Casts that change no cell, in NumPy: which cells a dtype holds, and the dtype that holds all."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import numpy as np

from fastexplain._cells import is_missing

__all__ = ["as_moments", "cast", "changed", "common_dtype", "tightened"]

_NUMBERS = "biuf"


def changed(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Which cells a dtype cannot hold as they are.

    Parameters
    ----------
    values : ndarray
        Numbers or booleans of any dtype, objects that are numbers or missing, or moments or spans
        of NumPy's dtypes.
    dtype : numpy.dtype
        Of numbers or booleans, or of moments or spans.

    Returns
    -------
    bool ndarray of the same shape
        True where the cell would become another number. Missing cells are held by floats
        alone. A float holds a decimal that it prints as.

    Examples
    --------
    >>> changed(np.array([2**53, 2**53 + 1]), np.dtype(np.float64))
    array([False,  True])
    >>> changed(np.array([1.0, 1.5, np.nan]), np.dtype(np.int64))
    array([False,  True,  True])
    """
    if values.dtype == dtype or dtype.kind == "O":
        return np.zeros(values.shape, dtype=bool)
    if values.dtype.kind == "O":
        flat = [_changed_cell(value, dtype) for value in values.ravel()]
        return np.array(flat, dtype=bool).reshape(values.shape)
    if dtype.kind in "mM":
        return _changed_moments(values, dtype)
    if values.dtype.kind == "b":
        return np.zeros(values.shape, dtype=bool)
    if dtype.kind == "b":
        return ~((values == 0) | (values == 1))
    if dtype.kind in "iu":
        return _beyond_whole(values, dtype)
    if values.dtype.kind in "iu":
        return _beyond_digits(values, dtype)
    with np.errstate(all="ignore"):
        back = values.astype(dtype).astype(values.dtype)
    return ~((back == values) | np.isnan(values))


def _beyond_whole(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Numbers that are not whole, or outside a type of whole numbers."""
    info = np.iinfo(dtype)
    if values.dtype.kind == "f":
        wide = values.astype(np.result_type(values.dtype, np.float64))
        top = float(info.max // 2 + 1) * 2.0
        inside = (wide >= float(info.min)) & (wide < top)
        return ~(inside & (wide == np.floor(wide)))
    own, out = np.iinfo(values.dtype), np.zeros(values.shape, dtype=bool)
    if own.min < info.min:
        out |= values < values.dtype.type(info.min)
    if own.max > info.max:
        out |= values > values.dtype.type(info.max)
    return out


def _beyond_digits(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Whole numbers with more binary digits than a float's, or larger than the largest."""
    info = np.finfo(dtype)
    size = np.abs(values.astype(np.int64)).astype(np.uint64) if values.dtype.kind == "i" else values
    size = size.astype(np.uint64)
    lowest = size & (~size + np.uint64(1))
    odd = size // np.maximum(lowest, np.uint64(1))
    digits = int(info.nmant) + 1
    out = np.zeros(values.shape, dtype=bool)
    if digits < 64:
        out |= odd >= np.uint64(1) << np.uint64(digits)
    if float(info.max) < 2.0**64:
        out |= size > np.uint64(float(info.max))
    return out


def _changed_moments(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if values.dtype.kind != dtype.kind:
        return np.ones(values.shape, dtype=bool)
    back = values.astype(dtype).astype(values.dtype)
    return ~((back == values) | np.isnat(values))


def _changed_cell(value: Any, dtype: np.dtype) -> bool:
    if is_missing(value):
        return dtype.kind != "f"
    if isinstance(value, np.generic):
        return bool(changed(np.array([value]), dtype)[0])
    try:
        if dtype.kind == "b":
            return value not in (0, 1)
        if dtype.kind in "iu":
            info = np.iinfo(dtype)
            return bool(int(value) != value or not info.min <= value <= info.max)
        if isinstance(value, Decimal):
            return _as_decimal(dtype.type(value)) != value
        if isinstance(value, int) and -(2**63) <= value < 2**64:
            return bool(changed(np.array([value]), dtype)[0])
        # Python compares its own numbers exactly, NumPy after rounding
        kept = float(value)
        return kept != value or bool(changed(np.array([kept]), dtype)[0])
    except (ArithmeticError, TypeError, ValueError):
        return True


def _as_decimal(value: Any) -> Decimal:
    """The decimal that a float prints as."""
    return Decimal(str(value))


def cast(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Cells in a dtype that holds them; missing ones as NaN, or None among objects."""
    if values.dtype == dtype:
        return values
    if values.dtype.kind == "O" and dtype.kind == "f":
        flat = [dtype.type("nan") if is_missing(v) else dtype.type(v) for v in values.ravel()]
        return np.array(flat, dtype=dtype).reshape(values.shape)
    return values.astype(dtype)


def tightened(values: np.ndarray) -> np.ndarray:
    """Objects that are numbers or missing, in the smallest dtype that holds all; else as they are.

    Examples
    --------
    >>> tightened(np.array([1, None, 2.5], dtype=object))
    array([1. , nan, 2.5])
    >>> tightened(np.array([2**53 + 1, 0.5], dtype=object)).dtype
    dtype('O')
    """
    for kind in (np.int64, np.uint64, np.float64):
        dtype = np.dtype(kind)
        whole = dtype.kind in "iu"
        if whole and any(isinstance(v, float | np.floating | Decimal) for v in values):
            continue
        if not changed(values, dtype).any():
            return cast(values, dtype)
    return values


def common_dtype(first: np.ndarray, second: np.ndarray) -> np.dtype | None:
    """The smallest dtype that holds the cells of both without a change.

    Parameters
    ----------
    first, second : ndarray
        Numbers, moments or objects.

    Returns
    -------
    numpy.dtype or None
        That of objects where one holds no numbers; None where numbers of both would change, as
        whole numbers beyond 2**53 beside fractions do.
    """
    a, b = first.dtype, second.dtype
    numbers = a.kind in _NUMBERS and b.kind in _NUMBERS
    if not numbers and not (a.kind == b.kind and a.kind in "mM"):
        return np.dtype(object)
    # flags are no numbers to a model
    if numbers and (a.kind == "b") != (b.kind == "b"):
        return np.dtype(object)
    dtype = np.result_type(a, b)
    lost = changed(first, dtype).any() or changed(second, dtype).any()
    return None if lost else dtype


def as_moments(values: np.ndarray) -> np.ndarray | None:
    """Objects that are date stamps, or durations, in the coarsest unit of NumPy's that holds all.

    Parameters
    ----------
    values : object ndarray of shape (n,)
        Stamps or durations of Python, NumPy or pandas, or missing.

    Returns
    -------
    ndarray of shape (n,) or None
        None where one has a time zone, which NumPy has not, or lies outside what a unit holds.

    Examples
    --------
    >>> import datetime
    >>> as_moments(np.array([datetime.date(2024, 5, 1), None], dtype=object))
    array(['2024-05-01',        'NaT'], dtype='datetime64[D]')
    """
    if any(getattr(value, "tzinfo", None) is not None for value in values):
        return None
    held = [_moment(value) for value in values if not is_missing(value)]
    if not held:
        return np.full(len(values), np.datetime64("NaT", "s"))
    dtype = np.result_type(*{moment.dtype for moment in held})
    if any(changed(moment[None], dtype)[0] for moment in held):
        return None
    out = np.full(len(values), "NaT", dtype=dtype)
    out[[not is_missing(value) for value in values]] = [moment.astype(dtype) for moment in held]
    return out


def _moment(value: Any) -> Any:
    """A stamp or duration as NumPy's."""
    if isinstance(value, np.datetime64 | np.timedelta64):
        return value
    # pandas' own keep their nanoseconds only so
    for name in ("to_datetime64", "to_timedelta64"):
        if hasattr(value, name):
            return getattr(value, name)()
    if isinstance(value, datetime.timedelta):
        return np.timedelta64(value)
    return np.datetime64(value)
