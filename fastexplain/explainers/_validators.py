"""Held-out scores: one number to choose a network by, and one for each output."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import nn

__all__ = ["Validator", "poor_outputs"]

_SHOWN = 5


class Validator:
    """Scores a network on held-out samples, higher is better.

    Parameters
    ----------
    per_output : callable
        Gives the scores of a network, (K,); NaN for outputs that cannot be judged.
    overall : callable, optional
        Gives one score; the mean over outputs by default.
    chance : float, default=0.05
        Score of an explainer that knows nothing, with what noise may add.
    """

    def __init__(
        self,
        per_output: Callable[[nn.Module], np.ndarray],
        overall: Callable[[nn.Module], float] | None = None,
        chance: float = 0.05,
    ) -> None:
        self.per_output = per_output
        self.chance = chance
        self._overall = overall

    def __call__(self, module: nn.Module) -> float:
        """Score of a network over all outputs."""
        if self._overall is not None:
            return self._overall(module)
        scores = self.per_output(module)
        return float(np.nanmean(scores)) if np.isfinite(scores).any() else 1.0


def poor_outputs(scores: np.ndarray, names: list[str], least: float) -> str:
    """Outputs whose score is below ``least``, the worst first, in words; empty if there is none.

    Examples
    --------
    >>> poor_outputs(np.array([0.9, 0.1, np.nan]), ["yes", "no", "never"], 0.5)
    "'no' (0.10)"
    """
    order = np.argsort(scores, kind="stable")
    poor = [k for k in order.tolist() if scores[k] < least]
    shown = ", ".join(f"{names[k]!r} ({scores[k]:.2f})" for k in poor[:_SHOWN])
    return shown + (f" and {len(poor) - _SHOWN} more" if len(poor) > _SHOWN else "")
