"""Columns of every kind, and by rule what becomes of one where another was fitted."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

#: what a text must say to be a truth value
FLAGS = {"True": True, "true": True, "TRUE": True, "False": False, "false": False, "FALSE": False}


@dataclass
class Kind:
    """What the cells of a column are, and the cells in plain Python.

    ``family`` is that of the cells, "loose" of stamps that are objects, with or without a zone;
    ``labels`` are the only cells that a category dtype takes.
    """

    family: str
    cells: list[Any]
    labels: list[Any] | None = None


def plain(value: Any) -> Any:
    """A cell in plain Python, whatever library it is of: equal cells are equal."""
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, np.datetime64 | dt.datetime):
        return None if pd.isna(value) else pd.Timestamp(value)
    if isinstance(value, np.timedelta64 | dt.timedelta):
        return None if pd.isna(value) else pd.Timedelta(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float | Decimal | np.longdouble) and value != value:
        return None
    return value


def expected(fitted: Kind, given: Kind) -> list[Any] | type[Exception]:
    """The cells that come out, or the error that is raised."""
    if all(cell is None for cell in given.cells):
        return given.cells
    found = _in_family(fitted.family, given)
    if isinstance(found, type) or fitted.labels is None:
        return found
    unknown = [cell for cell in found if cell is not None and cell not in fitted.labels]
    return ValueError if unknown else found


def _in_family(family: str, given: Kind) -> list[Any] | type[Exception]:
    numbers = given.family in ("number", "bool")
    if family == "number":
        return [None if c is None else _number(c) for c in given.cells] if numbers else TypeError
    if family == "bool":
        if given.family == "text":
            flags = [None if c is None else FLAGS.get(c) for c in given.cells]
            lost = any(a is not None and b is None for a, b in zip(given.cells, flags, strict=True))
            return TypeError if lost else flags
        if not numbers or any(c is not None and c not in (0, 1) for c in given.cells):
            return TypeError
        return [None if c is None else bool(c) for c in given.cells]
    if family == "loose":
        return given.cells if given.family in ("moment", "zoned", "loose") else TypeError
    if given.family == "loose":
        given = Kind("moment", given.cells)
    if family != given.family:
        # a time zone is neither given nor taken
        both = {family, given.family}
        return ValueError if both == {"moment", "zoned"} else TypeError
    return given.cells


def _number(cell: Any) -> Any:
    return int(cell) if isinstance(cell, bool) else cell


def same(found: list[Any], wanted: list[Any]) -> bool:
    """Whether cells are equal and of one family: True is not 1."""
    pairs = list(zip([plain(c) for c in found], [plain(c) for c in wanted], strict=True))
    return all(_equal(a, b) and isinstance(a, bool) == isinstance(b, bool) for a, b in pairs)


def _equal(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    # a decimal and the float that prints as it
    if isinstance(a, Decimal) != isinstance(b, Decimal) and not isinstance(a, str):
        return Decimal(str(float(a))) == Decimal(str(float(b)))
    return bool(a == b)
