"""Removal of columns: what a player is, and what takes its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fastexplain.maskers._baselines import (
    baseline_row,
    check_hashable,
    conform_rows,
    is_missing,
)
from fastexplain.maskers._masked_rows import MaskedCells, MaskedTensors
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
    >>> X = np.array([[1.0, 5.0], [3.0, 6.0], [9.0, 7.0]])
    >>> masker = TabularMasker(baseline="median").fit(X)
    >>> masker.background_.native
    array([[3., 6.]])
    """

    #: whether a removed player is replaced by the baseline; a surrogate knows it as absent,
    #: and what a value then changes does not show in the value
    removes_to_baseline_ = True
    #: whether what is left when all is removed is the same for all rows
    fixed_empty_ = True

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
        check_hashable(table)
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
        if hasattr(rows, "columns") or len(getattr(rows, "shape", ())) == 2:
            rows = as_table(rows)
            if len(rows) > 1:
                return conform_rows(table, rows)
            rows = rows.native
        return baseline_row(table, rows)

    def _set_players(self, table: Table) -> None:
        if self.groups is not None and not isinstance(self.groups, Mapping):
            raise TypeError(
                "groups must map a name to columns, as in {'place': ['town', 'street']}; got "
                f"{type(self.groups).__name__}."
            )
        groups = dict(self.groups or {})
        positions: dict[str, list[int]] = {}
        for j, name in enumerate(table.names):
            positions.setdefault(name, []).append(j)
        owner = np.full(table.n_columns, -1)
        names: list[str] = []
        for group, columns in groups.items():
            # a name may be a tuple, as those of several levels are
            if isinstance(columns, str) or not isinstance(columns, Iterable):
                columns = [columns]
            elif isinstance(columns, tuple) and str(columns) in positions:
                columns = [columns]
            columns = list(columns)
            if not columns:
                raise ValueError(f"Group {group!r} is empty.")
            for column in columns:
                for j in self._locate(column, positions, table):
                    if owner[j] >= 0:
                        raise ValueError(
                            f"Column {table.names[j]!r} is named twice in groups; a column "
                            "belongs to one player."
                        )
                    owner[j] = len(names)
            names.append(str(group))
        taken = set(names)
        for j in range(table.n_columns):
            if owner[j] < 0:
                if table.names[j] in taken:
                    raise ValueError(
                        f"Group {table.names[j]!r} has the name of a column outside it; give "
                        "the group another name."
                    )
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

    @property
    def n_background_(self) -> int:
        """Number of rows that removed cells are taken from, and the model is averaged over."""
        return len(self.background_)

    @property
    def removal(self) -> str:
        """What stands for a removed player, in words."""
        told = self.baseline if isinstance(self.baseline, str) else "of the user's own"
        return f"baseline {told}"

    def wrap(self, X: Any) -> Table:
        """Rows as a ``Table``, or an error that says what is wrong with them."""
        return as_table(X)

    def inputs(self, table: Table, predictor: Any) -> MaskedCells | MaskedTensors:
        """What gives masked rows in the form that a model takes.

        Parameters
        ----------
        table : Table
        predictor : Predictor
            Torch modules get tensors on their device, other models the table's container.
        """
        if predictor.torch_module:
            player, device = self.player_of_column_, predictor.device
            return MaskedTensors(table, self.background_, player, device)
        return MaskedCells(self.source(table), self.player_of_column_)

    def whole(self, table: Table, predictor: Any) -> Any:
        """The rows as they are, for a model that may work in place."""
        return table.copied()

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
        return self.all_of_player(self.baseline_cells(table))

    def baseline_cells(self, table: Table) -> np.ndarray:
        """Cells that equal every background row's, shape (n, C)."""
        equal = np.ones((len(table), table.n_columns), dtype=bool)
        if not self.removes_to_baseline_:
            return ~equal
        own, background = table.matrix(), self.background_.matrix()
        if own is not None and background is not None and own.dtype.kind in "fiubmM":
            for row in background:
                equal &= _equal_arrays(own, row)
        else:
            for j in range(table.n_columns):
                equal[:, j] = _equals_all(table, self.background_, j)
        return equal

    def all_of_player(self, cells: np.ndarray) -> np.ndarray:
        """Players (n, N) all of whose cells are marked in a bool array (n, C)."""
        if self.n_players == cells.shape[1]:
            return cells
        players = np.ones((len(cells), self.n_players), dtype=bool)
        for j, player in enumerate(self.player_of_column_):
            players[:, player] &= cells[:, j]
        return players


def _equal_arrays(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where arrays of numbers or times are equal, missing equal to missing."""
    same = a == b
    if a.dtype.kind in "fmM" and b.dtype.kind in "fmM":
        same |= np.isnan(a) & np.isnan(b)
    return same


def _equals_all(table: Table, background: Table, j: int) -> np.ndarray:
    """Where column ``j`` equals every row of the background, missing equal to missing."""
    column, reference = table.column(j), background.column(j)
    same = np.ones(len(table), dtype=bool)
    for i in range(len(background)):
        if table.kind == "polars":
            # a series of one value is compared with all; null equals null, NaN equals NaN
            equal = column.eq_missing(reference.slice(i, 1).cast(column.dtype))
            same &= equal.to_numpy().astype(bool)
        elif column.dtype == np.dtype(object):
            value = reference[i] if table.kind == "numpy" else reference.iloc[i]
            same &= np.fromiter((_same_cell(cell, value) for cell in column), bool, len(column))
        else:
            same &= _equals_value(column, reference.iloc[i])
    return same


def _same_cell(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if is_missing(a) or is_missing(b):
        return is_missing(a) and is_missing(b)
    return bool(a == b)


def _equals_value(column: Any, value: Any) -> np.ndarray:
    """Where a pandas column, of any dtype but object, holds a value."""
    missing = column.isna().to_numpy()
    if is_missing(value):
        return missing
    equal = (column.array == value) & ~missing
    # nullable columns answer with missing truth values
    return np.asarray(
        equal.to_numpy(dtype=bool, na_value=False) if hasattr(equal, "to_numpy") else equal,
        dtype=bool,
    )
