"""Exact attributions by enumeration: Definition 1, its normalised form, and Shapley values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from fastexplain.attribution._coalitions import all_coalitions
from fastexplain.attribution._estimators import empirical_rows
from fastexplain.attribution._groups import (
    active_groups,
    all_players,
    expand_masks,
    scatter_players,
    weighted_sums,
)
from fastexplain.attribution._scores import prediction_scores
from fastexplain.attribution._weights import shapley_rows
from fastexplain.masked_model import MaskedModel
from fastexplain.tables import Table

__all__ = ["MAX_ACTIVE", "exact_attribution"]

#: Most active players of a row that are enumerated (2**20 is a million coalitions).
MAX_ACTIVE = 20
Block = Callable[[], tuple[np.ndarray, np.ndarray]]
#: sums of millions of float64 numbers are good to this share of what is summed
_ROUNDING = 1e-12
_KINDS = ("empirical", "normalized", "shapley")


def exact_attribution(
    masked: MaskedModel,
    table: Table,
    kind: str = "normalized",
    scale: torch.Tensor | None = None,
    null: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Enumerate every coalition of every row.

    A player that equals the baseline changes nothing, so only the coalitions of the other,
    active players are asked, each once; the null players are summed out by hand.

    Parameters
    ----------
    masked : MaskedModel
        The game v(x, m).
    table : Table of n rows
    kind : {"normalized", "empirical", "shapley"}
        ``"empirical"`` is Definition 1 (Eq. 2), :math:`\phi_i = \sum_{m: m_i = 1} f / K_m`;
        ``"normalized"`` is :math:`\phi / A = E_p[m]` (Eq. 5, 6), in [0, 1]; ``"shapley"``
        the Shapley values of the outputs themselves.
    scale : tensor of shape (K,), optional
        Spread of real-valued outputs (see ``prediction_scores``). Not used for Shapley
        values.
    null : bool ndarray of shape (n, N), optional
        Players known to change nothing; default those that equal the baseline.

    Returns
    -------
    values : ndarray of shape (n, N, K)
    neutral : ndarray of shape (n, K)
        What a feature without effect gets.

    Raises
    ------
    ValueError
        If a row has more than 20 active players; use sampling instead.
    """
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {_KINDS}, got {kind!r}.")
    if null is None:
        null = masked.masker.null_players(table)
    most = int((~null).sum(axis=1).max(initial=0))
    if most > MAX_ACTIVE:
        raise ValueError(
            f"A row has {most} features that differ from the baseline; enumeration takes "
            f"2**{most} model queries and stops at {MAX_ACTIVE} features. Use RISEExplainer, "
            "or a learned FEXExplainer."
        )
    n, n_players, n_out = len(table), null.shape[1], masked.predictor.n_outputs
    values = np.zeros((n, n_players, n_out))
    neutral = np.zeros((n, n_out))
    limit = masked.chunk_rows(table.n_columns)
    blocks: tuple[int, Sequence[Block]] = (-1, [])
    own = n_players
    for a, rows in active_groups(null, {a: max(1, limit >> a) for a in range(most + 1)}):
        if blocks[0] != a:
            own = all_players(masked.masker, null, a)
            blocks = a, _blocks(a, own, kind, limit)
        part, part_null = table.take(rows), null[rows]
        full: torch.Tensor | None = None
        sums, size = torch.zeros(()), np.zeros((len(rows), n_out))
        for make in blocks[1]:
            masks, weights = make()
            answers = masked.values(part, expand_masks(masks, part_null), rows)
            if kind != "shapley" and scale is not None:
                # the first block ends with the coalition of all players, the row itself
                full = answers[:, -1] if full is None else full
                answers = prediction_scores(answers, full, scale.to(answers))
            sums = sums.to(answers.device) + weighted_sums(weights, answers)
            if kind == "shapley":
                # the largest value of a row, without a copy of them all
                ends = torch.stack([answers.amax(dim=1), -answers.amin(dim=1)])
                size = np.maximum(size, ends.amax(dim=0).double().cpu().numpy())
        active, rest = sums[:, :, :a].cpu().numpy(), sums[:, :, a:].cpu().numpy()
        if kind == "shapley":
            common = np.zeros((len(rows), n_out))
        else:
            active, common = _normalize(active, rest, kind, own)
            size = common
        active, common = _tie(active, common, _ROUNDING * size)
        values[rows] = scatter_players(active, common, part_null).transpose(0, 2, 1)
        neutral[rows] = common
    return values, neutral


def _blocks(n_active: int, n_players: int, kind: str, limit: int) -> Sequence[Block]:
    """Makers of the enumeration's blocks of coalitions and their weights, last block first.

    A block that holds all coalitions is made once, for all chunks of rows.
    """

    def make(start: int) -> tuple[np.ndarray, np.ndarray]:
        masks = all_coalitions(n_active, start, min(start + limit, 2**n_active))
        if kind == "shapley":
            return masks, shapley_rows(masks)
        return masks, empirical_rows(masks, n_players) / 2.0**n_active

    if 2**n_active <= limit:
        block = make(0)
        return [lambda: block]
    starts = range(0, 2**n_active, limit)
    return [partial(make, start) for start in reversed(starts)]


def _normalize(
    active: np.ndarray, rest: np.ndarray, kind: str, n_players: int
) -> tuple[np.ndarray, np.ndarray]:
    neutral, total = rest[:, :, 0], rest[:, :, 1]
    if kind == "empirical":
        return active * 2.0**n_players, neutral * 2.0**n_players
    # f that is zero on every coalition prefers none: p is then uniform by convention
    safe = np.where(total > 0, total, 1.0)
    dead = total <= 0
    active = np.where(dead[:, :, None], 0.5, active / safe[:, :, None])
    # rounding may pass the bounds
    return np.clip(active, 0.0, 1.0), np.clip(np.where(dead, 0.5, neutral / safe), 0.0, 1.0)


def _tie(
    active: np.ndarray, common: np.ndarray, rounding: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give one value to players whose values differ by rounding alone.

    Players without effect have no rank among each other, nor have interchangeable ones; the
    order of a sum's terms must not give them one. Takes (B, K, a), (B, K) and (B, K).
    """
    joined = np.concatenate([active, common[:, :, None]], axis=2)
    order = np.argsort(joined, axis=2)
    ranked = np.take_along_axis(joined, order, axis=2)
    starts = np.ones(ranked.shape, dtype=bool)
    starts[:, :, 1:] = np.diff(ranked, axis=2) > rounding[:, :, None]
    first = np.maximum.accumulate(np.where(starts, np.arange(ranked.shape[2]), 0), axis=2)
    np.put_along_axis(joined, order, np.take_along_axis(ranked, first, axis=2), axis=2)
    neutral = joined == joined[:, :, -1:]
    return np.where(neutral, common[:, :, None], joined)[:, :, :-1], common
