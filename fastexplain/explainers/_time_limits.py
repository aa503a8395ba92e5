"""What a fit can ask of a model in the time it has: seconds a query, shares, deadlines."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from fastexplain.masked_model import MaskedModel

__all__ = ["FitTime", "measure_speed"]

# of the time, to find out how fast the model is; of it, before a second look at a slow one
_SHARE, _SECOND = 0.02, 0.1
# queries that suffice for it
_MOST = 8192
# as many times as planned are as good as any number
_PLENTY = 4
# what a query costs beside others, as a share of its part of the call, at least
_LEAST = 0.1

Answer = TypeVar("Answer")


@dataclass
class FitTime:
    """The time of one fit: when it began, how long it may take, how fast the model is.

    Attributes
    ----------
    started : float
        ``time.monotonic()`` when fit began.
    max_time : float or None
        Seconds that it may take.
    seconds_per_query : float
        As far as known; 0 before the first look.
    known : bool
        Whether that is what an earlier run of the same fit went by, and is to stay.
    replaced : bool
        Whether a surrogate answers masked samples in the model's place, in no time: the model
        is asked for whole samples alone.
    """

    started: float
    max_time: float | None = None
    seconds_per_query: float = 0.0
    known: bool = False
    replaced: bool = False

    @property
    def limited(self) -> bool:
        """Whether there is a limit that each process may keep on its own."""
        return self.max_time is not None and int(os.environ.get("WORLD_SIZE", 1)) == 1

    def deadline(self, share: float = 1.0) -> float | None:
        """``time.monotonic()`` at which a share of the time is over; None without a limit."""
        return None if self.max_time is None else self.started + share * float(self.max_time)

    def queries(self, share: float = 1.0) -> float:
        """Number of masked samples that fill a share of the time; infinite without a limit."""
        return float("inf") if self.replaced else self.outputs(share)

    def outputs(self, share: float = 1.0) -> float:
        """Number of answers of the model itself that fill a share; infinite without a limit."""
        if not self.limited or self.seconds_per_query <= 0 or self.max_time is None:
            return float("inf")
        return share * float(self.max_time) / self.seconds_per_query

    def few(self, share: float, least: int, most: int) -> int:
        """Number of answers from ``least`` to ``most`` that the model gives in a share."""
        return int(np.clip(self.outputs(share), least, most))

    def few_masked(self, share: float, least: int, most: int) -> int:
        """As ``few``, of masked samples, which a surrogate may answer in the model's place."""
        return int(np.clip(self.queries(share), least, most))

    def fits(self, n_queries: float, share: float = 1.0) -> bool:
        """Whether that many queries end before a share of the time is over; True without limit."""
        deadline = self.deadline(share)
        if not self.limited or deadline is None:
            return True
        seconds = 0.0 if self.replaced else n_queries * self.seconds_per_query
        return time.monotonic() + seconds <= deadline

    def timed(self, n_queries: int, ask: Callable[[], Answer]) -> Answer:
        """Ask something that takes so many queries, and take the time of each of them."""
        begun = time.monotonic()
        answer = ask()
        if not self.known:
            self.seconds_per_query = (time.monotonic() - begun) / max(n_queries, 1)
        return answer


def measure_speed(masked: MaskedModel, samples: Any, clock: FitTime, planned: float) -> float:
    """Measure the seconds that a masked sample takes, and keep them in ``clock``.

    A call costs something by itself: two of them, one twice as large as the other, tell what
    more samples cost.

    Parameters
    ----------
    masked : MaskedModel
        Is asked for twice as many at a time, until a 50th of the seconds is over. These queries
        are not counted.
    samples : Table, Images or Texts
        A few; the first ones are used where the model is slow.
    clock : FitTime
        Without a limit, the model is asked as if it had ten minutes.
    planned : float
        Queries that there are to be.

    Returns
    -------
    float
        Queries in the time of the clock; infinite where something else answers for the model.
    """
    if masked.removal is not None:
        return float("inf")
    seconds = 600.0 if clock.max_time is None else float(clock.max_time)
    few = len(samples)
    if clock.seconds_per_query > 0:
        # no more of a slow model than a share of the time
        few = int(np.clip(_SHARE * seconds / clock.seconds_per_query, 1, few))
    samples = samples.take(slice(0, few))
    rng, n_masks, counted = np.random.default_rng(0), 1, masked.n_queries
    per_mask = few * masked.masker.n_background_
    before, most = 0.0, min(_MOST, _SHARE * planned)
    while True:
        masks = rng.random((few, n_masks, masked.masker.null_players(samples).shape[1])) < 0.5
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
            masked.n_queries, clock.seconds_per_query = counted, cost
            return clock.queries()
        before, n_masks = spent, 2 * n_masks
