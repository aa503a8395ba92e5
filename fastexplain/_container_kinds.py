"""Kinds of containers that samples come in, as errors call them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["is_a", "mapping_and_cure", "refuse_foreign_tables", "texts_for_a_table"]

# how other libraries' tables become one that is known, and what calls it
_CONVERSIONS = {
    "to_pandas": "X.to_pandas()",
    "toPandas": "X.toPandas()",
    "to_dataframe": "X.to_dataframe()",
    "collect": "X.collect()",
    "compute": "X.compute()",
    "fetchdf": "X.fetchdf()",
}


def is_a(X: Any, kind: str) -> bool:
    """Whether X is a DataFrame or Series of pandas or polars."""
    # no import: data of a library that was never imported cannot be that library's
    modules = (sys.modules.get(name) for name in ("pandas", "polars"))
    return any(isinstance(X, getattr(module, kind, ())) for module in modules if module)


def refuse_foreign_tables(X: Any) -> None:
    """Raise for tables and labelled arrays of other libraries, with their own way out."""
    name = type(X).__name__
    if hasattr(X, "dims") and hasattr(X, "coords"):
        raise TypeError(
            f"X is a {name} with named axes {tuple(X.dims)}: pass a table, X.to_pandas(), or its "
            "numbers, X.to_numpy()."
        )
    # one-dimensional columns of other libraries may hold texts, which their own list shows
    tabular = any(hasattr(type(X), part) for part in ("columns", "column_names", "schema"))
    for method, call in _CONVERSIONS.items():
        if tabular and hasattr(type(X), method):
            library = type(X).__module__.partition(".")[0]
            raise TypeError(f"X is a {name} of {library}, which is not read here: pass {call}.")


def mapping_and_cure(X: Mapping[Any, Any]) -> str:
    """What a dict holds, and what to pass in its place."""
    keys = ", ".join(map(repr, [*X][:3])) + (", ..." if len(X) > 3 else "")
    values = [*X.values()]
    if "input_ids" in X:
        return (
            "a dict of token ids ('input_ids'): pass the texts themselves, and the tokenizer with "
            "the model, fit(texts, (model, tokenizer))"
        )
    sized = [hasattr(v, "__len__") and not isinstance(v, str | bytes | Mapping) for v in values]
    if values and all(sized):
        if any(is_a(v, "DataFrame") or hasattr(v, "column_names") for v in values):
            return f"a dict of tables ({keys}): pass one of them, X[{next(iter(X))!r}]"
        return f"a dict of columns ({keys}): pass a DataFrame, pandas.DataFrame(X)"
    return f"a dict, one row ({keys}): pass a DataFrame of it, pandas.DataFrame([X])"


def texts_for_a_table(what: str) -> str:
    """What to say of texts where a table is wanted."""
    return (
        f"X is {what}, but a table is wanted, with a row for each sample: one row is [X], and one "
        "column is [[x] for x in X]. Texts are for explainers that were fitted on texts."
    )
