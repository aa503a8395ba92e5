"""Index expressions of an ``Explanation``: names and positions to positions.

Each axis is indexed on its own (as by ``numpy.ix_``): two lists select a block, never pairs,
so that names, data and values stay aligned. Whatever could select something else than
what was meant raises.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Selection", "expand_key", "select"]


class Selection(NamedTuple):
    """What one axis keeps: ``kept`` (a slice or int array); ``drop`` for a single position."""

    kept: slice | np.ndarray
    drop: bool

    def __bool__(self) -> bool:
        """Whether anything is selected other than the whole axis."""
        return self.drop or not (isinstance(self.kept, slice) and self.kept == slice(None))


def expand_key(key: Any, dims: tuple[str, ...], hint: str = "") -> tuple[Any, ...]:
    """One entry of ``key`` for each of ``dims``, with the ellipsis and the rest filled in."""
    entries = list(key) if isinstance(key, tuple) else [key]
    dots = [position for position, entry in enumerate(entries) if entry is Ellipsis]
    if len(dots) > 1:
        raise IndexError("an index can hold only one ellipsis ('...')")
    given = len(entries) - len(dots)
    if given > len(dims):
        axes = ", ".join(dims) if dims else "none"
        message = f"too many indices: {given} for the axes ({axes})"
        raise IndexError(f"{message}; {hint}" if hint else message)
    fill = [slice(None)] * (len(dims) - given)
    at = dots[0] if dots else len(entries)
    return tuple(entries[:at] + fill + entries[at + 1 :])


def _position(name: str, names: Sequence[str] | None, axis: str, advice: str) -> int:
    if names is None:
        what = "rows have no names" if axis == "row" else f"the {axis}s have no names"
        raise KeyError(f"{name!r}: {what}{advice or '; use a position'}")
    hits = [position for position, known in enumerate(names) if known == name]
    if len(hits) == 1:
        return hits[0]
    if hits:
        raise KeyError(f"{axis} name {name!r} occurs {len(hits)} times, at {hits}; use a position")
    close = difflib.get_close_matches(name, list(names), n=3, cutoff=0.5)
    if close:
        known = "close matches: " + ", ".join(map(repr, close))
    else:
        more = ", ..." if len(names) > 8 else ""
        known = f"known {axis}s: " + ", ".join(map(repr, names[:8])) + more
    raise KeyError(f"no {axis} is named {name!r}; {known}{advice}")


def _checked(position: Any, length: int, axis: str) -> int:
    position = int(position)
    if not -length <= position < length:
        raise IndexError(f"{axis} {position} is out of range: there are {length}")
    return position % length


def select(
    entry: Any, length: int, axis: str, names: Sequence[str] | None = None, advice: str = ""
) -> Selection:
    """Resolve one index ``entry`` along an axis.

    Parameters
    ----------
    entry : int, str, slice, or sequence of them, or mask
        The index; names are looked up in ``names``.
    length : int
        Size of the axis.
    axis : str
        Name of the axis in messages.
    names : sequence of str, optional
        Names along the axis.
    advice : str, optional
        End of the message about an unknown name.

    Returns
    -------
    Selection
    """
    if isinstance(entry, str):
        return Selection(np.array([_position(str(entry), names, axis, advice)]), True)
    if isinstance(entry, slice):
        ends = (entry.start, entry.stop, entry.step)
        if any(isinstance(end, str) for end in ends):
            raise TypeError(f"a slice of {axis}s takes positions, not names; use a list of names")
        entry.indices(length)  # raises the usual errors for ends that are no integers
        return Selection(entry, False)
    if isinstance(entry, (bool, np.bool_)) or entry is None:
        raise IndexError(f"{entry!r} cannot index the {axis}s")
    if isinstance(entry, (int, np.integer)):
        return Selection(np.array([_checked(entry, length, axis)]), True)

    array = entry if isinstance(entry, np.ndarray) else None
    if array is None and not isinstance(entry, (list, tuple, range)):
        array = np.asarray(entry)  # a column of a table, an Index
    if array is not None:
        if array.ndim == 0 and array.dtype.kind in "iu":
            return Selection(np.array([_checked(array, length, axis)]), True)
        if array.ndim != 1:
            raise IndexError(f"the {axis}s are indexed by 1-d arrays, not {array.ndim}-d ones")
        items = array.tolist()
    else:
        # element by element: numpy would turn a list such as ["age", 1] into strings
        items = list(entry)
    flags = [isinstance(item, (bool, np.bool_)) for item in items]
    if items and all(flags):
        if len(items) != length:
            raise IndexError(f"the mask has {len(items)} entries for {length} {axis}s")
        return Selection(np.flatnonzero(np.array(items)), False)
    if array is not None and array.dtype.kind == "b":  # an empty mask
        if length:
            raise IndexError(f"the mask has 0 entries for {length} {axis}s")
        return Selection(np.zeros(0, dtype=np.intp), False)
    positions = []
    for item, flag in zip(items, flags, strict=True):
        if isinstance(item, str):
            positions.append(_position(item, names, axis, advice))
        elif isinstance(item, (int, np.integer)) and not flag:
            positions.append(_checked(item, length, axis))
        else:
            raise IndexError(f"{item!r} cannot index the {axis}s; use positions, names or a mask")
    return Selection(np.array(positions, dtype=np.intp), False)
