"""Rows that share a number of active players share their coalitions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

__all__ = ["active_groups", "all_players", "expand_masks", "scatter_players", "weighted_sums"]


def active_groups(null: np.ndarray, rows_of: dict[int, int]) -> Iterator[tuple[int, np.ndarray]]:
    """Go through the rows by number of active players, in chunks.

    Parameters
    ----------
    null : bool ndarray of shape (n, N)
        Null players of each row.
    rows_of : dict
        Most rows in a chunk, for each number of active players.

    Yields
    ------
    n_active : int
    rows : int ndarray
        Positions of rows that have so many active players.
    """
    n_active = (~null).sum(axis=1)
    for a in np.unique(n_active):
        rows = np.flatnonzero(n_active == a)
        for start in range(0, len(rows), rows_of[int(a)]):
            yield int(a), rows[start : start + rows_of[int(a)]]


def all_players(masker: Any, null: np.ndarray, n_active: int) -> int:
    """Number of players N of rows with ``a`` active ones.

    Texts have players of their own: those that only longer texts have are none, and must not
    count as ones without effect, lest a text's attribution depend on the others around it.
    """
    return n_active if hasattr(masker, "player_counts") else null.shape[1]


def active_positions(null: np.ndarray, n_active: int) -> np.ndarray:
    """Positions of the active players, shape (B, a), in rows that have ``a`` of them."""
    return np.argsort(null, axis=1, kind="stable")[:, :n_active]


def expand_masks(masks: np.ndarray, null: np.ndarray) -> np.ndarray:
    """Write coalitions of active players into masks of all players.

    Parameters
    ----------
    masks : bool ndarray of shape (T, a)
        Coalitions of the active players.
    null : bool ndarray of shape (B, N)
        Null players of rows with ``a`` active ones.

    Returns
    -------
    bool ndarray of shape (B, T, N), or (T, N) where no player is null
        Null players are absent: their value is the same either way.
    """
    if masks.shape[1] == null.shape[1]:
        return masks
    # every player takes the column of its active number; null ones share a column of zeros
    columns = np.zeros((masks.shape[1] + 1, len(masks)), dtype=bool)
    columns[:-1] = masks.T
    number = np.where(null, masks.shape[1], np.cumsum(~null, axis=1) - 1)
    return np.ascontiguousarray(columns[number].transpose(0, 2, 1))


def scatter_players(active: np.ndarray, neutral: np.ndarray, null: np.ndarray) -> np.ndarray:
    """Give active players their own values and null players the common one.

    Parameters
    ----------
    active : ndarray of shape (B, K, a)
    neutral : ndarray of shape (B, K)
    null : bool ndarray of shape (B, N)

    Returns
    -------
    ndarray of shape (B, K, N)
    """
    out = np.repeat(neutral[:, :, None], null.shape[1], axis=2)
    positions = active_positions(null, active.shape[2])[:, None]
    np.put_along_axis(out, np.broadcast_to(positions, active.shape), active, axis=2)
    return out


def weighted_sums(weights: np.ndarray, answers: torch.Tensor) -> torch.Tensor:
    """Weighted sums over coalitions of the answers.

    Parameters
    ----------
    weights : ndarray of shape (R, T)
    answers : tensor of shape (B, T, K)

    Returns
    -------
    float64 tensor of shape (B, K, R)
    """
    weights = np.ascontiguousarray(weights)
    if answers.device.type == "cpu" and answers.dtype == torch.float64:
        # answers of a model outside torch: torch's threads would go on for a while after the
        # sum, and keep the cores from the model's own, which doubled a quick model's time
        return torch.from_numpy(np.matmul(weights, answers.numpy()).transpose(0, 2, 1).copy())
    matrix = torch.from_numpy(weights).to(answers.device)
    return torch.einsum("rt,btk->bkr", matrix, answers.double())
