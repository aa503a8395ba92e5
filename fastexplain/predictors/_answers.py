"""Answers of several parts: which of them is explained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = [
    "Select",
    "answer_names",
    "check_select",
    "column_labels",
    "part_of",
    "parts_with_rows",
    "settled",
]

#: a key or attribute, a position, or a function of the whole answer
Select = str | int | Callable[[Any], Any] | None


def check_select(select: Any) -> None:
    """Raise a TypeError for what cannot say which part of an answer is meant."""
    known = isinstance(select, str | int) and not isinstance(select, bool)
    if select is None or known or callable(select):
        return
    raise TypeError(
        "select must be a key, a position or a function of the model's answer, got "
        f"{type(select).__name__}."
    )


def _named_parts(answer: Any) -> dict[str | int, Any] | None:
    """Parts of a mapping, a named tuple, a tuple or a list by key; None for other answers."""
    if isinstance(answer, Mapping):
        return dict(answer)
    fields = getattr(answer, "_fields", None)
    if isinstance(answer, tuple) and fields:
        return dict(zip(fields, answer, strict=True))
    return dict(enumerate(answer)) if isinstance(answer, tuple | list) else None


def parts_with_rows(answer: Any, rows: int) -> dict[str | int, Any] | None:
    """Parts that have an entry for each sample, by key; None for an answer without parts.

    Parameters
    ----------
    answer : object
        What a model answered to some samples.
    rows : int
        How many samples it was asked for.

    Returns
    -------
    dict or None
        A list of numbers is no answer of parts.
    """
    parts = _named_parts(answer)
    if parts is None or not any(hasattr(part, "shape") for part in parts.values()):
        return None
    shapes = {key: tuple(getattr(part, "shape", ())) for key, part in parts.items()}
    if isinstance(answer, list) and len(answer) == rows and len(set(shapes.values())) == 1:
        # one row each; `check_square` sees where they are not
        if len(shapes[0]) < 2:
            return None
    return {key: parts[key] for key, shape in shapes.items() if shape and shape[0] == rows}


def _selected(answer: Any, select: str | int | Callable[[Any], Any]) -> Any:
    if callable(select):
        return select(answer)
    parts = _named_parts(answer)
    if parts is not None and select in parts:
        return parts[select]
    if isinstance(select, str) and hasattr(answer, select):
        return getattr(answer, select)
    if isinstance(select, int) and isinstance(answer, tuple | list):
        if -len(answer) <= select < len(answer):
            return answer[select]
    known = "one part" if parts is None else f"the parts {list(parts)}"
    raise ValueError(
        f"select={select!r} is not in the model's answer, a {type(answer).__name__} of {known}. "
        "Choose what is there, or give a function of the answer."
    )


def part_of(answer: Any, rows: int, select: Select = None) -> Any:
    """Return the part of an answer that is explained.

    Parameters
    ----------
    answer : object
        What the model answered to some samples.
    rows : int
        How many samples it was asked for.
    select : str, int, callable or None
        The user's choice. Without one, a mapping, tuple or list may hold one part with an
        entry for each sample.

    Returns
    -------
    object
        The answer itself if it has no parts.

    Raises
    ------
    ValueError
        Several parts have an entry for each sample and `select` does not choose, or it chooses
        what is not there.
    """
    key = settled(answer, rows, select)
    return answer if key is None else _selected(answer, key)


def settled(answer: Any, rows: int, select: Select = None) -> Select:
    """Return the choice that `part_of` makes, to make the same one of later answers.

    Parameters and errors are those of `part_of`; None stands for an answer without parts.
    """
    if select is not None:
        return select
    parts = parts_with_rows(answer, rows)
    if parts is None or not parts:
        return None
    if len(parts) > 1:
        listed = ", ".join(f"{key!r} of shape {tuple(part.shape)}" for key, part in parts.items())
        first = next(iter(parts))
        raise ValueError(
            f"the model answers a {type(answer).__name__} with several parts that have a row for "
            f"each sample: {listed}. Say which is explained, as in select={first!r}, or give a "
            "function of the answer"
        )
    return next(iter(parts))


def column_labels(answer: Any) -> list[str] | None:
    """Labels of the columns of a data frame, or the name of a Series; None for other answers."""
    labels = getattr(answer, "columns", None)
    if labels is None:
        # the name of a Series of one column
        name = getattr(answer, "name", None)
        return [name] if hasattr(answer, "dtype") and isinstance(name, str) else None
    found = list(labels)
    # the columns of tables of other libraries may be the columns themselves
    if not hasattr(answer, "iloc") and not all(isinstance(label, str) for label in found):
        return None
    return [str(label) for label in found]


def answer_names(answer: Any, columns: int) -> list[str] | None:
    """Names that a data frame or Series gives its columns; None where it numbers them."""
    found = column_labels(answer)
    if found is None or len(found) != columns:
        return None
    labels = getattr(answer, "columns", found)
    return found if any(isinstance(label, str) for label in labels) else None
