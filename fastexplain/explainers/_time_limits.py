"""How many queries a model answers in the time that fit has."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from fastexplain.masked_model import MaskedModel

__all__ = ["queries_in_time"]

# of the time, to find out how fast the model is; of it, before a second look at a slow one
_SHARE, _SECOND = 0.02, 0.1
# queries that suffice for it
_MOST = 8192
# as many times as planned are as good as any number
_PLENTY = 4
# what a query costs beside others, as a share of its part of the call, at least
_LEAST = 0.1


def queries_in_time(
    masked: MaskedModel, samples: Any, seconds: float | None, planned: float
) -> float:
    """About as many masked samples as the model answers in so many seconds.

    A call costs something by itself: two of them, one twice as large as the other, tell what
    more samples cost.

    Parameters
    ----------
    masked : MaskedModel
        Is asked for twice as many at a time, until a 50th of the seconds is over. These queries
        are not counted.
    samples : Table, Images or Texts
        A few.
    seconds : float or None
    planned : float
        Queries that there are to be.

    Returns
    -------
    float
        Infinite without a limit, where something else answers for the model, and in a program of
        several processes, which must all ask for the same.
    """
    several = int(os.environ.get("WORLD_SIZE", 1)) > 1
    if seconds is None or several or masked.removal is not None:
        return float("inf")
    rng, n_masks, counted = np.random.default_rng(0), 1, masked.n_queries
    per_mask = len(samples) * masked.masker.n_background_
    before, most = 0.0, min(_MOST, _SHARE * planned)
    while True:
        masks = rng.random((len(samples), n_masks, masked.masker.n_players)) < 0.5
        start = time.monotonic()
        masked.values(samples, masks)
        spent = max(time.monotonic() - start, 1e-9)
        asked = n_masks * per_mask
        cost = spent / asked
        # the first of two may have been slow because it was the first
        grew = 0.0 < before < spent
        if grew:
            cost = float(np.clip((spent - before) / (asked / 2), _LEAST * cost, cost))
        found = seconds / cost
        slow = spent > _SHARE * seconds and (before or spent > _SECOND * seconds)
        if slow or asked > most or (grew and found > _PLENTY * planned):
            masked.n_queries = counted
            return found
        before, n_masks = spent, 2 * n_masks
