"""Arrays, tensors and lists of rows as plain two-dimensional arrays, no cell changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastexplain._casts import changed

__all__ = ["native_frame", "plain_array", "rows_of_masked", "unmasked"]

#: whole numbers beyond this have digits that floats lack
_EXACT = 2**53


def rows_of_masked(X: Any) -> Any:
    """A list of rows some of which are masked arrays as one of these; X itself otherwise."""
    if isinstance(X, list | tuple) and any(isinstance(row, np.ma.MaskedArray) for row in X):
        return np.ma.array(X)
    return X


def unmasked(array: np.ma.MaskedArray) -> np.ndarray:
    """A masked array's cells, the masked ones missing: what lies under a mask is no data.

    Parameters
    ----------
    array : masked array

    Returns
    -------
    ndarray
        Of floats with NaN for numbers, of NaT for dates and durations, and of objects with None
        for anything else, or where floats would change a whole number.

    Examples
    --------
    >>> unmasked(np.ma.masked_array([1, 2], mask=[False, True]))
    array([ 1., nan])
    """
    data, mask = np.asarray(array.data), np.ma.getmaskarray(array)
    if not mask.any():
        return data
    if data.dtype.kind in "mM":
        out = data.copy()
        out[mask] = "NaT"
        return out
    if data.dtype.kind in "iuf":
        dtype = np.result_type(data.dtype, np.float64) if data.dtype.kind in "iu" else data.dtype
        if not (changed(data, dtype) & ~mask).any():
            out = data.astype(dtype)
            out[mask] = np.nan
            return out
    out = data.astype(object)
    out[mask] = None
    return out


def plain_array(X: Any) -> np.ndarray:
    """An array, tensor or list of rows as an array in native byte order.

    Parameters
    ----------
    X : ndarray, tensor or sequence of rows

    Returns
    -------
    ndarray
        Text as objects, so that rows of text and numbers keep their numbers.

    Raises
    ------
    TypeError
        For an array of records.
    ValueError
        For rows of several lengths, complex numbers, or whole numbers in a list that NumPy would
        round to the nearest float.
    """
    if isinstance(X, np.ma.MaskedArray):
        array = unmasked(X)
    else:
        array = np.asarray(_on_host(X) if hasattr(X, "detach") else X)
    if array.dtype.kind in "SUT":
        # a list of mixed rows keeps its numbers, which NumPy would turn into text
        array = np.asarray(X if not isinstance(X, np.ndarray) else array, dtype=object)
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported\n{array}\n")
    if array.dtype.kind == "V":
        raise TypeError(
            f"X is an array of records (dtype {array.dtype}): pass a DataFrame, "
            "pandas.DataFrame(X)."
        )
    if array.dtype.kind == "f" and isinstance(X, list | tuple) and array.ndim == 2:
        _check_digits(X, array)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _on_host(tensor: Any) -> np.ndarray:
    """A tensor's numbers; those of a kind that NumPy has not become the next wider one."""
    held = tensor.detach().cpu()
    if hasattr(held, "resolve_conj"):
        held = held.resolve_conj().resolve_neg()
    try:
        return held.numpy()
    except TypeError:
        return held.float().numpy()


def _check_digits(rows: Any, array: np.ndarray) -> None:
    """Raise where whole numbers became floats that are others."""
    for i, j in np.argwhere(np.abs(array) >= _EXACT):
        value = rows[i][j]
        if isinstance(value, int | np.integer) and int(array[i, j]) != value:
            raise ValueError(
                f"Row {i} of X holds {value} in column {j}, beside fractions or missing cells: as "
                "a float it would lose digits. Pass a DataFrame, whose columns have dtypes of "
                "their own, or numpy.array(X, dtype=object)."
            )


def native_frame(frame: Any) -> Any:
    """A pandas frame whose columns are in native byte order, and none of which is complex."""
    swapped = {}
    for j, dtype in enumerate(frame.dtypes):
        if not isinstance(dtype, np.dtype):
            continue
        if dtype.kind == "c":
            raise ValueError(
                f"Complex data not supported: column {frame.columns[j]!r} is {dtype}; split it "
                "into its real and its imaginary part."
            )
        if not dtype.isnative:
            column = frame.iloc[:, j]
            swapped[j] = column.to_numpy().astype(dtype.newbyteorder("="))
    if not swapped:
        return frame
    import pandas as pd

    made = pd.DataFrame(
        {j: swapped.get(j, frame.iloc[:, j].array) for j in range(frame.shape[1])},
        index=frame.index,
        copy=False,
    )
    made.columns = frame.columns
    return made
