"""Which columns a name means, and which player each column belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

__all__ = ["ColumnNames", "players_of"]


class ColumnNames:
    """Columns by name or position.

    Parameters
    ----------
    names : list of C str
        Several columns may share one.
    """

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self._positions: dict[str, list[int]] = {}
        for j, name in enumerate(names):
            self._positions.setdefault(name, []).append(j)

    def locate(self, column: Any, what: str) -> list[int]:
        """Positions of the columns that a name or position means.

        Parameters
        ----------
        column : object
        what : str
            The argument that says so, for the message.

        Raises
        ------
        ValueError
            If there is no such column.
        """
        if str(column) in self._positions:
            return self._positions[str(column)]
        whole = isinstance(column, int | np.integer) and not isinstance(column, bool)
        if whole and 0 <= column < len(self.names):
            return [int(column)]
        raise ValueError(
            f"{what} names column {column!r}, which X does not have: {self.names}. Give names as "
            f"in X, or positions from 0 to {len(self.names) - 1}."
        )

    def listed(self, columns: Any) -> list[Any]:
        """One or several columns as a list; a tuple may be one name, of several levels."""
        if isinstance(columns, str) or not isinstance(columns, Iterable):
            return [columns]
        if isinstance(columns, tuple) and str(columns) in self._positions:
            return [columns]
        return list(columns)

    def positions(self, columns: Any, what: str) -> list[int]:
        """Positions, in order, of columns given by names, by positions, or as a mask."""
        listed = self.listed(columns)
        flags = [isinstance(column, bool | np.bool_) for column in listed]
        if not any(flags):
            return sorted({j for column in listed for j in self.locate(column, what)})
        if not all(flags) or len(listed) != len(self.names):
            raise ValueError(
                f"{what} as a mask needs True or False for each of the {len(self.names)} columns; "
                f"got {len(listed)} values. Names or positions of columns will do as well."
            )
        return [j for j, chosen in enumerate(listed) if chosen]


def players_of(groups: Any, columns: ColumnNames) -> tuple[np.ndarray, list[str]]:
    """The player of each column, and the players' names.

    Parameters
    ----------
    groups : mapping of name to columns, or None
    columns : ColumnNames
        C columns.

    Returns
    -------
    player : int ndarray of shape (C,)
        Players are in the order of their first column.
    names : list of N str

    Raises
    ------
    TypeError
        If ``groups`` is no mapping.
    ValueError
        For groups that are empty, overlap, or have the name of a column outside.
    """
    if groups is not None and not isinstance(groups, Mapping):
        raise TypeError(
            "groups must map a name to columns, as in {'place': ['town', 'street']}; got "
            f"{type(groups).__name__}."
        )
    owner = np.full(len(columns.names), -1)
    names: list[str] = []
    for group, given in dict(groups or {}).items():
        members = columns.listed(given)
        if not members:
            raise ValueError(f"Group {group!r} is empty; name its columns, or leave it out.")
        for column in members:
            for j in columns.locate(column, "groups"):
                if owner[j] >= 0:
                    raise ValueError(
                        f"Column {columns.names[j]!r} is named twice in groups; a column belongs "
                        "to one player."
                    )
                owner[j] = len(names)
        names.append(str(group))
    taken = set(names)
    for j, name in enumerate(columns.names):
        if owner[j] < 0:
            if name in taken:
                raise ValueError(
                    f"Group {name!r} has the name of a column outside it; give the group another "
                    "name."
                )
            owner[j] = len(names)
            names.append(name)
    # so that N columns without groups keep their places
    first = [int(np.argmax(owner == player)) for player in range(len(names))]
    order = np.argsort(first, kind="stable")
    rank = np.empty(len(order), dtype=int)
    rank[order] = np.arange(len(order))
    return rank[owner], [names[player] for player in order]
