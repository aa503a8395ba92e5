"""How fast steps are: what is told of a long run, and batches that fit into the time left."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastexplain._warnings import warn_user
from fastexplain.training._settings import TrainSettings

__all__ = ["LONG_RUN", "Pace"]

#: seconds of training that are told of without being asked
LONG_RUN = 600.0
# rows that tell how long a step takes before it is made, and steps that tell it better
_TRIED, _LOOKED_AT = 8, 5
# of the time that is left: a step that takes no more is made without a try
_SHORT_STEP = 0.01
# steps that a run with a limit shall make, if need be of smaller batches
_FEWEST_STEPS = 60


class Pace:
    """Times the first steps of a run.

    Parameters
    ----------
    settings : TrainSettings
    start : int
        Steps made by an earlier part of the same run.
    """

    def __init__(self, settings: TrainSettings, start: int) -> None:
        self.settings = settings
        self.start = start
        self._from = time.monotonic()

    def before(self, n_rows: int, attempt: Callable[[int], None]) -> float | None:
        """Find out how long the first step would take, by a few of its rows.

        Parameters
        ----------
        n_rows : int
            Rows of the batch.
        attempt : callable
            Learns from that many of the first rows without a step.

        Returns
        -------
        float or None
            Share of their size that batches shall have from now on, where the time that is left
            would see too few steps otherwise.
        """
        if self.settings.deadline is None or n_rows <= _TRIED:
            return None
        begun = time.monotonic()
        attempt(_TRIED)
        seconds = time.monotonic() - begun
        if seconds < _SHORT_STEP * (self.settings.deadline - begun):
            # what is done once, such as to load a library, may be most of it
            return None
        return self._share(seconds * n_rows / _TRIED, 0)

    def after(self, step: int) -> float | None:
        """Look at the clock after a step; the answer is that of ``before``."""
        made = step - self.start
        if made == 1:
            self._from = time.monotonic()
        if made != 1 + _LOOKED_AT:
            return None
        seconds = (time.monotonic() - self._from) / _LOOKED_AT
        self._tell(seconds, step)
        return self._share(seconds, made)

    def _tell(self, seconds: float, step: int) -> None:
        """Say so where the steps that are left take long, and nothing limits or shows them."""
        left = seconds * (self.settings.max_steps - step)
        if self.settings.deadline is None and not self.settings.verbose and left > LONG_RUN:
            warn_user(
                f"Training takes about {left / 60:.0f} more minutes: a step takes {seconds:.2g} s, "
                f"and there are up to {self.settings.max_steps:,}. max_time= limits it, max_steps= "
                "makes it shorter, and verbose=1 shows its progress. Ctrl-C ends it with the "
                "network as it is."
            )

    def _share(self, seconds: float, made: int) -> float | None:
        """What batches shall shrink to, where steps of this length are too long."""
        deadline = self.settings.deadline
        if deadline is None:
            return None
        left = max(deadline - time.monotonic(), 0.0)
        wanted = min(_FEWEST_STEPS, self.settings.max_steps) - made
        needed = seconds * max(wanted, 0)
        return left / needed if needed > left else None
