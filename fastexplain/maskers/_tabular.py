"""Removal of columns: what a player is, and what takes its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastexplain.maskers._baselines import baseline_row
from fastexplain.tables import CellSource, Table, as_table

__all__ = ["TabularMasker"]


class TabularMasker:
    """Columns as players, removed by putting a baseline in their place.

    Parameters
    ----------
    baseline : {"mean", "median", "zero", "marginal"} or row, default="mean"
        What a removed feature is replaced by. ``"mean"`` and ``"median"`` use the mode for
        categories, text and booleans, and round to whole numbers in integer columns, so
        that the model sees the dtypes it was fitted on. ``"marginal"`` draws
        ``n_background`` rows of X and averages the model over them. A row (mapping, Series,
        sequence or 1-row table; NaN allowed) is used as it is; a table of several rows is
        a background of the user's own.
    groups : mapping of name to columns, optional
        Columns that are removed together, as one player. Columns that no group names are
        players of their own.
    n_background : int, default=20
        Rows drawn for ``baseline="marginal"``.

    Attributes
    ----------
    background_ : Table of R rows
        The rows that removed cells are taken from.
    feature_names_ : list of str
        The N players' names.

    Examples
    --------
    >>> import numpy as np
    >>> from fastexplain import TabularMasker
    >>> masker = TabularMasker(baseline="median").fit(np.array([[1.0, 5.0], [3.0, 6.0], [9.0, 7.0]]))
    >>> masker.background_.native
    array([[3., 6.]])
    """

    def __init__(
        self,
        baseline: Any = "mean",
        groups: Mapping[str, Sequence[Any]] | None = None,
        n_background: int = 20,
    ) -> None:
        self.baseline = baseline
        self.groups = groups
        self.n_background = n_background

    def fit(self, X: Any, rng: np.random.Generator | None = None) -> TabularMasker:
        """Take the baseline's statistics from the rows of X.

        Parameters
        ----------
        X : Table, ndarray or DataFrame of shape (n, C)
            Training rows.
        rng : numpy.random.Generator, optional
            Draws the background of ``baseline="marginal"``; seeded with 0 if not given.

        Returns
        -------
        self
        """
        table = X if isinstance(X, Table) else as_table(X)
        self.background_ = self._background(table, rng or np.random.default_rng(0))
        self._set_players(table)
        return self

    def _background(self, table: Table, rng: np.random.Generator) -> Table:
        if isinstance(self.baseline, str) and self.baseline == "marginal":
            size = min(int(self.n_background), len(table))
            if size < 1:
                raise ValueError(f"n_background must be at least 1, got {self.n_background}.")
            return table.take(np.sort(rng.choice(len(table), size=size, replace=False)))
        rows = self.baseline
        if hasattr(rows, "columns") or (isinstance(rows, np.ndarray) and rows.ndim == 2):
            rows = as_table(rows)
            if len(rows) > 1:
                if rows.kind != table.kind or rows.names != table.names:
                    raise ValueError(
                        f"The background has columns {rows.names} ({rows.kind}), "
                        f"X has {table.names} ({table.kind})."
                    )
                return rows
            rows = rows.native
        return baseline_row(table, rows)

    def _set_players(self, table: Table) -> None:
        groups = dict(self.groups or {})
        positions: dict[str, list[int]] = {}
        for j, name in enumerate(table.names):
            positions.setdefault(name, []).append(j)
        owner = np.full(table.n_columns, -1)
        names: list[str] = []
        for group, columns in groups.items():
            if isinstance(columns, str) or not isinstance(columns, Sequence | np.ndarray):
                columns = [columns]
            if not len(columns):
                raise ValueError(f"Group {group!r} is empty.")
            for column in columns:
                for j in self._locate(column, positions, table):
                    if owner[j] >= 0:
                        raise ValueError(f"Column {table.names[j]!r} is in two groups.")
                    owner[j] = len(names)
            names.append(str(group))
        for j in range(table.n_columns):
            if owner[j] < 0:
                owner[j] = len(names)
                names.append(table.names[j])
        # players in the order of their first column, so that N columns without groups
        # keep their places
        first = [int(np.argmax(owner == player)) for player in range(len(names))]
        order = np.argsort(first, kind="stable")
        rank = np.empty(len(order), dtype=int)
        rank[order] = np.arange(len(order))
        self.player_of_column_ = rank[owner]
        self.feature_names_ = [names[player] for player in order]

    @staticmethod
    def _locate(column: Any, positions: dict[str, list[int]], table: Table) -> list[int]:
        if str(column) in positions:
            return positions[str(column)]
        if isinstance(column, int | np.integer) and 0 <= column < table.n_columns:
            return [int(column)]
        raise ValueError(f"groups name column {column!r}, which X does not have: {table.names}.")

    @property
    def n_players(self) -> int:
        """Number of players N."""
        return len(self.feature_names_)

    def source(self, table: Table) -> CellSource:
        """Cells of the rows followed by the background's, for ``CellSource.gather``."""
        return table.stack(self.background_)

    def null_players(self, table: Table) -> np.ndarray:
        """Players of each row that equal the baseline, so that removing them does nothing.

        Parameters
        ----------
        table : Table of n rows

        Returns
        -------
        bool ndarray of shape (n, N)
            True where all the player's columns equal every background row; missing equals
            missing.
        """
        equal = np.empty((len(table), table.n_columns), dtype=bool)
        if table.kind == "numpy" and table.native.dtype.kind in "fiub":
            rows, equal[:] = self.background_.native, True
            for row in rows:
                same = table.native == row
                if table.native.dtype.kind == "f":
                    same |= np.isnan(table.native) & np.isnan(row)
                equal &= same
        else:
            for j in range(table.n_columns):
                equal[:, j] = _equals_all(table, self.background_, j)
        if self.n_players == table.n_columns:
            return equal
        players = np.ones((len(table), self.n_players), dtype=bool)
        for j, player in enumerate(self.player_of_column_):
            players[:, player] &= equal[:, j]
        return players


def _equals_all(table: Table, background: Table, j: int) -> np.ndarray:
    """Where column ``j`` equals every row of the background, missing equal to missing."""
    column, reference = table.column(j), background.column(j)
    if table.kind == "polars":
        same = np.ones(len(table), dtype=bool)
        for value in reference:
            missing = column.is_null() if value is None else column.is_null() & False
            equal = (column == value).fill_null(False) if value is not None else missing
            same &= equal.to_numpy().astype(bool)
            if isinstance(value, float) and value != value:
                same = column.is_nan().fill_null(False).to_numpy().astype(bool)
        return same
    import pandas as pd

    values = pd.Series(column).array if table.kind == "pandas" else column
    if table.kind == "numpy" or values.dtype == object:
        values = np.asarray(values, dtype=object)
    missing = np.asarray(pd.isna(values))
    same = np.ones(len(table), dtype=bool)
    for value in reference.array if table.kind == "pandas" else reference:
        if pd.api.types.is_scalar(value) and pd.isna(value):
            same &= missing
        else:
            equal = np.asarray(pd.array(values == value, dtype="boolean").fillna(False), dtype=bool)
            same &= equal & ~missing
    return same
