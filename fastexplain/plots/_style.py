"""What the pictures share: colour maps of a scale, text that fits, the rows and outputs shown."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastexplain._explanation_index import select
from fastexplain._explanation_layout import layout_kind
from fastexplain._explanation_scale import BLUE, RED, Scale
from fastexplain._extras import optional_import

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

    from fastexplain.explanation import Explanation

__all__ = ["Ruler", "check_pictures", "colour_bar", "colour_map", "norm", "shown_rows"]

_FOR = "Explanation.plot"


def check_pictures(explanation: Explanation, kind: str) -> None:
    """Say what is missing for a picture of ``kind``, "images" or "texts"."""
    found = layout_kind(explanation._layout)
    masker = "ImageMasker" if kind == "images" else "TextMasker"
    if found == "none":
        raise ValueError(
            f"the explanation has no layout, which says where its features lie in the {kind}: "
            f"explain {kind} with a fastexplain.maskers.{masker}, and do not select features"
        )
    if found != kind:
        other = "plot.image()" if found == "images" else "plot.text() or plot.text_figure()"
        raise ValueError(f"this is an explanation of {found}, not of {kind}; use {other}")
    if explanation._data is None:
        raise ValueError(f"the explanation does not hold the {kind} themselves; give it data=")
    if not explanation._values.size:
        raise ValueError(f"an explanation of shape {explanation.shape} has nothing to plot")


def shown_rows(explanation: Explanation, rows: Any, max_rows: int) -> tuple[np.ndarray, int]:
    """Positions of the rows to draw, ``max_rows`` of the chosen at most, and how many those are."""
    if max_rows < 1:
        raise ValueError(f"max_rows must be at least 1, not {max_rows}")
    n = len(explanation._values)
    chosen = np.arange(n)
    if rows is not None:
        chosen = chosen[select(rows, n, "row").kept]
    if not len(chosen):
        raise ValueError("rows selects no row to plot")
    return chosen[:max_rows], len(chosen)


def norm(scale: Scale) -> Any:
    """Return matplotlib's norm of a scale: around zero, or from zero up."""
    colors = optional_import("matplotlib.colors", "plots", _FOR)
    return colors.Normalize(scale.low, scale.limit)


def colour_map(scale: Scale, cmap: str | Colormap | None, alpha: float) -> Any:
    """Colour map that is transparent at zero and has opacity ``alpha`` at the limits."""
    colors = optional_import("matplotlib.colors", "plots", _FOR)
    if not 0.0 < alpha <= 1.0:
        raise ValueError(f"alpha must lie in (0, 1], not {alpha}")
    strength = np.linspace(0.0 if scale.one_sided else -1.0, 1.0, 511)
    if cmap is None:
        table = np.where(strength[:, None] > 0, colors.to_rgba(RED), colors.to_rgba(BLUE))
    else:
        known = optional_import("matplotlib", "plots", _FOR).colormaps
        found = known[cmap] if isinstance(cmap, str) else cmap
        table = found(np.linspace(0.0, 1.0, len(strength)))
    table[:, 3] = alpha * np.abs(strength)
    # pixels without a player are NaN and show the image alone
    return colors.ListedColormap(table).with_extremes(bad=(0, 0, 0, 0))


def colour_bar(cax: Axes, scale: Scale, cmap: Colormap, label: str | None = None) -> Any:
    """Horizontal bar with the numbers at both ends and zero."""
    colors = optional_import("matplotlib.colors", "plots", _FOR)
    cm = optional_import("matplotlib.cm", "plots", _FOR)
    # opaque, as on a light image: bars of transparent colours show seams
    table = cmap(np.arange(cmap.N))
    opaque = table[:, 3:] * table[:, :3] + (1.0 - table[:, 3:]) * 0.93
    drawn = cm.ScalarMappable(norm(scale), colors.ListedColormap(opaque))
    figure: Any = cax.figure
    bar = figure.colorbar(drawn, cax=cax, orientation="horizontal")
    limit = scale.limit
    beyond = "\u2265 " if scale.clipped else ""
    if scale.one_sided:
        bar.set_ticks([0.0, limit], labels=["0", f"{beyond}{limit:.3g}"])
    else:
        below = "\u2264 " if scale.clipped else ""
        ends = [f"{below}\u2212{limit:.3g}", "0", f"{beyond}+{limit:.3g}"]
        bar.set_ticks([-limit, 0.0, limit], labels=ends)
    bar.ax.tick_params(labelsize=8, length=2, pad=2)
    bar.set_label(scale.label if label is None else label, fontsize=8, labelpad=2)
    bar.outline.set_visible(False)
    return bar


class Ruler:
    """Measures text by the outlines of its letters, which is right at any resolution.

    Parameters
    ----------
    size : float
        Font size in points.
    weight : str
    """

    def __init__(self, size: float, weight: str = "normal") -> None:
        self._paths = optional_import("matplotlib.textpath", "plots", _FOR).text_to_path
        fonts = optional_import("matplotlib.font_manager", "plots", _FOR)
        self.size = size
        self.font = fonts.FontProperties(size=size, weight=weight)

    def inches(self, text: str) -> float:
        """Width of one line."""
        width, _, _ = self._paths.get_text_width_height_descent(text, self.font, ismath=False)
        return float(width) / 72

    def cut(self, text: str, width: float) -> str:
        """Return the longest beginning that fits, with an ellipsis where some is left out."""
        if self.inches(text) <= width:
            return text
        cuts = [text[:kept].rstrip() + "\u2026" for kept in range(1, len(text))]
        fits = self._count_that_fit(cuts, width)
        return cuts[max(fits, 1) - 1] if cuts else text

    def _count_that_fit(self, texts: Sequence[str], width: float) -> int:
        """How many of ``texts``, each longer than the one before, are within a width."""
        return bisect_right(texts, width, key=self.inches)

    def named(self, name: str, value: str, width: float, n_lines: int) -> str:
        """Break ``name value`` into lines that fit; the name is cut, the value is not."""
        whole = self.wrapped(f"{name} {value}".strip(), width, n_lines)
        if not value or not whole.endswith("\u2026"):
            return whole
        lines = self.wrapped(name, width, n_lines).split("\n")
        room = max(width - self.inches(f" {value}"), 0.0)
        return "\n".join([*lines[:-1], f"{self.cut(lines[-1], room)} {value}"])

    def wrapped(self, text: str, width: float, n_lines: int) -> str:
        """Break between words into lines that fit; the last one is cut."""
        lines: list[str] = []
        # what no font has a sign for would be drawn as a box
        words = "".join(sign if sign.isprintable() else " " for sign in text).split()
        while words and len(lines) < n_lines - 1:
            joined = [" ".join(words[: count + 1]) for count in range(len(words))]
            count = max(self._count_that_fit(joined, width), 1)
            lines.append(self.cut(" ".join(words[:count]), width))
            words = words[count:]
        if words:
            lines.append(self.cut(" ".join(words), width))
        return "\n".join(lines)
