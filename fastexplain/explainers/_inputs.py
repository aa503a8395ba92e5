"""X at fit and at explain: the same columns, in the container that the model knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastexplain.networks._encoder import is_quantity
from fastexplain.tables import Table, as_table

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
        Rows that carry the native dtypes, to convert a bare array with.
    """

    kind: str
    names: list[str]
    dtypes: list[str]
    quantity: list[bool]
    template: Table

    @classmethod
    def of(cls, table: Table, template: Table) -> Schema:
        """Describe the training rows; ``template`` are a few rows of the same dtypes."""
        quantity = [is_quantity(table, j) for j in range(table.n_columns)]
        return cls(table.kind, table.names, table.dtypes(), quantity, template)

    def conform(self, X: Any) -> Table:
        """Bring rows into the fitted container, or say what does not fit.

        Raises
        ------
        TypeError
            If a column's values are of another kind than those fitted on.
        ValueError
            If the rows cannot be brought into the container.
        """
        table = as_table(X)
        if table.kind != self.kind:
            table = self._convert(table)
        if table.kind == "numpy" and table.native.dtype.kind in "fiub":
            if all(self.quantity) or self.dtypes[0] == str(table.native.dtype):
                return table
        for j, name in enumerate(self.names):
            if is_quantity(table, j) != self.quantity[j] and not _all_missing(table, j):
                wanted = "numbers" if self.quantity[j] else "categories"
                raise TypeError(
                    f"Column {name!r} held {wanted} ({self.dtypes[j]}) when the explainer was "
                    f"fitted and is {table.dtypes()[j]} now; convert it, or fit again."
                )
        return table

    def _convert(self, table: Table) -> Table:
        if self.kind == "numpy":
            return Table(np.asarray(table.native.to_numpy()))
        if table.kind != "numpy":
            raise ValueError(
                f"The explainer was fitted on {self.kind} data and given {table.kind} data; "
                "pass the same container."
            )
        native = self.template.native
        try:
            if self.kind == "pandas":
                import pandas as pd

                frame = pd.DataFrame(table.native)
                parts = {j: frame[j].astype(native.dtypes.iloc[j]) for j in frame}
                frame = pd.DataFrame(parts)
                frame.columns = native.columns
                return Table(frame)
            import polars as pl

            return Table(pl.DataFrame(table.native, schema=native.schema, orient="row"))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"An array was given where the explainer was fitted on a {self.kind} frame, and "
                f"its values do not fit the frame's dtypes ({error}). Pass a frame."
            ) from error


def _all_missing(table: Table, j: int) -> bool:
    column = table.column(j)
    if table.kind == "polars":
        return column.null_count() == len(column)
    if column.dtype == object or table.kind == "pandas":
        import pandas as pd

        return bool(np.all(pd.isna(column)))
    return False
