"""Checks of what an ``Explanation`` is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastexplain.explanation import Explanation

__all__ = ["checked_names", "checked_target", "floats", "per_output"]


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
