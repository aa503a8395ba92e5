"""X at fit and at explain: the same columns, in the container and dtypes that the model knows.

Each column is brought to the dtype it had at fit where that changes no cell, else to one that
holds both. A cell of another kind (text among numbers, 2 among truth values) is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastexplain._cells import cells_of, families_of, family_of, has_size
from fastexplain.schema._columns import (
    InexactCellError,
    WrongCellError,
    in_dtype,
    numpy_column,
    side_by_side,
)
from fastexplain.schema._pandas import pandas_column
from fastexplain.schema._polars import polars_column
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
        Whether each column is read as quantities (True) or as categories.
    template : Table
        Rows that carry the native dtypes, to convert other rows to.
    families : list of lists of str, optional
        What the cells of each column were ("number", "text", ...), which the dtype of objects
        does not say. Default: what the template's cells are.
    """

    kind: str
    names: list[str]
    dtypes: list[str]
    quantity: list[bool]
    template: Table
    families: list[list[str]] = field(default_factory=list)
    _native: list[Any] = field(init=False, repr=False)
    _plain: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._native = _native_dtypes(self.template)
        # cells of object columns may be anything, so that their dtype says nothing
        self._plain = not any(_is_object(dtype) for dtype in self._native)
        if not self.families:
            columns = map(self.template.column, range(self.template.n_columns))
            self.families = [sorted(families_of(column)) for column in columns]

    @classmethod
    def of(cls, table: Table, template: Table, categorical: Iterable[int] = ()) -> Schema:
        """Describe the training rows.

        Parameters
        ----------
        table : Table
            Training rows.
        template : Table
            A few rows of the same dtypes.
        categorical : iterable of int
            Positions of columns that are read as categories, whatever they hold.
        """
        families = [sorted(families_of(table.column(j))) for j in range(table.n_columns)]
        return cls.again(table.names, template, families, categorical)

    @classmethod
    def again(
        cls,
        names: list[str],
        template: Table,
        families: list[list[str]],
        categorical: Iterable[int] = (),
    ) -> Schema:
        """The same from what is kept of a fitted masker."""
        codes = set(categorical)
        quantity = [
            has_size(dtype, found) and j not in codes
            for j, (dtype, found) in enumerate(zip(_native_dtypes(template), families, strict=True))
        ]
        return cls(template.kind, names, template.dtypes(), quantity, template, families)

    def conform(self, table: Table) -> Table:
        """Bring rows into the fitted container and dtypes, or say what does not fit.

        Parameters
        ----------
        table : Table

        Returns
        -------
        Table
            ``table`` itself where nothing changes.

        Raises
        ------
        TypeError
            If a cell is of another kind than those fitted on, as text among numbers is.
        ValueError
            If a cell would change in the fitted dtype and in any that holds both, or for other
            columns or another container.
        """
        self._check_columns(table)
        if table.kind == self.kind and self._plain and _native_dtypes(table) == self._native:
            return table
        if self.kind == "numpy":
            return self._array(table)
        columns = [table.column(j) for j in range(table.n_columns)]
        found = [self._column(j, column) for j, column in enumerate(columns)]
        if all(made is column for made, column in zip(found, columns, strict=True)):
            return table
        return self._frame(table, found)

    def _check_columns(self, table: Table) -> None:
        if table.kind != self.kind and "numpy" not in (table.kind, self.kind):
            cure = {"pandas": "X.to_pandas()", "polars": "polars.from_pandas(X)"}[self.kind]
            raise ValueError(
                f"The explainer was fitted on {self.kind} data and given {table.kind} data; "
                f"pass the same container: {cure}."
            )
        if table.n_columns != len(self.names):
            raise ValueError(
                f"X has {table.n_columns} columns, the explainer was fitted on {len(self.names)}: "
                f"{self.names}; pass the same columns in the same order."
            )
        if table.kind == self.kind != "numpy" and table.names != self.names:
            raise ValueError(
                f"X has columns {table.names}, the explainer was fitted on {self.names}; pass the "
                "same columns in the same order."
            )

    def _array(self, table: Table) -> Table:
        """Rows as an array of one dtype."""
        given, fitted = table.native, self.template.native
        numbers = table.kind == "numpy" and given.dtype.kind in "iuf" and fitted.dtype.kind in "iuf"
        columns = [] if numbers else [table.column(j) for j in range(table.n_columns)]
        found = [self._column(j, column) for j, column in enumerate(columns)]
        if columns and all(made is column for made, column in zip(found, columns, strict=True)):
            return table
        try:
            return Table(in_dtype(given, fitted) if numbers else side_by_side(found, fitted))
        except InexactCellError as error:
            row, j = divmod(error.row, table.n_columns)
            raise self._misfit(j, table.column(j).dtype, row, error.value) from error

    def _column(self, j: int, column: Any) -> Any:
        """A column in the fitted container and dtype, or in one that holds both."""
        fitted, families = self.template.column(j), frozenset(self.families[j])
        if column.dtype == fitted.dtype and not _is_object(fitted.dtype):
            return column
        try:
            if self.kind == "numpy":
                return numpy_column(cells_of(column), fitted, families)
            if self.kind == "pandas":
                return pandas_column(column, fitted, families)
            return polars_column(column, fitted, families)
        except InexactCellError as error:
            raise self._misfit(j, column.dtype, error.row, error.value) from error
        except WrongCellError as error:
            raise self._wrong(j, column.dtype, error.row, error.value) from error
        except Exception as error:  # each library has exceptions of its own
            raise ValueError(self._text(j, column.dtype) + f": {error}. {_CURE}") from error

    def _frame(self, table: Table, columns: list[Any]) -> Table:
        if self.kind == "polars":
            import polars as pl

            return Table(pl.DataFrame(columns))
        import pandas as pd

        index = table.native.index if table.kind == "pandas" else None
        made = {
            j: column if isinstance(column, pd.Series) else pd.Series(column)
            for j, column in enumerate(columns)
        }
        # a Series made here is numbered, those of the user have their index
        same = {j: c if index is None else c.set_axis(index) for j, c in made.items()}
        frame = pd.DataFrame(same, copy=False)
        frame.columns = self.template.native.columns
        return Table(frame)

    def _wrong(self, j: int, dtype: Any, row: int, value: Any) -> TypeError:
        families = set(self.families[j])
        wanted = "categories"
        if families and not hasattr(self._native[j], "categories"):
            wanted = "numbers" if families <= {"number", "decimal"} else wanted
            wanted = "dates or durations" if families <= {"moment", "span", "time"} else wanted
        return TypeError(
            f"Column {self.names[j]!r} held {wanted} ({self.dtypes[j]}) when the explainer was "
            f"fitted and has {_shown(value)} in row {row} now (dtype {dtype}); convert it, or fit "
            f"again ({_hint(families, value)})."
        )

    def _misfit(self, j: int, dtype: Any, row: int, value: Any) -> ValueError:
        return ValueError(
            f"{self._text(j, dtype)}: it has no place for {_shown(value)} in row {row}. {_CURE}"
        )

    def _text(self, j: int, dtype: Any) -> str:
        return (
            f"Column {self.names[j]!r} had dtype {self._native[j]} when the explainer was fitted "
            f"and has values of dtype {dtype} now that do not fit it unchanged"
        )


_CURE = (
    "Make such cells missing, round or convert them yourself if that will do, or fit model and "
    "explainer on a dtype that holds them, such as text."
)


#: what cells of a family become by, from text and from anything else
_CONVERSIONS = {
    "number": ("into numbers, by pandas.to_numeric", "into numbers, as was done for fit"),
    "decimal": ("into numbers, by decimal.Decimal", "into numbers, as was done for fit"),
    "bool": ("into True and False, by X[name] == 'yes'", "into True and False"),
    "text": ("into text", "into text, by X[name].astype(str)"),
    "moment": ("into dates, by pandas.to_datetime", "into dates, as was done for fit"),
    "span": ("into durations, by pandas.to_timedelta", "into durations, as was done for fit"),
}


def _hint(families: set[str], value: Any) -> str:
    """How such a value may become one of the fitted family."""
    known = [family for family in _CONVERSIONS if family in families]
    if not known:
        return f"into {' or '.join(sorted(families)) or 'what it was'}"
    return _CONVERSIONS[known[0]][family_of(value) != "text"]


def _shown(value: Any) -> str:
    """A cell as it is written, without NumPy's name of its type."""
    plain = isinstance(value, np.generic) and value.dtype.kind not in "mM"
    return repr(value.item() if plain else value)


def _native_dtypes(table: Table) -> list[Any]:
    if table.kind == "numpy":
        return [table.native.dtype] * table.n_columns
    return list(table.native.dtypes)


def _is_object(dtype: Any) -> bool:
    # categories of pandas, too, are of kind "O"
    return isinstance(dtype, np.dtype) and dtype.kind == "O"
