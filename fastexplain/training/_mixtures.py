"""Rows near the data: real ones, some of whose values come from another row."""

from __future__ import annotations

import numpy as np

from fastexplain._blocks import row_blocks
from fastexplain.tables import Table
from fastexplain.training._bits import pack_bits

__all__ = ["mix_rows", "rows_and_mixtures"]


def mix_rows(table: Table, n_rows: int, players: np.ndarray, rng: np.random.Generator) -> Table:
    """Draw rows near the data: some players' values come from another row.

    Parameters
    ----------
    table : Table
        Real rows.
    n_rows : int
        Rows to draw.
    players : int ndarray of shape (C,)
        The player of each column; columns of one player move together.
    rng : numpy.random.Generator

    Returns
    -------
    Table
        Each row is a real one with a tenth to three tenths of its players exchanged.
    """
    mixed = _Mixed(table, n_rows, players, rng)
    return mixed.take(len(table) + np.arange(n_rows))


def rows_and_mixtures(
    table: Table, n_rows: int, players: np.ndarray, rng: np.random.Generator
) -> Table:
    """The rows themselves and ``n_rows`` of ``mix_rows``, in random order.

    Parameters
    ----------
    table, n_rows, players, rng
        As of ``mix_rows``.
    """
    mixed = _Mixed(table, n_rows, players, rng)
    return mixed.take(rng.permutation(len(table) + n_rows))


class _Mixed:
    """Real rows, numbered from 0, and behind them drawn ones, made when they are asked for."""

    def __init__(
        self, table: Table, n_rows: int, players: np.ndarray, rng: np.random.Generator
    ) -> None:
        self.table, self.players = table, players
        self.own = rng.integers(len(table), size=n_rows)
        self.other = rng.integers(len(table), size=n_rows)
        share = rng.uniform(0.1, 0.3, size=(n_rows, 1))
        self.n_players = int(players.max()) + 1
        self.swap = np.zeros((n_rows, -(-self.n_players // 8)), dtype=np.uint8)
        for rows in row_blocks(n_rows, self.n_players):
            swap = rng.random((rows.stop - rows.start, self.n_players)) < share[rows]
            self.swap[rows] = pack_bits(swap)

    def take(self, numbers: np.ndarray) -> Table:
        """Rows by number, gathered some at a time."""
        source = self.table.stack(self.table.take(slice(0, 0)))
        parts = [
            Table(source.gather(self._index(numbers[rows])))
            for rows in row_blocks(len(numbers), len(self.players))
        ]
        return _joined(parts) if parts else self.table.take(slice(0, 0))

    def _index(self, numbers: np.ndarray) -> np.ndarray:
        """The real row that each cell comes from, (n, C)."""
        index = np.repeat(numbers[:, None], len(self.players), axis=1)
        drawn = np.flatnonzero(numbers >= len(self.table))
        at = numbers[drawn] - len(self.table)
        swap = np.unpackbits(self.swap[at], axis=1, count=self.n_players, bitorder="little")
        cells = swap.astype(bool)[:, self.players]
        index[drawn] = np.where(cells, self.other[at, None], self.own[at, None])
        return index


def _joined(parts: list[Table]) -> Table:
    """Tables of the same columns below each other."""
    if len(parts) == 1:
        return parts[0]
    natives = [part.native for part in parts]
    if parts[0].kind == "numpy":
        return Table(np.concatenate(natives))
    if parts[0].kind == "pandas":
        import pandas as pd

        return Table(pd.concat(natives, ignore_index=True))
    import polars as pl

    return Table(pl.concat(natives))
