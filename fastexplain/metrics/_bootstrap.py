"""How far a mean over samples would move had other samples been drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["bootstrap_interval", "check_bootstrap"]


def check_bootstrap(confidence: float, n_bootstrap: int) -> None:
    """Refuse what no interval can be made with, before the model is asked for anything."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence!r}.")
    if n_bootstrap < 1:
        raise ValueError(f"n_bootstrap must be at least 1, got {n_bootstrap!r}.")


def bootstrap_interval(
    scores: np.ndarray, confidence: float, n_bootstrap: int, random_state: Any
) -> tuple[float, float]:
    """Interval of the mean: percentiles of the means of samples drawn with replacement.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        One number for each sample.
    confidence : float
        Share of the drawn means inside, between 0 and 1.
    n_bootstrap : int
        Draws of n samples.
    random_state : int, Generator or None
        For ``numpy.random.default_rng``.

    Returns
    -------
    low, high : float
    """
    rng, n = np.random.default_rng(random_state), len(scores)
    means = [scores[rng.integers(n, size=n)].mean() for _ in range(n_bootstrap)]
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
