"""The data beside an explanation: numpy arrays, pandas or polars tables, without importing them.

A library whose object we hold is imported already, so the objects' own methods are enough
(``sys.modules`` gives the module where a function is needed).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = [
    "MISSING",
    "as_table",
    "column",
    "column_names",
    "concat_tables",
    "is_missing",
    "kind",
    "numeric_columns",
    "shap_columns",
    "take",
]

#: what the readable copy of the data shows where a category is missing
MISSING = "missing"


def kind(data: Any) -> str:
    """``"pandas"``, ``"polars"``, ``"numpy"`` or ``"none"``."""
    if data is None:
        return "none"
    for name in ("pandas", "polars"):
        module = sys.modules.get(name)
        if module is not None and isinstance(data, module.DataFrame):
            return name
    return "numpy"


def as_table(data: Any, n_rows: int, single: bool, what: str = "data") -> Any:
    """Return ``data`` with rows along the first axis: a table as it is, else an array."""
    if data is None:
        return None
    if kind(data) == "numpy":
        data = np.asarray(data)
        if single and data.ndim == 1:
            data = data[None]
        if data.ndim < 2:
            raise ValueError(
                f"{what} must have rows and columns, got an array of shape {data.shape}"
            )
    if len(data) != n_rows:
        raise ValueError(f"{what} has {len(data)} rows for {n_rows} rows of values")
    return data


def column_names(data: Any) -> list[str] | None:
    """Names of a table's columns; None for an array."""
    return None if kind(data) in ("numpy", "none") else [str(name) for name in data.columns]


def take(data: Any, rows: Any = None, columns: Any = None) -> Any:
    """Rows and columns by slice or int array; a table stays a table of the same dtypes."""
    if data is None:
        return None
    which = kind(data)
    if rows is not None:
        if which == "pandas":
            data = data.iloc[rows]
        elif which == "polars":
            data = data[np.arange(len(data))[rows]]
        else:
            data = data[rows]
    if columns is not None:
        if which == "pandas":
            data = data.iloc[:, columns]
        elif which == "polars":
            names = [data.columns[i] for i in np.arange(data.shape[1])[columns]]
            if len(set(names)) < len(names):
                raise ValueError("a polars table cannot hold one column twice")
            data = data.select(names)
        else:
            data = data[:, columns]
    return data


def column(data: Any, position: int) -> Any:
    """One column: a pandas or polars Series, or a 1-d array."""
    which = kind(data)
    if which == "pandas":
        return data.iloc[:, position]
    if which == "polars":
        return data.to_series(position)
    return data[:, position]


def concat_tables(tables: Sequence[Any], what: str = "data") -> Any:
    """Tables of one kind below each other; None when all are None."""
    kinds = {kind(table) for table in tables}
    if len(kinds) > 1:
        raise ValueError(f"{what} of the explanations are of different kinds: {sorted(kinds)}")
    which = kinds.pop()
    if which == "none":
        return None
    widths = {tuple(table.shape[1:]) for table in tables}
    names = {tuple(column_names(table) or ()) for table in tables}
    if len(widths) > 1 or len(names) > 1:
        raise ValueError(f"{what} of the explanations have different columns or shapes")
    if which == "numpy":
        return np.concatenate(tables)
    return sys.modules[which].concat(list(tables))


def is_missing(value: Any) -> bool:
    """None, NaN, NaT and pandas' NA, told apart without pandas: NA is no plain bool to ask."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return False


def _is_dates(data: Any, position: int) -> bool:
    return np.asarray(column(data, position)).dtype.kind in "mM"


def _levels(series: Any) -> list[str] | None:
    """Return a polars Enum's own order of levels; None for other columns."""
    dtype = getattr(series, "dtype", None)
    if type(dtype).__name__ == "Enum":
        return [str(level) for level in dtype.categories]  # type: ignore[union-attr]
    return None


def _from_codes(codes: np.ndarray, levels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return codes as floats, NaN for negative ones, and the levels they stand for."""
    readable = np.array([*levels, MISSING], dtype=object)
    return np.where(codes < 0, np.nan, codes), readable[codes]  # -1 is the last: missing


def _encode(series: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Return a column as floats, and its readable values where they are not those floats."""
    if hasattr(getattr(series, "cat", None), "codes"):  # a category of pandas
        return _from_codes(np.asarray(series.cat.codes, int), list(map(str, series.cat.categories)))
    array = np.asarray(series)
    if array.dtype.kind in "biuf":
        return array.astype(float), None
    if array.dtype.kind in "mM":
        missing = np.isnat(array)
        unit = "datetime64[us]" if array.dtype.kind == "M" else "timedelta64[us]"
        days = array.astype(unit).astype(np.int64) / 86_400e6
        return np.where(missing, np.nan, days), np.where(
            missing, MISSING, array.astype(str)
        ).astype(object)
    values = list(array)
    missing = np.array([is_missing(value) for value in values], dtype=bool)
    present = [value for value, gone in zip(values, missing, strict=True) if not gone]
    if all(isinstance(value, (int, float, np.number, np.bool_)) for value in present):
        numbers = np.full(len(values), np.nan)
        numbers[~missing] = [float(value) for value in present]
        return numbers, None
    texts = [str(value) for value in present]
    levels = _levels(series) or sorted(set(texts))
    code = {level: position for position, level in enumerate(levels)}
    codes = np.full(len(values), -1)
    codes[~missing] = [code[text] for text in texts]
    return _from_codes(codes, levels)


def numeric_columns(data: Any) -> tuple[np.ndarray, list[np.ndarray | None]]:
    """Convert data to floats: categories to codes, whatever is missing to NaN.

    Returns
    -------
    numbers : ndarray of shape (n, N)
        Codes follow a category's own order, or the sorted texts; dates are days since 1970.
    texts : list of N
        Readable values of each column as an object array; None for a column of numbers.
    """
    numbers = np.empty(data.shape, dtype=float)
    texts: list[np.ndarray | None] = []
    for position in range(data.shape[1]):
        numbers[:, position], text = _encode(column(data, position))
        texts.append(text)
    return numbers, texts


def shap_columns(data: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Convert data to what shap's plots need.

    The plots colour points and place them along an axis by ``float(value)``, and grey out or
    reject whole columns where that fails. So text becomes codes, and the text itself goes
    into the readable copy, from which the plots take labels.

    Returns
    -------
    data : ndarray of shape (n, N), float
        Missing numbers are NaN. A missing category is one more category, after the others:
        a scatter plot labels an axis at each category's code, and is blank with a label at NaN.
    display_data : ndarray of shape (n, N), object, or None
        Readable values; None where all columns are numbers.
    """
    numbers, texts = numeric_columns(data)
    if all(text is None for text in texts):
        return numbers, None
    readable = numbers.astype(object)
    for position, text in enumerate(texts):
        if text is None:
            continue
        readable[:, position] = text
        codes = numbers[:, position]
        missing = np.isnan(codes)
        if missing.any():
            known = codes[~missing] if not missing.all() else np.array([-1.0])
            # a step that can be seen: dates may lie years apart
            codes[missing] = known.max() + max(0.1 * np.ptp(known) * _is_dates(data, position), 1.0)
    return numbers, readable
