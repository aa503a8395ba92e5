"""Fitted maskers as JSON values and tensors."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from fastexplain._cells import families_of
from fastexplain.maskers._image import ImageMasker
from fastexplain.maskers._players import ColumnNames, players_of
from fastexplain.maskers._tabular import TabularMasker
from fastexplain.maskers._text import TextMasker
from fastexplain.persistence import (
    Fields,
    decode_table,
    encode_table,
    encode_value,
    params_of,
)
from fastexplain.persistence._params import is_baseline
from fastexplain.schema import Schema

__all__ = ["masker_from_state", "masker_state", "plain_baseline", "plain_groups"]

_KINDS: dict[str, Any] = {"image": ImageMasker, "text": TextMasker}


def masker_state(masker: Any) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Describe a fitted masker; ``masker_from_state`` is the inverse.

    Raises
    ------
    TypeError
        For what holds functions, and for maskers of the user's own.
    """
    if type(masker) is TabularMasker:
        return _tabular_state(masker), {}
    for name, kind in _KINDS.items():
        if type(masker) is kind:
            config, tensors = masker.state()
            return {"kind": name} | config, tensors
    raise TypeError(f"A masker of type {type(masker).__name__} cannot be saved; pickle it instead.")


def masker_from_state(state: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Any:
    """Make a saved masker again; takes out of ``tensors`` what is its own.

    Raises
    ------
    ValueError
        For what ``masker_state`` does not write.
    """
    kind = Fields(state, "masker").text("kind", {"tabular", *_KINDS})
    rest = {key: value for key, value in state.items() if key != "kind"}
    if kind == "tabular":
        return _tabular_from(Fields(rest, "masker"))
    return _KINDS[kind].from_state(rest, tensors)


def plain_groups(groups: Any) -> Any:
    """Groups with their columns as lists; tuples stay, which may be one column's name."""
    if not isinstance(groups, Mapping):
        return groups
    return {
        name: columns
        if isinstance(columns, str | tuple) or not isinstance(columns, Iterable)
        else list(columns)
        for name, columns in groups.items()
    }


def plain_baseline(baseline: Any) -> Any:
    """A baseline that is a row of some library's own as a list of its values."""
    try:
        encode_value(baseline)
    except TypeError:
        values = np.asarray(baseline, dtype=object)
        return baseline if values.ndim != 1 else list(values)
    return baseline


def _tabular_state(masker: TabularMasker) -> dict[str, Any]:
    given = {name: getattr(masker, name) for name in inspect.signature(TabularMasker).parameters}
    given["groups"] = plain_groups(given["groups"])
    given["baseline"] = plain_baseline(given["baseline"])
    return {
        "kind": "tabular",
        "params": {name: encode_value(value) for name, value in given.items()},
        "background": encode_table(masker.background_),
        "column_names": masker.schema_.names,
        "families": masker.schema_.families,
        "categorical": [int(j) for j in masker.categorical_],
        "feature_names": masker.feature_names_,
        "removes_to_baseline": masker.removes_to_baseline_,
    }


def _tabular_from(fields: Fields) -> TabularMasker:
    masker = TabularMasker(**params_of(TabularMasker, fields.section("params")))
    if not is_baseline(masker.baseline) or masker.n_background < 1:
        raise ValueError("masker.params has no baseline, or no number of rows")
    table = decode_table(fields.value("background"))
    if not len(table) or not table.n_columns:
        raise ValueError("the background has no cell")
    n_columns = table.n_columns
    names = fields.texts("column_names", n_columns)
    if names != table.names:
        raise ValueError("the columns' names are not those of the background")
    families = fields.items("families", n_columns)
    for found in families:
        if type(found) is not list or any(type(name) is not str for name in found):
            raise ValueError("masker.families are no lists of names")
    template = table.take(slice(0, 1))
    for j, found in enumerate(families):
        own = families_of(template.column(j))
        # what lies in a column of objects is known of all rows
        if own != set(found) if _says(template.column(j)) else not own <= set(found):
            raise ValueError(f"the cells of column {names[j]!r} are not what masker.families says")
    columns, codes = ColumnNames(names), fields.wholes("categorical", 0, n_columns - 1)
    given = [] if masker.categorical is None else columns.positions(masker.categorical, "it")
    if codes != sorted(set(codes)) or not set(given) <= set(codes):
        raise ValueError("masker.categorical are not the positions of what was given")
    masker.background_, masker.categorical_ = table, codes
    masker.schema_ = Schema.again(names, template, families, codes)
    # which columns are one player follows from names and groups
    masker.player_of_column_, masker.feature_names_ = players_of(masker.groups, columns)
    if fields.texts("feature_names") != masker.feature_names_:
        raise ValueError("the players' names are not those of the columns and groups")
    masker.removes_to_baseline_ = fields.flag("removes_to_baseline")
    fields.close()
    return masker


def _says(column: Any) -> bool:
    """Whether a column's dtype says what its cells are, whichever rows there are."""
    dtype = column.dtype
    return dtype != np.dtype(object) and getattr(dtype, "categories", None) is None
