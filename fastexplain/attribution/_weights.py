"""Weights of Definition 1 by coalition size, with null players summed out.

A row has ``a`` *active* features and ``z`` *null players*: features that equal the
baseline, so that removing them changes nothing. Every coalition of the ``N = a + z``
features then has the value of its active part alone, and the sum over the null players
can be carried out by hand. What remains is a weight for each size ``k`` of the active part.

All weights are expectations over uniformly drawn coalitions (sums divided by ``2**N``),
which keeps them finite for thousands of features.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.stats import binom

__all__ = ["active_weights", "neutral_weights", "null_weights", "shapley_kernel", "shapley_rows"]


@lru_cache(maxsize=512)
def _likely(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Successes in ``n`` fair throws that happen at all, and the probability of each."""
    pmf = binom.pmf(np.arange(n + 1), n, 0.5)
    # of thousands of throws only a few hundred counts carry more than rounding errors
    successes = np.flatnonzero(pmf > 1e-40)
    return successes, pmf[successes]


@lru_cache(maxsize=512)
def active_weights(n_active: int, n_null: int) -> np.ndarray:
    r"""Weight :math:`E_j[1/(k+j)]` of an active coalition of size ``k`` in Eq. 2.

    Parameters
    ----------
    n_active, n_null : int
        Number of active features and of null players in the row.

    Returns
    -------
    ndarray of shape (n_active + 1,)
        Entry ``k`` is the mean of ``1 / K_m`` over the null players' choices, with the
        empty mask (``K_m = 0``) counting for nothing.
    """
    present, chance = _likely(n_null)
    size = np.arange(n_active + 1)[:, None] + present
    inverse = np.divide(1.0, size, out=np.zeros(size.shape), where=size > 0)
    weights = inverse @ chance
    weights.setflags(write=False)
    return weights


@lru_cache(maxsize=512)
def null_weights(n_active: int, n_null: int) -> np.ndarray:
    """Weight of an active coalition of size ``k`` in the attribution of one null player.

    Parameters
    ----------
    n_active, n_null : int
        Number of active features and of null players in the row; ``n_null >= 1``.

    Returns
    -------
    ndarray of shape (n_active + 1,)
        The mean over the null players' choices of ``1 / K_m`` where the player is present.
    """
    # the player itself is present in half of the coalitions; the others choose freely
    present, chance = _likely(n_null - 1)
    weights = 0.5 * (1.0 / (1 + np.arange(n_active + 1)[:, None] + present)) @ chance
    weights.setflags(write=False)
    return weights


@lru_cache(maxsize=512)
def neutral_weights(n_active: int, n_null: int) -> np.ndarray:
    """Weight of a coalition of size ``k`` in the attribution of a feature without effect.

    With a null player in the row this is that player's attribution. Without one it is
    what a feature would get if its presence changed nothing, averaged over the features:
    the mean over ``i`` of the sum over coalitions without ``i`` of ``f(S) / (|S| + 1)``.

    Parameters
    ----------
    n_active, n_null : int
        Number of active features and of null players in the row.

    Returns
    -------
    ndarray of shape (n_active + 1,)
    """
    if n_null:
        return null_weights(n_active, n_null)
    size = np.arange(n_active + 1)
    weights = (n_active - size) / (max(n_active, 1) * (size + 1.0))
    weights.setflags(write=False)
    return weights


@lru_cache(maxsize=512)
def shapley_kernel(n_active: int) -> np.ndarray:
    """Shapley weight ``|S|! (n - |S| - 1)! / n!`` of a coalition of size ``k``.

    Parameters
    ----------
    n_active : int
        Number of players of the game; null players need not be counted, since removing
        them from a game leaves the other players' Shapley values as they are.

    Returns
    -------
    ndarray of shape (n_active,)
        For ``k = 0..n_active - 1`` players already present.
    """
    if n_active < 1:
        return np.zeros(0)
    weights = np.ones(n_active)
    weights[0] = 1.0 / n_active
    for k in range(1, n_active):
        weights[k] = weights[k - 1] * k / (n_active - k)
    weights.setflags(write=False)
    return weights


def shapley_rows(masks: np.ndarray) -> np.ndarray:
    """Weight of each of all coalitions in each player's Shapley value.

    Parameters
    ----------
    masks : bool ndarray of shape (T, a)

    Returns
    -------
    ndarray of shape (a, T)
    """
    n_active = masks.shape[1]
    if n_active == 0:
        return np.zeros((0, len(masks)))
    kernel = shapley_kernel(n_active)
    size = masks.sum(axis=1)
    joined = kernel[np.maximum(size - 1, 0)][:, None]
    absent = kernel[np.minimum(size, n_active - 1)][:, None]
    return np.where(masks, joined, -absent).T
