"""From a table's cells to numbers that a network can read, in NumPy."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastexplain._casts import as_moments
from fastexplain._cells import cells_of, families_of, has_size, is_missing
from fastexplain.tables import Table

__all__ = ["ColumnEncoder", "TabularEncoder", "quantiles_of"]

# categories beyond the most frequent ones share a code: they are too rare to learn from
_MAX_CATEGORIES = 256
#: quantiles of one column, and of n together: ``_EDGES * sqrt(n)``, up to a most
_MAX_EDGES = 129
_EDGES = 256
_ALL_EDGES = 4096
_CLIP = 1e30
_GAP = 1e-30


@dataclass
class ColumnEncoder:
    """One column's way to numbers.

    Attributes
    ----------
    numeric : bool
        Whether the column holds quantities (numbers, dates) or categories.
    center, scale : float
        Quantities are stored as ``(x - center) / scale``.
    edges : ndarray of shape (Q,)
        Distinct quantiles of the scaled quantities.
    categories : list
        Known categories; category ``c`` has code ``2 + index``, a missing cell 0, any
        other 1.
    """

    numeric: bool
    center: float = 0.0
    scale: float = 1.0
    edges: np.ndarray = field(default_factory=lambda: np.zeros(1))
    categories: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._codes = {_plain(value): 2 + i for i, value in enumerate(self.categories)}

    @property
    def n_codes(self) -> int:
        """Number of codes, those for missing and unknown cells included."""
        return 2 + len(self.categories)


class TabularEncoder:
    """Fitted columns: quantities scaled, categories coded.

    Parameters
    ----------
    columns : list of ColumnEncoder
        One a column of the table.
    """

    def __init__(self, columns: list[ColumnEncoder]) -> None:
        self.columns = columns
        self._center = np.array([c.center for c in columns])
        self._scale = np.array([c.scale for c in columns])
        self._all_numeric = all(c.numeric for c in columns)

    @classmethod
    def fit(
        cls, table: Table, n_edges: int, categorical: Collection[int] = frozenset()
    ) -> TabularEncoder:
        """Learn scales, quantiles and categories from a table's rows.

        Parameters
        ----------
        table : Table
            Training rows.
        n_edges : int
            Most quantiles kept of a column of quantities.
        categorical : collection of int
            Positions of columns that are read as categories though they hold numbers.
        """
        columns = range(table.n_columns)
        return cls([_fit_column(table, j, n_edges, j in categorical) for j in columns])

    def transform(self, table: Table) -> np.ndarray:
        """Encode rows.

        Parameters
        ----------
        table : Table of n rows

        Returns
        -------
        float32 ndarray of shape (n, C)
            Scaled quantities (missing as NaN) and category codes.
        """
        matrix = table.matrix() if self._all_numeric else None
        if matrix is not None and matrix.dtype.kind in "fiub":
            return self._scaled(matrix)
        out = np.empty((len(table), table.n_columns), dtype=np.float32)
        for j, column in enumerate(self.columns):
            if column.numeric:
                cells = (quantities(table, j) - column.center) / column.scale
                out[:, j] = np.clip(cells, -_CLIP, _CLIP)
            else:
                out[:, j] = _category_codes(table, j, column._codes)
        return out

    def _scaled(self, matrix: np.ndarray) -> np.ndarray:
        scaled = (matrix - self._center) / self._scale
        return np.clip(scaled, -_CLIP, _CLIP).astype(np.float32)


def quantiles_of(table: Table, categorical: Collection[int] = frozenset()) -> int:
    """How many quantiles of each column a network is given: fewer of more columns.

    Parameters
    ----------
    table : Table
    categorical : collection of int
        Positions of columns that are read as categories though they hold numbers.
    """
    columns = (j for j in range(table.n_columns) if j not in categorical)
    n = max(1, sum(is_quantity(table, j) for j in columns))
    return int(np.clip(min(_EDGES / n**0.5, _ALL_EDGES / n), 2, _MAX_EDGES))


def _plain(value: Any) -> Any:
    """Python's own type of a NumPy scalar, so that a saved category finds its cell."""
    return value.item() if isinstance(value, np.generic) else value


def is_quantity(table: Table, j: int) -> bool:
    """Whether a column holds numbers or moments in time rather than categories."""
    column = table.column(j)
    return has_size(column.dtype, families_of(column))


def quantities(table: Table, j: int) -> np.ndarray:
    """Column ``j`` as float64, missing cells as NaN; moments and durations as nanoseconds."""
    column = table.column(j)
    dtype: Any = column.dtype
    if table.kind == "polars":
        if dtype.is_temporal():
            return column.to_physical().cast(float).to_numpy() * _nanoseconds_of(dtype)
        return column.cast(float, strict=False).to_numpy().astype(np.float64)
    if isinstance(dtype, np.dtype) and dtype.kind in "mM":
        return _ticks(np.asarray(column))
    cells = cells_of(column)
    if table.kind == "pandas" and dtype.kind in "mM":
        unit = getattr(getattr(dtype, "pyarrow_dtype", dtype), "unit", None)
        # dates of Arrow's, without a time of day, have no unit
        days = as_moments(cells) if unit is None else None
        return _ticks(column.to_numpy(dtype=f"{dtype.kind}8[{unit}]") if days is None else days)
    if cells.dtype.kind in "biuf":
        return cells.astype(np.float64)
    return np.array([_number(value) for value in cells], dtype=np.float64)


#: nanoseconds of NumPy's and polars' units of time; months and years have no fixed length
_UNITS = {"W": 6048e11, "D": 864e11, "h": 36e11, "m": 6e10, "s": 1e9, "ms": 1e6, "us": 1e3}
_UNITS |= {"ns": 1.0, "ps": 1e-3, "fs": 1e-6, "as": 1e-9}


def _ticks(moments: np.ndarray) -> np.ndarray:
    """NumPy's moments or durations as nanoseconds: far dates have no place in a whole number."""
    unit, count = np.datetime_data(moments.dtype)
    if unit not in _UNITS:
        moments = moments.astype(f"{moments.dtype.kind}8[D]")
        unit, count = "D", 1
    out = moments.astype(np.int64).astype(np.float64) * (_UNITS[unit] * count)
    out[np.isnat(moments)] = np.nan
    return out


def _nanoseconds_of(dtype: Any) -> float:
    """Nanoseconds of what polars counts a moment or duration in."""
    if hasattr(dtype, "time_unit"):
        return _UNITS[dtype.time_unit]
    return _UNITS["D"] if str(dtype.base_type()) == "Date" else 1.0


def _number(value: Any) -> float:
    try:
        return np.nan if is_missing(value) else float(value)
    except (ArithmeticError, TypeError, ValueError):
        return np.nan


def _fit_column(table: Table, j: int, n_edges: int, categorical: bool) -> ColumnEncoder:
    if not categorical and is_quantity(table, j):
        cells = quantities(table, j)
        cells = cells[np.isfinite(cells)]
        if not len(cells):
            return ColumnEncoder(numeric=True)
        # squares of numbers beyond this overflow
        unit = max(1.0, float(np.abs(cells).max()) / 1e150)
        center, scale = float((cells / unit).mean()) * unit, float((cells / unit).std()) * unit
        if scale <= 1e-12 * max(1.0, abs(center)):
            scale = 1.0
        scaled = (cells - center) / scale
        distinct = np.unique(scaled)
        if len(distinct) > n_edges:
            distinct = _edges(scaled, distinct, n_edges)
        # the network divides by the gaps, in single precision
        distinct = distinct[np.append(True, np.diff(distinct) > _GAP)]
        return ColumnEncoder(numeric=True, center=center, scale=scale, edges=distinct)
    return ColumnEncoder(numeric=False, categories=_frequent(table, j))


def _edges(cells: np.ndarray, distinct: np.ndarray, n_edges: int) -> np.ndarray:
    """Quantiles of the cells and of the distinct values, half of each.

    A column that is mostly one value (capital gains, say) has hardly a quantile elsewhere,
    yet a model may well tell its other values apart.
    """
    if n_edges < 4:
        return np.unique(np.quantile(cells, np.linspace(0, 1, n_edges)))
    by_cells = np.quantile(cells, np.linspace(0, 1, n_edges - n_edges // 2))
    by_value = np.quantile(distinct, np.linspace(0, 1, n_edges // 2))
    return np.unique(np.concatenate([by_cells, by_value]))


def _frequent(table: Table, j: int) -> list[Any]:
    labels, counts = _factorize(table, j)[1:]
    order = np.argsort(-counts, kind="stable")[:_MAX_CATEGORIES]
    return [_plain(labels[i]) for i in order]


def _factorize(table: Table, j: int) -> tuple[np.ndarray, list[Any], np.ndarray]:
    """Codes of the cells (-1 for missing), the distinct labels, and how often each occurs."""
    column = table.column(j)
    if table.kind == "polars":
        if column.dtype.is_nested():
            raise TypeError(f"Column {column.name!r} holds {column.dtype}; encode or drop it.")
        cells: Any = column.to_list()
    elif table.kind == "pandas":
        import pandas as pd

        try:
            codes, labels = pd.factorize(column)
        except TypeError as error:
            raise TypeError(_unhashable(table, j, error)) from error
        return codes, list(labels), np.bincount(codes[codes >= 0], minlength=len(labels))
    else:
        cells = column.tolist()
    seen: dict[Any, int] = {}
    try:
        codes = np.array(
            [-1 if is_missing(v) else seen.setdefault(v, len(seen)) for v in cells],
            dtype=np.int64,
        )
    except TypeError as error:
        raise TypeError(_unhashable(table, j, error)) from error
    return codes, list(seen), np.bincount(codes[codes >= 0], minlength=len(seen))


def _unhashable(table: Table, j: int, error: Exception) -> str:
    return (
        f"Column {table.names[j]!r} holds values that cannot be hashed ({error}): each argument "
        "must be a string or a number. Encode or drop the column."
    )


def _category_codes(table: Table, j: int, known: dict[Any, int]) -> np.ndarray:
    codes, labels, _ = _factorize(table, j)
    lookup = np.array([known.get(_plain(label), 1) for label in labels] + [0], dtype=np.float32)
    return lookup[codes]
