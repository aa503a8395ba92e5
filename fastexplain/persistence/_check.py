"""What cannot be saved is known before anything is trained."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastexplain._warnings import warn_user
from fastexplain.persistence._values import decode_value, encode_value
from fastexplain.tables import Table

__all__ = ["check_savable"]

# cells that hold others, so that their type alone says nothing
_CONTAINERS = (tuple, frozenset)


def check_savable(explainer: Any, masker: Any, X: Any) -> None:
    """Say what of a learned explainer cannot be saved, before its model is asked anything.

    Parameters
    ----------
    explainer : LearnedExplainer
        Not fitted.
    masker : masker
        As it is to be fitted.
    X : table, images or texts
        What it is to be fitted on.

    Raises
    ------
    TypeError
        For columns or parameters whose values have no form in JSON; names them and the type.

    Warns
    -----
    UserWarning
        If the masker holds a function, or a tokenizer that has no form in JSON: this is a use
        of its own, and such explainers can be pickled.
    """
    from fastexplain.explainers._saved_params import check_params
    from fastexplain.maskers import TabularMasker

    check_params(explainer)
    if not isinstance(masker, TabularMasker):
        why = _unsavable_part(masker)
        if why is not None:
            warn_user(f"This explainer can be pickled, but not saved: {why}")
        return
    table = masker.wrap(X)
    if isinstance(table, Table):
        _check_table(table)


def _unsavable_part(masker: Any) -> str | None:
    """What of a masker of images or texts has no form in JSON, and what to do."""
    from fastexplain.maskers import ImageMasker, TextMasker
    from fastexplain.maskers._tokenizers import save_tokenizer

    if type(masker) not in (ImageMasker, TextMasker):
        return f"its masker is a {type(masker).__name__} of your own."
    for name, cure in (
        ("segments", "give segments= as an array, if all images have the same"),
        ("segmenter", "take segmenter='budoux', or None"),
    ):
        if callable(getattr(masker, name, None)):
            return f"{name}= of its masker is a function. To save it, {cure}."
    tokenizer = getattr(masker, "tokenizer", None)
    if tokenizer is None:
        return None
    try:
        save_tokenizer(tokenizer)
    except Exception as error:  # parts of a tokenizer written in Python raise what they like
        return f"its tokenizer has no form in JSON ({error})"
    return None


def _check_table(table: Table) -> None:
    native: Any = table.native
    for j, name in enumerate(table.names):
        column = table.column(j)
        try:
            _check_dtype(column)
            if table.kind != "polars" and column.dtype == np.dtype(object):
                _check_cells(column)
        except TypeError as error:
            raise TypeError(
                f"Column {name!r} holds {error}, which a saved explainer cannot hold. Fit model "
                "and explainer on text, numbers or dates instead: convert the column, as in "
                f"X[{name!r}] = X[{name!r}].astype(str), or leave it out."
            ) from error
    if table.kind == "pandas":
        try:
            encode_value(native.columns)
        except TypeError as error:
            raise TypeError(
                f"The names of X's columns hold {error}, which a saved explainer cannot hold: "
                "give them texts for names."
            ) from error


def _check_dtype(column: Any) -> None:
    """Raise TypeError if a column's dtype, categories included, does not come back from JSON."""
    none = column[:0]
    encoded = encode_value(none)
    again = decode_value(encoded)
    if again.dtype != none.dtype and not isinstance(none, np.ndarray):
        raise TypeError(f"values of the dtype {none.dtype}")


def _check_cells(column: Any) -> None:
    """Raise TypeError for the first type among cells that has no form in JSON."""
    seen: set[type] = set()
    for cell in column:
        kind = type(cell)
        if kind in seen and kind not in _CONTAINERS:
            continue
        seen.add(kind)
        # objects of one type may differ in their time zones, which few have
        encode_value(cell)
