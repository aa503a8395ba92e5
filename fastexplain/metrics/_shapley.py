"""How far Shapley values are from their labels: the CoRTX paper's measures."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["additive_normalization", "l2_error", "rank_accuracy"]


def additive_normalization(
    values: Any, total: Any, null: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Spread what is missing to the total evenly over the players (Ruiz et al., 1998).

    Parameters
    ----------
    values : array-like of shape (n, N)
    total : array-like of shape (n,)
        What each row's values should add up to: v(all) - v(none).
    null : bool array-like of shape (n, N), optional
        Players that are known to have the value 0, and keep it.

    Returns
    -------
    values : ndarray of shape (n, N)
        They add up to ``total`` in rows with any player that is not null.
    gap : ndarray of shape (n,)
        What was missing: the efficiency gap.

    Examples
    --------
    >>> from fastexplain.metrics import additive_normalization
    >>> additive_normalization([[1.0, 2.0, 0.0]], [4.0], [[False, False, True]])
    (array([[1.5, 2.5, 0. ]]), array([1.]))
    """
    values = np.asarray(values, dtype=np.float64)
    active = np.ones(values.shape, bool) if null is None else ~np.asarray(null, dtype=bool)
    values = np.where(active, values, 0.0)
    gap = np.asarray(total, dtype=np.float64) - values.sum(axis=1)
    share = gap / np.maximum(active.sum(axis=1), 1)
    return values + np.where(active, share[:, None], 0.0), gap


def l2_error(values: Any, truth: Any) -> np.ndarray:
    r"""Euclidean distance of each row, :math:`\sqrt{\sum_j (\phi_j - \hat\phi_j)^2}`.

    The CoRTX paper's l2-error (section 4.2); its published code prints the square.

    Parameters
    ----------
    values, truth : array-like of shape (n, N)

    Returns
    -------
    ndarray of shape (n,)
        0 is perfect.

    Examples
    --------
    >>> from fastexplain.metrics import l2_error
    >>> l2_error([[3.0, 4.0]], [[0.0, 0.0]])
    array([5.])
    """
    values, truth = _pair(values, truth)
    return np.sqrt(((values - truth) ** 2).sum(axis=1))


def rank_accuracy(values: Any, truth: Any) -> np.ndarray:
    r"""Rank ACC of each row: places of the ranking that hold the right feature, weighted.

    :math:`(\sum_j 1[\hat r_j = r_j] / j) / \sum_j 1 / j` (CoRTX, section 4.2), where
    ``j = 1`` is the feature with the largest signed value. Equal values rank by column, the
    later column higher, as the paper's labels do.

    Parameters
    ----------
    values, truth : array-like of shape (n, N)
        Attributions, not ranks.

    Returns
    -------
    ndarray of shape (n,)
        In [0, 1]; 1 is the same ranking.

    Examples
    --------
    >>> from fastexplain.metrics import rank_accuracy
    >>> rank_accuracy([[0.3, 0.2, 0.1]], [[0.6, 0.1, 0.2]]).round(3)
    array([0.545])
    """
    values, truth = _pair(values, truth)
    found, right = (np.argsort(array, axis=1, kind="stable")[:, ::-1] for array in (values, truth))
    weight = 1.0 / np.arange(1, values.shape[1] + 1)
    return (found == right) @ weight / weight.sum()


def _pair(values: Any, truth: Any) -> tuple[np.ndarray, np.ndarray]:
    values, truth = np.asarray(values, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if values.ndim != 2 or values.shape != truth.shape:
        raise ValueError(
            f"values and truth must both have shape (n, N), got {values.shape} and {truth.shape}."
        )
    return values, truth
