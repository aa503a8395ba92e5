"""From a table's cells to numbers that a network can read, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

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
    def fit(cls, table: Table, n_edges: int) -> TabularEncoder:
        """Learn scales, quantiles and categories from a table's rows.

        Parameters
        ----------
        table : Table
            Training rows.
        n_edges : int
            Most quantiles kept of a column of quantities.
        """
        return cls([_fit_column(table, j, n_edges) for j in range(table.n_columns)])

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
        if self._all_numeric and table.kind == "numpy" and table.native.dtype.kind in "fiub":
            return self._scaled(table.native)
        if self._all_numeric and table.kind == "pandas":
            dtypes = set(table.native.dtypes)
            if len(dtypes) == 1 and next(iter(dtypes)).kind in "fiub":
                return self._scaled(table.native.to_numpy())
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


def quantiles_of(table: Table) -> int:
    """How many quantiles of each column a network is given: fewer of more columns."""
    n = max(1, sum(is_quantity(table, j) for j in range(table.n_columns)))
    return int(np.clip(min(_EDGES / n**0.5, _ALL_EDGES / n), 2, _MAX_EDGES))


def _plain(value: Any) -> Any:
    """Python's own type of a NumPy scalar, so that a saved category finds its cell."""
    return value.item() if isinstance(value, np.generic) else value


def _missing(value: Any) -> bool:
    """None, NaN, NaT and pandas' NA, told apart without pandas."""
    try:
        return value is None or bool(value != value)
    except TypeError:
        return True  # NA is neither equal to itself nor not
    except ValueError:
        return False  # an array, which is no cell, but not a missing one either


def is_quantity(table: Table, j: int) -> bool:
    """Whether a column holds numbers or moments in time rather than categories."""
    column = table.column(j)
    if table.kind == "polars":
        dtype = column.dtype
        return dtype.is_numeric() or dtype.is_temporal()
    if column.dtype != object:
        kind = getattr(column.dtype, "kind", "O")
        return kind in "fiumM"
    present = [value for value in column if not _missing(value)]
    numbers = (int, float, np.integer, np.floating)
    return bool(present) and all(
        isinstance(value, numbers) and not isinstance(value, bool) for value in present
    )


def quantities(table: Table, j: int) -> np.ndarray:
    """Column ``j`` as float64, missing cells as NaN; dates as nanoseconds."""
    column = table.column(j)
    if table.kind == "polars":
        if column.dtype.is_temporal():
            column = column.to_physical()
        return column.cast(float, strict=False).to_numpy().astype(np.float64)
    if table.kind == "pandas":
        import pandas as pd

        dtype = column.dtype
        kind = getattr(dtype, "kind", "O")
        if kind in "mM":
            moments = column.to_numpy(dtype=f"{kind}8[ns]")
            out = moments.astype(np.int64).astype(np.float64)
            out[np.isnat(moments)] = np.nan
            return out
        if isinstance(dtype, pd.api.extensions.ExtensionDtype) or kind == "O":
            return pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        return column.to_numpy(np.float64)
    if column.dtype.kind in "mM":
        out = column.astype(f"{column.dtype.kind}8[ns]").astype(np.int64).astype(np.float64)
        out[np.isnat(column)] = np.nan
        return out
    if column.dtype == object:
        return np.array([_number(value) for value in column], dtype=np.float64)
    return column.astype(np.float64)


def _number(value: Any) -> float:
    try:
        return float(value) if value is not None else np.nan
    except (TypeError, ValueError):
        return np.nan


def _fit_column(table: Table, j: int, n_edges: int) -> ColumnEncoder:
    if is_quantity(table, j):
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
            [-1 if _missing(v) else seen.setdefault(v, len(seen)) for v in cells],
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
