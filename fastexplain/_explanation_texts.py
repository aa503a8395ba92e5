"""Texts of an explanation as HTML, with a colour behind the characters of each player."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from fastexplain._explanation_scale import Scale
from fastexplain._explanation_words import row_caption

if TYPE_CHECKING:
    from fastexplain.explanation import Explanation

__all__ = ["highlighted", "legend", "marked", "text_scale"]


def text_scale(explanation: Explanation, rows: np.ndarray, output: int = 0) -> Scale:
    """Return one scale for the texts ``rows``: of the players that they have."""
    layout: Any = explanation._layout
    values = explanation.centered._values[..., output]
    shown = [values[row, : len(layout.spans[row])] for row in rows]
    joined = np.concatenate(shown) if shown else np.zeros(0)
    return Scale.of(explanation, joined, rows, np.array([output]))


def marked(explanation: Explanation, rows: np.ndarray, longest: int | None = None) -> str:
    """Texts ``rows`` of the first output, below the legend of their colours, as HTML."""
    scale = text_scale(explanation, rows)
    texts = [
        highlighted(explanation, int(row), scale, row_caption(explanation, int(row)), 0, longest)
        for row in rows
    ]
    return legend(scale) + "".join(texts)


def legend(scale: Scale) -> str:
    """Colours from the least to the largest value, with numbers."""
    stops = [0.0, scale.limit] if scale.one_sided else [-scale.limit, 0.0, scale.limit]
    colours = ",".join(scale.css(stop) for stop in stops)
    below, beyond = ("&le; ", "&ge; ") if scale.clipped else ("", "")
    plus = "" if scale.one_sided else "+"
    low = "0" if scale.one_sided else f"{below}&minus;{scale.limit:.3g}"
    return (
        '<div style="font-size:85%;margin:0.3em 0">'
        f'{low} <span style="display:inline-block;width:9em;height:0.8em;border-radius:3px;'
        f"vertical-align:middle;border:1px solid rgba(128,128,128,0.4);"
        f'background:linear-gradient(to right,{colours})"></span> '
        f"{beyond}{plus}{scale.limit:.3g} &nbsp;{escape(scale.label)}</div>"
    )


def highlighted(
    explanation: Explanation,
    row: int,
    scale: Scale,
    caption: str = "",
    output: int = 0,
    longest: int | None = None,
) -> str:
    """One text, a colour behind each player; a tooltip gives its name and value.

    Parameters
    ----------
    explanation : Explanation
        Of texts.
    row : int
        Position of the text.
    scale : Scale
        Which colour a value has.
    caption : str
        Line above the text.
    output : int
        Position of the values' output.
    longest : int, optional
        Characters after which the text is cut off.

    Returns
    -------
    str
        HTML; whatever the text and the names hold is escaped.
    """
    layout: Any = explanation._layout
    text = str(explanation._data[row, 0])  # type: ignore[index]
    raw, centered = explanation._values, explanation.centered._values
    cut = longest is not None and len(text) > longest
    parts = []
    left = longest if longest is not None else len(text)
    for piece, player in layout.pieces(row, text):
        if left <= 0:
            break
        piece, left = piece[:left], left - len(piece)
        if player < 0:
            parts.append(escape(piece))
            continue
        value = float(centered[row, player, output])
        name = explanation.feature_names[player]
        tip = escape(f"{name}: {raw[row, player, output]:.4g}")
        if value != raw[row, player, output]:
            tip += escape(f" ({value:+.4g} from no effect)")
        parts.append(
            f'<span title="{tip}" style="background:{scale.css(value)};border-radius:3px;'
            f'padding:0.15em 0">{escape(piece)}</span>'
        )
    if cut:
        parts.append("&hellip;")
    head = f'<div style="font-size:85%;opacity:0.75">{escape(caption)}</div>' if caption else ""
    return (
        f'<div style="margin:0.5em 0">{head}<div dir="auto" style="white-space:pre-wrap;'
        f'overflow-wrap:anywhere;line-height:1.7;text-align:start">{"".join(parts)}</div></div>'
    )
