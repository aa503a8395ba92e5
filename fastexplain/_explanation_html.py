"""What an ``Explanation`` looks like in a session and in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from fastexplain._explanation_data import column
from fastexplain._explanation_layout import layout_kind
from fastexplain._explanation_scale import Scale
from fastexplain._explanation_words import label, output_name, score_text, short, target_text

if TYPE_CHECKING:
    from fastexplain.explanation import Explanation

__all__ = ["NO_FORMULAS", "html", "summary", "told"]

#: tells the MathJax of notebooks that a "$" in a name or a text begins no formula
NO_FORMULAS = '<div class="tex2jax_ignore mathjax_ignore">'

_ROWS, _COLUMNS = 5, 10
_IMAGES, _CHARACTERS = 4, 600


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def summary(explanation: Explanation) -> str:
    """One line: shape, target, method, score and caution."""
    n, n_features, n_outputs = explanation._values.shape
    parts = [
        _count(n, "row") if "row" in explanation.dims else "single row",
        _count(n_features, "feature")
        if "feature" in explanation.dims
        else f'feature "{explanation.feature_names[0]}"',
    ]
    if "output" in explanation.dims:
        parts.append(_count(n_outputs, "output"))
    text = " x ".join(parts)
    target = target_text(explanation)
    if target:
        text += f", {target}"
    caution = f"caution: {explanation.caution}" if explanation.caution else ""
    parts = [text, explanation.method, score_text(explanation), caution]
    return "; ".join(filter(None, parts))


def told(explanation: Explanation) -> str:
    """Score and caution as HTML, for above a picture; empty where neither is known."""
    parts = []
    if explanation.caution:
        parts.append(
            '<div style="border-left:4px solid #b3261e;padding:0.2em 0.6em;margin:0.4em 0;'
            'background:rgba(179,38,30,0.12)"><b>Caution</b>: '
            f"{escape(explanation.caution)}</div>"
        )
    score = score_text(explanation)
    if score:
        parts.append(f'<div style="font-size:85%;opacity:0.75">{escape(score)}</div>')
    return "".join(parts)


def html(explanation: Explanation) -> str:
    """First rows in colours: red above the value of no effect, blue below.

    Images and texts are shown themselves, other rows in a small table of their values.
    """
    pictures = ""
    if explanation._data is not None and explanation._values.size:
        pictures = _pictures(explanation)
    return (
        f"<div>{NO_FORMULAS}<p>{_heading(explanation)}</p>{told(explanation)}"
        f"{pictures or _table(explanation)}</div></div>"
    )


def _heading(explanation: Explanation) -> str:
    plain = explanation._copy()
    plain.score = plain.caution = None  # these stand below
    text = f"<b>Explanation</b>: {escape(summary(plain))}"
    n_outputs = explanation._values.shape[2]
    if n_outputs > 1:
        first = escape(short(output_name(explanation, 0)))
        text += f"<br>shown: output &quot;{first}&quot;, the first of {n_outputs}"
    return text


def _pictures(explanation: Explanation) -> str:
    """First images or texts in colours; empty for explanations of other data."""
    which = layout_kind(explanation._layout)
    n = len(explanation._values)
    if which == "images":
        from fastexplain._explanation_images import thumbnails

        shown = min(n, _IMAGES)
        drawn = thumbnails(explanation, shown)
    elif which == "texts":
        from fastexplain._explanation_texts import marked

        shown = min(n, _ROWS)
        drawn = marked(explanation, np.arange(shown), longest=_CHARACTERS)
    else:
        return ""
    return drawn + (f"<p>{_count(n - shown, 'more row')}</p>" if n > shown else "")


def _table(explanation: Explanation) -> str:
    raw = explanation._values
    centered = explanation.centered._values
    n, n_features, _ = raw.shape
    rows, columns = min(n, _ROWS), min(n_features, _COLUMNS)
    scale = Scale.of(explanation, centered[:rows, :, :1], np.arange(rows), np.arange(1))
    per_row = explanation._predictions is not None or target_text(explanation) == "target per row"
    names = [short(name) for name in explanation.feature_names[:columns]]
    display = explanation._display

    parts = ['<table style="border-collapse:collapse"><thead><tr><th></th>']
    if per_row:
        parts.append("<th>output</th>" if explanation._target is None else "<th>target</th>")
    parts += [f"<th>{escape(name)}</th>" for name in names]
    more = "<td>&hellip;</td>" if n_features > columns else ""
    parts.append(more.replace("td", "th") + "</tr></thead><tbody>")
    data = []
    if display is not None:
        data = [[str(value) for value in column(display, j)[:rows]] for j in range(columns)]
    for i in range(rows):
        parts.append(f"<tr><th>{i}</th>")
        if per_row:
            parts.append(f"<td>{escape(label(explanation, i))}</td>")
        for j in range(columns):
            tip = f' title="{escape(f"{names[j]} = {data[j][i]}")}"' if data else ""
            colour = scale.css(float(centered[i, j, 0]))
            parts.append(
                f'<td style="text-align:right;background:{colour}"{tip}>{raw[i, j, 0]:.3g}</td>'
            )
        parts.append(more + "</tr>")
    if n > rows:
        parts.append(f'<tr><th colspan="2">{n - rows} more rows</th></tr>')
    parts.append("</tbody></table>")
    return "".join(parts)
