"""Plain matplotlib plots that need nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastexplain import _explanation_data as tables
from fastexplain._explanation_layout import player_texts
from fastexplain._explanation_scale import BLUE, RED
from fastexplain._explanation_words import base_name, number, short
from fastexplain._extras import optional_import
from fastexplain.plots import largest
from fastexplain.plots._head import head_of, inches_over, set_title
from fastexplain.plots._style import Ruler

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastexplain.explanation import Explanation

__all__ = ["adds_up", "axis_label", "bar", "beeswarm", "value_labels", "waterfall"]

GREY = "#999999"
_LONGEST_LABEL, _LONGEST_VALUE = 40, 20
_NUMBER = 9
#: what float32 models leave undetermined of an output, relative to a change that matters
_ROUNDING = 1e-5


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
    """Whether base value and values of a single row reach the model output, where known.

    What is missing is compared with the values, not with the output: of outputs near 1.7e9
    that differ by 300, a thousandth of the output would be more than all there is to explain.
    """
    if not _gap_is_known(explanation):
        return True
    base = explanation._base
    allowed = 1e-3 * np.abs(explanation._values).sum(axis=1, dtype=float)
    allowed += 8 * np.finfo(base.dtype).eps * np.abs(base)  # digits that an output cannot have
    units = explanation._units()
    if units is not None:
        allowed += _ROUNDING * units
    return bool((np.abs(explanation._missing) <= allowed).all())  # type: ignore[arg-type]


def _gap_is_known(explanation: Explanation) -> bool:
    """Whether it is known of a single row what its values lack to the output."""
    return explanation._missing is not None and bool(np.isfinite(explanation._missing).all())


def _size(at: tuple[Axes, bool], n_bars: int, row_height: float = 0.4) -> Axes:
    ax, ours = at
    if ours:
        ax.figure.set_size_inches(8, n_bars * row_height + 1.5)  # type: ignore[union-attr]
        ax.figure.set_layout_engine("constrained")  # type: ignore[union-attr]
    return ax


def _frame(ax: Axes, labels: list[str], xlabel: str) -> None:
    """Feature labels from the top down, and nothing that is not needed."""
    positions = np.arange(len(labels))[::-1]
    texts = [short(text, _LONGEST_LABEL + _LONGEST_VALUE) for text in labels]
    # "$" would start a formula in the middle of a name
    ax.set_yticks(positions[::-1], texts[::-1], parse_math=False)
    ax.set_ylim(-0.7, len(labels) - 0.3)
    ax.tick_params("y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.set_xlabel(xlabel)


def _finish(explanation: Explanation, at: tuple[Axes, bool]) -> Axes:
    """Write title, score and caution above what is drawn."""
    ax, ours = at
    figure: Any = ax.figure
    if not ours:
        above = set_title(ax, explanation, ours)
        width = ax.get_window_extent().width / figure.dpi
        head_of(explanation, width).draw_on(ax, above)
        return ax
    width, height = figure.get_size_inches()
    head = head_of(explanation, width - 0.24)
    if head.height:
        total = height + head.height + 0.1
        figure.set_size_inches(width, total)
        figure.get_layout_engine().set(rect=(0, 0, 1, height / total))
        head.draw(figure)
    figure.draw_without_rendering()  # lays out, so that the room beside the axes is known
    set_title(ax, explanation, ours)
    return ax


def value_labels(explanation: Explanation, order: np.ndarray) -> list[str]:
    """``feature = value`` of a single row, the name alone without data."""
    names = [short(name, _LONGEST_LABEL) for name in explanation.feature_names]
    texts = player_texts(explanation)
    if texts is not None:
        return [
            f"{names[i]} = {short(texts[i], _LONGEST_VALUE)}" if texts[i] else names[i]
            for i in order
        ]
    if explanation._display is None:
        return [names[i] for i in order]
    labels = []
    for i in order:
        value = tables.column(explanation._display, int(i))
        value = next(iter(value))
        if tables.is_missing(value):
            value = tables.MISSING
        is_float = isinstance(value, (float, np.floating))
        shown = f"{value:.4g}" if is_float else short(str(value), _LONGEST_VALUE)
        labels.append(f"{names[i]} = {shown}")
    return labels


def _signed_bars(ax: Axes, widths: np.ndarray, starts: np.ndarray, signed: bool = True) -> None:
    """Bars from the top down with their numbers at the end that they reach."""
    positions = np.arange(len(widths))[::-1]
    colours = [RED if width >= 0 else BLUE for width in widths]
    ax.barh(positions, widths, left=starts, color=colours, height=0.65)
    texts = [f"{width:+.3g}" if signed else f"{width:.3g}" for width in widths]
    for position, end, text, colour in zip(positions, starts + widths, texts, colours, strict=True):
        right = colour == RED
        ax.annotate(
            text,
            (end, position),
            xytext=(4 if right else -4, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
            fontsize=_NUMBER,
            color=colour,
        ).set_in_layout(False)  # the axis makes room for it


def _make_room(ax: Axes, widths: np.ndarray, starts: np.ndarray, signed: bool = True) -> None:
    """Widen the axis until the numbers beside the bars have their place."""
    figure: Any = ax.figure
    figure.figure.draw_without_rendering()  # of a subfigure the whole one
    inches = ax.get_window_extent().width / figure.dpi
    ruler = Ruler(_NUMBER)
    texts = [ruler.inches(f"{w:+.3g}" if signed else f"{w:.3g}") + 0.12 for w in widths]
    left = max((text for text, w in zip(texts, widths, strict=True) if w < 0), default=0.05)
    right = max((text for text, w in zip(texts, widths, strict=True) if w >= 0), default=0.05)
    # bars keep a part of very narrow axes, where numbers are cut in any case
    squeeze = min(1.0, 0.7 * inches / (left + right))
    left, right = left * squeeze / inches, right * squeeze / inches
    ends = starts + widths
    low, high = min(starts.min(), ends.min()), max(starts.max(), ends.max())
    span = ((high - low) or 1.0) / (1.0 - left - right)
    ax.set_xlim(low - left * span, high + right * span)


def bar(explanation: Explanation, max_display: int, at: tuple[Axes, bool]) -> Axes:
    """Mean magnitudes, or the attributions of a single row."""
    values = explanation.centered._values[..., 0]
    order = largest(values, max_display)
    many = "row" in explanation.dims
    widths = np.abs(values).mean(axis=0)[order] if many else values[0, order]
    labels = (
        [short(explanation.feature_names[i], _LONGEST_LABEL) for i in order]
        if many
        else value_labels(explanation, order)
    )
    ax, starts = _size(at, len(order)), np.zeros(len(order))
    _signed_bars(ax, widths, starts, signed=not many)
    ax.axvline(0, color=GREY, lw=0.8)
    _frame(ax, labels, axis_label(explanation, many, max_display))
    _make_room(ax, widths, starts, signed=not many)
    return _finish(explanation, at)


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
    labels = [short(explanation.feature_names[i], _LONGEST_LABEL) for i in order]
    _frame(ax, labels, axis_label(explanation, shown=max_display))
    return _finish(explanation, at)


def waterfall(explanation: Explanation, max_display: int, at: tuple[Axes, bool]) -> Axes:
    """One row: stacked where values add up, side by side where they do not."""
    if not explanation.additive:
        return bar(explanation, max_display, at)
    # as doubles: float32 would round ends near 1.7e9 to a hundred
    values = explanation._values[0, :, 0].astype(float)
    base = float(explanation._base[0, 0])
    order = largest(values[None], len(values))
    rest = order[max_display - 1 :] if len(order) > max_display else order[:0]
    order = order[: len(order) - len(rest)]
    widths, labels = values[order], value_labels(explanation, order)
    if len(rest):
        widths = np.append(widths, values[rest].sum())
        labels.append(f"{len(rest)} other features")
    unexplained = not adds_up(explanation)
    if unexplained:
        widths = np.append(widths, explanation._missing[0, 0])  # type: ignore[index]
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
    ax.axvline(base, color=GREY, lw=0.8, ls="--", zorder=0)
    name = base_name(explanation)
    reached = "model output" if _gap_is_known(explanation) else f"{name} + attributions"
    step = float(np.abs(widths).max(initial=0.0)) / 10
    parts = [f"{name} {number(base, step)}", f"→  {reached} {number(float(ends[0]), step)}"]
    _frame(ax, labels, "  ".join(parts))
    _make_room(ax, widths, ends - widths)
    if Ruler(10).inches("  ".join(parts)) > inches_over(ax, at[1]):
        ax.set_xlabel("\n".join(parts))
    if ax.xaxis.get_offset_text().get_text():
        ax.xaxis.labelpad += 12  # where ticks are relative to an offset, it stands beside the label
    return _finish(explanation, at)
