"""An ``Explanation`` as other objects, and several as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastexplain import _explanation_data as tables
from fastexplain._explanation_layout import concat_layouts, layout_kind
from fastexplain._explanation_words import output_name
from fastexplain._extras import optional_import

if TYPE_CHECKING:
    import pandas as pd
    import shap

    from fastexplain.explanation import Explanation

__all__ = ["concat", "to_frame", "to_shap"]


def to_shap(explanation: Explanation, center: bool) -> shap.Explanation:
    """See ``Explanation.to_shap``."""
    module = optional_import("shap", "shap", "Explanation.to_shap")
    source = explanation.centered if center else explanation
    which = layout_kind(source._layout)
    if which != "none" and source._data is not None:
        from fastexplain import _explanation_shap as pictures

        return (
            pictures.images(module, source) if which == "images" else pictures.texts(module, source)
        )
    values, base = source._values, source._base
    data = display = None
    if source._display is not None:
        data, display = tables.shap_columns(source._display)
    names = None
    if values.shape[2] == 1:
        # shap has no axis for a single output, and a single name in output_names keeps its
        # explanations of one row or one feature from being sliced further
        values, base = values[..., 0], base[:, 0]
    else:
        names = [output_name(source, k) for k in range(values.shape[2])]
    result = module.Explanation(
        np.array(values),
        base_values=np.array(base),
        data=data,
        display_data=display,
        feature_names=list(source.feature_names),
        output_names=names,
    )
    # shap's own slicing drops the axes that ours has dropped, in the way its plots expect
    if "feature" not in source.dims:
        result = result[:, 0]
    if "row" not in source.dims:
        result = result[0]
    return result


def to_frame(explanation: Explanation) -> pd.DataFrame:
    """See ``Explanation.to_frame``."""
    pandas = optional_import("pandas", "pandas", "Explanation.to_frame")
    n, n_features, n_outputs = explanation._values.shape
    index = explanation._data.index if tables.kind(explanation._data) == "pandas" else None
    names = explanation.feature_names
    if "output" not in explanation.dims:
        return pandas.DataFrame(np.array(explanation._values[..., 0]), index=index, columns=names)
    labels = [(output_name(explanation, k), name) for k in range(n_outputs) for name in names]
    columns = pandas.MultiIndex.from_tuples(labels, names=["output", "feature"])
    flat = explanation._values.transpose(0, 2, 1).reshape(n, n_outputs * n_features)
    return pandas.DataFrame(flat, index=index, columns=columns)


def _joined(arrays: Sequence[np.ndarray | None], missing: Sequence[np.ndarray]) -> Any:
    """Arrays below each other, ``missing`` in place of None; None when all are None."""
    if all(array is None for array in arrays):
        return None
    pairs = zip(arrays, missing, strict=True)
    return np.concatenate([default if array is None else array for array, default in pairs])


def concat(explanations: Sequence[Explanation]) -> Explanation:
    """See ``Explanation.concat``."""
    parts = list(explanations)
    if not parts:
        raise ValueError("there is no explanation to concatenate")
    first = parts[0]
    axes = [axis for axis in first.dims if axis != "row"]
    for part in parts[1:]:
        for name in ("feature_names", "output_names", "method"):
            ours, theirs = getattr(first, name), getattr(part, name)
            if ours != theirs:
                raise ValueError(f"{name} of the explanations differ: {ours!r} and {theirs!r}")
        if [axis for axis in part.dims if axis != "row"] != axes:
            raise ValueError(f"axes of the explanations differ: {first.dims} and {part.dims}")
        if (part._target is None) != (first._target is None):
            raise ValueError("some of the explanations say which output they explain, some do not")
        if part.gap_is_spread != first.gap_is_spread:
            raise ValueError("the values of only some of the explanations are made to add up")
        if part._columns_are_features != first._columns_are_features:
            raise ValueError("the data of only some of the explanations have a column a feature")
    lengths = [len(part._values) for part in parts]
    layout = concat_layouts([part._layout for part in parts], lengths)
    new = first._copy()
    new.dims = ("row", *axes)
    new._layout = layout
    new._values = np.concatenate([part._values for part in parts])
    new._base = np.concatenate([part._base for part in parts])
    # without a neutral value it is zero; without an efficiency gap it is unknown
    zeros = [np.zeros_like(part._base) for part in parts]
    new._neutral = _joined([part._neutral for part in parts], zeros)
    unknown = [zero + np.nan for zero in zeros]
    new._gap = _joined([part._gap for part in parts], unknown)
    new._predictions = _joined([part._predictions for part in parts], unknown)
    _join_what_is_told(new, parts)
    if first._target is not None:
        new._target = np.concatenate([part._target for part in parts])
    new.additive = all(part.additive for part in parts)
    new._data = tables.concat_tables([part._data for part in parts])
    if first._columns_are_features:
        new._display = new._data
    else:
        new._display = tables.concat_tables([part._display for part in parts], "display_data")
    return new


def _join_what_is_told(new: Explanation, parts: Sequence[Explanation]) -> None:
    """Score, caution and units of the parts, for ``new``, where they hold for all of it."""
    if len({(part.score, part.score_name) for part in parts}) > 1:
        new.score = None  # one number would speak for values that it was not measured on
    new.caution = "; ".join(dict.fromkeys(part.caution for part in parts if part.caution)) or None
    units = [part._unit for part in parts]
    if any(unit is None or not np.array_equal(unit, units[0]) for unit in units):  # type: ignore
        new._unit = None
    if len({part._value_unit for part in parts}) > 1:
        new._value_unit = "unknown"
    new._n_players = max(part._n_players for part in parts)
