"""Samples in and matrices out: the containers a model takes and the ones it answers with.

A model may answer with arrays, tensors, data frames or lists of any numeric type. All of
them become one ``(B, C)`` float64 matrix here, and what cannot is refused with the shape
or type that came and the one that is wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse

__all__ = [
    "ShapeError",
    "ask",
    "check_shape",
    "describe",
    "is_texts",
    "n_rows",
    "native_numbers",
    "some_rows",
    "spread_positions",
    "to_matrix",
    "to_numeric",
]


class ShapeError(ValueError):
    """An answer has another shape than a row of numbers for each sample.

    Parameters
    ----------
    message : str
    shape : tuple of int
        The shape that came.
    """

    def __init__(self, message: str, shape: tuple[int, ...]) -> None:
        super().__init__(message)
        self.shape = shape


def n_rows(X: Any) -> int:
    """Return the number of rows of an array, tensor or data frame, or of a list of texts."""
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def is_texts(X: Any) -> bool:
    """Whether ``X`` is an array of shape (n,) that holds strings and nothing else."""
    if not isinstance(X, np.ndarray) or X.ndim != 1 or X.dtype.kind not in "OUT":
        return False
    return all(isinstance(text, str) for text in X)


def some_rows(X: Any, limit: int) -> tuple[Any, np.ndarray]:
    """Rows spread evenly over ``X``, in the container it came in.

    Data are often sorted: the first rows alone would not show what a model answers to others.

    Parameters
    ----------
    X : ndarray, tensor or data frame of shape (n, p) or (n, ...)
        The table or the images; or texts, an ndarray of strings of shape (n,).
    limit : int
        How many rows to keep at most.

    Returns
    -------
    rows : same type as X, with min(n, limit) rows
    positions : int ndarray
        Where these rows are in ``X``.

    Raises
    ------
    TypeError
        ``X`` has no shape, as a list has none.
    ValueError
        ``X`` has no rows, or is one-dimensional and does not hold texts.
    """
    shape = getattr(X, "shape", None)
    if not isinstance(shape, tuple):
        raise TypeError(
            "X must be an ndarray or a pandas or polars DataFrame, as the model was fitted on; "
            f"got {type(X).__name__}"
        )
    if len(shape) < 2 and not is_texts(X):
        raise ValueError(f"X must have rows and columns; got the shape {tuple(shape)}")
    if shape[0] == 0:
        raise ValueError("X has no rows; at least one is needed to see what the model answers")
    if shape[0] <= limit:
        return X, np.arange(shape[0])
    positions = spread_positions(shape[0], limit)
    return X.iloc[positions] if hasattr(X, "iloc") else X[positions], positions


def spread_positions(n: int, limit: int) -> np.ndarray:
    """Positions of at most ``limit`` of n samples, the first and the last among them.

    Examples
    --------
    >>> spread_positions(10, 4)
    array([0, 3, 6, 9])
    """
    return np.unique(np.linspace(0, n - 1, min(n, limit)).round().astype(int))


def ask(function: Callable[[Any], Any], X: Any) -> Any:
    """Return ``function(X)``; an exception passes unchanged, with a note of what was asked."""
    try:
        # models of texts take lists more often than arrays
        return function(X.tolist() if is_texts(X) else X)
    except Exception as error:
        error.add_note(
            f"raised by the model while fastexplain asked it for {n_rows(X)} rows of type "
            f"{type(X).__name__}"
        )
        shape = tuple(getattr(X, "shape", ()))
        if len(shape) in (3, 4):
            error.add_note(
                f"Images reach the model as they were given, here of shape {shape}. A model that "
                "wants other channels (a colour model and grey images), another order of axes or "
                "another size must be given images so prepared, in fit and in explain."
            )
        raise


def describe(value: Any) -> str:
    """Say in a few words what a value is, for messages: its type, shape and dtype."""
    words = type(value).__name__
    if isinstance(getattr(value, "shape", None), tuple):
        words += f" of shape {tuple(value.shape)}"
    if hasattr(value, "dtype"):
        words += f" and dtype {value.dtype}"
    elif isinstance(value, list | tuple):
        words += f" of length {len(value)}"
    return words


def _has_numeric_columns(frame: Any) -> bool:
    """Whether every column of a pandas object holds numbers, nullable ones included."""
    dtypes = frame.dtypes if getattr(frame, "ndim", 1) == 2 else [frame.dtype]
    return all(getattr(dtype, "kind", "O") in "biuf" for dtype in dtypes)


def to_numeric(table: Any) -> np.ndarray:
    """Return an array of the table's values; its dtype tells whether they are numbers.

    Parameters
    ----------
    table : ndarray, data frame, series or nested list
        Anything NumPy can read.

    Returns
    -------
    ndarray
        Missing entries of nullable pandas columns and masked entries are NaN.

    Raises
    ------
    ValueError
        The value is ragged, so that it is no array at all.
    """
    if isinstance(table, np.ma.MaskedArray):
        # junk lies under the mask
        hidden = np.ma.getmaskarray(table)
        table = (
            np.where(hidden, np.nan, table.data.astype(np.float64)) if hidden.any() else table.data
        )
    values = np.asarray(table)
    # nullable pandas columns, and flags beside numbers, turn into objects unless told not to
    if values.dtype.kind == "O" and hasattr(table, "iloc") and _has_numeric_columns(table):
        values = np.asarray(table.to_numpy(dtype=np.float64, na_value=np.nan))
    return values


def native_numbers(values: np.ndarray) -> np.ndarray | None:
    """Return numbers as a new array of a type that torch has; None for other values.

    Parameters
    ----------
    values : ndarray

    Returns
    -------
    ndarray or None
        In native byte order; unsigned whole numbers of several bytes as int64.

    Raises
    ------
    ValueError
        A number is larger than those of int64.
    """
    if values.dtype.kind not in "biuf":
        return None
    if values.dtype.kind == "u" and values.dtype.itemsize > 1:
        _refuse_beyond_int64(values)
        return values.astype(np.int64)  # not every version of torch has unsigned types
    if values.dtype.itemsize > 8:
        return values.astype(np.float64)
    return np.array(values, dtype=values.dtype.newbyteorder("="), order="C")


def _refuse_beyond_int64(values: np.ndarray) -> None:
    """Raise for whole numbers that torch has not: as int64 they would be negative ones."""
    largest, most = int(values.max(initial=0)), np.iinfo(np.int64).max
    if largest > most:
        raise ValueError(
            f"X holds {largest} ({values.dtype}); the whole numbers of torch end at {most}. Number "
            "codes anew from 0 on (pandas.factorize) before the module is trained; give amounts "
            "as floats, X.astype(float)"
        )


def _refuse_scored_labels(answer: Any) -> None:
    """Raise for labels with scores, ``[{"label": ..., "score": ...}, ...]`` for each row."""
    first = answer
    while isinstance(first, list | tuple) and first:
        first = first[0]
    if isinstance(first, dict) and {"label", "score"} <= set(first):
        raise ValueError(
            "the model answered labels with scores, as a pipeline of transformers does. Pass the "
            "pipeline itself as the model if it holds a torch module; else return the scores "
            "alone, one column for each label, always in the same order"
        )


def _answer_array(answer: Any) -> np.ndarray:
    """Array of a model's answer, refusing what holds no plain numbers."""
    wanted = "wanted a dense numeric array of shape (rows,) or (rows, outputs)"
    if issparse(answer):
        raise ValueError(f"the model answered a sparse {describe(answer)}; {wanted}")
    if isinstance(answer, torch.Tensor):
        # a plain function may wrap a torch model and answer its tensors
        if answer.layout is not torch.strided:
            raise ValueError(f"the model answered a sparse {describe(answer)}; {wanted}")
        if answer.is_floating_point():
            answer = answer.double()  # NumPy has no bfloat16
        answer = answer.detach().cpu().numpy()
    _refuse_scored_labels(answer)
    try:
        values = to_numeric(answer)
    except ValueError as error:
        raise ValueError(f"the model answered a ragged {describe(answer)}; {wanted}") from error
    if values.dtype.kind not in "biuf":
        raise ValueError(
            f"the model answered {describe(answer)}, read as dtype {values.dtype}; {wanted}. "
            "Labels are not numbers: pass the model itself or a function of probabilities"
        )
    return values


def check_shape(shape: tuple[int, ...], rows: int, columns: int | None) -> tuple[int, int]:
    """Return the shape ``(rows, C)`` that an answer of some shape stands for.

    Parameters
    ----------
    shape : tuple of int
        Shape of the answer: ``(rows,)`` or ``(rows, C)``. For a single row and known
        ``columns``, an answer that lost its row axis to ``squeeze`` is taken as well.
    rows : int
        Number of rows the model was asked for.
    columns : int or None
        Number of columns of earlier answers, None for the first one.

    Returns
    -------
    tuple of int

    Raises
    ------
    ValueError
        The answer has other rows or columns, or too many dimensions.
    """
    wanted = f"(rows, {columns})" if columns is not None else "(rows,) or (rows, outputs)"
    if rows == 1 and columns is not None and len(shape) < 2 and int(np.prod(shape)) == columns:
        return (1, columns)
    if len(shape) not in (1, 2) or shape[0] != rows:
        raise ShapeError(
            f"the model answered an array of shape {tuple(shape)} for {rows} rows; "
            f"wanted the shape {wanted}, one row of numbers for each row of X",
            tuple(shape),
        )
    found = shape[1] if len(shape) == 2 else 1
    if found == 0 or (columns is not None and found != columns):
        raise ValueError(
            f"the model answered {found} columns for {rows} rows of X; wanted the shape {wanted}"
        )
    return (rows, found)


def to_matrix(answer: Any, rows: int, columns: int | None = None) -> np.ndarray:
    """Return a model's answer as a float64 matrix.

    Parameters
    ----------
    answer : array, tensor, data frame or list
        What the model returned.
    rows : int
        Number of rows the model was asked for.
    columns : int or None, default=None
        Number of columns of earlier answers, None for the first one.

    Returns
    -------
    ndarray of shape (rows, C)

    Raises
    ------
    ValueError
        The answer is sparse, ragged, not numeric, or of another shape.
    """
    values = _answer_array(answer)
    shape = check_shape(values.shape, rows, columns)
    return values.reshape(shape).astype(np.float64, copy=False)
