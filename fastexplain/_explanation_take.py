"""``explanation[rows, features, outputs]``: values, names and data cut alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastexplain import _explanation_data as tables
from fastexplain._explanation_index import Selection, expand_key, select
from fastexplain._explanation_words import output_name

if TYPE_CHECKING:
    from fastexplain.explanation import Explanation

__all__ = ["take"]

_DIMS = ("row", "feature", "output")


def _advice(explanation: Explanation, axis: str, entry: Any) -> str:
    """Say what may have been meant by a name that the axis does not have."""
    names = list(entry) if isinstance(entry, (list, tuple, np.ndarray)) else [entry]
    names = [str(name) for name in names if isinstance(name, str)]
    one = repr(names[0]) if len(names) == 1 else repr(names)
    if axis != "feature" and any(name in explanation.feature_names for name in names):
        feature = f"[:, {one}]" if "row" in explanation.dims else f"[{one}]"
        return f"; for a feature use explanation{feature}"
    if axis != "output" and any(name in (explanation.output_names or ()) for name in names):
        if "output" in explanation.dims:
            return f"; for an output use explanation[..., {one}]"
        return '; for the values of one output, explain with target="all"'
    if axis == "row":
        return f"; for a feature use explanation[:, {one}]"
    return ""


def _check_labels(explanation: Explanation, entry: Any) -> None:
    """Reject a mask with other labels than the data's: by position it would go astray."""
    own = getattr(explanation._data, "index", None)
    labels = getattr(entry, "index", None)
    if own is None or not hasattr(labels, "equals") or str(entry.dtype) not in ("bool", "boolean"):
        return
    if len(labels) == len(own) and not labels.equals(own):  # type: ignore[union-attr, arg-type]
        raise IndexError("the index of the rows' mask is not the index of the data")


def take(explanation: Explanation, key: Any) -> Explanation:
    """See the notes of ``Explanation``."""
    dims = explanation.dims
    hint = ""
    if "output" not in dims:
        hint = (
            "one output a row is explained here, so there is no axis of outputs; "
            'explain with target="all" to have one'
        )
    chosen = {axis: Selection(slice(None), False) for axis in _DIMS}
    for axis, entry in zip(dims, expand_key(key, dims, hint), strict=True):
        if axis == "row":
            _check_labels(explanation, entry)
        length = explanation._values.shape[_DIMS.index(axis)]
        names = {"feature": explanation.feature_names, "output": explanation.output_names}
        chosen[axis] = select(
            entry, length, axis, names.get(axis), _advice(explanation, axis, entry)
        )
    return _cut(explanation, chosen["row"], chosen["feature"], chosen["output"])


def _cut(
    explanation: Explanation, rows: Selection, features: Selection, outputs: Selection
) -> Explanation:
    new = explanation._copy()
    picks = zip(_DIMS, (rows, features, outputs), strict=True)
    dropped = {axis for axis, pick in picks if pick.drop}
    new.dims = tuple(axis for axis in explanation.dims if axis not in dropped)
    new._values = explanation._values[rows.kept][:, features.kept][..., outputs.kept]
    for name in ("_base", "_neutral", "_gap", "_predictions"):
        array = getattr(explanation, name)
        if array is not None:
            setattr(new, name, array[rows.kept][:, outputs.kept])
    if rows and explanation._target is not None:
        new._target = explanation._target[rows.kept]
    if rows and explanation._layout is not None:
        new._layout = explanation._layout.take(rows.kept)

    names = explanation.feature_names
    if features:
        kept = np.arange(len(names))[features.kept]
        new.feature_names = [names[i] for i in kept]
        # without the others, or with some twice, the sum no longer leads to the model's output
        new.additive = explanation.additive and sorted(kept) == list(range(len(names)))
        if not np.array_equal(kept, np.arange(len(names))):
            new._layout = None  # it says which player is where by the players' positions
    index = rows.kept if rows else None
    new._display = tables.take(explanation._display, index, features.kept if features else None)
    if explanation._columns_are_features:
        new._data = new._display
    else:
        new._data = tables.take(explanation._data, index)

    if outputs.drop:
        new._target = np.full(len(new._values), outputs.kept[0])  # type: ignore[index]
    elif outputs:
        kept = np.arange(explanation._values.shape[2])[outputs.kept]
        # outputs without names keep their number, which their place no longer tells
        new.output_names = [output_name(explanation, int(k)) for k in kept]
        if explanation._unit is not None and explanation._unit.ndim:
            new._unit = explanation._unit[kept]
    return new
