"""Plain matplotlib plots that need nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastexplain import _explanation_data as tables
from fastexplain._explanation_html import target_text
from fastexplain._explanation_layout import player_texts
from fastexplain._explanation_scale import BLUE, RED
from fastexplain._extras import optional_import
from fastexplain.plots import largest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastexplain.explanation import Explanation

__all__ = ["adds_up", "axis_label", "bar", "beeswarm", "value_labels", "waterfall"]

GREY, DARK = "#999999", "#333333"
_LONGEST_LABEL = 40


def axis_label(explanation: Explanation, mean: bool = False, shown: int | None = None) -> str:
    """Say what the axis of attributions shows: relative to what, and how many are shown."""
    label = "mean |attribution|" if mean else "attribution"
    if not explanation.additive:
        label += " relative to a feature without effect"
    n_features = explanation._values.shape[1]
    if shown is not None and shown < n_features:
        label += f"\n(the largest {shown} of {n_features} features)"
    return label


def adds_up(explanation: Explanation) -> bool:
    """Whether base value and values of a single row reach the model output, where known."""
    if explanation._missing is None:
        return True
    scale = np.abs(explanation._values).sum() + np.abs(explanation._base).sum()
    return bool(np.abs(explanation._missing).max() <= 1e-3 * scale + 1e-12)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"


def _size(at: tuple[Axes, bool], n_bars: int, row_height: float = 0.4) -> Axes:
    ax, ours = at
    if ours:
        ax.figure.set_size_inches(8, n_bars * row_height + 1.5)  # type: ignore[union-attr]
        ax.figure.set_layout_engine("constrained")  # type: ignore[union-attr]
    return ax


def _frame(ax: Axes, labels: list[str], xlabel: str, title: str) -> None:
    """Feature labels from the top down, and nothing that is not needed."""
    positions = np.arange(len(labels))[::-1]
    # "$" would start a formula in the middle of a name
    texts = [_short(label).replace("$", r"\$") for label in labels]
    ax.set_yticks(positions[::-1], texts[::-1])
    ax.set_ylim(-0.7, len(labels) - 0.3)
    ax.tick_params("y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.set_xlabel(xlabel)
    if title:
        ax.set_title(title.replace("$", r"\$"), fontsize=10, color=DARK)


def _title(explanation: Explanation) -> str:
    return ", ".join(filter(None, [explanation.method, target_text(explanation)]))


def value_labels(explanation: Explanation, order: np.ndarray) -> list[str]:
    """``feature = value`` of a single row, the name alone without data."""
    names = explanation.feature_names
    texts = player_texts(explanation)
    if texts is not None:
        return [f"{names[i]} = {texts[i].strip()}" if texts[i] else names[i] for i in order]
    if explanation._display is None:
        return [names[i] for i in order]
    labels = []
    for i in order:
        value = tables.column(explanation._display, int(i))
        value = next(iter(value))
        if tables.is_missing(value):
            value = tables.MISSING
        number = isinstance(value, (float, np.floating))
        labels.append(f"{names[i]} = {value:.4g}" if number else f"{names[i]} = {value}")
    return labels


def _signed_bars(ax: Axes, widths: np.ndarray, starts: np.ndarray, signed: bool = True) -> None:
    """Bars from the top down with their numbers at the end that they reach."""
    positions = np.arange(len(widths))[::-1]
    colours = [RED if width >= 0 else BLUE for width in widths]
    ax.barh(positions, widths, left=starts, color=colours, height=0.65)
    ends = starts + widths
    low, high = min(starts.min(), ends.min()), max(starts.max(), ends.max())
    span = (high - low) or 1.0
    for position, end, width, colour in zip(positions, ends, widths, colours, strict=True):
        right = width >= 0
        text = f"{width:+.3g}" if signed else f"{width:.3g}"
        ax.annotate(
            text,
            (end, position),
            xytext=(4 if right else -4, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
            fontsize=9,
            color=colour,
        )
    # room for the numbers on the sides where there are some
    left = 0.12 * span if (widths < 0).any() else 0.02 * span
    ax.set_xlim(low - left, high + (0.12 * span if (widths >= 0).any() else 0.02 * span))


def bar(explanation: Explanation, max_display: int, at: tuple[Axes, bool]) -> Axes:
    """Mean magnitudes, or the attributions of a single row."""
    values = explanation.centered._values[..., 0]
    order = largest(values, max_display)
    many = "row" in explanation.dims
    widths = np.abs(values).mean(axis=0)[order] if many else values[0, order]
    labels = (
        [explanation.feature_names[i] for i in order] if many else value_labels(explanation, order)
    )
    ax = _size(at, len(order))
    _signed_bars(ax, widths, np.zeros(len(order)), signed=not many)
    ax.axvline(0, color=GREY, lw=0.8)
    _frame(ax, labels, axis_label(explanation, many, max_display), _title(explanation))
    return ax


def _spread(values: np.ndarray, height: float) -> np.ndarray:
    """Offsets that stack points of nearly equal value around their line, widest in the crowd."""
    span = np.ptp(values)
    bins = np.round(80 * (values - values.min()) / span) if span > 0 else np.zeros(len(values))
    offsets = np.zeros(len(values))
    for level in np.unique(bins):
        members = np.flatnonzero(bins == level)
        ranks = np.arange(len(members))
        offsets[members] = np.ceil(ranks / 2) * np.where(ranks % 2, 1, -1)
    largest_offset = np.abs(offsets).max()
    # a few points stay close to the line
    return offsets * (height / max(largest_offset, 8.0))


def _ranks(column: np.ndarray) -> np.ndarray:
    """Values as ranks in [0, 1], ties alike; NaN where missing: outliers take no colours."""
    present = ~np.isnan(column)
    ranks = np.full(len(column), np.nan)
    levels, codes = np.unique(column[present], return_inverse=True)
    if len(levels) == 1:
        ranks[present] = 0.5
    elif len(levels):
        counts = np.bincount(codes)
        middle = np.cumsum(counts) - (counts + 1) / 2
        ranks[present] = ((middle - middle[0]) / (middle[-1] - middle[0]))[codes]
    return ranks


def beeswarm(explanation: Explanation, max_display: int, at: tuple[Axes, bool]) -> Axes:
    """One line of points a feature, coloured by the rank of the feature's value."""
    colors = optional_import("matplotlib.colors", "plots", "Explanation.plot")
    cmap = colors.LinearSegmentedColormap.from_list("low_high", [BLUE, "#8a4fbf", RED])
    values = explanation.centered._values[..., 0]
    order = largest(values, max_display)
    data = None
    if explanation._display is not None:
        data, _ = tables.numeric_columns(tables.take(explanation._display, columns=order))
    ax = _size(at, len(order))
    ax.axvline(0, color=GREY, lw=0.8, zorder=0)
    points = None
    many = len(values) > 500  # as pixels: a file of single points would be large and slow
    for line, feature in enumerate(order):
        position = len(order) - 1 - line
        x = values[:, feature]
        y = position + _spread(x, 0.38)
        ranks = None if data is None else _ranks(data[:, line])
        gone = np.ones(len(x), dtype=bool) if ranks is None else np.isnan(ranks)
        plain = BLUE if ranks is None else GREY
        ax.scatter(x[gone], y[gone], s=12, color=plain, linewidth=0, rasterized=many)
        if ranks is not None:
            points = ax.scatter(
                x[~gone],
                y[~gone],
                s=12,
                c=ranks[~gone],
                cmap=cmap,
                vmin=0,
                vmax=1,
                linewidth=0,
                rasterized=many,
            )
    if points is not None:
        bar = ax.figure.colorbar(points, ax=ax, ticks=[0, 1], aspect=60, pad=0.02)
        bar.ax.set_yticklabels(["low", "high"])
        bar.set_label("value of the feature (rank)", labelpad=-8)
        bar.outline.set_visible(False)  # type: ignore[operator]
    labels = [explanation.feature_names[i] for i in order]
    _frame(ax, labels, axis_label(explanation, shown=max_display), _title(explanation))
    return ax


def waterfall(explanation: Explanation, max_display: int, at: tuple[Axes, bool]) -> Axes:
    """One row: stacked where values add up, side by side where they do not."""
    if not explanation.additive:
        return bar(explanation, max_display, at)
    values = explanation._values[0, :, 0]
    base = float(explanation._base[0, 0])
    order = largest(values[None], len(values))
    rest = order[max_display - 1 :] if len(order) > max_display else order[:0]
    order = order[: len(order) - len(rest)]
    widths, labels = values[order], value_labels(explanation, order)
    if len(rest):
        widths = np.append(widths, values[rest].sum())
        labels.append(f"{len(rest)} other features")
    gap = 0.0 if explanation._missing is None else float(explanation._missing[0, 0])
    unexplained = not adds_up(explanation)
    if unexplained:
        widths = np.append(widths, gap)
        labels.append("not attributed")
    # stacked from the base value at the bottom to the output at the top
    ends = base + np.cumsum(widths[::-1])[::-1]
    ax = _size(at, len(widths), 0.45)
    _signed_bars(ax, widths, ends - widths)
    if unexplained:
        patch = ax.patches[-1]
        patch.set(facecolor="white", edgecolor=GREY, hatch="////")
    for position, end in zip(np.arange(len(widths))[::-1], ends, strict=True):
        # to the next bar's start, so that the eye can follow the sum
        ax.plot([end, end], [position, position + 1], color=GREY, lw=0.8, ls=":", zorder=0)
    reached = "model output" if explanation._missing is not None else "base value + attributions"
    ax.axvline(base, color=GREY, lw=0.8, ls="--", zorder=0)
    xlabel = f"base value {base:.4g}  →  {reached} {ends[0]:.4g}"
    _frame(ax, labels, xlabel, _title(explanation))
    return ax
