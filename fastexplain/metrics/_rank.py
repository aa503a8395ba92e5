"""Agreement of two attributions' rankings."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata

__all__ = ["rank_correlation"]


def rank_correlation(a: Any, b: Any) -> np.ndarray:
    """Spearman's rank correlation of each row.

    Parameters
    ----------
    a, b : array-like of shape (n, N)
        Attributions; ties share their mean rank.

    Returns
    -------
    ndarray of shape (n,)
        In [-1, 1]. Where both rows are constant they agree (1); where one is, nothing
        can be said (0).

    Examples
    --------
    >>> from fastexplain.metrics import rank_correlation
    >>> rank_correlation([[0.1, 0.2, 0.3]], [[1, 2, 3]])
    array([1.])
    """
    x, y = np.atleast_2d(np.asarray(a, float)), np.atleast_2d(np.asarray(b, float))
    if x.shape != y.shape:
        raise ValueError(f"Attributions have different shapes: {x.shape} and {y.shape}.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("Attributions hold NaN or infinity, which have no rank.")
    ranks = [rankdata(z, axis=1) for z in (x, y)]
    centred = [r - r.mean(axis=1, keepdims=True) for r in ranks]
    norms = [np.sqrt((c**2).sum(axis=1)) for c in centred]
    product = norms[0] * norms[1]
    both_flat = (norms[0] == 0) & (norms[1] == 0)
    inner = (centred[0] * centred[1]).sum(axis=1)
    correlation = np.divide(inner, product, out=np.zeros(len(x)), where=product > 0)
    return np.where(both_flat, 1.0, correlation)
