"""Tables as JSON and back, dtypes kept, with nothing that could run."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from fastexplain.tables import Table

__all__ = ["decode_table", "encode_table"]


def encode_table(table: Table) -> dict[str, Any]:
    """Describe a small table as JSON values.

    Raises
    ------
    TypeError
        If a cell is of a type that JSON cannot hold.
    """
    if table.kind == "polars":
        buffer = io.BytesIO()
        table.native.write_ipc(buffer)
        return {"kind": "polars", "ipc": base64.b64encode(buffer.getvalue()).decode()}
    if table.kind == "numpy":
        native = table.native
        cells = [[_plain(v) for v in row] for row in native]
        return {
            "kind": "numpy",
            "dtype": native.dtype.str,
            "cells": cells,
            "width": native.shape[1],
        }
    columns = [_encode_column(table.column(j)) for j in range(table.n_columns)]
    names = [_encode_name(name) for name in table.native.columns]
    return {"kind": "pandas", "columns": columns, "names": names}


def decode_table(state: dict[str, Any]) -> Table:
    """Rebuild a table from ``encode_table``'s description."""
    if state["kind"] == "polars":
        from fastexplain._extras import optional_import

        pl = optional_import("polars", "polars", "this explainer was fitted on polars data")
        try:
            return Table(pl.read_ipc(io.BytesIO(base64.b64decode(state["ipc"]))))
        except (OSError, pl.exceptions.PolarsError) as error:
            raise ValueError(f"The saved polars rows are damaged ({error}).") from error
    if state["kind"] == "numpy":
        dtype = np.dtype(state["dtype"])
        cells = np.empty((len(state["cells"]), state["width"]), dtype=object)
        for i, row in enumerate(state["cells"]):
            for j, value in enumerate(row):
                cells[i, j] = _restore(value)
        return Table(cells.astype(dtype))
    from fastexplain._extras import optional_import

    pd = optional_import("pandas", "pandas", "this explainer was fitted on pandas data")
    frame = pd.DataFrame(
        {j: _decode_column(pd, column) for j, column in enumerate(state["columns"])}
    )
    names = [_decode_name(name) for name in state["names"]]
    tuples = bool(names) and all(isinstance(name, tuple) for name in names)
    frame.columns = pd.MultiIndex.from_tuples(names) if tuples else names
    return Table(frame)


def _encode_name(name: Any) -> Any:
    return {"tuple": [_plain(part) for part in name]} if isinstance(name, tuple) else _plain(name)


def _decode_name(name: Any) -> Any:
    if isinstance(name, dict) and "tuple" in name:
        return tuple(_restore(part) for part in name["tuple"])
    return _restore(name)


def _plain(value: Any) -> Any:
    """A cell as JSON: floats by their exact hex form, missing values and moments tagged."""
    if isinstance(value, np.generic) and value.dtype.kind not in "mM":
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, np.datetime64 | np.timedelta64):
        unit = np.datetime_data(value.dtype)[0]
        return {"moment": [value.dtype.kind, unit, int(value.astype(np.int64))]}
    raise TypeError(
        f"A cell of type {type(value).__name__} ({value!r}) cannot be saved; the explainer can "
        "still be pickled."
    )


def _restore(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "float" in value:
        return float.fromhex(value["float"])
    kind, unit, count = value["moment"]
    return np.datetime64(count, unit) if kind == "M" else np.timedelta64(count, unit)


def _encode_column(column: Any) -> dict[str, Any]:
    import pandas as pd

    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return {
            "dtype": "category",
            "ordered": bool(dtype.ordered),
            "categories": _encode_column(pd.Series(dtype.categories)),
            "codes": [int(code) for code in column.cat.codes],
        }
    if dtype.kind in "mM":
        # pandas' own text of these dtypes holds unit and time zone
        naive = column.dt.tz_convert("UTC").dt.tz_localize(None) if _has_zone(dtype) else column
        counts = naive.to_numpy()
        unit = np.datetime_data(counts.dtype)[0]
        ticks = [int(count) for count in counts.astype(np.int64)]
        return {"dtype": str(dtype), "unit": unit, "ticks": ticks}
    cells = [None if _missing(value) else _plain(value) for value in column.array]
    return {"dtype": str(dtype), "cells": cells, "nan": [_is_nan(value) for value in column.array]}


def _decode_column(pd: Any, state: dict[str, Any]) -> Any:
    if state["dtype"] == "category":
        categories = _decode_column(pd, state["categories"])
        dtype = pd.CategoricalDtype(pd.Index(categories), ordered=state["ordered"])
        return pd.Series(pd.Categorical.from_codes(state["codes"], dtype=dtype))
    if "ticks" in state:
        kind = "m" if state["dtype"].startswith("timedelta") else "M"
        counts = np.array(state["ticks"], dtype=np.int64).view(f"{kind}8[{state['unit']}]")
        series = pd.Series(counts)
        if "," in state["dtype"]:
            return series.dt.tz_localize("UTC").astype(state["dtype"])
        return series.astype(state["dtype"])
    cells = [
        float("nan") if nan else _restore(value)
        for value, nan in zip(state["cells"], state["nan"], strict=True)
    ]
    return pd.Series(cells, dtype=object).astype(state["dtype"])


def _has_zone(dtype: Any) -> bool:
    return getattr(dtype, "tz", None) is not None


def _missing(value: Any) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and bool(value != value)
