"""Columns of pandas as JSON and back, in whatever dtype."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from fastexplain._extras import optional_import
from fastexplain.persistence._arrays import (
    decode_cells,
    decode_dtype,
    encode_cells,
    encode_dtype,
)
from fastexplain.persistence._fields import Fields, shown
from fastexplain.persistence._zones import decode_zone, encode_zone

__all__ = ["decode_column", "encode_column"]

# pandas' own dtypes of numbers with missing values
_NULLABLE = {
    *(f"{sign}Int{size}" for sign in ("", "U") for size in (8, 16, 32, 64)),
    "Float32",
    "Float64",
    "boolean",
}
_CLOSED = ("left", "right", "both", "neither")

Codec = Callable[[Any], Any]


def encode_column(array: Any, encode: Codec) -> dict[str, Any]:
    """An array of pandas as its dtype and cells; cells of any type by ``encode``.

    Parameters
    ----------
    array : ExtensionArray or NumpyExtensionArray
        ``Series.array`` or ``Index.array``.
    encode : callable
        Makes JSON of a cell.

    Raises
    ------
    TypeError
        For dtypes of other libraries, and for cells that ``encode`` refuses.
    """
    import pandas as pd

    dtype = array.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return {
            "kind": "category",
            "categories": encode_column(dtype.categories.array, encode),
            "ordered": bool(dtype.ordered),
            "cells": [int(code) for code in array.codes],
        }
    if isinstance(dtype, pd.IntervalDtype):
        return {
            "kind": "interval",
            "closed": dtype.closed,
            "left": encode_column(array.left.array, encode),
            "right": encode_column(array.right.array, encode),
        }
    if isinstance(dtype, pd.PeriodDtype):
        ordinals = [int(ordinal) for ordinal in array.asi8]
        return {"kind": "period", "dtype": dtype.name, "cells": ordinals}
    if isinstance(dtype, pd.DatetimeTZDtype):
        ticks = [int(tick) for tick in array.asi8]
        return {"kind": "zoned", "unit": dtype.unit, "zone": encode_zone(dtype.tz), "cells": ticks}
    if isinstance(dtype, pd.StringDtype):
        missing = "NA" if dtype.na_value is pd.NA else "nan"
        texts = [None if pd.isna(cell) else str(cell) for cell in array]
        return {"kind": "text", "storage": dtype.storage, "missing": missing, "cells": texts}
    if isinstance(dtype, pd.SparseDtype):
        dense = pd.Series(array).sparse.to_dense().array
        fill = encode(dtype.fill_value)
        return {"kind": "sparse", "fill": fill, "cells": encode_column(dense, encode)}
    if str(dtype) in _NULLABLE:
        mask = np.asarray(array.isna())
        values = encode_cells(array._data, encode)
        cells = [None if gone else cell for cell, gone in zip(values, mask, strict=True)]
        return {"kind": "nullable", "dtype": str(dtype), "cells": cells}
    if isinstance(dtype, pd.ArrowDtype):
        return _encode_arrow(array, encode)
    # arrays of NumPy's own dtypes have them wrapped
    dtype = getattr(dtype, "numpy_dtype", dtype)
    if not isinstance(dtype, np.dtype):
        raise TypeError(f"values of the dtype {dtype} of {type(dtype).__module__}")
    native = array.to_numpy()
    return {"kind": "numpy", "dtype": encode_dtype(dtype), "cells": encode_cells(native, encode)}


def decode_column(content: Any, decode: Codec) -> Any:
    """The inverse of ``encode_column``, an array of pandas or NumPy.

    Raises
    ------
    ValueError
        For what ``encode_column`` does not write.
    """
    pd = optional_import("pandas", "pandas", "An explainer that was fitted on pandas data")
    fields = Fields(content, "a column")
    read = _KINDS.get(fields.text("kind"))
    if read is None:
        raise ValueError(f"columns of {shown(fields.text('kind'))} are not known here")
    try:
        found = read(pd, fields, decode)
    except (TypeError, LookupError, ArithmeticError, AttributeError) as error:
        raise ValueError(f"a column of {fields.text('kind')} is none ({error})") from error
    fields.close()
    return found


def _category(pd: Any, fields: Fields, decode: Codec) -> Any:
    cells = decode_column(fields.value("categories"), decode)
    categories = pd.Index(cells, dtype=cells.dtype, tupleize_cols=False)
    dtype = pd.CategoricalDtype(categories, ordered=fields.flag("ordered"))
    codes = fields.wholes("cells", -1, len(categories) - 1)
    return pd.Categorical.from_codes(np.array(codes, dtype=np.int64), dtype=dtype)


def _interval(pd: Any, fields: Fields, decode: Codec) -> Any:
    left, right = (decode_column(fields.value(side), decode) for side in ("left", "right"))
    return pd.arrays.IntervalArray.from_arrays(left, right, fields.text("closed", _CLOSED))


def _period(pd: Any, fields: Fields, decode: Codec) -> Any:
    dtype = pd.PeriodDtype(fields.text("dtype"))
    return pd.arrays.PeriodArray(_ticks(fields), dtype=dtype)


def _zoned(pd: Any, fields: Fields, decode: Codec) -> Any:
    unit = fields.text("unit", ("s", "ms", "us", "ns"))
    naive = pd.Series(_ticks(fields).view(f"M8[{unit}]"))
    dtype = pd.DatetimeTZDtype(unit, decode_zone(fields.value("zone")))
    return naive.dt.tz_localize("UTC").astype(dtype).array


def _text(pd: Any, fields: Fields, decode: Codec) -> Any:
    storage = fields.text("storage", ("python", "pyarrow"))
    missing = pd.NA if fields.text("missing", ("NA", "nan")) == "NA" else np.nan
    cells = fields.items("cells")
    if any(cell is not None and type(cell) is not str for cell in cells):
        raise ValueError("a column of text holds something else")
    if storage == "pyarrow":
        _pyarrow()
    dtype = pd.StringDtype(storage)
    if dtype.na_value is not missing:
        # before pandas 2.3 there is one missing value alone
        dtype = pd.StringDtype(storage, na_value=missing)
    return pd.array(cells, dtype=dtype)


def _sparse(pd: Any, fields: Fields, decode: Codec) -> Any:
    dense = decode_column(fields.value("cells"), decode)
    plain = np.asarray(dense)
    return pd.array(plain, dtype=pd.SparseDtype(plain.dtype, decode(fields.value("fill"))))


def _nullable(pd: Any, fields: Fields, decode: Codec) -> Any:
    name = fields.text("dtype", _NULLABLE)
    cells = fields.items("cells")
    mask = np.array([cell is None for cell in cells], dtype=bool)
    plain = np.dtype(bool if name == "boolean" else name.lower())
    empty: Any = False if name == "boolean" else 0
    values = decode_cells([empty if cell is None else cell for cell in cells], plain, decode)
    if name == "boolean":
        return pd.arrays.BooleanArray(values, mask)
    kind = pd.arrays.FloatingArray if plain.kind == "f" else pd.arrays.IntegerArray
    return kind(values, mask)


def _numpy(pd: Any, fields: Fields, decode: Codec) -> Any:
    dtype = decode_dtype(fields.value("dtype"))
    return decode_cells(fields.value("cells"), dtype, decode)


def _encode_arrow(array: Any, encode: Codec) -> dict[str, Any]:
    """Columns of pyarrow by their type's name and Python's cells."""
    name = str(array.dtype.pyarrow_dtype)
    try:
        known = _arrow_type(name) == array.dtype.pyarrow_dtype
    except ValueError:
        known = False
    if not known:
        raise TypeError(f"values of the dtype {array.dtype}")
    cells = [encode(cell) for cell in array._pa_array.to_pylist()]
    return {"kind": "arrow", "type": name, "cells": cells}


def _arrow(pd: Any, fields: Fields, decode: Codec) -> Any:
    kind = _arrow_type(fields.text("type"))
    cells = [decode(cell) for cell in fields.items("cells")]
    pyarrow = _pyarrow()
    try:
        return pd.array(pyarrow.array(cells, type=kind), dtype=pd.ArrowDtype(kind))
    except pyarrow.ArrowException as error:
        raise ValueError(f"the cells of a column are no {kind} ({error})") from error


def _arrow_type(name: str) -> Any:
    """A type of pyarrow by what it calls itself."""
    pyarrow = _pyarrow()
    decimal = re.fullmatch(r"(decimal(?:128|256))\((\d{1,2}), (\d{1,2})\)", name)
    if decimal:
        return getattr(pyarrow, decimal[1])(int(decimal[2]), int(decimal[3]))
    zoned = re.fullmatch(r"timestamp\[(s|ms|us|ns), tz=([\w/+:-]+)\]", name)
    if zoned:
        return pyarrow.timestamp(zoned[1], zoned[2])
    return pyarrow.type_for_alias(name)


def _pyarrow() -> Any:
    return optional_import("pyarrow", "pandas", "An explainer that was fitted on pyarrow data")


def _ticks(fields: Fields) -> np.ndarray:
    return np.array(fields.wholes("cells", -(2**63), 2**63 - 1), dtype=np.int64)


_KINDS: dict[str, Callable[[Any, Fields, Codec], Any]] = {
    "category": _category,
    "interval": _interval,
    "period": _period,
    "zoned": _zoned,
    "text": _text,
    "sparse": _sparse,
    "nullable": _nullable,
    "numpy": _numpy,
    "arrow": _arrow,
}
