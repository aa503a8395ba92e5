"""X at fit and at explain: the same columns, in the container that the model knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from fastexplain.networks._encoder import is_quantity
from fastexplain.tables import Table

__all__ = ["Schema"]


@dataclass
class Schema:
    """What rows looked like when the explainer was fitted.

    Attributes
    ----------
    kind : str
        Container: "numpy", "pandas" or "polars".
    names, dtypes : list of str
    quantity : list of bool
        Whether each column held quantities (True) or categories.
    template : Table
        Rows that carry the native dtypes, to convert other rows to.
    """

    kind: str
    names: list[str]
    dtypes: list[str]
    quantity: list[bool]
    template: Table
    _native: list[Any] = field(init=False, repr=False)
    _plain: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._native = _native_dtypes(self.template)
        # cells of object columns may be anything, so that their dtype says nothing
        self._plain = not any(_is_object(dtype) for dtype in self._native)

    @classmethod
    def of(cls, table: Table, template: Table) -> Schema:
        """Describe the training rows; ``template`` are a few rows of the same dtypes."""
        quantity = [is_quantity(table, j) for j in range(table.n_columns)]
        return cls(table.kind, table.names, table.dtypes(), quantity, template)

    def conform(self, table: Table) -> Table:
        """Bring rows into the fitted container, or say what does not fit.

        Parameters
        ----------
        table : Table
            Rows with as many columns as the explainer was fitted on.

        Raises
        ------
        TypeError
            If a column's values are of another kind than those fitted on.
        ValueError
            If the rows cannot be brought into the container.
        """
        if table.kind == self.kind and self._plain and _native_dtypes(table) == self._native:
            return table
        if table.kind != self.kind:
            table = self._other_container(table)
        if table.kind == "numpy":
            return self._conform_array(table)
        self._check_kinds(table)
        return self._conform_frame(table)

    def _other_container(self, table: Table) -> Table:
        if self.kind == "numpy":
            return Table(np.asarray(table.native.to_numpy()))
        if table.kind != "numpy":
            raise ValueError(
                f"The explainer was fitted on {self.kind} data and given {table.kind} data; "
                "pass the same container."
            )
        if self.kind == "pandas":
            import pandas as pd

            # object columns find their own dtypes, as they would on the way into a frame
            frame = pd.DataFrame(table.native).infer_objects()
            frame.columns = self.template.native.columns
            return Table(frame)
        import polars as pl

        columns = [table.native[:, j].tolist() for j in range(table.n_columns)]
        try:
            series = [
                pl.Series(name, cells, strict=True)
                for name, cells in zip(self.template.native.columns, columns, strict=True)
            ]
        except (TypeError, pl.exceptions.PolarsError) as error:
            raise TypeError(
                "An array was given where the explainer was fitted on a polars frame, and its "
                f"columns hold values of several types ({error}). Pass a frame."
            ) from error
        return Table(pl.DataFrame(series))

    def _conform_array(self, table: Table) -> Table:
        fitted, given = self._native[0], table.native.dtype
        if _is_object(given) or _is_object(fitted) or given.kind in "USmM" or fitted.kind in "mMb":
            self._check_kinds(table)
        if _is_object(given) and fitted.kind in "fiu":
            # None and pandas' NA stand for missing numbers, which are NaN in an array
            cells = [[_float(cell) for cell in row] for row in table.native]
            return Table(np.array(cells, dtype=np.float64).reshape(table.native.shape))
        return table

    def _check_kinds(self, table: Table) -> None:
        dtypes = _native_dtypes(table)
        for j, (dtype, fitted) in enumerate(zip(dtypes, self._native, strict=True)):
            if dtype == fitted and not _is_object(dtype):
                continue
            known = self.quantity[j], _is_moment(fitted)
            if (is_quantity(table, j), _is_moment(dtype)) != known and not _all_missing(table, j):
                self._refuse(j, dtype)

    def _refuse(self, j: int, dtype: Any) -> NoReturn:
        wanted = "numbers" if self.quantity[j] else "categories"
        if _is_moment(self._native[j]):
            wanted = "dates or durations"
        raise TypeError(
            f"Column {self.names[j]!r} held {wanted} ({self.dtypes[j]}) when the explainer was "
            f"fitted and is {dtype} now; convert it, or fit again."
        )

    def _conform_frame(self, table: Table) -> Table:
        """Give columns the fitted dtypes, where cells of both are to stand side by side."""
        dtypes = _native_dtypes(table)
        changed = {
            j: self._cast(table, j)
            if self._must_cast(self._native[j], dtype)
            else self._try(table, j)
            for j, dtype in enumerate(dtypes)
            if dtype != self._native[j]
        }
        if not changed:
            return table
        if self.kind == "polars":
            import polars as pl

            columns = [changed.get(j, table.column(j)) for j in range(table.n_columns)]
            return Table(pl.DataFrame(columns))
        import pandas as pd

        frame = pd.DataFrame(
            {j: changed.get(j, table.column(j)) for j in range(table.n_columns)},
            index=table.native.index,
            copy=False,
        )
        frame.columns = table.native.columns
        return Table(frame)

    def _must_cast(self, fitted: Any, dtype: Any) -> bool:
        if self.kind == "polars":
            return True  # polars stacks columns of one dtype only
        categories = hasattr(fitted, "categories") or hasattr(dtype, "categories")
        return categories or _is_moment(fitted)

    def _try(self, table: Table, j: int) -> Any:
        """Column ``j`` in the fitted dtype if it is the same numbers, else as it is."""
        column, dtype = table.column(j), self._native[j]
        if getattr(dtype, "kind", "O") not in "iufb":
            return column
        try:
            cast = column.astype(dtype)
            same = bool(((cast == column) | (cast.isna() & column.isna())).all())
        except (TypeError, ValueError, OverflowError):
            return column
        return cast if same else column

    def _cast(self, table: Table, j: int) -> Any:
        """Column ``j`` in the fitted dtype, with every cell kept."""
        column, dtype = table.column(j), self._native[j]
        if self.kind == "pandas" and hasattr(dtype, "categories"):
            return self._recode(column, j)
        try:
            if self.kind == "polars":
                cast = column.cast(dtype)
                lost = (cast.is_null() & column.is_not_null()).to_numpy()
                if dtype.is_integer():
                    lost |= (cast.cast(column.dtype) != column).fill_null(False).to_numpy()
            else:
                cast = column.astype(dtype)
                lost = np.asarray(cast.isna() & column.notna())
        except Exception as error:  # each library has exceptions of its own
            raise ValueError(self._misfit(j, column.dtype, str(error))) from error
        self._check_none_lost(column, j, lost)
        return cast

    def _recode(self, column: Any, j: int) -> Any:
        """A pandas column in the fitted categories; ``astype`` would drop others silently."""
        import pandas as pd

        dtype = self._native[j]
        codes = dtype.categories.get_indexer(column.astype(object))
        self._check_none_lost(column, j, (codes < 0) & column.notna().to_numpy())
        return pd.Series(pd.Categorical.from_codes(codes, dtype=dtype), index=column.index)

    def _check_none_lost(self, column: Any, j: int, lost: np.ndarray) -> None:
        if lost.any():
            cell = list(column)[int(np.argmax(lost))]
            raise ValueError(self._misfit(j, column.dtype, f"it has no place for {cell!r}"))

    def _misfit(self, j: int, dtype: Any, why: str) -> str:
        return (
            f"Column {self.names[j]!r} had dtype {self._native[j]} when the explainer was fitted "
            f"and has values of dtype {dtype} now that do not fit it ({why}). Make such cells "
            "missing, or fit model and explainer on a dtype that holds them, such as text."
        )


def _native_dtypes(table: Table) -> list[Any]:
    if table.kind == "numpy":
        return [table.native.dtype] * table.n_columns
    return list(table.native.dtypes)


def _is_object(dtype: Any) -> bool:
    # categories of pandas, too, are of kind "O"
    return isinstance(dtype, np.dtype) and dtype.kind == "O"


def _is_moment(dtype: Any) -> bool:
    """Whether a dtype is of dates or durations; those of polars know it themselves."""
    if hasattr(dtype, "is_temporal"):
        return bool(dtype.is_temporal())
    return getattr(dtype, "kind", "O") in "mM"


def _float(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return float("nan")


def _all_missing(table: Table, j: int) -> bool:
    column = table.column(j)
    if table.kind == "polars":
        return column.null_count() == len(column)
    if column.dtype == object or table.kind == "pandas":
        import pandas as pd

        return bool(np.all(pd.isna(column)))
    return False
