"""Values as JSON and back, their types kept, with nothing that could run.

One codec serves cells of tables and parameters of explainers. None, truth values, whole numbers,
text and finite floats are what JSON has. All else is an object of one key, which names the type:
``{"date": "2024-01-31"}``.
"""

from __future__ import annotations

import base64
import math
import os
import sys
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np

from fastexplain.persistence._arrays import (
    decode_array,
    decode_scalar,
    encode_array,
    encode_scalar,
)
from fastexplain.persistence._fields import shown
from fastexplain.persistence._zones import decode_zone, encode_zone

__all__ = ["Unsaved", "decode_value", "encode_value"]

# values within values
_MOST_DEPTH = 16
# a file with numbers of more digits could not be read
_LARGEST = 10**4000
# digits of a decimal's exponent that arithmetic on it can bear
_MOST_EXPONENT = 999_999
# label sources that a folder may name
_SOURCES = ("ExactShapley", "KernelShapley", "PermutationShapley")

Decoder = Callable[[Any, int], Any]


class Unsaved(NamedTuple):
    """Stands for a value that was not saved, such as a function."""

    #: what it looked like
    text: str


def encode_value(value: Any, depth: int = 0) -> Any:
    """A value as JSON.

    Parameters
    ----------
    value : object
        A cell, a name, a parameter.
    depth : int, default=0
        Values that it lies within.

    Raises
    ------
    TypeError
        If a value's type has no form in JSON; its subclasses have none, either.
    """
    if depth > _MOST_DEPTH:
        raise TypeError(f"values lie more than {_MOST_DEPTH} deep in each other")
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        if abs(value) >= _LARGEST:
            raise TypeError("a whole number of more than 4,000 digits")
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    found = _PLAIN.get(kind)
    if found is not None:
        return {found[0]: found[1](value)}
    if kind in (list, tuple):
        return {kind.__name__: [encode_value(item, depth + 1) for item in value]}
    if kind in (set, frozenset):
        # in an order of its own, so that equal sets make equal files
        items = sorted((encode_value(item, depth + 1) for item in value), key=repr)
        return {kind.__name__: items}
    if isinstance(value, Mapping):
        pairs = [[encode_value(k, depth + 1), encode_value(v, depth + 1)] for k, v in value.items()]
        return {"map": pairs}
    if isinstance(value, np.generic):
        return encode_scalar(value)
    if kind is np.ndarray:
        return {"array": encode_array(value, lambda cell: encode_value(cell, depth + 1))}
    return _encode_foreign(value, kind, depth)


def _encode_foreign(value: Any, kind: type, depth: int) -> Any:
    """Values of pandas, polars and torch, of paths and of label sources."""
    library = kind.__module__.partition(".")[0]
    if library == "pandas":
        from fastexplain.persistence._pandas_values import encode_pandas

        return encode_pandas(value, lambda inner: encode_value(inner, depth + 1))
    if library == "polars":
        from fastexplain.persistence._polars_values import encode_polars

        return encode_polars(value)
    if isinstance(value, Unsaved):
        return {"unsaved": value.text}
    if isinstance(value, os.PathLike) and isinstance(os.fspath(value), str):
        return os.fspath(value)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return encode_value(value.detach().cpu().numpy(), depth)
    if library == "fastexplain" and kind.__name__ in _SOURCES:
        params = {k: encode_value(v, depth + 1) for k, v in value.get_params(deep=False).items()}
        return {"source": [kind.__name__, params]}
    raise TypeError(f"a value of type {kind.__module__}.{kind.__qualname__} ({shown(value)})")


def decode_value(value: Any, depth: int = 0) -> Any:
    """The inverse of ``encode_value``.

    Raises
    ------
    ValueError
        For what ``encode_value`` does not write.
    """
    if depth > _MOST_DEPTH:
        raise ValueError(f"values lie more than {_MOST_DEPTH} deep in each other")
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is not dict or len(value) != 1:
        raise ValueError(f"{shown(value)} is no value")
    tag, content = next(iter(value.items()))
    decode = _DECODERS.get(tag)
    if decode is None:
        raise ValueError(f"values of {shown(tag)} are not known here")
    try:
        return decode(content, depth + 1)
    except (ArithmeticError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{shown(content)} is no {tag} ({error})") from error


def _encode_time(value: datetime | time) -> list[Any]:
    """Text without a zone, fold, and zone."""
    naive = value.replace(tzinfo=None, fold=0)
    return [naive.isoformat(), value.fold, encode_zone(value.tzinfo)]


def _decode_datetime(content: Any, depth: int) -> datetime:
    text, fold, zone = content
    return datetime.fromisoformat(text).replace(tzinfo=decode_zone(zone), fold=fold)


def _decode_time(content: Any, depth: int) -> time:
    text, fold, zone = content
    return time.fromisoformat(text).replace(tzinfo=decode_zone(zone), fold=fold)


def _decode_float(content: Any, depth: int) -> float:
    if content not in ("nan", "inf", "-inf"):
        raise ValueError(f"{shown(content)} is no float that JSON cannot hold")
    return float(content)


def _decode_decimal(content: Any, depth: int) -> Decimal:
    found = Decimal(_text(content))
    if found.is_finite() and abs(found.adjusted()) > _MOST_EXPONENT:
        raise ValueError(f"the decimal {shown(content)} is beyond what can be counted with")
    return found


def _decode_bytes(content: Any, depth: int) -> bytes:
    return base64.b64decode(_text(content), validate=True)


def _decode_items(content: Any, depth: int) -> list[Any]:
    if type(content) is not list:
        raise ValueError(f"{shown(content)} is no list")
    return [decode_value(item, depth) for item in content]


def _decode_map(content: Any, depth: int) -> dict[Any, Any]:
    found = {decode_value(k, depth): decode_value(v, depth) for k, v in content}
    if len(found) != len(content):
        raise ValueError("a mapping has a key twice")
    return found


def _decode_source(content: Any, depth: int) -> Any:
    from fastexplain import labels

    name, params = content
    if name not in _SOURCES:
        raise ValueError(f"label sources of {shown(name)} are not known here")
    made = getattr(labels, name)(**{k: decode_value(v, depth) for k, v in params.items()})
    check = getattr(made, "_check", None)
    if check is not None:
        check()
    return made


def _decode_foreign(tag: str) -> Decoder:
    """Read a value of pandas or polars, which are imported if it is there."""

    def decode(content: Any, depth: int) -> Any:
        def inner(item: Any) -> Any:
            return decode_value(item, depth)

        if tag in ("polars_frame", "polars_series"):
            from fastexplain.persistence._polars_values import decode_polars

            return decode_polars(tag, content)
        from fastexplain.persistence._pandas_values import decode_pandas

        return decode_pandas(tag, content, inner)

    return decode


def _wholes(content: Any, count: int) -> list[int]:
    # Fraction would take text such as "1e999999999", and count it out
    if type(content) is not list or len(content) != count:
        raise ValueError(f"{shown(content)} are not {count} numbers")
    if any(type(item) is not int for item in content):
        raise ValueError(f"{shown(content)} are no whole numbers")
    return content


def _text(content: Any) -> str:
    if type(content) is not str:
        raise ValueError(f"{shown(content)} is no text")
    return content


# of types whose values hold no others: tag, and content as JSON has it
_PLAIN: dict[type, tuple[str, Callable[[Any], Any]]] = {
    bytes: ("bytes", lambda v: base64.b64encode(v).decode()),
    date: ("date", date.isoformat),
    datetime: ("datetime", _encode_time),
    time: ("time", _encode_time),
    timedelta: ("timedelta", lambda v: [v.days, v.seconds, v.microseconds]),
    Decimal: ("decimal", str),
    Fraction: ("fraction", lambda v: [v.numerator, v.denominator]),
    UUID: ("uuid", str),
}

_DECODERS: dict[str, Decoder] = {
    "float": _decode_float,
    "bytes": _decode_bytes,
    "date": lambda c, d: date.fromisoformat(_text(c)),
    "datetime": _decode_datetime,
    "time": _decode_time,
    "timedelta": lambda c, d: timedelta(*_wholes(c, 3)),
    "decimal": _decode_decimal,
    "fraction": lambda c, d: Fraction(*_wholes(c, 2)),
    "uuid": lambda c, d: UUID(_text(c)),
    "list": _decode_items,
    "tuple": lambda c, d: tuple(_decode_items(c, d)),
    "set": lambda c, d: set(_decode_items(c, d)),
    "frozenset": lambda c, d: frozenset(_decode_items(c, d)),
    "map": _decode_map,
    "scalar": lambda c, d: decode_scalar(c),
    "array": lambda c, d: decode_array(c, lambda cell: decode_value(cell, d)),
    "source": _decode_source,
    "unsaved": lambda c, d: Unsaved(_text(c)),
} | {
    tag: _decode_foreign(tag)
    for tag in (
        "missing",
        "timestamp",
        "pandas_timedelta",
        "period",
        "interval",
        "series",
        "index",
        "frame",
        "polars_frame",
        "polars_series",
    )
}
