"""Linear estimators: from the values of some coalitions to attributions, as one matrix.

Every quantity of Definition 1 is linear in ``f``. Once the coalitions are chosen, the
attributions of all rows and outputs that share them are one matrix product away, whether
the coalitions are all of them (exact) or a sample (regression-adjusted Monte Carlo).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from fastexplain.attribution._weights import active_weights, neutral_weights

__all__ = ["LinearEstimator", "empirical_rows", "make_estimator"]


@dataclass(frozen=True)
class LinearEstimator:
    """A matrix from coalition values to the sums of Definition 1.

    Attributes
    ----------
    masks : bool ndarray of shape (T, a)
        Coalitions of the active players.
    weights : ndarray of shape (a + 2, T)
        Rows: each active player's attribution, the attribution of a feature without
        effect, and the normaliser ``A(x)`` (Eq. 6), all divided by ``2**N``.
    design, regression : ndarray of shape (T, a) and (a, T), or None
        The linear model's inputs and the operator that fits it; None if exact.
    noise_scale : float
        Factor from the mean squared residual to the variance of one attribution.
    plain : ndarray of shape (a + 2, T), or None
        Weights of the plain average over the sample; None if exact.
    """

    masks: np.ndarray
    weights: np.ndarray
    design: np.ndarray | None = None
    regression: np.ndarray | None = None
    noise_scale: float = 0.0
    plain: np.ndarray | None = None


def empirical_rows(masks: np.ndarray, n_players: int) -> np.ndarray:
    """Integrands of Eq. 2 and Eq. 6 for given active coalitions.

    Parameters
    ----------
    masks : bool ndarray of shape (T, a)
        Coalitions of the active players.
    n_players : int
        ``N``; ``N - a`` players are null and summed out.

    Returns
    -------
    ndarray of shape (a + 2, T)
        The mean over uniform coalitions of ``row * f`` is, in turn, ``phi_i / 2**N``,
        a feature without effect's attribution ``/ 2**N``, and ``A / 2**N``.
    """
    n_active = masks.shape[1]
    size = masks.sum(axis=1)
    weight = active_weights(n_active, n_players - n_active)[size]
    neutral = neutral_weights(n_active, n_players - n_active)[size]
    return np.vstack([(masks * weight[:, None]).T, neutral, weight])


def make_estimator(masks: np.ndarray, n_players: int, *, exact: bool) -> LinearEstimator:
    """Build the matrix for given coalitions.

    With all ``2**a`` coalitions it is Definition 1 itself. With a sample it is regression
    adjusted: a linear model ``b_0 + b.m`` is fitted to the sampled values by ridge
    regression, its own attributions are taken in closed form, and only what it leaves
    unexplained is averaged over the sample. Compared with the plain average this needs
    some ten times fewer queries for the same error when ``f`` is nearly additive, and
    loses nothing when it is not.

    Parameters
    ----------
    masks : bool ndarray of shape (T, a)
        Coalitions of the active players, all or uniformly drawn.
    n_players : int
        ``N``, null players included.
    exact : bool
        Whether ``masks`` are all coalitions.

    Returns
    -------
    LinearEstimator
    """
    n_masks, n_active = masks.shape
    rows = empirical_rows(masks, n_players)
    if exact:
        return LinearEstimator(masks, rows / n_masks)
    # antithetic pairs make every column of the design sum to zero, so that the intercept
    # is the plain mean of the values and the slopes do not depend on it
    design = masks - 0.5
    regression = _ridge_operator(design)
    constant, slopes = _closed_forms(n_active, n_players)
    mean_rows = rows.mean(axis=1, keepdims=True)
    if n_active <= n_masks:
        fitted = (slopes - rows @ design / n_masks) @ regression
    else:
        fitted = slopes @ regression - rows @ (design @ regression) / n_masks
    weights = (constant[:, None] - mean_rows + rows) / n_masks + fitted
    freedom = max(n_masks - 1.0 - float((regression.T * design).sum()), 1.0)
    spread = ((rows[:n_active] - mean_rows[:n_active]) ** 2).mean()
    unseen = 1.0 - n_masks / 2.0**n_active if n_active < 60 else 1.0
    noise_scale = spread * unseen / freedom
    return LinearEstimator(masks, weights, design, regression, noise_scale, rows / n_masks)


def _ridge_operator(design: np.ndarray, ridge: float = 1e-2) -> np.ndarray:
    """Operator ``(D'D + c I)^-1 D'`` of shape (a, T), by the smaller of the two systems."""
    n_masks, n_active = design.shape
    penalty = ridge * n_masks * 0.25
    if n_active <= n_masks:
        gram = design.T @ design + penalty * np.eye(n_active)
        return np.linalg.solve(gram, design.T)
    gram = design @ design.T + penalty * np.eye(n_masks)
    return np.linalg.solve(gram, design).T


def _closed_forms(n_active: int, n_players: int) -> tuple[np.ndarray, np.ndarray]:
    """Attributions of the games ``1`` and ``m_j - 1/2``, for the rows of ``empirical_rows``.

    Returns
    -------
    constant : ndarray of shape (a + 2,)
    slopes : ndarray of shape (a + 2, a)
    """
    n_null = n_players - n_active
    sizes = np.arange(n_active + 1)

    def present(weights: np.ndarray, d: int) -> float:
        """Mean of the size weight over coalitions that hold ``d`` given players."""
        if d > n_active:
            return 0.0
        return 0.5**d * float(weights[d:] @ binom.pmf(sizes[: n_active - d + 1], n_active - d, 0.5))

    weight, neutral = active_weights(n_active, n_null), neutral_weights(n_active, n_null)
    w0, w1, w2 = (present(weight, d) for d in range(3))
    u0, u1 = (present(neutral, d) for d in range(2))
    constant = np.concatenate([np.full(n_active, w1), [u0, w0]])
    slopes = np.empty((n_active + 2, n_active))
    slopes[:n_active] = w2 - 0.5 * w1 + (w1 - w2) * np.eye(n_active)
    slopes[n_active] = u1 - 0.5 * u0
    slopes[n_active + 1] = w1 - 0.5 * w0
    return constant, slopes
