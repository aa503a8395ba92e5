"""How many queries a model answers in the time that fit has."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from fastexplain.masked_model import MaskedModel

__all__ = ["queries_in_time"]

# of the time, to find out how fast the model is, and queries that suffice for it
_SHARE, _MOST = 0.02, 8192


def queries_in_time(masked: MaskedModel, samples: Any, seconds: float | None) -> float:
    """About as many masked samples as the model answers in so many seconds.

    Parameters
    ----------
    masked : MaskedModel
        Is asked for twice as many at a time, until a 50th of the seconds is over.
    samples : Table, Images or Texts
        A few.
    seconds : float or None

    Returns
    -------
    float
        Infinite without a limit, and in a program of several processes, which must all ask for
        the same.
    """
    if seconds is None or int(os.environ.get("WORLD_SIZE", 1)) > 1:
        return float("inf")
    rng, n_masks = np.random.default_rng(0), 1
    while True:
        masks = rng.random((len(samples), n_masks, masked.masker.n_players)) < 0.5
        before, start = masked.n_queries, time.monotonic()
        masked.values(samples, masks)
        asked, spent = masked.n_queries - before, time.monotonic() - start
        if spent > _SHARE * seconds or asked > _MOST:
            return seconds * asked / max(spent, 1e-9)
        n_masks *= 2
