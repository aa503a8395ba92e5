"""Colours of attributions: red above the value of no effect, blue below, pale near it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastexplain._explanation_layout import player_counts

if TYPE_CHECKING:
    from fastexplain.explanation import Explanation

__all__ = ["BLUE", "RED", "Scale", "Scales", "rgb"]

RED, BLUE = "#ff0051", "#008bfb"
_OPACITY = 0.6
#: the least limit, as a part of the share that each player has of a change that matters
_FLOOR = 0.1
#: limits that differ by more would leave a picture blank on the scale of another
_COMPARABLE = 10.0


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
    def of(
        cls,
        explanation: Explanation,
        shown: np.ndarray,
        rows: np.ndarray | None = None,
        outputs: np.ndarray | None = None,
    ) -> Scale:
        """Scale for the ``shown`` of an explanation's values, centred.

        A few extreme values must not make all others pale, so the limit is the 99th
        percentile of the magnitudes, and the largest of them where that is zero. Noise must
        not be drawn in full colours, so the limit is at least a tenth of ``unit / N``: the
        share of each of N players in a change that matters. Without a unit there is no such
        floor. ``rows`` and ``outputs`` are positions of those shown; all by default.
        """
        # of the whole explanation, so that the same row has the same colours in every picture
        one_sided = explanation._neutral is None and not bool((explanation._values < 0).any())
        sizes = np.abs(shown[np.isfinite(shown)])
        largest = float(sizes.max(initial=0.0))
        limit = float(np.percentile(sizes, 99)) if len(sizes) else 0.0
        limit = max(limit or largest, _floor(explanation, rows, outputs)) or 1.0
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

    @property
    def span(self) -> str:
        """The limits in words: ``±0.03``, or ``0 to 0.03`` where nothing lies below."""
        return f"0 to {self.limit:.3g}" if self.one_sided else f"±{self.limit:.3g}"


def _floor(explanation: Explanation, rows: np.ndarray | None, outputs: np.ndarray | None) -> float:
    """Least limit of the values of some rows and outputs; 0 where no unit is known."""
    n, _, n_outputs = explanation._values.shape
    if explanation._value_unit == "one":
        units: np.ndarray | None = np.ones((n, n_outputs))
    else:
        units = explanation._units() if explanation._value_unit == "output" else None
    if units is None or not units.size:
        return 0.0
    shares = units / player_counts(explanation)[:, None]
    shares = shares if rows is None else shares[rows]
    shares = shares if outputs is None else shares[:, outputs]
    # of texts of many lengths the middle one: a single long text says little of the others
    return _FLOOR * float(np.median(shares)) if shares.size else 0.0


@dataclass(frozen=True)
class Scales:
    """Colour scales of the pictures of one figure: one for all, or each picture's own.

    Attributes
    ----------
    each : list of list of Scale
        Of each row, for each of its outputs.
    common : Scale
        For the bar of colours: the scale of all, or shares of each picture's own limit.
    own : bool
        Whether scales differ, so that each picture has to tell its limit.
    """

    each: list[list[Scale]]
    common: Scale
    own: bool

    @classmethod
    def of(
        cls,
        explanation: Explanation,
        shown: Sequence[np.ndarray],
        rows: np.ndarray,
        outputs: np.ndarray,
    ) -> Scales:
        """Scales for the values ``shown`` of each row, centred, outputs along the last axis.

        One scale serves all rows as long as their limits differ by a factor of 10 at most;
        beyond that a row would be blank beside another, and each gets its own. The same goes
        for outputs whose ``unit`` differs as much.
        """
        k = len(outputs)
        flat = [np.reshape(values, (-1, k)) for values in shown]

        def scale(row: int | None, column: int | None) -> Scale:
            part = np.concatenate(flat) if row is None else flat[row]
            return Scale.of(
                explanation,
                part if column is None else part[:, column],
                rows if row is None else rows[row : row + 1],
                outputs if column is None else outputs[column : column + 1],
            )

        by_column = _far_apart(_limits_of_units(explanation, rows, outputs))
        columns = range(k) if by_column else [None]
        by_row = any(
            _far_apart(
                [
                    scale(row, column).limit
                    for row in range(len(flat))
                    if np.nan_to_num(flat[row][:, slice(None) if column is None else column]).any()
                ]
            )
            for column in columns
        )
        if not (by_row or by_column):
            common = scale(None, None)
            return cls([[common] * k for _ in flat], common, False)
        each = [
            [scale(row if by_row else None, column if by_column else None) for column in range(k)]
            for row in range(len(flat))
        ]
        first = each[0][0]
        clipped = any(one.clipped for line in each for one in line)
        label = f"{first.label}, as a share of each picture's limit"
        return cls(each, Scale(1.0, first.one_sided, clipped, label), True)


def _far_apart(limits: Sequence[float]) -> bool:
    return len(limits) > 1 and max(limits) > _COMPARABLE * min(limits)


def _limits_of_units(
    explanation: Explanation, rows: np.ndarray, outputs: np.ndarray
) -> Sequence[float]:
    """Units of the outputs shown, where values are changes of them."""
    units = explanation._units() if explanation._value_unit == "output" else None
    if units is None or not len(rows):
        return []
    found = units[rows][:, outputs].max(axis=0)
    return found[found > 0].tolist()
