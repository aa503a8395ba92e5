"""Labels of masked copies: what an enumerated row tells of its sub-games, at no further cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastexplain.attribution import all_coalitions
from fastexplain.attribution._groups import (
    active_groups,
    active_positions,
    expand_masks,
    weighted_sums,
)
from fastexplain.attribution._weights import shapley_rows
from fastexplain.masked_model import MaskedModel
from fastexplain.tables import Table

__all__ = ["MAX_COPIED", "MaskedCopies", "masked_copies"]

#: most active features of a row that is copied: its answers are held at once
MAX_COPIED = 14
# numbers gathered at once for copies
_GATHERED = 2**22


@dataclass
class MaskedCopies:
    """Rows and masked copies of them, with exact Shapley values.

    Attributes
    ----------
    keep : bool ndarray of shape (n, V, N)
        Players that a copy keeps; the first copy is the row itself.
    values : ndarray of shape (n, V, N, K)
        Zero for players that are null or removed.
    full : ndarray of shape (n, V, K)
        v(all) of each copy.
    """

    keep: np.ndarray
    values: np.ndarray
    full: np.ndarray


def masked_copies(
    masked: MaskedModel,
    table: Table,
    n_copies: int,
    rng: np.random.Generator,
    null: np.ndarray | None = None,
    most_removed: float = 0.3,
) -> MaskedCopies:
    """Enumerate rows, and take labels of their masked copies from the same answers.

    A copy with players removed is a row of its own, whose coalitions are among the row's: its
    game has been played already. Under a single-row baseline copies are inputs like any other,
    near the data, and train a network as well as rows that cost ``2**a`` queries each.

    Parameters
    ----------
    masked : MaskedModel
        With a single-row baseline.
    table : Table of n rows
        With at most 14 active features each.
    n_copies : int
        Copies of each row beside itself.
    rng : numpy.random.Generator
    null : bool ndarray of shape (n, N), optional
        Players known to change nothing; default those that equal the baseline.
    most_removed : float, default=0.3
        Each copy removes players with a probability drawn from [0, ``most_removed``].

    Returns
    -------
    MaskedCopies
    """
    if null is None:
        null = masked.masker.null_players(table)
    if len(masked.masker.background_) > 1:
        raise ValueError("Masked copies need a baseline of a single row.")
    n, n_players, n_out = len(table), null.shape[1], masked.predictor.n_outputs
    most = int((~null).sum(axis=1).max(initial=0))
    if most > MAX_COPIED:
        raise ValueError(f"A row has {most} active features; {MAX_COPIED} is the most to copy.")
    share = rng.uniform(0.0, most_removed, size=(n, n_copies + 1, 1))
    keep = rng.random((n, n_copies + 1, n_players)) >= share
    keep[:, 0] = True
    keep |= null[:, None]
    values = np.zeros((n, n_copies + 1, n_players, n_out))
    full = np.zeros((n, n_copies + 1, n_out))
    limit = masked.chunk_rows(table.n_columns)
    for a, rows in active_groups(null, {a: max(1, limit >> a) for a in range(most + 1)}):
        masks = expand_masks(all_coalitions(a), null[rows])
        answers = masked.values(table.take(rows), masks, rows).cpu().double()
        players = active_positions(null[rows], a)
        kept = np.take_along_axis(keep[rows], players[:, None], axis=2)
        sums, top = _sub_games(answers.numpy(), kept)
        place = np.broadcast_to(players[:, None, :, None], sums.shape)
        part = np.zeros((len(rows), n_copies + 1, n_players, n_out))
        np.put_along_axis(part, place, sums, axis=2)
        # the row itself by one product
        own = weighted_sums(shapley_rows(all_coalitions(a)), answers).numpy()
        np.put_along_axis(part[:, 0], players[:, :, None].repeat(n_out, 2), own.swapaxes(1, 2), 1)
        values[rows], full[rows] = part, top
    return MaskedCopies(keep, values, full)


def _sub_games(answers: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shapley values (B, V, a, K) and full values (B, V, K) of games on the kept players.

    ``answers`` (B, 2**a, K) are in the order of ``all_coalitions``, ``kept`` is (B, V, a).
    """
    n_rows, n_copies, n_active = kept.shape
    n_out = answers.shape[2]
    values = np.zeros((n_rows, n_copies, n_active, n_out))
    bits = 1 << np.arange(n_active)
    row, copy = np.divmod(np.arange(n_rows * n_copies), n_copies)
    full = answers[np.arange(n_rows)[:, None], kept @ bits]
    size = kept.sum(axis=2)
    size[:, 0] = 0  # the row itself is not done here
    for s in range(1, n_active + 1):
        chosen = np.flatnonzero(size.reshape(-1) == s)
        coalitions = all_coalitions(s)
        weights = shapley_rows(coalitions)
        step = max(1, _GATHERED // (len(coalitions) * n_out))
        for start in range(0, len(chosen), step):
            b, v = row[chosen[start : start + step]], copy[chosen[start : start + step]]
            players = active_positions(~kept[b, v], s)
            numbers = bits[players] @ coalitions.T
            found = np.matmul(weights, answers[b[:, None], numbers])
            values[b[:, None], v[:, None], players] = found
    return values, full
