"""NumPy's dtypes, scalars and arrays as JSON and back."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from fastexplain.persistence._fields import Fields, shown

__all__ = [
    "decode_array",
    "decode_cells",
    "decode_dtype",
    "decode_scalar",
    "encode_array",
    "encode_cells",
    "encode_dtype",
    "encode_scalar",
]

# truth values, numbers and moments, of a size and, for moments, in a unit
_DTYPE = re.compile(r"[<|](b1|[iu][1248]|f(2|4|8|12|16)|[mM]8(\[\d{0,6}[A-Za-z]{1,2}\])?|O)")
# of fixed-width text, whose width an array pays for in every cell
_TEXT = re.compile(r"[<|][US](\d{1,7})")
_MOST_TEXT_BYTES = 2**26
_MOST_AXES, _LONGEST = 32, 2**62

Codec = Callable[[Any], Any]


def encode_dtype(dtype: np.dtype) -> str:
    """A dtype as text, in the byte order of most machines.

    Raises
    ------
    TypeError
        For complex numbers, records and dtypes of other libraries.
    """
    text = dtype.newbyteorder("<").str
    if not _DTYPE.fullmatch(text) and not _TEXT.fullmatch(text):
        raise TypeError(f"the dtype {dtype}")
    return text


def decode_dtype(text: Any) -> np.dtype:
    """The inverse of ``encode_dtype``; nothing of the width that a text tells is made."""
    if type(text) is not str or not (_DTYPE.fullmatch(text) or _TEXT.fullmatch(text)):
        raise ValueError(f"{shown(text)} is no dtype that is known here")
    return np.dtype(text)


def encode_cells(array: np.ndarray, encode: Codec) -> list[Any]:
    """Cells of a one-dimensional array; those of object arrays by ``encode``."""
    array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False))
    kind = array.dtype.kind
    if kind in "mM":
        return [int(count) for count in array.view(np.int64)]
    if kind == "S":
        return [base64.b64encode(cell).decode() for cell in array.tolist()]
    if kind == "f" and array.dtype.itemsize > 8:
        # these have more digits than Python's floats
        return [np.format_float_scientific(cell) for cell in array]
    if kind == "f":
        return [cell if math.isfinite(cell) else repr(cell) for cell in array.tolist()]
    cells = array.tolist()
    return [encode(cell) for cell in array] if kind == "O" else cells


def decode_cells(cells: Any, dtype: np.dtype, decode: Codec) -> np.ndarray:
    """The inverse of ``encode_cells``."""
    if type(cells) is not list:
        raise ValueError(f"{shown(cells)} are no cells")
    kind, n = dtype.kind, len(cells)
    if kind in "US" and n * dtype.itemsize > _MOST_TEXT_BYTES:
        raise ValueError(f"{n} cells of {dtype} take more than {_MOST_TEXT_BYTES} bytes")
    found = np.empty(n, dtype=dtype)
    if kind == "O":
        for i, cell in enumerate(cells):
            found[i] = decode(cell)
        return found
    wanted: dict[str, tuple[type, ...]] = {
        "b": (bool,),
        "i": (int,),
        "u": (int,),
        "m": (int,),
        "M": (int,),
        "U": (str,),
        "S": (str,),
        "f": (float, int, str),
    }
    for cell in cells:
        if type(cell) not in wanted[kind]:
            raise ValueError(f"{shown(cell)} is no cell of {dtype}")
    if kind in "mM":
        return np.array(cells, dtype=np.int64).view(dtype)
    if kind == "S":
        found[:] = [base64.b64decode(cell, validate=True) for cell in cells]
    elif kind == "f" and dtype.itemsize > 8:
        found[:] = [dtype.type(cell) for cell in cells]
    elif kind == "f":
        found[:] = [_float(cell) for cell in cells]
    else:
        found[:] = cells
    return found


def _float(cell: Any) -> float:
    if type(cell) is str and cell not in ("nan", "inf", "-inf"):
        raise ValueError(f"{shown(cell)} is no number")
    return float(cell)


def encode_array(array: np.ndarray, encode: Codec) -> dict[str, Any]:
    """An array of any shape; object cells by ``encode``."""
    return {
        "dtype": encode_dtype(array.dtype),
        "shape": list(array.shape),
        "cells": encode_cells(array.reshape(-1), encode),
    }


def decode_array(content: Any, decode: Codec) -> np.ndarray:
    """The inverse of ``encode_array``."""
    fields = Fields(content, "an array")
    dtype, shape = decode_dtype(fields.value("dtype")), fields.wholes("shape", 0, _LONGEST)
    cells = fields.items("cells")
    fields.close()
    if len(shape) > _MOST_AXES or math.prod(shape) != len(cells):
        raise ValueError(f"{len(cells)} cells do not have the shape {shown(shape)}")
    return decode_cells(cells, dtype, decode).reshape(shape)


def encode_scalar(value: np.generic) -> dict[str, Any]:
    """A NumPy scalar, with the dtype that it has."""
    dtype: Any = value.dtype
    kind = dtype.kind
    if kind in "mM" and np.datetime_data(dtype)[0] == "generic":
        return {"scalar": [kind, None]}
    if kind in "US":
        # their width follows from the text
        return {"scalar": [kind, *encode_cells(np.array([value]), _same)]}
    return {"scalar": [encode_dtype(dtype), *encode_cells(np.array([value]), _same)]}


def decode_scalar(content: Any) -> np.generic:
    """The inverse of ``encode_scalar``."""
    dtype, cell = content
    if dtype in ("m", "M") and cell is None:
        return np.datetime64("NaT") if dtype == "M" else np.timedelta64("NaT")
    if dtype == "U":
        return np.str_(_checked(cell, str))
    if dtype == "S":
        return np.bytes_(base64.b64decode(_checked(cell, str), validate=True))
    found = decode_dtype(dtype)
    if found.kind not in "biufmM":
        raise ValueError(f"{shown(dtype)} is no dtype of a scalar")
    return decode_cells([cell], found, _same)[0]


def _checked(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{shown(value)} is no {kind.__name__}")
    return value


def _same(value: Any) -> Any:
    return value
