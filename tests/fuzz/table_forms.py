"""Tables in every container and dtype, and what their cells mean, read without the package."""

from __future__ import annotations

import datetime as dt
import math
import zlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import torch

__all__ = ["FORMS", "POLARS", "POOLS", "made", "matrix", "meaning", "plain", "score", "scores"]

TRUE, FALSE = {"True", "true", "TRUE"}, {"False", "false", "FALSE"}
D = pd.Timestamp("2024-02-29")

#: cells to draw from, by what they are
POOLS: dict[str, list[Any]] = {
    "number": [
        *(0, 1, -1, 2, 7, 100, 200, 255, 300, 40000, 2**31, 2**53, 2**53 + 1, 2**63, -(2**63)),
        *(0.5, 0.25, 1.5, 0.1, 1e-3, -3.75, 65504.0, 1e5, 1e300, math.inf, -math.inf, None, None),
    ],
    "bool": [True, False, True, False, None],
    "text": ["a", "b", "c", "", "A", "1", "3.5", "nan", "True", "false", "ä", None],
    "moment": [D, *(D + pd.Timedelta(1, unit) for unit in ("D", "h", "ns")), None],
    "zoned": [D.tz_localize("UTC"), D.tz_localize("Asia/Tokyo"), None],
    "span": [pd.Timedelta(1, "h"), pd.Timedelta(2, "D"), None],
    "other": [b"a", pd.Period("2024-01", "M"), 1j, (1, 2), dt.time(3)],
}  # fmt: skip


# -- what cells mean -------------------------------------------------------------------------
def plain(cell: Any) -> Any:
    """A cell in plain Python: None, bool, float or int, str, Timestamp, Timedelta, or itself."""
    if cell is None or cell is pd.NA or cell is pd.NaT or cell is np.ma.masked:
        return None
    if isinstance(cell, np.datetime64 | dt.date):
        return None if pd.isna(cell) else pd.Timestamp(cell)
    if isinstance(cell, np.timedelta64 | dt.timedelta):
        return None if pd.isna(cell) else pd.Timedelta(cell)
    if isinstance(cell, np.longdouble | Decimal):
        cell = float(cell)
    if isinstance(cell, np.generic):
        cell = cell.item()
    return None if isinstance(cell, float) and cell != cell else cell


def meaning(cell: Any, family: str, labels: list[Any] | None) -> Any:
    """What a cell is in a column of a family; ValueError where it is nothing in it."""
    cell = plain(cell)
    if cell is None:
        return None
    number = isinstance(cell, int | float)
    if family == "number" and number:
        cell = float(cell)
    elif family == "bool" and not isinstance(cell, str) and number and cell in (0, 1):
        cell = bool(cell)
    elif family == "bool" and isinstance(cell, str) and cell in TRUE | FALSE:
        cell = cell in TRUE
    elif not (
        (family == "text" and isinstance(cell, str))
        or (family == "moment" and isinstance(cell, pd.Timestamp) and cell.tz is None)
    ):
        raise ValueError(f"{cell!r} is no {family}")
    if labels is not None and cell not in labels:
        raise ValueError(f"{cell!r} is no label")
    return cell


def score(cell: Any) -> float:
    """A number that tells a cell from every other, and True from 1 and from "True"."""
    cell = plain(cell)
    if cell is None:
        return 0.3
    if isinstance(cell, bool):
        return 0.77 if cell else -0.21
    if isinstance(cell, int | float):
        value = float(cell)
        return math.copysign(1.0, value) if math.isinf(value) else value / (1.0 + abs(value))
    if isinstance(cell, pd.Timestamp):
        return math.tanh((cell.tz_localize(None) - D) / pd.Timedelta(1, "D")) + 0.05
    if isinstance(cell, pd.Timedelta):
        return math.tanh(cell / pd.Timedelta(1, "D")) + 0.15
    return zlib.crc32(repr(cell).encode()) / 2**32


def scores(rows: Any) -> np.ndarray:
    """Scores of all cells of an array or a frame."""
    if isinstance(rows, np.ndarray):
        return np.array([[score(cell) for cell in row] for row in rows]).reshape(rows.shape)
    pandas = isinstance(rows, pd.DataFrame)
    columns = [
        [score(c) for c in (rows.iloc[:, j].array if pandas else rows.to_series(j).to_list())]
        for j in range(rows.shape[1])
    ]
    return np.array(columns).T.reshape(rows.shape)


# -- columns -----------------------------------------------------------------------------------
def _whole(dtype: str) -> Callable[[list[Any]], Any]:
    def make(cells: list[Any]) -> Any:
        info = np.iinfo(dtype)
        held = [0 if c is None or not math.isfinite(c) else int(c) for c in cells]
        return np.array([c if info.min <= c <= info.max else c % 100 for c in held], dtype=dtype)

    return make


def _floats(dtype: Any) -> Callable[[list[Any]], Any]:
    def make(cells: list[Any]) -> Any:
        with np.errstate(over="ignore"):
            return np.array([np.nan if c is None else c for c in cells], dtype=float).astype(dtype)

    return make


def _objects(cells: list[Any]) -> Any:
    out = np.empty(len(cells), dtype=object)
    for i, cell in enumerate(cells):
        out[i] = cell
    return out


def _nullable(dtype: str) -> Callable[[list[Any]], Any]:
    def make(cells: list[Any]) -> Any:
        whole = dtype.lower().partition("[")[0]
        if whole.startswith("float") or whole.startswith("double"):
            return pd.array([c if c is None else float(c) for c in cells], dtype=dtype)
        held = _whole(whole)(cells)
        return pd.array(
            [None if c is None else int(h) for c, h in zip(cells, held, strict=True)], dtype=dtype
        )

    return make  # fmt: skip


def _decimals(cells: list[Any]) -> Any:
    return _objects([c if c is None or not math.isfinite(c) else Decimal(str(c)) for c in cells])


def _in_words(cells: list[Any]) -> list[Any]:
    return [cell if cell is None else str(cell).lower() for cell in cells]


def _stamps(unit: str) -> Callable[[list[Any]], Any]:
    return lambda cells: pd.Series(cells, dtype="datetime64[ns]").astype(f"datetime64[{unit}]")


#: a family, and how pandas holds cells of it
FORMS: dict[str, tuple[str, Callable[[list[Any]], Any]]] = {
    **{d: ("number", _whole(d)) for d in ("int8", "int16", "int32", "int64")},
    **{d: ("number", _whole(d)) for d in ("uint8", "uint32", "uint64")},
    **{d: ("number", _floats(d)) for d in ("float16", "float32", "float64", ">f8")},
    "longdouble": ("number", _floats(np.longdouble)),
    **{d: ("number", _nullable(d)) for d in ("Int8", "Int64", "UInt64", "Float32", "Float64")},
    "Sparse": ("number", lambda cells: pd.arrays.SparseArray(_floats("float64")(cells))),
    "objects": ("number", _objects),
    "decimals": ("number", _decimals),
    "levels": ("number", lambda cells: pd.Categorical(_floats("float64")(cells))),
    "bool": ("bool", lambda cells: np.array([bool(c) for c in cells])),
    "boolean": ("bool", lambda cells: pd.array(cells, dtype="boolean")),
    "flags": ("bool", _objects),
    "switch": ("bool", pd.Categorical),
    "flags in words": ("bool", lambda cells: _objects(_in_words(cells))),
    "zero and one": ("bool", _floats("float32")),
    "str": ("text", lambda cells: pd.Series(cells, dtype="str").array),
    "string": ("text", lambda cells: pd.array(cells, dtype="string")),
    "words": ("text", _objects),
    "letters": ("text", pd.Categorical),
    **{f"M8[{unit}]": ("moment", _stamps(unit)) for unit in ("s", "us", "ns")},
    "loose": ("moment", _objects),
    "zoned": ("zoned", _objects),
    "span": ("span", lambda cells: pd.Series(cells, dtype="timedelta64[ns]")),
    "other": ("other", _objects),
}
try:
    import pyarrow  # noqa: F401
except ImportError:
    pass
else:
    FORMS |= {
        "int64[pyarrow]": ("number", _nullable("int64[pyarrow]")),
        "double[pyarrow]": ("number", _nullable("double[pyarrow]")),
        "bool[pyarrow]": ("bool", lambda cells: pd.array(cells, dtype="bool[pyarrow]")),
    }


def _polars(dtype: Any, make: Callable[[list[Any]], Any] = list) -> Callable[[list[Any]], Any]:
    def series(cells: list[Any]) -> Any:
        held = [None if plain(c) is None else c for c in make(cells)]
        held = [c.item() if isinstance(c, np.generic) else c for c in held]
        return pl.Series(held, dtype=dtype, strict=False)

    return series


def _rounded(cells: list[Any]) -> list[Any]:
    return [None if c is None or abs(c) > 1e20 else Decimal(str(round(c, 4))) for c in cells]


#: the same, as polars holds them
POLARS: dict[str, tuple[str, Callable[[list[Any]], Any]]] = {
    "Int8": ("number", _polars(pl.Int8, _whole("int8"))),
    "Int64": ("number", _polars(pl.Int64, _nullable("Int64"))),
    "UInt64": ("number", _polars(pl.UInt64, _nullable("UInt64"))),
    "Float32": ("number", _polars(pl.Float32, _floats("float32"))),
    "Float64": ("number", lambda cells: pl.Series(_floats("float64")(cells))),
    "Decimal": ("number", _polars(pl.Decimal(30, 4), _rounded)),
    "Boolean": ("bool", _polars(pl.Boolean)),
    "flags in words": ("bool", _polars(pl.String, _in_words)),
    "String": ("text", _polars(pl.String)),
    "Categorical": ("text", _polars(pl.Categorical)),
    "Datetime us": ("moment", lambda cells: pl.Series(_stamps("us")(cells).to_numpy())),
    "Datetime ns": ("moment", lambda cells: pl.Series(_stamps("ns")(cells).to_numpy())),
    "Date": ("moment", lambda cells: pl.Series(_stamps("s")(cells).to_numpy().astype("M8[D]"))),
    "Duration": ("span", _polars(pl.Duration("us"))),
}  # fmt: skip


def made(form: str, cells: list[Any], polars: bool = False) -> Any:
    """A column in a form, of cells of its pool."""
    return (POLARS if polars else FORMS)[form][1](cells)


# -- arrays ------------------------------------------------------------------------------------
def matrix(form: str, layout: str, cells: list[list[Any]]) -> Any:
    """Rows as an array, list or tensor; of a form whose columns NumPy holds."""
    columns = [np.asarray(made(form, list(column))) for column in zip(*cells, strict=True)]
    array = np.stack(columns, axis=1)
    if layout == "Fortran":
        return np.asfortranarray(array)
    if layout == "reversed":
        return array[::-1, ::-1].copy()[::-1, ::-1]
    if layout == "read-only":
        array.flags.writeable = False
    if layout == "list":
        return array.tolist() if array.dtype.kind not in "mM" else [list(row) for row in array]
    if layout == "tuples":
        return tuple(list(row) for row in array)
    if layout == "tensor" and array.dtype.kind in "biuf" and array.dtype.itemsize <= 8:
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
    if layout == "masked":
        mask = np.array([[plain(cell) is None for cell in row] for row in array])
        junk = array.copy()
        if array.dtype.kind == "f":
            junk[mask] = 77.0
        return np.ma.masked_array(junk, mask=mask)
    return array
