"""Throughput: rows explained in a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

__all__ = ["throughput"]


def throughput(
    explain: Callable[[Any], object],
    X: Any,
    *,
    n_repeats: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Rows a second, :math:`N_{test} / t_{total}` (CoRTX, section 4.2).

    Parameters
    ----------
    explain : callable
        ``explainer.explain`` or any function of X.
    X : table, images or texts
        n samples, as ``explain`` takes them.
    n_repeats : int, default=5
        Timed calls, whose median counts, after one that is not timed.
    clock : callable, default=time.perf_counter
        Gives seconds.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If ``n_repeats`` is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fastexplain.metrics import throughput
    >>> throughput(np.sort, np.zeros((1000, 5))) > 0
    True
    """
    if n_repeats < 1:
        raise ValueError(f"n_repeats must be at least 1, got {n_repeats!r}.")
    n = X.shape[0] if hasattr(X, "shape") else len(X)
    explain(X)
    times = []
    for _ in range(n_repeats):
        start = clock()
        explain(X)
        times.append(clock() - start)
    return n / max(median(times), 1e-12)
