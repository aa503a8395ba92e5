"""Removal of columns: what a player is, and what takes its place."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from fastexplain.maskers._baselines import baseline_row, check_hashable, conform_rows
from fastexplain.maskers._codes import warn_of_codes
from fastexplain.maskers._equality import equal_arrays, equals_all
from fastexplain.maskers._masked_rows import MaskedCells, MaskedTensors
from fastexplain.maskers._players import ColumnNames, players_of
from fastexplain.schema import Schema
from fastexplain.tables import CellSource, Table, as_table

__all__ = ["TabularMasker"]


class TabularMasker:
    """Columns as players, removed by putting a baseline in their place.

    All values are relative to this baseline: ``base_values`` of an explanation are the model's
    answer to it, f(baseline), and not the mean answer E[f] of shap's background.

    Parameters
    ----------
    baseline : {"mean", "median", "zero", "marginal"}, row, or values, default="mean"
        What a removed feature is replaced by. ``"mean"`` and ``"median"`` use the mode for
        categories, text, booleans and ``categorical`` columns, and round to whole numbers in
        integer columns, so that the model sees the dtypes it was fitted on. ``"marginal"`` draws
        ``n_background`` rows of X and averages the model over them. A row (mapping, Series,
        sequence or 1-row table; NaN allowed) is used as it is; a mapping, Series or 1-row table
        of some columns, as in ``{"shop": 6}``, says what replaces these, and the others have the
        mean. A table of several rows is a background of the user's own.
    groups : mapping of name to columns, optional
        Columns that are removed together, as one player. Columns that no group names are
        players of their own.
    n_background : int, default=20
        Rows drawn for ``baseline="marginal"``.
    categorical : names or positions of columns, or mask of booleans, optional
        Columns whose numbers are codes of categories, such as shops or postal codes: their mean
        and median is the most frequent one, and explainers read them as categories. Columns of
        text, booleans and category dtypes are categories anyway.

    Attributes
    ----------
    background_ : Table of R rows
        The rows that removed cells are taken from.
    feature_names_ : list of str
        The N players' names.
    categorical_ : list of int
        Positions of the columns whose numbers are codes: those of ``categorical``, and those
        that the model is known to read so.

    Warns
    -----
    UserWarning
        If the mean or median of a column of whole numbers is a value that hardly any row has:
        of codes, it would be some other category.

    Examples
    --------
    >>> import numpy as np
    >>> from fastexplain import TabularMasker
    >>> X = np.array([[1.0, 5.0], [3.0, 6.0], [9.0, 7.0]])
    >>> masker = TabularMasker(baseline="median").fit(X)
    >>> masker.background_.native
    array([[3., 6.]])

    Codes of shops, whose mean is no shop:

    >>> X = np.array([[1, 5], [1, 6], [9, 7]])
    >>> TabularMasker(categorical=[0]).fit(X).background_.native
    array([[1, 6]])
    >>> TabularMasker(baseline={"x0": 9}).fit(X).background_.native
    array([[9, 6]])
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
        categorical: Any = None,
    ) -> None:
        self.baseline = baseline
        self.groups = groups
        self.n_background = n_background
        self.categorical = categorical

    def fit(
        self,
        X: Any,
        rng: np.random.Generator | None = None,
        known_codes: Collection[int] = frozenset(),
    ) -> TabularMasker:
        """Take the baseline's statistics from the rows of X.

        Parameters
        ----------
        X : Table, ndarray or DataFrame of shape (n, C)
            Training rows.
        rng : numpy.random.Generator, optional
            Draws the background of ``baseline="marginal"``; seeded with 0 if not given.
        known_codes : collection of int
            Positions of columns that the model is known to read as categories, beside
            ``categorical``.

        Returns
        -------
        self
        """
        table = X if isinstance(X, Table) else as_table(X)
        check_hashable(table)
        columns = ColumnNames(table.names)
        codes = set(known_codes)
        if self.categorical is not None:
            codes |= set(columns.positions(self.categorical, "categorical"))
        player, names = players_of(self.groups, columns)
        background, computed = self._background(table, codes, rng or np.random.default_rng(0))
        if computed:
            median = isinstance(self.baseline, str) and self.baseline == "median"
            warn_of_codes(table, background, [j for j in computed if j not in codes], median)
        self.background_, self.categorical_ = background, sorted(codes)
        self.player_of_column_, self.feature_names_ = player, names
        self.schema_ = Schema.of(table, background.take(slice(0, 1)), codes)
        return self

    def _background(
        self, table: Table, codes: Collection[int], rng: np.random.Generator
    ) -> tuple[Table, list[int]]:
        """The background's rows, and the columns whose mean or median it holds."""
        if isinstance(self.baseline, str) and self.baseline == "marginal":
            size = min(int(self.n_background), len(table))
            if size < 1:
                raise ValueError(f"n_background must be at least 1, got {self.n_background}.")
            drawn = np.sort(rng.choice(len(table), size=size, replace=False))
            return table.take(drawn), []
        rows = self.baseline
        if hasattr(rows, "columns") or len(getattr(rows, "shape", ())) == 2:
            rows = as_table(rows)
            if len(rows) > 1:
                return conform_rows(table, rows), []
            rows = rows.native
        row, computed = baseline_row(table, rows, codes)
        return row, [] if isinstance(rows, str) and rows == "zero" else computed

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

    def conform(self, table: Table) -> Table:
        """Rows in the container and dtypes of ``fit``; see ``Schema.conform``."""
        return self.schema_.conform(table)

    def inputs(self, table: Table, predictor: Any) -> MaskedCells | MaskedTensors:
        """What gives masked rows in the form that a model takes.

        Parameters
        ----------
        table : Table
        predictor : Predictor
            Torch modules get tensors on their device, other models the table's container.
        """
        if predictor.torch_module:
            return MaskedTensors(table, self.background_, self.player_of_column_, predictor)
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
                equal &= equal_arrays(own, row)
        else:
            for j in range(table.n_columns):
                equal[:, j] = equals_all(table, self.background_, j)
        return equal

    def all_of_player(self, cells: np.ndarray) -> np.ndarray:
        """Players (n, N) all of whose cells are marked in a bool array (n, C)."""
        if self.n_players == cells.shape[1]:
            return cells
        players = np.ones((len(cells), self.n_players), dtype=bool)
        for j, player in enumerate(self.player_of_column_):
            players[:, player] &= cells[:, j]
        return players
