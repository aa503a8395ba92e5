"""Colours of attributions: red above the value of no effect, blue below, pale near it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fastexplain.explanation import Explanation

__all__ = ["BLUE", "RED", "Scale", "rgb"]

RED, BLUE = "#ff0051", "#008bfb"
_OPACITY = 0.6


def rgb(colour: str) -> tuple[int, int, int]:
    """Return the three bytes of ``"#rrggbb"``."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


@dataclass(frozen=True)
class Scale:
    """How strong a colour stands for which value.

    Attributes
    ----------
    limit : float
        The magnitude that has the full colour; larger ones have it too.
    one_sided : bool
        Whether there is nothing below zero to show, such as for probabilities.
    clipped : bool
        Whether some values lie beyond the limit.
    label : str
        What the values are, for an axis.

    Examples
    --------
    >>> scale = Scale(limit=2.0, one_sided=False)
    >>> scale.strength(np.array([-3.0, 0.0, 1.0])).tolist()
    [-1.0, 0.0, 0.5]
    >>> scale.css(1.0)
    'rgba(255,0,81,0.30)'
    """

    limit: float
    one_sided: bool
    clipped: bool = False
    label: str = "attribution"

    @classmethod
    def of(cls, explanation: Explanation, shown: np.ndarray) -> Scale:
        """Scale for the ``shown`` of an explanation's values, centred.

        A few extreme values must not make all others pale, so the limit is the 99th
        percentile of the magnitudes, and the largest of them where that is zero.
        """
        # of the whole explanation, so that the same row has the same colours in every picture
        one_sided = explanation._neutral is None and not bool((explanation._values < 0).any())
        sizes = np.abs(shown[np.isfinite(shown)])
        largest = float(sizes.max(initial=0.0))
        limit = float(np.percentile(sizes, 99)) if len(sizes) else 0.0
        limit = limit or largest or 1.0
        relative = not explanation.additive and not one_sided
        label = "attribution" + " relative to a feature without effect" * relative
        return cls(limit, one_sided, largest > limit * (1 + 1e-6), label)

    @property
    def low(self) -> float:
        """The lower end: the negative limit, or zero where nothing lies below."""
        return 0.0 if self.one_sided else -self.limit

    def strength(self, values: np.ndarray) -> np.ndarray:
        """Values as numbers in [-1, 1]; whatever is not finite has no colour."""
        finite = np.where(np.isfinite(values), values, 0.0)
        return np.clip(finite / self.limit, -1.0, 1.0)

    def css(self, value: float) -> str:
        """Colour of one value, transparent: text stays readable on light and on dark pages."""
        strength = float(self.strength(np.asarray(value)))
        red, green, blue = rgb(RED if strength > 0 else BLUE)
        return f"rgba({red},{green},{blue},{_OPACITY * abs(strength):.2f})"
