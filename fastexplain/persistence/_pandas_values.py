"""Values of pandas as JSON and back: moments, spans, intervals, series and frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastexplain._extras import optional_import
from fastexplain.persistence._fields import Fields, shown
from fastexplain.persistence._pandas_columns import decode_column, encode_column
from fastexplain.persistence._zones import decode_zone, encode_zone

__all__ = ["decode_pandas", "encode_pandas"]

Codec = Callable[[Any], Any]


def encode_pandas(value: Any, encode: Codec) -> dict[str, Any]:
    """A cell, index, series or frame of pandas as JSON; values within it by ``encode``.

    Raises
    ------
    TypeError
        For other objects of pandas, and for cells that cannot be saved.
    """
    import pandas as pd

    kind = type(value)
    if value is pd.NA or value is pd.NaT:
        return {"missing": "NA" if value is pd.NA else "NaT"}
    if kind is pd.Timestamp:
        count = int(value.asm8.astype(np.int64))
        return {"timestamp": [count, value.unit, encode_zone(value.tz)]}
    if kind is pd.Timedelta:
        return {"pandas_timedelta": [int(value.asm8.astype(np.int64)), value.unit]}
    if kind is pd.Period:
        return {"period": [int(value.ordinal), value.freqstr]}
    if kind is pd.Interval:
        return {"interval": [encode(value.left), encode(value.right), value.closed]}
    if isinstance(value, pd.Index):
        return {"index": encode_index(value, encode)}
    if kind is pd.Series:
        column = encode_column(value.array, encode)
        return {"series": {"cells": column, "index": encode_index(value.index, encode)}}
    if kind is pd.DataFrame:
        return {"frame": encode_frame(value, encode)}
    raise TypeError(f"a value of type pandas.{kind.__qualname__} ({shown(value)})")


def decode_pandas(tag: str, content: Any, decode: Codec) -> Any:
    """The inverse of ``encode_pandas``."""
    pd = _pandas()
    if tag == "missing":
        return {"NA": pd.NA, "NaT": pd.NaT}[content]
    if tag == "timestamp":
        count, unit, zone = content
        found = pd.Timestamp(np.datetime64(count, unit))
        zone = decode_zone(zone)
        return found if zone is None else found.tz_localize("UTC").tz_convert(zone)
    if tag == "pandas_timedelta":
        count, unit = content
        return pd.Timedelta(np.timedelta64(count, unit))
    if tag == "period":
        ordinal, frequency = content
        return pd.Period(ordinal=ordinal, freq=frequency)
    if tag == "interval":
        left, right, closed = content
        return pd.Interval(decode(left), decode(right), closed)
    if tag == "index":
        return decode_index(content, decode)
    if tag == "series":
        fields = Fields(content, "a series")
        cells = decode_column(fields.value("cells"), decode)
        index = decode_index(fields.value("index"), decode)
        fields.close()
        # with the dtype said, pandas does not take objects for text or times
        return pd.Series(cells, index=index, dtype=cells.dtype)
    return decode_frame(content, decode)


def encode_frame(frame: Any, encode: Codec) -> dict[str, Any]:
    """Columns and their names; row labels are dropped, as no model is asked with them."""
    columns = []
    for j, name in enumerate(frame.columns):
        try:
            columns.append(encode_column(frame.iloc[:, j].array, encode))
        except TypeError as error:
            raise TypeError(f"column {name!r} holds {error}") from error
    return {"columns": columns, "names": encode_index(frame.columns, encode), "rows": len(frame)}


def decode_frame(content: Any, decode: Codec) -> Any:
    """The inverse of ``encode_frame``, rows numbered from 0."""
    pd = _pandas()
    fields = Fields(content, "a frame")
    given, n_rows = fields.items("columns"), fields.whole("rows", 0, 2**31)
    names = decode_index(fields.value("names"), decode)
    fields.close()
    columns = {j: decode_column(column, decode) for j, column in enumerate(given)}
    if len(names) != len(columns) or any(len(cells) != n_rows for cells in columns.values()):
        raise ValueError("the columns of a frame are not of one length, or lack names")
    frame = pd.DataFrame({j: pd.Series(c, dtype=c.dtype) for j, c in columns.items()})
    frame.columns = names
    return frame


def encode_index(index: Any, encode: Codec) -> dict[str, Any]:
    """An index with its names; of several levels, one column a level."""
    import pandas as pd

    names = [encode(name) for name in index.names]
    several = isinstance(index, pd.MultiIndex)
    levels = [index.get_level_values(k) for k in range(index.nlevels)] if several else [index]
    columns = [encode_column(level.array, encode) for level in levels]
    return {"levels": columns, "names": names, "several": several}


def decode_index(content: Any, decode: Codec) -> Any:
    """The inverse of ``encode_index``."""
    pd = _pandas()
    fields = Fields(content, "an index")
    columns = [decode_column(column, decode) for column in fields.items("levels")]
    names = [decode(name) for name in fields.items("names", len(columns))]
    several = fields.flag("several")
    fields.close()
    if several:
        return pd.MultiIndex.from_arrays(columns, names=names)
    if len(columns) != 1:
        raise ValueError("an index has several levels, and is not said to")
    return pd.Index(columns[0], dtype=columns[0].dtype, name=names[0], tupleize_cols=False)


def _pandas() -> Any:
    return optional_import("pandas", "pandas", "An explainer that was fitted on pandas data")
