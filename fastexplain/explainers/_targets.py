"""Which output of the model is explained: the meaning of ``target=``."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

__all__ = ["ALL", "PREDICTED", "Mode", "mode_of", "output_labels", "resolve_target"]


class Mode(str):
    """A value of ``target=`` that is no label: `ALL` or `PREDICTED`.

    They equal ``"all"`` and ``"predicted"``, and stay unambiguous where a model has a class of
    that name.
    """

    __slots__ = ()


#: explain each row's predicted output
PREDICTED = Mode("predicted")
#: explain all outputs
ALL = Mode("all")


def mode_of(target: Any, classes: np.ndarray | None, output_names: list[str]) -> Mode | None:
    """`ALL` or `PREDICTED` where these are meant; None for labels.

    Parameters
    ----------
    target : object
        What the user gives as ``target=``.
    classes : ndarray or None
        Labels of the model's classes.
    output_names : list of str

    Raises
    ------
    ValueError
        The model has a class or output of that name.

    Examples
    --------
    >>> mode_of("all", None, ["yes", "no"])
    'all'
    >>> mode_of("yes", None, ["yes", "no"]) is None
    True
    """
    if isinstance(target, Mode):
        return target
    if not isinstance(target, str) or target not in (ALL, PREDICTED):
        return None
    known = [] if classes is None else classes.tolist()
    if target in output_names or target in known:
        place = output_names.index(target) if target in output_names else known.index(target)
        mode = "ALL" if target == ALL else "PREDICTED"
        raise ValueError(
            f"target={target!r} may mean the output of that name or "
            f"{'all outputs' if target == ALL else 'the predicted one'}. For the output give one "
            f"label a row, [{target!r}] * len(X) (it is at position {place}); otherwise give "
            f"target=fastexplain.{mode}."
        )
    return Mode(target)


def output_labels(classes: np.ndarray | None, n_outputs: int) -> np.ndarray | None:
    """Label of each output; None where outputs are no classes.

    A single raw score of two classes speaks for the second of them.
    """
    if classes is None or len(classes) == n_outputs:
        return classes
    return classes[1:] if n_outputs == 1 and len(classes) == 2 else None


def resolve_target(
    target: Any, n_rows: int, classes: np.ndarray | None, output_names: list[str]
) -> np.ndarray | None:
    """Positions of the explained outputs.

    Parameters
    ----------
    target : "all", label or array of n labels
        Class labels where outputs are classes; positions or names of outputs otherwise.
    n_rows : int
    classes : ndarray of shape (K,) or None
        Label of each output.
    output_names : list of str

    Returns
    -------
    int ndarray of shape (n,) or None
        None stands for all outputs.

    Raises
    ------
    ValueError
        For a label that the model does not know, or the wrong number of labels.
    """
    if mode_of(target, classes, output_names) == ALL:
        return None
    labels = np.asarray(target) if not isinstance(target, str) else np.asarray(target, dtype=object)
    if labels.ndim > 1:
        raise ValueError(f"target has shape {labels.shape}; give one label, or one a row.")
    if labels.ndim == 1 and len(labels) != n_rows:
        raise ValueError(f"target has {len(labels)} labels for {n_rows} rows.")
    flat = labels.reshape(-1).tolist()
    lookup: dict[Any, int] = {name: k for k, name in enumerate(output_names)}
    if classes is not None:
        known = {label: k for k, label in enumerate(np.asarray(classes).tolist())}
        # a class's own label first; its name as text serves where no label is meant by it
        lookup = {**lookup, **known}
    else:
        lookup.update({k: k for k in range(len(output_names))})
    repeated = {name for name, count in Counter(output_names).items() if count > 1}
    if repeated:
        _check_single(flat, repeated, output_names, classes)
    try:
        found = [lookup[label] for label in flat]
    except (KeyError, TypeError):
        unknown = next(label for label in flat if not _known(label, lookup))
        choices = output_names if classes is None else np.asarray(classes).tolist()
        if [str(choice) for choice in choices] != output_names:
            choices = [*choices, *output_names]
        raise ValueError(
            f"target {unknown!r} is not among the model's outputs {choices}; give one of them, "
            "one for each row, 'predicted' or 'all'."
        ) from None
    positions = np.asarray(found, dtype=np.int64)
    return np.full(n_rows, positions[0]) if labels.ndim == 0 else positions


def _check_single(
    labels: list[Any], repeated: set[str], output_names: list[str], classes: np.ndarray | None
) -> None:
    """Refuse names that several outputs have, where they are not a class's own label."""
    known = [] if classes is None else np.asarray(classes).tolist()
    for label in labels:
        if isinstance(label, str) and label in repeated and label not in known:
            places = [k for k, name in enumerate(output_names) if name == label]
            raise ValueError(f"target {label!r} names the outputs {places}: give one's position.")


def _known(label: Any, lookup: dict[Any, int]) -> bool:
    try:
        return label in lookup
    except TypeError:
        return False
