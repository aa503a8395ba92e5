"""Shap's plots, with the labels that hold for what is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastexplain._extras import optional_import
from fastexplain.plots import largest
from fastexplain.plots._own import axis_label, value_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastexplain.explanation import Explanation

__all__ = ["bar", "beeswarm", "waterfall"]


def _converted(explanation: Explanation, max_display: int) -> Any:
    """Convert for shap's plots, which add up the features beyond ``max_display``.

    That means something only where values add up, so elsewhere the rest is left out.
    """
    escaped = explanation._copy()
    if explanation.layout is not None:
        if "row" not in explanation.dims:
            escaped.feature_names = value_labels(explanation, np.arange(explanation.shape[0]))
        escaped._layout = None  # these plots are of features, not of pixels and characters
    if not _rest_is_added(explanation, max_display):
        keep = largest(explanation.centered._values[..., 0], max_display)
        escaped = escaped[..., keep]
    # "$" would start a formula in the middle of a name
    escaped.feature_names = [name.replace("$", r"\$") for name in escaped.feature_names]
    return escaped.to_shap()


def _rest_is_added(explanation: Explanation, max_display: int) -> bool:
    return explanation.additive or explanation._values.shape[1] <= max_display


def _label(explanation: Explanation, max_display: int, mean: bool = False) -> str:
    added = _rest_is_added(explanation, max_display)
    return axis_label(explanation, mean, None if added else max_display)


def bar(explanation: Explanation, max_display: int, at: tuple[Axes, bool]) -> Axes:
    """``shap.plots.bar``."""
    plots = optional_import("shap.plots", "shap", "this plot")
    ax, ours = at
    if ours:
        lines = min(max_display, explanation._values.shape[1])
        ax.figure.set_size_inches(8, lines * 0.5 + 1.5)  # type: ignore[union-attr]
    plots.bar(_converted(explanation, max_display), max_display=max_display, ax=ax, show=False)
    ax.set_xlabel(_label(explanation, max_display, mean="row" in explanation.dims))
    return ax


def beeswarm(explanation: Explanation, max_display: int, at: tuple[Axes, bool]) -> Axes:
    """``shap.plots.beeswarm``."""
    plots = optional_import("shap.plots", "shap", "this plot")
    ax, ours = at
    if ours:
        lines = min(max_display, explanation._values.shape[1])
        ax.figure.set_size_inches(8, lines * 0.4 + 1.5)  # type: ignore[union-attr]
    # shap shuffles by numpy's global generator, whose state belongs to the user
    state = np.random.get_state()
    try:
        shown = _converted(explanation, max_display)
        plots.beeswarm(shown, max_display=max_display, ax=ax, show=False, plot_size=None)
    finally:
        np.random.set_state(state)
    ax.set_xlabel(_label(explanation, max_display))
    return ax


def waterfall(explanation: Explanation, max_display: int, at: tuple[Axes, bool]) -> Axes:
    """``shap.plots.waterfall`` of a single row, on the current figure."""
    plots = optional_import("shap.plots", "shap", "this plot")
    return plots.waterfall(
        _converted(explanation, max_display), max_display=max_display, show=False
    )
