"""What stands above a picture: its caution, its note with the score, and its title."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastexplain._explanation_words import score_text, title
from fastexplain.plots._style import Ruler

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fastexplain.explanation import Explanation

__all__ = ["CAUTION", "Head", "fit_figure", "head_of", "inches_over", "set_title"]

CAUTION = "#c62828"
_TITLE_SIZE, _CAUTION_SIZE, _NOTE_SIZE = 10, 9, 8
_LEADING = 1.25 / 72  # inches of a line for each point of its letters
_EDGE = 0.15
#: drawn letters are a little wider at some resolutions than their outlines
_SHRINK = 0.95


@dataclass(frozen=True)
class Head:
    """Lines above a picture, wrapped to its width; either may be empty.

    Attributes
    ----------
    caution, note : str
    """

    caution: str
    note: str

    @property
    def height(self) -> float:
        """Inches that the lines take, with the space below them."""
        height = sum(
            (text.count("\n") + 1) * size * _LEADING for text, size in self._parts() if text
        )
        return height + 0.08 if height else 0.0

    def _parts(self) -> list[tuple[str, int]]:
        return [(self.caution, _CAUTION_SIZE), (self.note, _NOTE_SIZE)]

    def draw(self, figure: Figure, edge: float = _EDGE) -> None:
        """Write the lines at the upper left corner of a figure, ``edge`` inches inside."""
        width, height = figure.get_size_inches()
        y = float(height) - edge
        for text, size in self._parts():
            if text:
                figure.text(edge / width, y / height, text, va="top", **_style(text, size, self))
                y -= (text.count("\n") + 1) * size * _LEADING

    def draw_on(self, ax: Axes, above: float) -> None:
        """Write the lines above axes in somebody's figure, ``above`` points from their top."""
        if self.height:
            _reserve(ax, above / 72 + self.height)
        for text, size in reversed(self._parts()):
            if not text:
                continue
            lines = text.count("\n") + 1
            place: dict[str, Any] = {
                "xy": (0.0, 1.0),
                "xycoords": "axes fraction",
                "xytext": (0, above),
                "textcoords": "offset points",
                "va": "bottom",
                "annotation_clip": False,
            }
            shown = ax.annotate(text, **place, **_style(text, size, self))
            # layout engines keep its height free and not its width, by which axes would shrink
            # from one layout to the next
            shown.set_in_layout(False)
            ax.annotate("\n".join(" " * lines), **place, fontsize=size)
            above += lines * size * _LEADING * 72


def _reserve(ax: Axes, inches: float) -> None:
    """Lower the top of axes until so much fits above them, where no layout engine would."""
    figure: Any = ax.figure
    if figure.get_layout_engine() is not None:
        return
    for _ in range(8):  # a picture of fixed proportions moves down by half of what is taken
        ax.apply_aspect()
        over = (ax.get_window_extent().y1 - figure.bbox.y1) / figure.dpi + inches
        place = ax.get_position(original=True)
        height = place.height - max(over, 0.0) * figure.dpi / figure.bbox.height
        if over <= 0.005 or height < 0.1:
            break
        ax.set_position((place.x0, place.y0, place.width, height))


def _style(text: str, size: int, head: Head) -> dict[str, Any]:
    look: dict[str, Any] = {"fontsize": size, "parse_math": False, "linespacing": 1.15}
    if text is head.caution:
        return look | {"color": CAUTION, "fontweight": "bold"}
    return look | {"alpha": 0.7}


def head_of(explanation: Explanation, width: float, *notes: str) -> Head:
    """Caution, and a note of ``notes`` and the score, for a picture ``width`` inches wide."""
    caution = f"Caution: {explanation.caution}" if explanation.caution else ""
    note = " \u00b7 ".join(filter(None, [*notes, score_text(explanation)]))
    width *= _SHRINK
    return Head(
        Ruler(_CAUTION_SIZE, "bold").wrapped(caution, width, 4),
        Ruler(_NOTE_SIZE).wrapped(note, width, 3),
    )


def inches_over(ax: Axes, ours: bool) -> float:
    """Width for text centred over axes: a figure of ours has room beside them, too."""
    figure: Any = ax.figure
    box = ax.get_window_extent()
    centre = box.x0 + box.width / 2
    room = 2 * min(centre - figure.bbox.x0, figure.bbox.x1 - centre)
    # axes in somebody's figure may become narrower by its layout
    return float(max(_SHRINK * room if ours else 0.85 * box.width, 1.0) / figure.dpi)


def set_title(ax: Axes, explanation: Explanation, ours: bool) -> float:
    """Give axes a title that fits, and return the points that it takes above them."""
    text = Ruler(_TITLE_SIZE).named(*title(explanation), inches_over(ax, ours), 4)
    ax.set_title(text, fontsize=_TITLE_SIZE, parse_math=False)
    return 8.0 + (text.count("\n") + 1) * _TITLE_SIZE * 1.25 * bool(text)


def fit_figure(figure: Figure, head_for: Any) -> None:
    """Make a figure as large as what is drawn on it, and write the head above.

    Axes keep their size in inches. ``head_for`` gives the head for a width in inches.
    """
    figure.draw_without_rendering()
    boxes = [ax.get_tightbbox() for ax in figure.axes]
    dpi = figure.dpi
    left = min(box.x0 for box in boxes if box) / dpi - _EDGE
    right = max(box.x1 for box in boxes if box) / dpi + _EDGE
    low = min(box.y0 for box in boxes if box) / dpi - _EDGE
    high = max(box.y1 for box in boxes if box) / dpi + _EDGE
    head: Head = head_for(right - left - 2 * _EDGE)
    old_w, old_h = figure.get_size_inches()
    new_w, new_h = right - left, high - low + head.height
    places = [ax.get_position(original=True) for ax in figure.axes]
    figure.set_size_inches(new_w, new_h)
    for ax, place in zip(figure.axes, places, strict=True):
        ax.set_position(
            (
                (place.x0 * old_w - left) / new_w,
                (place.y0 * old_h - low) / new_h,
                place.width * old_w / new_w,
                place.height * old_h / new_h,
            )
        )
    head.draw(figure)
