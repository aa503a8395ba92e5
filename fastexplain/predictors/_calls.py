"""Calls: how a model outside torch is asked, and its answers as a matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from fastexplain.predictors._answers import Select, column_labels, part_of
from fastexplain.predictors._matrix import ask, n_rows, some_rows, to_matrix

__all__ = ["ArrayCall", "Call", "Method", "check_square"]


class Call(Protocol):
    """A model's raw answers as a checked matrix."""

    def __call__(self, X: Any, columns: int | None = None) -> Any:
        """Return the answers of shape (B, C), where C must be ``columns`` if it is given."""
        ...  # pragma: no cover


@dataclass(frozen=True, eq=False)
class Method:
    """A method of a model by name, so that it is found anew after pickling."""

    model: Any
    name: str

    def __call__(self, X: Any) -> Any:
        """Return ``model.name(X)``."""
        return getattr(self.model, self.name)(X)


@dataclass(frozen=True, eq=False)
class ArrayCall:
    """Raw answers of a function outside torch, as float64 matrices.

    Attributes
    ----------
    function : callable
    select : str, int, callable or None
        Which part of an answer of several parts is explained.
    labels : list of str or None
        Labels of the columns of the data frame that it answered first. Later data frames are
        put in this order.
    """

    function: Callable[[Any], Any]
    select: Select = None
    labels: list[str] | None = None

    def __call__(self, X: Any, columns: int | None = None) -> np.ndarray:
        """Return ``function(X)`` as an ndarray of shape (B, C)."""
        part = self.raw(X)
        values = to_matrix(part, n_rows(X), columns)
        order = None if self.labels is None else _order(part, self.labels)
        return values if order is None else values[:, order]

    def raw(self, X: Any) -> Any:
        """Return the part of ``function(X)`` that is explained, as it comes."""
        return part_of(ask(self.function, X), n_rows(X), self.select)

    def like(self, part: Any) -> ArrayCall:
        """The same call, whose columns keep the order that they have in an answer."""
        return replace(self, labels=column_labels(part))


def _order(part: Any, labels: list[str]) -> list[int] | None:
    """Where the labels are in a later answer; None where it has them in order, or has none."""
    found = column_labels(part)
    if len(labels) > 1 and hasattr(part, "iloc") and not hasattr(part, "columns"):
        found = [str(label) for label in part.index]  # one row that lost its axis
    if found is None or found == labels:
        return None
    if sorted(found) != sorted(labels) or len(set(labels)) < len(labels):
        raise ValueError(
            f"the model answered the columns {found}, but {labels} when it was fitted, so that it "
            "is not clear which is which. Answer the same columns each time, or an array, whose "
            "columns have no names"
        )
    return [found.index(label) for label in labels]


def check_square(call: ArrayCall, sample: Any, columns: int) -> None:
    """Raise where as many columns as rows turn out to be rows and columns swapped.

    Two outputs for all rows, ``[f(X), g(X)]``, look like one row each where there are two rows.

    Parameters
    ----------
    call : ArrayCall
    sample : ndarray or data frame of shape (B, p)
        What it was asked for.
    columns : int
        How many columns it answered.

    Raises
    ------
    ValueError
        An answer to fewer rows has another number of columns, or is one of several parts.
    """
    rows = n_rows(sample)
    if rows > 1 and columns == rows:
        call(some_rows(sample, rows - 1)[0], columns)
