"""What X is where it is neither table, images nor texts: an error that names it and the cure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Number
from pathlib import PurePath
from typing import Any

import numpy as np
from scipy.sparse import issparse

from fastexplain._container_kinds import (
    is_a,
    mapping_and_cure,
    refuse_foreign_tables,
    texts_for_a_table,
)
from fastexplain._container_lists import checked_list

__all__ = ["plain_container"]

_WANTED = "a table (array of shape (n, features) or DataFrame), images or a list of texts"
_MOST_AXES = 4


def plain_container(X: Any, *, table: bool = False) -> Any:
    """X itself, or a list or array of its samples where it is obvious how to make one.

    Parameters
    ----------
    X : object
        What a user passes as samples.
    table : bool, default=False
        Whether only a table will do. One-dimensional numeric arrays pass all the same.

    Returns
    -------
    object
        A table, images or texts, or what their own checks refuse.

    Raises
    ------
    TypeError
        For what is neither of them, such as a dict, a data loader or a single text.
    ValueError
        For what has too few or too many axes, rows of several lengths, or no samples.

    Examples
    --------
    >>> plain_container({"age": [30, 40], "town": ["Bonn", "Rome"]})
    Traceback (most recent call last):
    TypeError: X is a dict of columns ('age', 'town'): pass a DataFrame, pandas.DataFrame(X).
    """
    if is_a(X, "DataFrame"):
        return X
    if is_a(X, "Series"):
        return _checked_series(X, table)
    if isinstance(X, np.ndarray):
        return _checked_array(X, table)
    if issparse(X):
        raise TypeError(
            "Sparse data was passed, but dense data is required. Use X.toarray() to convert."
        )
    _refuse_single(X)
    if hasattr(X, "detach") and hasattr(X, "ndim"):
        return _checked_tensor(X, table)
    refuse_foreign_tables(X)
    if isinstance(X, Mapping):
        raise TypeError(f"X is {mapping_and_cure(X)}.")
    if isinstance(X, Sequence) and not isinstance(X, memoryview):
        found = checked_list(X if isinstance(X, list | tuple) else list(X), table)
        return _checked_array(found, table) if isinstance(found, np.ndarray) else found
    if hasattr(X, "getbands"):
        raise TypeError("X is a single picture: pass a list of pictures, [image].")
    if hasattr(X, "__array__") or hasattr(X, "__array_interface__") or _is_buffer(X):
        array = np.asarray(X)
        if array.ndim == 1 and array.dtype.kind in "iufc":
            raise ValueError(_one_axis(f"{type(X).__name__} of shape {array.shape}"))
        return _checked_array(array, table)
    _refuse_iterables(X)
    raise TypeError(f"X is a {type(X).__name__}{_model_or_not(X)}")


def _is_buffer(X: Any) -> bool:
    try:
        memoryview(X)
    except TypeError:
        return False
    return True


def _refuse_single(X: Any) -> None:
    """Raise for what is one thing and no container of samples."""
    if X is None:
        raise TypeError(f"X is None: pass {_WANTED}.")
    if isinstance(X, str):
        raise TypeError(
            "X is a single text: pass a list of texts, [text]. If it is the name of a file, read "
            "it first."
        )
    if isinstance(X, bytes | bytearray):
        raise TypeError("X is bytes: decode them and pass a list of texts, [X.decode()].")
    if isinstance(X, PurePath):
        raise TypeError("X is a path: read the file first, as with pandas.read_csv(path).")
    if isinstance(X, type):
        raise TypeError(f"X is the class {X.__name__}: pass {_WANTED}.")
    if isinstance(X, Number | np.generic):
        raise ValueError(f"X is a single number, {X}: pass rows of cells, such as [[{X}]].")


def _refuse_iterables(X: Any) -> None:
    """Raise for what gives samples one by one: loaders, datasets, generators, sets."""
    name = type(X).__name__
    if hasattr(X, "dataset") and hasattr(X, "__iter__"):
        raise TypeError(
            f"X is a {name}, an iterable of batches: put these together first, such as by "
            "numpy.concatenate([batch[0] for batch in X])."
        )
    if isinstance(X, set | frozenset):
        raise TypeError(f"X is a {name}, which has no order: pass a list, sorted(X).")
    if hasattr(X, "__len__") and hasattr(X, "__getitem__"):
        raise TypeError(
            f"X is a {name}, a dataset of single samples: gather them first, such as by "
            "[X[i][0] for i in range(len(X))]."
        )
    if isinstance(X, Iterable):
        raise TypeError(f"X is a {name}, an iterable: gather its samples first, list(X).")


def _model_or_not(X: Any) -> str:
    if callable(X) or hasattr(X, "predict"):
        return f", which looks like a model: fit(X, model) takes the samples first, {_WANTED}."
    return f": pass {_WANTED}."


def _checked_series(X: Any, table: bool) -> Any:
    """A Series of texts or of images as it is; any other is one row or one column."""
    present = X.dropna() if hasattr(X, "dropna") else X.drop_nulls()
    first = next(iter(present), None)
    if not table and isinstance(first, str):
        held = {type(cell) for cell in present} if str(X.dtype) == "object" else {str}
        if all(issubclass(kind, str) for kind in held):
            return X
    if not table and (len(getattr(first, "shape", ())) > 1 or hasattr(first, "getbands")):
        return list(X)
    if hasattr(X, "iloc"):
        raise TypeError(
            "X is a Series, that is one row or one column: one row of a DataFrame is df.iloc[[i]] "
            "or X.to_frame().T, and one column is X.to_frame(). Texts must all be str."
        )
    raise TypeError(
        "X is a Series, that is one row or one column: one row of a DataFrame is df[[i]], and one "
        "column is X.to_frame(). Texts must all be str."
    )


def _checked_tensor(X: Any, table: bool) -> Any:
    if getattr(X, "is_sparse", False) or "strided" not in str(getattr(X, "layout", "strided")):
        raise TypeError("X is a sparse tensor, but dense data is required: pass X.to_dense().")
    if X.ndim == 1:
        raise ValueError(_one_axis(f"tensor of shape {tuple(X.shape)}"))
    return _checked_axes(X, tuple(X.shape), table)


def _one_axis(what: str) -> str:
    return f"X is a {what} with one axis: one row is X[None, :], one column is X[:, None]."


def _checked_array(X: np.ndarray, table: bool) -> Any:
    if X.dtype.names is not None:
        names = ", ".join(map(repr, X.dtype.names[:3]))
        raise TypeError(
            f"X is an array of records with the fields {names}: pass a DataFrame, "
            "pandas.DataFrame(X)."
        )
    if X.ndim != 1 or X.dtype.kind in "iufc":
        # numbers of one axis are refused by the check that scikit-learn words
        return X if X.ndim == 1 else _checked_axes(X, X.shape, table)
    if X.dtype.kind == "O":
        found = checked_list(list(X), table)
        return X if X.size and isinstance(X[0], str) else found
    if X.dtype.kind in "UST":
        if table and X.size:
            raise TypeError(texts_for_a_table("an array of texts"))
        return X
    raise ValueError(_one_axis(f"{X.dtype} array of shape {X.shape}"))


def _checked_axes(X: Any, shape: tuple[int, ...], table: bool) -> Any:
    """X, if it has as many axes as samples may have."""
    n, text = len(shape), f"X has {len(shape)} axes, shape {tuple(shape)}"
    if n == 0:
        raise ValueError(f"X is a single value without any axis: pass {_WANTED}.")
    if n > _MOST_AXES:
        raise ValueError(
            f"{text}: volumes, videos or other samples of {n - 1} dimensions, which have no "
            "masker. Explain regions of them as a table: rows [x.ravel() for x in X] with groups= "
            "of columns, and as the model a function that gives rows their shape back; or slices "
            "as images of shape (n, C, H, W)."
        )
    if table and n > 2:
        raise ValueError(
            f"{text}, but a table of shape (n, features) is wanted: flatten it, "
            "[x.ravel() for x in X]. Images are for explainers that were fitted on images."
        )
    return X
