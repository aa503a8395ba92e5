"""Training targets of the forward-KL objective: E_p[m] of many rows at a bounded cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fastexplain.attribution._coalitions import draw_coalitions
from fastexplain.attribution._estimators import LinearEstimator, make_estimator
from fastexplain.attribution._groups import (
    active_groups,
    all_players,
    expand_masks,
    scatter_players,
    weighted_sums,
)
from fastexplain.attribution._scores import prediction_scores
from fastexplain.masked_model import MaskedModel
from fastexplain.tables import Table

__all__ = ["Targets", "attribution_targets", "masks_needed"]

# rows that share one draw of coalitions: the estimator is built once for them, and their
# errors are still independent of the next group's
_SHARED_ROWS = 64


@dataclass
class Targets:
    """Estimates of E_p[m] = phi / A (Eq. 5, 6).

    Attributes
    ----------
    mean : float32 tensor of shape (n, K, N)
        Each player's E_p[m_i], in [0, 1].
    neutral : float32 tensor of shape (n, K)
        The value of a feature without effect.
    variance : float32 tensor of shape (n, K)
        Sampling variance of one entry of ``mean``; zero where it is exact.
    """

    mean: torch.Tensor
    neutral: torch.Tensor
    variance: torch.Tensor


def masks_needed(null: np.ndarray, n_masks: int) -> np.ndarray:
    """Queries that each row takes: all its coalitions, or the sample, whichever is fewer."""
    n_active = np.minimum((~null).sum(axis=1), 62)
    return np.minimum(2.0**n_active, n_masks + n_masks % 2)


def attribution_targets(
    masked: MaskedModel,
    table: Table,
    n_masks: int,
    rng: np.random.Generator,
    scale: torch.Tensor | None = None,
    null: np.ndarray | None = None,
) -> Targets:
    """Estimate E_p[m] of every row from at most ``n_masks`` coalitions.

    Rows with few active players are enumerated and exact. The others share draws of
    antithetic uniform coalitions, regression adjusted.

    Parameters
    ----------
    masked : MaskedModel
        The game v(x, m).
    table : Table of n rows
    n_masks : int
        Coalitions asked for each row, at most.
    rng : numpy.random.Generator
        Draws the coalitions.
    scale : tensor of shape (K,), optional
        Spread of real-valued outputs (see ``prediction_scores``).
    null : bool ndarray of shape (n, N), optional
        Players known to change nothing; default those that equal the baseline.

    Returns
    -------
    Targets
    """
    if null is None:
        null = masked.masker.null_players(table)
    n, n_players, n_out = len(table), null.shape[1], masked.predictor.n_outputs
    mean = np.zeros((n, n_out, n_players), dtype=np.float32)
    neutral = np.zeros((n, n_out), dtype=np.float32)
    variance = np.zeros((n, n_out), dtype=np.float32)
    limit = masked.chunk_rows(table.n_columns)
    chunks = {}
    for a in range(n_players + 1):
        count = 2**a if 2 ** min(a, 62) <= n_masks else n_masks
        shared = limit if count < n_masks else _SHARED_ROWS
        chunks[a] = max(1, min(shared, limit // count))
    cached: dict[int, LinearEstimator] = {}
    for a, rows in active_groups(null, chunks):
        exact = a < 62 and 2**a <= n_masks
        estimator = cached.get(a)
        if estimator is None:
            own = all_players(masked.masker, null, a)
            estimator = make_estimator(draw_coalitions(a, n_masks, rng), own, exact=exact)
            if exact:
                cached[a] = estimator
        part = table.take(rows)
        answers = masked.values(part, expand_masks(estimator.masks, null[rows]), rows)
        if scale is not None:
            # an enumeration ends with the coalition of all players, the row itself
            full = answers[:, -1] if exact else masked.outputs(part, rows).to(answers)
            answers = prediction_scores(answers, full, scale.to(answers))
        ratio, noise = _shares(estimator, answers.double())
        mean[rows] = scatter_players(ratio[:, :, :a], ratio[:, :, a], null[rows])
        neutral[rows] = ratio[:, :, a]
        variance[rows] = noise
    return Targets(*(torch.from_numpy(array) for array in (mean, neutral, variance)))


def _shares(estimator: LinearEstimator, answers: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """E_p[m] (B, K, a + 1) and its sampling variance (B, K) from float64 values (B, T, K)."""
    # f counts up to a factor: at most 1, it neither vanishes nor overflows when squared
    top = answers.amax(dim=1)
    answers = answers / torch.where(top > 0, top, 1.0)[:, None]
    sums, noise = apply_estimator(estimator, answers)
    if estimator.plain is not None:
        # a linear model of values that are zero nearly everywhere may leave nothing of the
        # normaliser; the plain average is then the better estimate, and never negative
        plain = weighted_sums(estimator.plain, answers).cpu().numpy()
        poor = sums[:, :, -1] < 0.1 * plain[:, :, -1]
        sums = np.where(poor[:, :, None], plain, sums)
    total = sums[:, :, -1]
    # f that is zero on every coalition prefers none: p is then uniform by convention
    dead = total <= 0
    total = np.where(dead, 1.0, total)
    ratio = np.where(dead[:, :, None], 0.5, sums[:, :, :-1] / total[:, :, None])
    # no share strays further from the middle than a coin's, however poor the sample
    return np.clip(ratio, 0.0, 1.0), np.where(dead, 0.0, np.minimum(noise / total**2, 0.25))


def apply_estimator(
    estimator: LinearEstimator, answers: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Carry float64 values (B, T, K) to sums (B, K, a + 2) and their noise (B, K)."""
    sums = weighted_sums(estimator.weights, answers)
    if estimator.design is None or estimator.regression is None:
        return sums.cpu().numpy(), np.zeros(sums.shape[:2])
    design = torch.from_numpy(estimator.design).to(sums)
    regression = torch.from_numpy(estimator.regression).to(sums)
    centred = answers - answers.mean(dim=1, keepdim=True)
    slopes = torch.einsum("at,btk->bak", regression, centred)
    residual = centred - torch.einsum("ta,bak->btk", design, slopes)
    noise = (residual**2).mean(dim=1) * estimator.noise_scale
    return sums.cpu().numpy(), noise.cpu().numpy()
