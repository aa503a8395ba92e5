"""Frames and series of polars as JSON and back, by the names of their dtypes."""

from __future__ import annotations

from typing import Any

from fastexplain._extras import optional_import
from fastexplain.persistence._fields import Fields, shown
from fastexplain.persistence._values import decode_value, encode_value

__all__ = ["decode_polars", "encode_polars"]

# dtypes that their name says all of
_SIMPLE = {
    *(f"{sign}Int{size}" for sign in ("", "U") for size in (8, 16, 32, 64, 128)),
    *("Float16", "Float32", "Float64", "Boolean", "String", "Binary", "Null"),
    *("Date", "Time", "Categorical"),
}
_UNITS = ("ms", "us", "ns")
_PHYSICAL = ("UInt8", "UInt16", "UInt32")


def encode_polars(value: Any) -> dict[str, Any]:
    """A frame or series of polars as JSON.

    Raises
    ------
    TypeError
        For other objects of polars, and for dtypes that hold lists, records or objects.
    """
    import polars as pl

    if isinstance(value, pl.Series):
        return {"polars_series": encode_series(value)}
    if not isinstance(value, pl.DataFrame):
        raise TypeError(f"a value of type polars.{type(value).__qualname__}")
    columns = []
    for series in value.get_columns():
        try:
            columns.append(encode_series(series))
        except TypeError as error:
            raise TypeError(f"column {series.name!r} holds {error}") from error
    return {"polars_frame": columns}


def decode_polars(tag: str, content: Any) -> Any:
    """The inverse of ``encode_polars``."""
    pl = _polars()
    if tag == "polars_series":
        return decode_series(content)
    if type(content) is not list:
        raise ValueError(f"{shown(content)} is no frame")
    try:
        return pl.DataFrame([decode_series(series) for series in content])
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"the columns of a polars frame do not fit together ({error})") from error


def encode_series(series: Any) -> dict[str, Any]:
    """A series as its name, dtype and cells; moments as counts, so that none is rounded."""
    dtype = series.dtype
    kind = encode_dtype(dtype)
    cells = series.to_physical().to_list() if dtype.is_temporal() else series.to_list()
    return {"name": series.name, "dtype": kind, "cells": [encode_value(cell) for cell in cells]}


def decode_series(content: Any) -> Any:
    """The inverse of ``encode_series``."""
    pl = _polars()
    fields = Fields(content, "a column")
    name, dtype = fields.text("name"), decode_dtype(fields.value("dtype"))
    cells = [decode_value(cell) for cell in fields.items("cells")]
    fields.close()
    try:
        if not dtype.is_temporal():
            return pl.Series(name, cells, dtype=dtype, strict=True)
        physical = pl.Int32 if dtype == pl.Date else pl.Int64
        return pl.Series(name, cells, dtype=physical, strict=True).cast(dtype)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise ValueError(f"the cells of {name!r} are no {dtype} ({error})") from error


def encode_dtype(dtype: Any) -> list[Any]:
    """A dtype by its name and what else it takes."""
    import polars as pl

    name = type(dtype).__name__
    if isinstance(dtype, pl.Datetime):
        return [name, dtype.time_unit, dtype.time_zone]
    if isinstance(dtype, pl.Duration):
        return [name, dtype.time_unit]
    if isinstance(dtype, pl.Decimal):
        return [name, dtype.precision, dtype.scale]
    if isinstance(dtype, pl.Enum):
        return [name, *dtype.categories.to_list()]
    if name == "Categorical" and dtype != pl.Categorical():
        own = dtype.categories
        return [name, own.name(), own.namespace(), str(own.physical())]
    if name not in _SIMPLE or dtype != getattr(pl, name)():
        raise TypeError(f"values of the dtype {dtype}")
    return [name]


def decode_dtype(content: Any) -> Any:
    """The inverse of ``encode_dtype``."""
    pl = _polars()
    if type(content) is not list or not content:
        raise ValueError(f"{shown(content)} is no dtype")
    name, *rest = content
    if name == "Datetime" and len(rest) == 2 and rest[0] in _UNITS:
        if rest[1] is not None and type(rest[1]) is not str:
            raise ValueError(f"{shown(rest[1])} is no time zone")
        return pl.Datetime(*rest)
    if name == "Duration" and len(rest) == 1 and rest[0] in _UNITS:
        return pl.Duration(rest[0])
    if name == "Decimal" and len(rest) == 2 and all(type(part) is int for part in rest):
        if 0 <= rest[1] <= rest[0] <= 38:
            return pl.Decimal(*rest)
    if name == "Enum" and all(type(part) is str for part in rest):
        return pl.Enum(rest)
    if name == "Categorical" and len(rest) == 3 and rest[2] in _PHYSICAL:
        if type(rest[0]) is str and type(rest[1]) is str:
            physical = getattr(pl, rest[2])
            return pl.Categorical(pl.Categories(rest[0], rest[1], physical))
    if type(name) is str and name in _SIMPLE and not rest:
        return getattr(pl, name)()
    raise ValueError(f"{shown(content)} is no dtype of polars that is known here")


def _polars() -> Any:
    return optional_import("polars", "polars", "An explainer that was fitted on polars data")
