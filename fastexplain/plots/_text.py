"""Texts with a colour behind each player: as HTML for notebooks, as a figure for papers."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastexplain._explanation_html import NO_FORMULAS, told
from fastexplain._explanation_scale import Scale
from fastexplain._explanation_texts import marked, text_scale
from fastexplain._explanation_words import target_text, title
from fastexplain._extras import optional_import
from fastexplain.plots._head import head_of
from fastexplain.plots._style import Ruler, check_pictures, colour_bar, colour_map, shown_rows

if TYPE_CHECKING:
    import os

    from matplotlib.axes import Axes

    from fastexplain.explanation import Explanation

__all__ = ["HighlightedText", "html", "text_figure"]

_PAGE = (
    '<!DOCTYPE html><html><head><meta charset="utf-8">'
    '<meta name="color-scheme" content="light dark"><title>Explanation</title></head>'
    '<body style="font-family:sans-serif;max-width:50em;margin:2em auto;padding:0 1em">'
    "{}</body></html>"
)
_ATOMS = re.compile(r"\n|[^\S\n]+|\S+")
_OPACITY = 0.65
_TITLE = 9
_SMALLEST = 5.0


class HighlightedText:
    """Texts with their attributions, shown by notebooks; made by ``explanation.plot.text()``.

    Parameters
    ----------
    html : str
        What is shown. It carries its own style, and takes the page's colours for the text.
    """

    def __init__(self, html: str) -> None:
        self.html = html

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return "HighlightedText(shown in notebooks; save(path) writes a page)"

    def show(self) -> None:
        """Display the texts in the notebook that this runs in."""
        try:
            from IPython.display import display
        except ImportError as error:
            raise ImportError(
                "showing texts needs IPython, as in a notebook; elsewhere write a page by "
                "save(path), or draw one text by plot.text_figure(row)",
                name="IPython",
            ) from error
        display(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a page that browsers open on its own.

        Parameters
        ----------
        path : path-like
            The file, replaced where there is one.
        """
        Path(path).write_text(_PAGE.format(self.html), encoding="utf-8")


def html(explanation: Explanation, rows: Any, max_rows: int) -> HighlightedText:
    """See ``Plots.text``."""
    check_pictures(explanation, "texts")
    positions, n_chosen = shown_rows(explanation, rows, max_rows)
    parts = [NO_FORMULAS, _heading(explanation), told(explanation), marked(explanation, positions)]
    if n_chosen > len(positions):
        parts.append(f"<p>first {len(positions)} of {n_chosen} texts</p>")
    return HighlightedText("".join(parts) + "</div>")


def _heading(explanation: Explanation) -> str:
    heading = ", ".join(filter(None, [explanation.method, target_text(explanation)]))
    return f"<div><b>{escape(heading)}</b></div>" if heading else ""


class _Atom(NamedTuple):
    """Characters that stay together: a word or a part of one, a space, a line's end."""

    text: str
    player: int
    width: float = 0.0

    @property
    def is_space(self) -> bool:
        return self.text.isspace()


def _atoms(pieces: list[tuple[str, int]], ruler: Ruler) -> list[_Atom]:
    atoms = []
    for text, player in pieces:
        # what no font has a sign for would be drawn as a box
        text = text.replace("\r\n", "\n").expandtabs(4)
        text = "".join(
            sign for sign in text if sign == "\n" or sign.isprintable() or sign.isspace()
        )
        for found in _ATOMS.findall(text):
            atom = found if found == "\n" or not found.isspace() else " " * len(found)
            atoms.append(_Atom(atom, player, 0.0 if atom == "\n" else ruler.inches(atom)))
    return atoms


def _lines(atoms: list[_Atom], width: float, ruler: Ruler) -> list[list[_Atom]]:
    """Fill lines of a width, breaking at spaces, and within words longer than a line."""
    lines: list[list[_Atom]] = [[]]
    used = 0.0
    at = 0
    while at < len(atoms):
        if atoms[at].text == "\n":
            lines.append([])
            used, at = 0.0, at + 1
            continue
        end = at + 1
        if not atoms[at].is_space:
            # parts of one word: tokens, or a word and the comma after it
            while end < len(atoms) and not atoms[end].is_space:
                end += 1
        group = atoms[at:end]
        needed = sum(atom.width for atom in group)
        at = end
        if used + needed > width and used:
            lines.append([])
            used = 0.0
            if group[0].is_space:
                continue  # the line's end stands for it
        if needed > width:
            group = [
                _Atom(sign, atom.player, ruler.inches(sign)) for atom in group for sign in atom.text
            ]
        for atom in group:
            if used + atom.width > width and used:
                lines.append([])
                used = 0.0
            lines[-1].append(atom)
            used += atom.width
    return lines


def _runs(line: list[_Atom]) -> list[tuple[_Atom, float]]:
    """Atoms of one player joined, each with the place where it begins."""
    runs: list[tuple[_Atom, float]] = []
    x = 0.0
    for atom in line:
        if runs and runs[-1][0].player == atom.player:
            before, start = runs[-1]
            runs[-1] = (
                _Atom(before.text + atom.text, atom.player, before.width + atom.width),
                start,
            )
        else:
            runs.append((atom, x))
        x += atom.width
    return runs


def _words(run: _Atom, ruler: Ruler) -> list[tuple[str, float]]:
    """Words of a run, each with its place in it."""
    found = [(match.group(), match.start()) for match in re.finditer(r"\S+", run.text)]
    return [(word, ruler.inches(run.text[:start])) for word, start in found]


def text_figure(
    explanation: Explanation, row: int, width: float, fontsize: float, ax: Axes | None
) -> Axes:
    """See ``Plots.text_figure``."""
    check_pictures(explanation, "texts")
    pyplot = optional_import("matplotlib.pyplot", "plots", "Explanation.plot")
    n = len(explanation._values)
    if not -n <= row < n:
        raise IndexError(f"row {row} is out of range: there are {n}")
    row %= n
    if fontsize <= 0 or width <= 0:
        raise ValueError("width and fontsize must be above zero")
    layout: Any = explanation._layout
    pieces = layout.pieces(row, str(explanation._data[row, 0]))  # type: ignore[index]
    scale = text_scale(explanation, np.array([row]))
    values = explanation.centered._values[row, :, 0]

    edge, foot = 0.12, 0.62
    room = np.inf
    figure: Any = None if ax is None else ax.figure
    inner = width - 2 * edge if ax is None else ax.get_window_extent().width / figure.dpi
    name = Ruler(_TITLE, "bold").named(*title(explanation, row), inner, 4)
    title_h = 0.2 + 0.16 * (name.count("\n") + 1)
    head = head_of(explanation, inner)
    if ax is not None:
        head.draw_on(ax, 72 * title_h - 6)
        room = ax.get_window_extent().height / figure.dpi - foot
    while True:
        ruler = Ruler(fontsize)
        lines = _lines(_atoms(pieces, ruler), inner, ruler)
        line_h = 1.75 * fontsize / 72
        if len(lines) * line_h <= room or fontsize - 0.5 < _SMALLEST:
            break
        fontsize -= 0.5  # the axes are given, so the text has to fit
    height = max(len(lines) * line_h, min(room, 1e3) if np.isfinite(room) else 0.0) + foot
    if ax is None:
        total = height + title_h + head.height + edge
        figure = pyplot.figure(figsize=(width, total))
        ax = figure.add_axes((edge / width, edge / total, inner / width, height / total))
        head.draw(figure, edge)
    _draw(ax, lines, line_h, ruler, values, scale)
    ax.set_xlim(0, inner)
    ax.set_ylim(height, 0)  # in inches from the upper left corner
    ax.set_aspect("equal", anchor="NW")
    ax.axis("off")
    ax.set_title(name, loc="left", fontsize=_TITLE, fontweight="bold", parse_math=False)
    bar_w = max(min(3.2, inner - 0.6), 0.3)
    cax = ax.inset_axes((0.3, height - foot + 0.27, bar_w, 0.09), transform=ax.transData)
    colour_bar(cax, scale, colour_map(scale, None, _OPACITY))
    return ax


def _draw(
    ax: Axes,
    lines: list[list[_Atom]],
    line_h: float,
    ruler: Ruler,
    values: np.ndarray,
    scale: Scale,
) -> None:
    patches = optional_import("matplotlib.patches", "plots", "Explanation.plot")
    colours = colour_map(scale, None, _OPACITY)
    paths = optional_import("matplotlib.textpath", "plots", "Explanation.plot")
    transforms = optional_import("matplotlib.transforms", "plots", "Explanation.plot")
    colour = optional_import("matplotlib", "plots", "Explanation.plot").rcParams["text.color"]
    ink = ruler.size / 72
    for position, line in enumerate(lines):
        baseline = (position + 0.68) * line_h
        for run, x in _runs(line):
            if run.player >= 0 and run.width > 0:
                share = (float(values[run.player]) - scale.low) / (scale.limit - scale.low)
                ax.add_patch(
                    patches.FancyBboxPatch(
                        # a hair of space, so that parts of one word are told apart
                        (x - 0.008, baseline - 1.02 * ink),
                        run.width + 0.004,
                        1.36 * ink,
                        boxstyle=f"round,pad=0,rounding_size={0.14 * ink}",
                        facecolor=colours(share),
                        edgecolor="none",
                        clip_on=False,
                    )
                )
            for word, start in _words(run, ruler):
                # outlines in inches: drawn letters are wider at some resolutions, and touch
                path = paths.TextPath((0.0, 0.0), word, size=1.0, prop=ruler.font, usetex=False)
                place = transforms.Affine2D().scale(ink, -ink).translate(x + start, baseline)
                patch = patches.PathPatch(
                    place.transform_path(path), facecolor=colour, lw=0, clip_on=False, label=word
                )
                ax.add_patch(patch)
