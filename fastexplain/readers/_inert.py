"""Values that a model does not tell from the baseline: null players beyond equal cells.

Trees see a number only through their splits, and rules and clipped inputs merge values
likewise. A cell on the baseline's side of every split changes nothing when removed, so it is
as much a null player as one that equals the baseline: it has the neutral value exactly, and
a network that is told so has less to learn.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from fastexplain.masked_model import MaskedModel
from fastexplain.networks import TabularEncoder
from fastexplain.persistence import Fields, decode_value, encode_value
from fastexplain.persistence._limits import MOST_CODES
from fastexplain.tables import Table

__all__ = ["InertValues", "find_inert_values"]

# values of one column that are tried: the baseline's nearest neighbours, and quantiles
_NEIGHBOURS = 12
_VALUES = 48
# inputs that a value is tried in at first, and, if it changed none of them, after that
_FIRST, _THEN, _FEWEST = 12, 500, 200
_MOST_MEMBERS = 24
# real rows on which all that was found is tried at last
_PROOF_ROWS = 16384
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

    def without(self, j: int) -> InertValues:
        """The same, but for column ``j``, which has no inert value."""
        state = self.state()
        state[j] = InertValues.none(1).state()[0]
        return InertValues.from_state(state)

    def state(self) -> list[Any]:
        """Describe as JSON values, a list of four a column."""
        rows = zip(self.low, self.high, self.missing, self.codes, strict=True)
        return [
            [encode_value(float(low)), encode_value(float(high)), bool(missing), list(codes)]
            for low, high, missing, codes in rows
        ]

    @classmethod
    def from_state(cls, state: list[Any]) -> InertValues:
        """The inverse of ``state``; raises ValueError for what that does not write."""
        keys = ("low", "high", "missing", "codes")
        rows = [Fields(dict(zip(keys, row, strict=True)), "reader.inert") for row in state]
        ends = [[decode_value(row.value(key)) for row in rows] for key in keys[:2]]
        if any(type(end) not in (int, float) or math.isnan(end) for end in ends[0] + ends[1]):
            raise ValueError("reader.inert has ends of an interval that are no numbers")
        missing = [row.flag("missing") for row in rows]
        codes = [row.wholes("codes", 0, MOST_CODES) for row in rows]
        low, high = (np.array(some, dtype=np.float64) for some in ends)
        return cls(low, high, np.array(missing, dtype=bool), codes)


def find_inert_values(
    masked: MaskedModel,
    table: Table,
    encoder: TabularEncoder,
    max_queries: int,
    rng: np.random.Generator,
    deadline: float | None = None,
) -> InertValues:
    """Try values of each column in place of the baseline's and see whether answers change.

    A value is inert if the model's answers are equal to the last digit on all of some
    hundreds of inputs that mix a row with the baseline. Of quantities, inert is what lies
    between inert values without another in between. At last all inert cells of some thousands
    of real rows are replaced together; columns that change an answer then have none.

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
    deadline : float, optional
        ``time.monotonic()`` after which no further column is searched.

    Returns
    -------
    InertValues
    """
    found = InertValues.none(table.n_columns)
    background = masked.masker.background_
    # a fifth of the share is kept for the proof
    proof = int(min(_PROOF_ROWS, 0.1 * _SHARE * max_queries))
    room = 0.8 * _SHARE * max_queries / max(table.n_columns, 1)
    if len(background) > 1 or room < (_VALUES + 1) * _FIRST + 2 * _FEWEST:
        return found
    some = table.take(np.sort(rng.permutation(len(table))[:_PROOF_ROWS]))
    x, base = encoder.transform(some), encoder.transform(background)[0]
    search = _Search(masked, some, rng)
    for j, column in enumerate(encoder.columns):
        if deadline is not None and time.monotonic() > deadline:
            break
        tried = _candidates(x[:, j], base[j], column.numeric)
        members = search.unchanged(j, tried, _FIRST)
        if column.numeric:
            members = _run(members, x[:, j], base[j], tried)
        # fewer inputs would take a rare effect for none
        left = room - _FIRST * (len(tried) + 1)
        most = min(int(left / _FEWEST) - 1, _MOST_MEMBERS)
        members = _thin(members, x[:, j], most)
        first = members
        members = search.unchanged(j, first, int(min(_THEN, left / (len(first) + 1))))
        if column.numeric:
            members = _run(members, x[:, j], base[j], first)
            _set_interval(found, j, x[members, j], base[j])
        else:
            found.codes[j] = sorted({int(code) for code in x[members, j]})
    found = InertValues(found.low, found.high, found.missing, found.codes)
    rows = np.sort(rng.permutation(len(some))[:proof])
    return _proven(found, masked, some.take(rows), x[rows])


def _set_interval(found: InertValues, j: int, inert: np.ndarray, base: float) -> None:
    found.missing[j] = bool(np.isnan(inert).any())
    inert = inert[~np.isnan(inert)]
    if len(inert):
        found.low[j], found.high[j] = min(inert.min(), base), max(inert.max(), base)


def _proven(found: InertValues, masked: MaskedModel, rows: Table, x: np.ndarray) -> InertValues:
    """What is left of the inert values after a look at real rows."""
    equal = masked.masker.baseline_cells(rows)
    inert = found.mark(equal, x) & ~equal
    if not inert.any():
        return found
    source, at = masked.masker.source(rows), np.arange(len(rows))[:, None]
    answers = masked.outputs(rows)

    def changes(cells: np.ndarray) -> bool:
        replaced = Table(source.gather(np.where(cells, len(rows), at)))
        return not bool((masked.outputs(replaced) == answers).all())

    if not changes(inert):
        return found
    for j in np.flatnonzero(inert.any(axis=0)):
        if changes(inert & (np.arange(inert.shape[1]) == j)):
            found = found.without(int(j))
    # columns that act together only: none of them is believed
    return InertValues.none(inert.shape[1]) if changes(found.mark(equal, x) & ~equal) else found


def _candidates(column: np.ndarray, base: float, numeric: bool) -> np.ndarray:
    """Rows that hold the values to try, one a value, none of them the baseline's own."""
    values, rows, counts = np.unique(column, return_index=True, return_counts=True)
    other = values != base
    if np.isnan(base):
        # no number lies next to a missing one
        return rows[:0]
    if not numeric:
        # code 1 stands for categories of all kinds
        other &= values != 1
        values, rows, counts = values[other], rows[other], counts[other]
        return rows[np.argsort(-counts, kind="stable")[:_VALUES]]
    values, rows = values[other], rows[other]
    if len(rows) <= _VALUES:
        return rows
    present = np.flatnonzero(~np.isnan(values))
    at = int(np.searchsorted(values[present], base))
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
    return members[np.isnan(own) | ((own > low) & (own < high))]


def _thin(members: np.ndarray, column: np.ndarray, most: int) -> np.ndarray:
    """So many of them at most: a missing cell, the ends of the run, and some within it."""
    if len(members) <= most:
        return members
    missing = members[np.isnan(column[members])]
    present = members[~np.isnan(column[members])]
    present = present[np.argsort(column[present])]
    kept = np.linspace(0, len(present) - 1, max(most - len(missing), 1)).astype(int)
    return np.concatenate([present[np.unique(kept)], missing])


class _Search:
    """Asks whether a column's values change any answer in place of the baseline's."""

    def __init__(self, masked: MaskedModel, table: Table, rng: np.random.Generator) -> None:
        self.masked, self.rng = masked, rng
        self.source = masked.masker.source(table)
        self.n_rows = len(table)
        self.player = masked.masker.player_of_column_

    def unchanged(self, j: int, donors: np.ndarray, n_inputs: int) -> np.ndarray:
        """The donors whose cells of column ``j`` change no answer on ``n_inputs`` inputs."""
        if not len(donors):
            return donors
        player = self.player
        rows = self.rng.integers(self.n_rows, size=(n_inputs, 1))
        kept = self.rng.random((n_inputs, int(player.max()) + 1)) < 0.6
        index = np.where(kept[:, player], rows, self.n_rows)
        index = np.repeat(index[None], len(donors) + 1, axis=0)
        index[:, :, j] = np.append(donors, self.n_rows)[:, None]
        inputs = Table(self.source.gather(index.reshape(-1, index.shape[2])))
        answers = self.masked.outputs(inputs).reshape(len(donors) + 1, n_inputs, -1)
        return donors[(answers[:-1] == answers[-1]).all(dim=2).all(dim=1).cpu().numpy()]
