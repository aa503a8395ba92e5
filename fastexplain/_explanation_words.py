"""What an explanation says of itself in pictures: outputs, predictions, score, caution."""

from __future__ import annotations

from math import floor, isfinite, log10
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fastexplain.explanation import Explanation

#: characters of a name that pictures and captions show
_LONGEST_NAME = 60

__all__ = [
    "base_name",
    "label",
    "name_and_value",
    "number",
    "output_name",
    "row_caption",
    "score_text",
    "short",
    "target_text",
    "title",
]


def output_name(explanation: Explanation, position: int) -> str:
    """Name of an output, ``output k`` where it has none."""
    names = explanation.output_names
    return f"output {position}" if names is None else names[position]


def short(text: str, longest: int = _LONGEST_NAME) -> str:
    r"""Text on one line, cut with an ellipsis where it is longer.

    Examples
    --------
    >>> short("a rather\nlong name", longest=12)
    'a rather lo…'
    """
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "\u2026"


def target_text(explanation: Explanation) -> str:
    """Which output is explained, in words; empty where there is nothing to say."""
    target = explanation._target
    if target is None or not len(target):
        return ""
    if np.all(target == target[0]):
        return f'target "{short(output_name(explanation, int(target[0])))}"'
    return "target per row"


def score_text(explanation: Explanation) -> str:
    """Held-out score of the explainer that gave the values; empty where it is not known.

    Examples
    --------
    >>> from fastexplain.explanation import Explanation
    >>> score_text(Explanation([0.5], base_values=0, score=0.914, score_name="rank correlation"))
    'held-out rank correlation 0.91'
    """
    score = explanation.score
    if score is None:
        return ""
    text = f"{score:.2f}"
    if score < 1.0 and text == "1.00":
        text = "> 0.99"
    name = explanation.score_name
    return f"{name} {text}" if name.startswith("held-out") else f"held-out {name} {text}"


def number(value: float, step: float | None = None) -> str:
    """A number with three significant digits, and more where changes of ``step`` are smaller.

    Examples
    --------
    >>> number(12.345), number(1234.5), number(1_700_000_123.4, step=300.0)
    ('12.3', '1.23e+03', '1700000123')
    """
    value = float(value)
    digits = 3
    if step and isfinite(step) and isfinite(value) and value:
        digits = max(digits, 2 + floor(log10(abs(value))) - floor(log10(abs(step))))
    exponent = floor(log10(abs(value))) if isfinite(value) and value else 0
    if digits > 3 and -5 < exponent < 15:
        return f"{value:.{max(0, min(digits, 15) - 1 - exponent)}f}"
    return f"{value:.{min(digits, 15)}g}"


def _unit(explanation: Explanation, row: int, output: int) -> float | None:
    units = explanation._units()
    return None if units is None else float(units[row, output])


def name_and_value(explanation: Explanation, row: int, output: int = 0) -> tuple[str, str]:
    """Name of a row's explained output, and what the model predicts; empty where unknown.

    Probabilities have two decimals: numbers in [0, 1] of an output whose ``unit`` is 1.
    """
    name = ""
    if "output" in explanation.dims:
        name = output_name(explanation, output)
    elif explanation._target is not None:
        name = output_name(explanation, int(explanation._target[row]))
    name = short(name)
    if explanation._predictions is None:
        return name, ""
    value = float(explanation._predictions[row, output])
    if not isfinite(value):
        return name, ""
    unit = _unit(explanation, row, output)
    text = f"{value:.2f}" if unit == 1.0 and 0.0 <= value <= 1.0 else number(value, unit)
    if not name:
        return "f(x) =", text
    # a number after "output 1" or the class "1" would read as a part of it
    is_number = explanation.output_names is None or name.replace(".", "").isdigit()
    return (f"{name}:" if is_number else name), text


def label(explanation: Explanation, row: int, output: int = 0) -> str:
    """Name and predicted value in one: ``cat 0.93``."""
    return " ".join(filter(None, name_and_value(explanation, row, output)))


def row_caption(explanation: Explanation, row: int, output: int = 0) -> str:
    """What a picture of a row says above it: its position, its output if rows differ in it."""
    single = "row" not in explanation.dims
    parts = [] if single else [str(row)]
    _, value = name_and_value(explanation, row, output)
    if value or (
        explanation._target is not None and (single or target_text(explanation) == "target per row")
    ):
        parts.append(label(explanation, row, output))
    return " \u00b7 ".join(parts)


def title(explanation: Explanation, row: int | None = None) -> tuple[str, str]:
    """Method and explained output; and of one row, ``row`` or the only one, what is predicted."""
    if row is None and len(explanation._values) == 1:
        row = 0
    target, value = target_text(explanation), ""
    if row is not None:
        name, value = name_and_value(explanation, row)
        if value:
            target = name if explanation._target is None else f"target: {name}"
        elif name:
            target = f'target "{name}"'
    return ", ".join(filter(None, [explanation.method, target])), value


def base_name(explanation: Explanation) -> str:
    """How a picture calls the output with all features removed: never an expectation."""
    return "v(none)" if "surrogate" in explanation.method.lower() else "f(baseline)"
