"""Values that a model does not tell from the baseline: null players beyond equal cells.

Trees see a number only through their splits, and rules and clipped inputs merge values
likewise. A cell on the baseline's side of every split changes nothing when removed, so it is
as much a null player as one that equals the baseline: it has the neutral value exactly, and
a network that is told so has less to learn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastexplain.masked_model import MaskedModel
from fastexplain.networks import TabularEncoder
from fastexplain.persistence import decode_value, encode_value
from fastexplain.tables import Table

__all__ = ["InertValues", "find_inert_values"]

# values of one column that are tried: the baseline's nearest neighbours, and quantiles
_NEIGHBOURS = 12
_VALUES = 48
# inputs that a value is tried in at first, and, if it changed none of them, after that
_FIRST, _THEN = 12, 500
_MOST_MEMBERS = 24
# share of the query budget that the search may take
_SHARE = 0.05


class InertValues:
    """For each column, the encoded cells that answer for answer act like the baseline.

    Parameters
    ----------
    low, high : float ndarray of shape (C,)
        Ends of each quantity's interval; an empty one has ``low > high``.
    missing : bool ndarray of shape (C,)
        Whether a missing quantity is inert.
    codes : list of C sorted lists of int
        Codes of categories.
    """

    def __init__(
        self, low: np.ndarray, high: np.ndarray, missing: np.ndarray, codes: list[list[int]]
    ) -> None:
        self.low, self.high, self.missing, self.codes = low, high, missing, codes
        self._columns = [j for j in range(len(low)) if low[j] <= high[j] or missing[j] or codes[j]]

    @classmethod
    def none(cls, n_columns: int) -> InertValues:
        """No inert value in any column."""
        empty = np.full(n_columns, np.inf)
        return cls(empty, -empty, np.zeros(n_columns, dtype=bool), [[] for _ in range(n_columns)])

    def mark(self, cells: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Add the inert cells of encoded rows to the cells that equal the baseline.

        Parameters
        ----------
        cells : bool ndarray of shape (n, C)
        x : float ndarray of shape (n, C)
            ``TabularEncoder.transform`` of the same rows.

        Returns
        -------
        bool ndarray of shape (n, C)
        """
        if not self._columns:
            return cells
        cells = cells.copy()
        for j in self._columns:
            column = x[:, j]
            if self.codes[j]:
                cells[:, j] |= np.isin(column, self.codes[j])
                continue
            cells[:, j] |= (column >= self.low[j]) & (column <= self.high[j])
            if self.missing[j]:
                cells[:, j] |= np.isnan(column)
        return cells

    def state(self) -> list[Any]:
        """Describe as JSON values, a list of four a column."""
        rows = zip(self.low, self.high, self.missing, self.codes, strict=True)
        return [
            [encode_value(float(low)), encode_value(float(high)), bool(missing), codes]
            for low, high, missing, codes in rows
        ]

    @classmethod
    def from_state(cls, state: list[Any]) -> InertValues:
        """The inverse of ``state``."""
        low, high, missing, codes = zip(*state, strict=True)
        return cls(
            np.array([decode_value(v) for v in low], dtype=np.float64),
            np.array([decode_value(v) for v in high], dtype=np.float64),
            np.array(missing, dtype=bool),
            [list(c) for c in codes],
        )


def find_inert_values(
    masked: MaskedModel,
    table: Table,
    encoder: TabularEncoder,
    max_queries: int,
    rng: np.random.Generator,
) -> InertValues:
    """Try values of each column in place of the baseline's and see whether answers change.

    A value is inert if the model's answers are equal to the last digit on all of some
    hundreds of inputs that mix a row with the baseline. Of quantities, inert is what lies
    between inert values without another in between.

    Parameters
    ----------
    masked : MaskedModel
        The game; only with one background row is anything inert.
    table : Table
        Training rows, whose values are tried.
    encoder : TabularEncoder
    max_queries : int
        Of the whole fit; the search takes a twentieth at most, and is left out where that
        is too little to tell.
    rng : numpy.random.Generator
        Draws the inputs.

    Returns
    -------
    InertValues
    """
    found = InertValues.none(table.n_columns)
    background = masked.masker.background_
    room = _SHARE * max_queries / max(table.n_columns, 1)
    if len(background) > 1 or room < 2 * _VALUES * _FIRST:
        return found
    some = table.take(np.sort(rng.permutation(len(table))[:16384]))
    x, base = encoder.transform(some), encoder.transform(background)[0]
    search = _Search(masked, some, rng)
    for j, column in enumerate(encoder.columns):
        donors = _candidates(x[:, j], base[j], column.numeric)
        if not len(donors):
            continue
        donors = donors[search.unchanged(j, donors, _FIRST)]
        if column.numeric:
            donors = _run(donors, x[:, j], base[j], _candidates(x[:, j], base[j], True))
        thorough = int(min(_THEN, 0.5 * room / max(len(donors), 1)))
        members = donors[search.unchanged(j, donors, thorough)] if len(donors) else donors
        if column.numeric:
            members = _run(members, x[:, j], base[j], donors)
            own = x[members, j]
            found.missing[j] = bool(np.isnan(own).any())
            own = own[~np.isnan(own)]
            if len(own) and not np.isnan(base[j]):
                found.low[j] = min(own.min(), base[j])
                found.high[j] = max(own.max(), base[j])
        else:
            found.codes[j] = sorted({int(code) for code in x[members, j]})
    return InertValues(found.low, found.high, found.missing, found.codes)


def _candidates(column: np.ndarray, base: float, numeric: bool) -> np.ndarray:
    """Rows that hold the values to try, one a value, none of them the baseline's own."""
    values, rows, counts = np.unique(column, return_index=True, return_counts=True)
    other = values != base
    if np.isnan(base):
        other &= ~np.isnan(values)
    if not numeric:
        # code 1 stands for categories of all kinds
        other &= values != 1
        values, rows, counts = values[other], rows[other], counts[other]
        return rows[np.argsort(-counts, kind="stable")[:_VALUES]]
    values, rows = values[other], rows[other]
    if len(rows) <= _VALUES:
        return rows
    present = np.flatnonzero(~np.isnan(values))
    at = int(np.searchsorted(values[present], base)) if not np.isnan(base) else 0
    near = np.arange(max(at - _NEIGHBOURS, 0), min(at + _NEIGHBOURS, len(present)))
    spread = np.linspace(0, len(present) - 1, _VALUES - len(near)).astype(int)
    missing = np.flatnonzero(np.isnan(values))
    return rows[np.unique(np.concatenate([present[near], present[spread], missing]))]


def _run(members: np.ndarray, column: np.ndarray, base: float, tried: np.ndarray) -> np.ndarray:
    """Members next to the baseline, with no value in between that was tried and is not one."""
    others = np.setdiff1d(tried, members)
    own, rest = column[members], column[others]
    below, above = rest[rest < base], rest[rest > base]
    low = below.max() if len(below) else -np.inf
    high = above.min() if len(above) else np.inf
    kept = members[np.isnan(own) | ((own > low) & (own < high))]
    if len(kept) <= _MOST_MEMBERS:
        return kept
    # the ends of the run, and some within it
    kept = kept[np.argsort(column[kept])]
    return kept[np.unique(np.linspace(0, len(kept) - 1, _MOST_MEMBERS).astype(int))]


class _Search:
    """Asks whether a column's values change any answer in place of the baseline's."""

    def __init__(self, masked: MaskedModel, table: Table, rng: np.random.Generator) -> None:
        self.masked, self.rng = masked, rng
        self.source = masked.masker.source(table)
        self.n_rows = len(table)
        self.player = masked.masker.player_of_column_

    def unchanged(self, j: int, donors: np.ndarray, n_inputs: int) -> np.ndarray:
        """Which donors' cells of column ``j`` change no answer on ``n_inputs`` inputs each."""
        player = self.player
        rows = self.rng.integers(self.n_rows, size=(n_inputs, 1))
        kept = self.rng.random((n_inputs, int(player.max()) + 1)) < 0.6
        index = np.where(kept[:, player], rows, self.n_rows)
        index = np.repeat(index[None], len(donors) + 1, axis=0)
        index[:, :, j] = np.append(donors, self.n_rows)[:, None]
        inputs = Table(self.source.gather(index.reshape(-1, index.shape[2])))
        answers = self.masked.outputs(inputs).reshape(len(donors) + 1, n_inputs, -1)
        return (answers[:-1] == answers[-1]).all(dim=2).all(dim=1).cpu().numpy()
