"""Constructor parameters that a saved folder brings: their names, and kinds as the defaults are."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastexplain.persistence._fields import Fields, shown
from fastexplain.persistence._values import Unsaved, decode_value

__all__ = ["is_baseline", "is_number", "is_whole", "params_of"]

_BASELINES = ("mean", "median", "zero", "marginal")


def params_of(kind: Any, fields: Fields, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Parameters of a class, all of them, each of the kind of its default.

    Parameters
    ----------
    kind : class
    fields : Fields
        Its parameters as ``encode_value`` writes them.
    without : frozenset of str
        Those that are saved elsewhere.

    Returns
    -------
    dict
        Values by name; what could not be saved is `Unsaved`.

    Raises
    ------
    ValueError
        For other names, or values of another kind.
    """
    signature = inspect.signature(kind).parameters
    names = [name for name in fields.keys() if name not in without]
    unknown = set(names) ^ (set(signature) - without)
    if unknown:
        raise ValueError(
            f"{fields.where} are those of another version of {kind.__name__}: "
            f"{', '.join(sorted(map(shown, unknown)))}"
        )
    found = {}
    for name in names:
        value, default = decode_value(fields.value(name)), signature[name].default
        if not isinstance(value, Unsaved) and not _is_like(value, default):
            raise ValueError(f"{fields.where}.{name} is not known: {shown(value)}")
        found[name] = value
    return found


def _is_like(value: Any, default: Any) -> bool:
    """Whether a value is of its default's kind, as far as that tells one."""
    if type(default) is bool:
        return isinstance(value, bool | np.bool_)
    if type(default) is float:
        return is_number(value)
    if type(default) is int:
        return is_whole(value) or isinstance(value, bool)
    return True


def is_whole(value: Any, least: int | None = None) -> bool:
    """Whether a value is a whole number, of ``least`` or more."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and (least is None or value >= least)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    number = isinstance(value, int | float | np.integer | np.floating)
    return number and not isinstance(value, bool) and bool(abs(value) < float("inf"))


def is_baseline(value: Any) -> bool:
    """Whether a value names a statistic, or may be a row or rows."""
    if isinstance(value, str):
        return value in _BASELINES
    rows = isinstance(value, list | tuple | Mapping | np.ndarray)
    return rows or hasattr(value, "columns") or hasattr(value, "to_list")
