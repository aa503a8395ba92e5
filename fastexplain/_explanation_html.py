"""What an ``Explanation`` looks like in a session and in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from fastexplain._explanation_data import column

if TYPE_CHECKING:
    from fastexplain.explanation import Explanation

__all__ = ["html", "output_name", "summary", "target_text"]

_ROWS, _COLUMNS = 5, 10


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


def html(explanation: Explanation) -> str:
    """Small table of the first rows: red above the value of no effect, blue below."""
    raw = explanation._values
    centered = explanation.centered._values
    n, n_features, n_outputs = raw.shape
    rows, columns = min(n, _ROWS), min(n_features, _COLUMNS)
    scale = float(np.nanmax(np.abs(centered[:rows]), initial=0.0)) or 1.0
    per_row = target_text(explanation) == "target per row"
    names = explanation.feature_names
    display = explanation._display

    parts = [f"<div><p><b>Explanation</b>: {escape(summary(explanation))}"]
    if n_outputs > 1:
        first = escape(output_name(explanation, 0))
        parts.append(f"<br>shown: output &quot;{first}&quot;, the first of {n_outputs}")
    parts.append('</p><table style="border-collapse:collapse"><thead><tr><th></th>')
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
    parts.append("</tbody></table></div>")
    return "".join(parts)
