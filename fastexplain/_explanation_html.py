"""What an ``Explanation`` looks like in a session and in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from fastexplain._explanation_data import column
from fastexplain._explanation_layout import layout_kind

if TYPE_CHECKING:
    from fastexplain.explanation import Explanation

__all__ = ["html", "output_name", "row_caption", "summary", "target_text"]

_ROWS, _COLUMNS = 5, 10
_IMAGES, _CHARACTERS = 4, 600


def output_name(explanation: Explanation, position: int) -> str:
    """Name of an output, ``output k`` where it has none."""
    names = explanation.output_names
    return f"output {position}" if names is None else names[position]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def target_text(explanation: Explanation) -> str:
    """Which output is explained, in words; empty where there is nothing to say."""
    target = explanation._target
    if target is None or not len(target):
        return ""
    if np.all(target == target[0]):
        return f'target "{output_name(explanation, int(target[0]))}"'
    return "target per row"


def summary(explanation: Explanation) -> str:
    """One line: shape, target and method."""
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
    return f"{text}; {explanation.method}" if explanation.method else text


def _cell(value: float, scale: float, shown: str) -> str:
    # transparent colours keep the text readable on light and on dark pages
    alpha = 0.0 if not np.isfinite(value) else 0.6 * min(abs(value) / scale, 1.0)
    colour = "255,0,81" if value > 0 else "0,139,251"
    return f'<td style="text-align:right;background:rgba({colour},{alpha:.2f})"{shown}'


def row_caption(explanation: Explanation, row: int) -> str:
    """What a picture of a row says above it: its position, and its target if rows differ."""
    single = "row" not in explanation.dims
    parts = [] if single else [str(row)]
    if explanation._target is not None and (single or target_text(explanation) == "target per row"):
        parts.append(output_name(explanation, int(explanation._target[row])))
    return " \u00b7 ".join(parts)


def html(explanation: Explanation) -> str:
    """First rows in colours: red above the value of no effect, blue below.

    Images and texts are shown themselves, other rows in a small table of their values.
    """
    pictures = ""
    if explanation._data is not None and explanation._values.size:
        pictures = _pictures(explanation)
    return f"<div><p>{_heading(explanation)}</p>{pictures or _table(explanation)}</div>"


def _heading(explanation: Explanation) -> str:
    text = f"<b>Explanation</b>: {escape(summary(explanation))}"
    n_outputs = explanation._values.shape[2]
    if n_outputs > 1:
        first = escape(output_name(explanation, 0))
        text += f"<br>shown: output &quot;{first}&quot;, the first of {n_outputs}"
    return text


def _pictures(explanation: Explanation) -> str:
    """First images or texts in colours; empty for explanations of other data."""
    which = layout_kind(explanation._layout)
    n = len(explanation._values)
    if which == "images":
        from fastexplain._explanation_images import thumbnails

        shown = min(n, _IMAGES)
        captions = [row_caption(explanation, row) for row in range(shown)]
        drawn = thumbnails(explanation, captions, shown)
    elif which == "texts":
        from fastexplain._explanation_texts import highlighted, legend, text_scale

        shown = min(n, _ROWS)
        scale = text_scale(explanation, np.arange(shown))
        drawn = legend(scale) + "".join(
            highlighted(explanation, row, scale, row_caption(explanation, row), longest=_CHARACTERS)
            for row in range(shown)
        )
    else:
        return ""
    return drawn + (f"<p>{_count(n - shown, 'more row')}</p>" if n > shown else "")


def _table(explanation: Explanation) -> str:
    raw = explanation._values
    centered = explanation.centered._values
    n, n_features, _ = raw.shape
    rows, columns = min(n, _ROWS), min(n_features, _COLUMNS)
    scale = float(np.nanmax(np.abs(centered[:rows]), initial=0.0)) or 1.0
    per_row = target_text(explanation) == "target per row"
    names = explanation.feature_names
    display = explanation._display

    parts = ['<table style="border-collapse:collapse"><thead><tr><th></th>']
    if per_row:
        parts.append("<th>target</th>")
    parts += [f"<th>{escape(name)}</th>" for name in names[:columns]]
    more = "<td>&hellip;</td>" if n_features > columns else ""
    parts.append(more.replace("td", "th") + "</tr></thead><tbody>")
    data = []
    if display is not None:
        data = [[str(value) for value in column(display, j)[:rows]] for j in range(columns)]
    for i in range(rows):
        parts.append(f"<tr><th>{i}</th>")
        if per_row:
            name = output_name(explanation, int(explanation._target[i]))  # type: ignore[index]
            parts.append(f"<td>{escape(name)}</td>")
        for j in range(columns):
            tip = f' title="{escape(f"{names[j]} = {data[j][i]}")}"' if data else ""
            shown = f"{tip}>{raw[i, j, 0]:.3g}</td>"
            parts.append(_cell(float(centered[i, j, 0]), scale, shown))
        parts.append(more + "</tr>")
    if n > rows:
        parts.append(f'<tr><th colspan="2">{n - rows} more rows</th></tr>')
    parts.append("</tbody></table>")
    return "".join(parts)
