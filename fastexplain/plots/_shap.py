"""Shap's plots, with the labels that hold for what is drawn."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from fastexplain._explanation_words import base_name, short
from fastexplain._extras import optional_import
from fastexplain.plots import largest
from fastexplain.plots._head import fit_figure, head_of, set_title
from fastexplain.plots._own import axis_label, value_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastexplain.explanation import Explanation

__all__ = ["bar", "beeswarm", "waterfall"]

_EXPECTATION = re.compile(r"\$?\s*E\s*\[\s*f\s*\(\s*[xX]\s*\)\s*\]\s*\$?")
_LONGEST_NAME = 40


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
    names = (short(name, _LONGEST_NAME) for name in escaped.feature_names)
    escaped.feature_names = [name.replace("$", r"\$") for name in names]
    return escaped.to_shap()


def _rest_is_added(explanation: Explanation, max_display: int) -> bool:
    return explanation.additive or explanation._values.shape[1] <= max_display


def _label(explanation: Explanation, max_display: int, mean: bool = False) -> str:
    added = _rest_is_added(explanation, max_display)
    return axis_label(explanation, mean, None if added else max_display)


def _finish(explanation: Explanation, at: tuple[Axes, bool]) -> Axes:
    """Write title, score and caution above what shap has drawn, and cut nothing off."""
    ax, ours = at
    figure: Any = ax.figure
    if ours:
        set_title(ax, explanation, ours)
        fit_figure(figure, lambda width: head_of(explanation, width))
        return ax
    above = set_title(ax, explanation, ours)
    head_of(explanation, ax.get_window_extent().width / figure.dpi).draw_on(ax, above)
    return ax


def bar(explanation: Explanation, max_display: int, at: tuple[Axes, bool]) -> Axes:
    """``shap.plots.bar``."""
    plots = optional_import("shap.plots", "shap", "this plot")
    ax, ours = at
    if ours:
        lines = min(max_display, explanation._values.shape[1])
        ax.figure.set_size_inches(8, lines * 0.5 + 1.5)  # type: ignore[union-attr]
    plots.bar(_converted(explanation, max_display), max_display=max_display, ax=ax, show=False)
    ax.set_xlabel(_label(explanation, max_display, mean="row" in explanation.dims))
    return _finish(explanation, at)


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
    return _finish(explanation, at)


def waterfall(explanation: Explanation, max_display: int, at: tuple[Axes, bool]) -> Axes:
    """``shap.plots.waterfall`` of a single row, on the current figure."""
    plots = optional_import("shap.plots", "shap", "this plot")
    ax = plots.waterfall(_converted(explanation, max_display), max_display=max_display, show=False)
    _name_base(ax.figure, base_name(explanation))
    # shap returns the axes of the last label that it draws, which lie on the bars' own
    return _finish(explanation, (ax, True))


def _name_base(figure: Any, name: str) -> None:
    """Write ``name`` where shap writes E[f(X)], which the base value is not."""
    # beside the bars' axes shap has axes of their own for the base value and for f(x), each of
    # two labels: a name, and "= 0.42"
    twins = figure.axes[1:]
    for ax, usual in zip(twins, ("$E[f(X)]$", "$f(x)$"), strict=False):
        texts = [tick.get_text().strip() for tick in ax.get_xticklabels()]
        if len(texts) != 2 or not texts[1].strip("$ ").startswith("="):
            continue
        # the places of both differ by 1e-8, which outputs near 1e9 swallow with the name
        first = usual if texts[0] == texts[1] else texts[0]
        if texts[0] == texts[1] or _EXPECTATION.search(first):
            known = _EXPECTATION.sub(lambda _: name, first)
            ax.set_xticks(ax.get_xticks()[:1], ["\n" * (ax is twins[0]) + f"{known} {texts[1]}"])
    for text in figure.findobj(lambda artist: hasattr(artist, "get_text")):
        if _EXPECTATION.search(text.get_text()):
            text.set_text(_EXPECTATION.sub(lambda _: name, text.get_text()))
