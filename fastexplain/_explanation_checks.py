"""Checks of what an ``Explanation`` is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from fastexplain.explanation import Explanation

__all__ = [
    "checked_names",
    "checked_predictions",
    "checked_score",
    "checked_target",
    "checked_unit",
    "floats",
    "per_output",
    "value_unit",
]


def floats(values: Any) -> np.ndarray:
    """Return an array of floats, of the precision given."""
    array = np.asarray(values)
    return array if array.dtype.kind == "f" else array.astype(float)


def per_output(explanation: Explanation, given: Any, name: str) -> Any:
    """Return ``given`` as an array of shape (n, K), with K = 1 for one target a row."""
    if given is None:
        return None
    array = floats(given)
    n, _, n_outputs = explanation._values.shape
    public = explanation._visible((n, n_outputs), ("row", "output"))
    if array.ndim and array.shape != public:
        raise ValueError(
            f"{name} must have shape {public} for values of shape {explanation.shape}, "
            f"not {array.shape}"
        )
    return np.array(np.broadcast_to(array, public)).reshape(n, n_outputs)


def checked_names(names: Sequence[str], length: int | None, what: str) -> list[str]:
    """Return ``names`` as strings; ``length`` is how many there must be."""
    if isinstance(names, str):
        raise ValueError(f"{what} must be a list of names, not the string {names!r}")
    names = [str(name) for name in names]
    if length is not None and len(names) != length:
        raise ValueError(f"{what} must hold {length} names, not {len(names)}")
    return names


def checked_target(explanation: Explanation, target: Any) -> np.ndarray | None:
    """Return ``target`` as one position a row; None where all outputs are explained."""
    n = len(explanation._values)
    names = explanation.output_names
    if "output" in explanation.dims:
        if target is not None:
            raise ValueError("target must be None for values of shape (n, N, K)")
        return None
    if target is None:
        if names is None:
            return None
        if len(names) != 1:
            raise ValueError(f"target must say which of the outputs {names} each row explains")
        target = 0
    array = np.asarray(target)
    if array.dtype.kind not in "iu" or array.shape not in ((), (n,)):
        raise ValueError(f"target must be an int or {n} ints: positions in output_names")
    if array.size and (array.min() < 0 or (names is not None and array.max() >= len(names))):
        wrong = array.min() if array.min() < 0 else array.max()
        known = "" if names is None else f" of the {len(names)} outputs"
        raise ValueError(f"target {wrong} is no position{known}")
    return np.array(np.broadcast_to(array, (n,)), dtype=np.intp)


def checked_predictions(explanation: Explanation, given: Any) -> np.ndarray | None:
    """Return the outputs of the rows as (n, K), with K = 1 for the explained one of each row."""
    if given is None:
        return None
    array = floats(given)
    n, _, n_outputs = explanation._values.shape
    public = explanation._visible((n, n_outputs), ("row", "output"))
    if array.shape == public:
        return array.reshape(n, n_outputs)
    single = "row" not in explanation.dims
    array = array[None] if single and array.ndim == 1 else array
    if "output" in explanation.dims or array.ndim != 2 or len(array) != n:
        raise ValueError(
            f"predictions must have shape {public} for values of shape {explanation.shape}"
            + (", or (n, K) of all outputs" if "output" not in explanation.dims else "")
            + f", not {np.shape(given)}"
        )
    names, target = explanation.output_names, explanation._target
    width = array.shape[1]
    if names is not None and width != len(names):
        raise ValueError(f"predictions have {width} columns for the {len(names)} outputs")
    if target is None:
        if width > 1:
            raise ValueError(
                f"predictions of {width} outputs need target=, which says which of them each "
                "row explains"
            )
        target = np.zeros(n, dtype=np.intp)
    if n and target.max() >= width:
        raise ValueError(f"predictions have {width} columns, so none for target {target.max()}")
    return array[np.arange(n), target][:, None]


def checked_score(score: Any) -> float | None:
    """Return a score as a float; None where it says nothing."""
    if score is None:
        return None
    try:
        number = float(score)
    except (TypeError, ValueError):
        raise ValueError(f"score must be a number or None, not {score!r}") from None
    return number if np.isfinite(number) else None


def checked_unit(explanation: Explanation, unit: Any) -> np.ndarray | None:
    """Return the units of the outputs, () for all or one for each of ``output_names``."""
    if unit is None:
        return None
    array = np.array(unit, dtype=float)
    names, target = explanation.output_names, explanation._target
    known = explanation._values.shape[2] if "output" in explanation.dims else None
    if known is None and names is not None:
        known = len(names)
    if array.ndim > 1 or (array.ndim == 1 and known is not None and len(array) != known):
        shape = "(K,)" if known is None else f"({known},)"
        raise ValueError(f"unit must be a number or have shape {shape}, not {array.shape}")
    if not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(f"unit must be finite and not negative, not {unit!r}")
    if array.shape == (1,):
        array = array[0]
    if array.ndim and "output" not in explanation.dims:
        if target is None:
            raise ValueError(
                f"unit of {len(array)} outputs needs target=, which says which of them each row "
                "explains"
            )
        if len(target) and target.max() >= len(array):
            raise ValueError(f"unit has {len(array)} numbers, so none for target {target.max()}")
    return np.asarray(array)


def value_unit(explanation: Explanation) -> Literal["output", "one", "unknown"]:
    """What the values are shares of: changes of the output, or the whole of a chance."""
    if explanation._neutral is not None:
        return "one"
    if explanation.additive:
        return "output"
    finite = explanation._values[np.isfinite(explanation._values)]
    inside = bool(len(finite)) and finite.min() >= 0.0 and finite.max() <= 1.0
    return "one" if inside else "unknown"
