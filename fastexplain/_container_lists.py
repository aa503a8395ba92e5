"""Lists of samples: rows, images or texts, or what is wrong with their entries."""

from __future__ import annotations

import datetime
from array import array
from collections.abc import Mapping
from numbers import Number
from pathlib import PurePath
from typing import Any

import numpy as np

from fastexplain._container_kinds import (
    is_a,
    mapping_and_cure,
    refuse_foreign_tables,
    texts_for_a_table,
)

__all__ = ["checked_list"]

_CELLS = (Number, np.generic, datetime.date, datetime.time, datetime.timedelta)


def checked_list(X: list[Any] | tuple[Any, ...], table: bool) -> Any:
    """A list of rows, images or texts, tensors as arrays; see ``plain_container``."""
    name = type(X).__name__
    if not len(X):
        raise ValueError(
            f"X is an empty {name}: found array with 0 sample(s) while a minimum of 1 is required, "
            "and it holds no texts, rows or images; pass at least one."
        )
    first = _first_of_each_kind(X)
    kinds = set(first) - {"missing"}
    if not kinds:
        raise TypeError(f"X is a {name} of nothing but missing values; pass samples.")
    for kind, raises in _REFUSED.items():
        if kind in kinds:
            raise TypeError(raises(X, X[first[kind]], name))
    if kinds & {"text", "bytes", "cell"}:
        return _checked_single_entries(X, first, kinds, table)
    if "picture" in kinds:
        if table:
            raise TypeError(
                f"X is a {name} of pictures, but a table is wanted. Images are for explainers that "
                "were fitted on images."
            )
        return X
    if "missing" in first:
        raise TypeError(f"Entry {first['missing']} of X is missing: leave it out, or fill it.")
    if "array" in kinds:
        return _checked_arrays(X, kinds, table)
    return _checked_rows(X, table)


def _first_of_each_kind(X: Any) -> dict[str, int]:
    """Position of the first entry of each kind."""
    first: dict[str, int] = {}
    known: dict[type, str] = {}
    for i, entry in enumerate(X):
        kind = known.get(type(entry))
        if kind is None:
            kind = known[type(entry)] = _kind_of(entry)
        if kind == "cell" and entry != entry:  # NaN alone differs from itself
            kind = "missing"
        first.setdefault(kind, i)
    return first


def _kind_of(entry: Any) -> str:
    """What an entry is, by its type."""
    tests: dict[str, Any] = {
        "missing": entry is None or type(entry).__name__ in ("NAType", "NaTType"),
        "text": isinstance(entry, str),
        "bytes": isinstance(entry, bytes),
        "path": isinstance(entry, PurePath),
        "mapping": isinstance(entry, Mapping),
        "cell": isinstance(entry, _CELLS),
        "series": is_a(entry, "Series"),
        "frame": is_a(entry, "DataFrame"),
        "picture": hasattr(entry, "getbands"),
        "array": hasattr(entry, "__array__") or isinstance(entry, memoryview | array),
        "row": isinstance(entry, list | tuple),
    }
    return next((kind for kind, found in tests.items() if found), "other")


def _dicts(X: Any, entry: Mapping[Any, Any], name: str) -> str:
    text = next((key for key, value in entry.items() if isinstance(value, str)), None)
    texts = "" if text is None else f"; texts alone are [row[{text!r}] for row in X]"
    if "input_ids" in entry:
        return f"X is a {name} of dicts, each {mapping_and_cure(entry)}."
    return f"X is a {name} of dicts: pass a DataFrame of them, pandas.DataFrame(X){texts}."


def _others(X: Any, entry: Any, name: str) -> str:
    refuse_foreign_tables(entry)
    return (
        f"X is a {name} of {type(entry).__name__} objects, which are neither rows, images nor "
        "texts: pass what they hold, as lists, arrays or str."
    )


def _frames(X: Any, entry: Any, name: str) -> str:
    if not all(is_a(part, "DataFrame") for part in X):
        return (
            f"X is a {name} that begins with a {type(X[0]).__name__} and holds other things: of a "
            "table and its labels pass the table alone, X[0]."
        )
    return (
        f"X is a {name} of DataFrames: put them together, pandas.concat(X), or pass one of them, "
        "X[0]."
    )


_REFUSED: dict[str, Any] = {
    "mapping": _dicts,
    "path": lambda X, entry, name: (
        f"X is a {name} of paths: read the files first, such as by PIL.Image.open(path) or "
        "path.read_text()."
    ),
    "frame": _frames,
    "series": lambda X, entry, name: (
        f"X is a {name} of Series: pass a DataFrame, pandas.DataFrame(X), or df.iloc[rows]."
    ),
    "other": _others,
}


def _checked_single_entries(X: Any, first: dict[str, int], kinds: set[str], table: bool) -> Any:
    """Texts; cells without their row are refused."""
    name = type(X).__name__
    if "cell" not in kinds and not kinds - {"text", "bytes"}:
        if table:
            raise TypeError(texts_for_a_table(f"a {name} of texts"))
        return X
    if kinds == {"cell"}:
        raise ValueError(
            f"X is a {name} of single cells, {str(X[:3])[1:-1]}: one row is [X], and one column is "
            "[[x] for x in X]."
        )
    odd = first[next(iter(kinds - {"text"}))]
    raise TypeError(
        f"X is a {name} of several kinds of entries: entry {odd} is {str(X[odd])[:40]!r} of type "
        f"{type(X[odd]).__name__}. One row of a table is [X]; texts must all be str, and rows "
        "lists or arrays."
    )


def _checked_arrays(X: Any, kinds: set[str], table: bool) -> Any:
    """Rows or images as arrays of their own."""
    name = type(X).__name__
    # NumPy reads neither tensors with gradients nor those of other devices
    parts = [part.detach().cpu() if hasattr(part, "detach") else part for part in X]
    axes = [np.ndim(part) for part in parts]
    if len(set(axes)) > 1:
        other = next(i for i, n in enumerate(axes) if n != axes[0])
        raise ValueError(
            f"X is a {name} of arrays: entry 0 has {axes[0]} axes, entry {other} has "
            f"{axes[other]}. Of a pair of samples and labels pass the samples alone, X[0]."
        )
    if axes[0] == 0:
        raise ValueError(
            f"X is a {name} of single numbers: one row is [X], one column is [[x] for x in X]."
        )
    if axes[0] == 1:
        return _checked_rows([np.asarray(part) for part in parts], table)
    if axes[0] > 3:
        raise ValueError(
            f"X is a {name} of arrays of {axes[0]} axes, such as batches of images: put them "
            "together, numpy.concatenate(X)."
        )
    if table:
        raise ValueError(
            f"X is a {name} of arrays of {axes[0]} axes, but a table of shape (n, features) is "
            "wanted: flatten each, [x.ravel() for x in X]."
        )
    return X


def _checked_rows(X: Any, table: bool) -> Any:
    """Rows of cells, all of one length."""
    _refuse_pairs(X)
    lengths = [len(row) for row in X]
    if len(set(lengths)) > 1:
        other = next(i for i, n in enumerate(lengths) if n != lengths[0])
        raise ValueError(
            f"The rows of X have several lengths: row 0 has {lengths[0]} cells, row {other} has "
            f"{lengths[other]}. Pad or cut them to one."
        )
    if lengths[0] and any(_is_block(cell) for cell in X[0]):
        try:
            cells = np.asarray(X)
        except ValueError as error:
            raise ValueError(
                "The rows of X hold lists or arrays of several lengths in place of cells: pass one "
                "number, text or category for each column."
            ) from error
        return X if cells.dtype.kind == "O" and cells.ndim < 3 else cells
    return X


def _is_block(cell: Any) -> bool:
    """Whether a cell is itself a list or an array."""
    return isinstance(cell, list | tuple) or bool(getattr(cell, "ndim", 0))


def _refuse_pairs(X: Any) -> None:
    """Raise for pairs of texts, and for pairs of a sample and its label."""
    if not all(isinstance(row, tuple) for row in X):
        return
    if all(isinstance(cell, str) for row in X for cell in row) and len(X[0]):
        raise TypeError(
            f"X is a {type(X).__name__} of tuples of texts, such as pairs of a question and an "
            "answer: explain one part while the other is fixed, with the texts [a for a, _ in X] "
            "and lambda texts: model([(text, other) for text in texts]) as the model; or join "
            "both into one text that the model takes apart. Rows of a table are lists, or a "
            "DataFrame, pandas.DataFrame(X)."
        )
    if len(X[0]) == 2 and _is_block(X[0][0]) and not _is_block(X[0][1]):
        raise TypeError(
            f"X is a {type(X).__name__} of tuples, pairs of a sample and its label: pass the "
            "samples alone, [x for x, _ in X]."
        )
