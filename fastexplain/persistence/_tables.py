"""Tables as JSON and back, dtypes kept, with nothing that could run."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastexplain.persistence._fields import shown
from fastexplain.persistence._values import decode_value, encode_value
from fastexplain.tables import Table

__all__ = ["decode_table", "encode_table"]

_KINDS = {"array": "numpy", "frame": "pandas", "polars_frame": "polars"}


def encode_table(table: Table) -> dict[str, Any]:
    """Describe a small table as JSON values.

    Raises
    ------
    TypeError
        Names the column whose cells or dtype have no form in JSON.
    """
    if table.kind == "numpy" and table.native.dtype == object:
        for j, name in enumerate(table.names):
            try:
                encode_value(np.ascontiguousarray(table.column(j)))
            except TypeError as error:
                raise TypeError(f"column {name!r} holds {error}") from error
    return encode_value(table.native)


def decode_table(content: Any) -> Table:
    """Rebuild a table from ``encode_table``'s description."""
    if type(content) is not dict or len(content) != 1 or next(iter(content)) not in _KINDS:
        raise ValueError(f"{shown(content)} is no table")
    native = decode_value(content)
    if native.ndim != 2 if isinstance(native, np.ndarray) else False:
        raise ValueError(f"a table has {native.ndim} axes")
    return Table(native)
