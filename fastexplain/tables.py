"""Rows of any container (ndarray, pandas, polars) behind three small operations.

Everything else in the package talks about *cells*: which row a cell of a masked input is
taken from. Taking cells by index keeps every column's dtype, categories, time zone and
missing-value marker exactly as the model was fitted on them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np

from fastexplain._arrays import native_frame, plain_array, rows_of_masked
from fastexplain._containers import plain_container
from fastexplain._stacks import stacked_arrays, stacked_pandas, stacked_polars

__all__ = ["Table", "as_table"]


class Table:
    """Read-only rows in the container they came in.

    Parameters
    ----------
    native : ndarray, pandas.DataFrame or polars.DataFrame
        The rows, two-dimensional.

    Attributes
    ----------
    kind : {"numpy", "pandas", "polars"}
    names : list of str
        Column names as text; ``x0, x1, ...`` for arrays.
    """

    def __init__(self, native: Any) -> None:
        self.native = native
        if isinstance(native, np.ndarray):
            self.kind = "numpy"
            self.names = [f"x{j}" for j in range(native.shape[1])]
        else:
            self.kind = "polars" if _is_polars(native) else "pandas"
            self.names = [str(name) for name in native.columns]

    def __len__(self) -> int:
        return self.native.shape[0]

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return self.native.shape[1]

    def column(self, j: int) -> Any:
        """Column ``j`` as a one-dimensional array or Series, in its own dtype."""
        if self.kind == "numpy":
            return self.native[:, j]
        if self.kind == "pandas":
            return self.native.iloc[:, j]
        return self.native.to_series(j)

    def matrix(self) -> np.ndarray | None:
        """All cells as one array where the columns share a NumPy dtype, else None."""
        if self.kind == "numpy":
            return self.native
        if self.kind == "pandas" and self.n_columns:
            dtypes = set(self.native.dtypes)
            if len(dtypes) == 1 and isinstance(next(iter(dtypes)), np.dtype):
                return self.native.to_numpy()
        return None

    def dtypes(self) -> list[str]:
        """Each column's dtype as text; an array repeats its one dtype."""
        if self.kind == "numpy":
            return [str(self.native.dtype)] * self.n_columns
        return [str(dtype) for dtype in self.native.dtypes]

    def take(self, rows: Any) -> Table:
        """Rows by position, a slice or an index array."""
        if self.kind == "pandas":
            return Table(self.native.iloc[rows])
        return Table(self.native[rows])

    def fingerprint(self) -> str:
        """Digest of names and cells, equal for equal content wherever it lies in memory."""
        parts: list[Any] = [self.names, self.dtypes()]
        if self.kind == "pandas":
            from pandas.util import hash_pandas_object

            for j in range(self.n_columns):
                parts.append(hash_pandas_object(self.column(j), index=False).to_numpy())
        elif self.kind == "polars":
            parts.append(self.native.hash_rows(seed=0).to_numpy())
        else:
            numbers = self.native.dtype.kind in "fiub"
            parts.append(np.ascontiguousarray(self.native) if numbers else self.native.tolist())
        return str(joblib.hash(parts, hash_name="sha1"))

    def copied(self) -> Any:
        """The rows in their container, for a model that may work in place."""
        return self.native.clone() if self.kind == "polars" else self.native.copy()

    def stack(self, other: Table) -> CellSource:
        """Make the cells of these rows, followed by ``other``'s, available to ``gather``."""
        return CellSource(self, other)


class CellSource:
    """Cells of two stacked tables, to be gathered column by column.

    A homogeneous table is held as one matrix, which is faster by far than column by column.
    """

    def __init__(self, first: Table, second: Table) -> None:
        self.kind = first.kind
        self.native_columns: Any = None
        self.n_first, self.n_second = len(first), len(second)
        self.matrix: np.ndarray | None = None
        self.columns: list[Any] = []
        pairs = [(first.column(j), second.column(j)) for j in range(first.n_columns)]
        if first.kind == "polars":
            self.columns = [stacked_polars(*pair) for pair in pairs]
            return
        if first.kind == "pandas":
            self.native_columns = first.native.columns
        own, other = first.matrix(), second.matrix()
        arrays = [part for part in (own, other) if part is not None]
        alike = first.kind == "numpy" or len({part.dtype for part in arrays}) == 1
        if len(arrays) == 2 and alike:
            self.matrix = stacked_arrays(*arrays)
        else:
            self.columns = [stacked_pandas(*pair) for pair in pairs]

    def gather(self, index: np.ndarray) -> Any:
        """Build rows whose cell ``(r, j)`` is cell ``(index[r, j], j)`` of the stack.

        Parameters
        ----------
        index : int ndarray of shape (n, n_columns)

        Returns
        -------
        ndarray, pandas.DataFrame or polars.DataFrame
            In the container and with the dtypes of the stacked tables.
        """
        if self.matrix is not None:
            return self._wrap_matrix(np.take_along_axis(self.matrix, index, axis=0))
        return self._wrap_columns(lambda j: index[:, j])

    def masked(self, keep: np.ndarray, rows: slice) -> Any:
        """Replace cells of the first table's rows by those of each row of the second.

        Parameters
        ----------
        keep : bool ndarray of shape (B, T, n_columns) or (1, T, n_columns)
            Cells to keep; a single block serves every row.
        rows : slice
            The B rows of the first table.

        Returns
        -------
        ndarray, pandas.DataFrame or polars.DataFrame
            ``B * T * R`` rows: the second table's R rows vary fastest, then the T masks.
        """
        if self.matrix is not None:
            own, other = self.matrix[: self.n_first][rows], self.matrix[self.n_first :]
            cells = np.where(keep[:, :, None], own[:, None, None], other)
            return self._wrap_matrix(cells.reshape(-1, cells.shape[3]))
        own_rows = np.arange(self.n_first)[rows][:, None, None]
        other_rows = self.n_first + np.arange(self.n_second)
        return self._wrap_columns(
            lambda j: np.where(keep[:, :, None, j], own_rows, other_rows).reshape(-1)
        )

    def _wrap_matrix(self, cells: np.ndarray) -> Any:
        if self.kind == "numpy":
            return cells
        import pandas as pd

        # with the dtype said, pandas does not take objects for text or times
        return pd.DataFrame(cells, columns=self.native_columns, dtype=cells.dtype, copy=False)

    def _wrap_columns(self, index_of: Callable[[int], np.ndarray]) -> Any:
        if self.kind == "pandas":
            import pandas as pd

            columns = {
                j: pd.Series(array.take(index_of(j)), dtype=array.dtype, copy=False)
                for j, array in enumerate(self.columns)
            }
            frame = pd.DataFrame(columns, copy=False)
            frame.columns = self.native_columns
            return frame
        import polars as pl

        # a numpy index is copied into polars once a column, in place of a Python list
        return pl.DataFrame([s.gather(index_of(j)) for j, s in enumerate(self.columns)])


def as_table(X: Any) -> Table:
    """Wrap rows, or say what is wrong with them.

    Parameters
    ----------
    X : ndarray, pandas.DataFrame, polars.DataFrame, torch.Tensor or sequence of rows
        Two-dimensional data. Cells under the mask of a masked array are missing; numbers of
        another byte order become those of this machine.

    Returns
    -------
    Table

    Raises
    ------
    TypeError
        For what is no table, such as a dict, a data loader, a sparse matrix or a lazy frame.
    ValueError
        For data that is not two-dimensional, or complex.
    """
    X = plain_container(rows_of_masked(X), table=True)
    if _is_pandas(X):
        return Table(native_frame(X))
    if _is_polars(X):
        return Table(X)
    array = plain_array(X)
    if array.ndim < 2:
        raise ValueError(
            f"X has shape {array.shape}, and a table has two axes: one row is "
            "[X] or X.reshape(1, -1), and one column is X.reshape(-1, 1)."
        )
    if array.ndim > 2:
        raise ValueError(
            f"X has shape {array.shape}, and a table has two axes: flatten each "
            "sample, X.reshape(len(X), -1)."
        )
    return Table(array)


def _is_pandas(X: Any) -> bool:
    # no import: data of a library that was never imported cannot be that library's
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(X, pandas.DataFrame)


def _is_polars(X: Any) -> bool:
    polars = sys.modules.get("polars")
    return polars is not None and isinstance(X, polars.DataFrame)
