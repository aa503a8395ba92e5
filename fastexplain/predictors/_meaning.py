"""What the numbers of a model mean, and the link that turns them into outputs.

A matrix of answers may hold probabilities of classes, probabilities of independent labels,
logits, or plain values. Either the user says which (`declared`), or the answers on a sample
tell (`guessed`). The result is a `Meaning`: the kind of model and the name of the link.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit, softmax

__all__ = ["CHOICES", "Meaning", "apply_link", "check_finite", "declared", "guessed"]

CHOICES = ("auto", "probability", "logits", "regression", "multilabel")

# rounding of single precision; rows of probabilities add up less exactly than one entry does
_RANGE_TOLERANCE = 1e-6
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Meaning:
    """Kind of a model's answers and how they become outputs.

    Attributes
    ----------
    kind : {"classification", "multilabel", "regression"}
    link : {"identity", "complement", "sigmoid", "sigmoid_each", "softmax"}
        See `apply_link`.
    classes : ndarray of shape (K,) or None
        Labels of the classes where the model knows them.
    names : list of str of length K or None
        Names of the outputs where the model has some besides the labels.
    doubt : str or None
        What the user should be told when the answers left room for doubt.
    """

    kind: str
    link: str
    classes: np.ndarray | None = None
    doubt: str | None = None
    names: list[str] | None = None


# numbers that a CPU handles at once
_VECTOR = 16


def apply_link(values: np.ndarray | torch.Tensor, link: str) -> np.ndarray | torch.Tensor:
    """Turn a matrix of answers into outputs, on the device it is on.

    Parameters
    ----------
    values : ndarray or tensor of shape (B, C)
        Answers of the model.
    link : {"identity", "complement", "sigmoid", "sigmoid_each", "softmax"}
        "complement" turns one probability ``p`` into ``[1 - p, p]``; "sigmoid" turns one
        logit into the same pair; "sigmoid_each" turns every logit into a probability of its
        own; "softmax" normalises every row.

    Returns
    -------
    ndarray or tensor of shape (B, K)
    """
    if link == "identity":
        return values
    if isinstance(values, torch.Tensor):
        if link == "softmax":
            # along a short last axis the CPU goes number by number: five times as slow
            if values.device.type == "cpu" and values.shape[1] < _VECTOR:
                return torch.softmax(values.T, dim=0).T.contiguous()
            return torch.softmax(values, dim=1)
        if link == "sigmoid_each":
            return torch.sigmoid(values)
        if link == "sigmoid":
            # sigmoid(-d) keeps the digits that 1 - sigmoid(d) would lose
            return torch.sigmoid(torch.cat([-values, values], dim=1))
        return torch.cat([1 - values, values], dim=1)
    if link == "softmax":
        return softmax(values, axis=1)
    if link == "sigmoid_each":
        return expit(values)
    if link == "sigmoid":
        return expit(np.hstack([-values, values]))
    return np.hstack([1 - values, values])


def check_finite(values: np.ndarray) -> None:
    """Raise if answers that have to be judged contain NaN or infinity.

    Parameters
    ----------
    values : ndarray of shape (B, C)
        Answers of the model on the first rows of ``X``.

    Raises
    ------
    ValueError
        Names the first row whose answer is not finite.
    """
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        what = "NaN" if np.isnan(values[row]).any() else "infinity"
        raise ValueError(
            f"the model answered {what} at row {row} of X ({int(bad.sum())} of {len(values)} "
            "rows are not finite), so the kind of its output cannot be seen; mend the model or "
            "the row, or say the kind with output="
        )


def _in_unit_range(values: np.ndarray) -> bool:
    return bool(((values >= -_RANGE_TOLERANCE) & (values <= 1 + _RANGE_TOLERANCE)).all())


def _sums_to_one(values: np.ndarray, rounding: float) -> bool:
    tolerance = max(_SUM_TOLERANCE, rounding)
    return bool((np.abs(values.sum(axis=1) - 1) <= tolerance).all())


def _span(values: np.ndarray) -> str:
    return f"values from {values.min():.4g} to {values.max():.4g}" if values.size else "no values"


def declared(values: np.ndarray, output: str, rounding: float = 0.0) -> Meaning:
    """Meaning of answers whose kind the user said; the sample must not contradict it.

    Parameters
    ----------
    values : ndarray of shape (B, C)
        Answers on the sample.
    output : {"probability", "logits", "regression", "multilabel"}
        What the user said.
    rounding : float, default=0.0
        Relative rounding error of the type the model computes in.

    Returns
    -------
    Meaning

    Raises
    ------
    ValueError
        Declared probabilities lie outside [0, 1], or their rows do not sum to one.
    """
    single = values.shape[1] == 1
    if output == "regression":
        return Meaning("regression", "identity")
    if output == "logits":
        return Meaning("classification", "sigmoid" if single else "softmax")
    # rows that are not finite say nothing about the others
    finite = values[np.isfinite(values).all(axis=1)]
    if not _in_unit_range(finite):
        cure = "output='logits'" if output == "probability" else "a sigmoid in the model"
        raise ValueError(
            f"output={output!r} needs probabilities in [0, 1]; the model answered "
            f"{_span(finite)}. For scores use {cure}, for plain values output='regression'"
        )
    if output == "multilabel":
        return Meaning("multilabel", "identity")
    if single:
        return Meaning("classification", "complement")
    if not _sums_to_one(finite, rounding):
        raise ValueError(
            "output='probability' needs rows that sum to one; the model answered rows that sum "
            f"to {_span(finite.sum(axis=1, keepdims=True))}. For independent labels use "
            "output='multilabel', for scores output='logits'"
        )
    return Meaning("classification", "identity")


def guessed(values: np.ndarray, *, torch_module: bool, rounding: float = 0.0) -> Meaning:
    """Meaning of answers about which nothing is known but the answers themselves.

    Parameters
    ----------
    values : ndarray of shape (B, C)
        Answers on the sample.
    torch_module : bool
        A torch module that answers no probabilities most likely answers logits; a plain
        function is asked instead.
    rounding : float, default=0.0
        Relative rounding error of the type the model computes in.

    Returns
    -------
    Meaning

    Raises
    ------
    ValueError
        The answers are not finite, or allow more than one reading.
    """
    check_finite(values)
    columns = values.shape[1]
    if columns == 1:
        if _in_unit_range(values):
            return Meaning("classification", "complement")
        if not torch_module:
            return Meaning("regression", "identity")
        raise ValueError(
            f"the torch module answered one column with {_span(values)}, which is either a "
            "plain value or a logit: say output='regression' or output='logits'"
        )
    if _in_unit_range(values):
        if _sums_to_one(values, rounding):
            return Meaning("classification", "identity")
        doubt = (
            f"the model answered {columns} columns in [0, 1] whose rows do not sum to one; they "
            "are taken as independent probabilities. Say output='multilabel' if that is right, "
            "or output='logits' or 'regression'"
        )
        return Meaning("multilabel", "identity", doubt=doubt)
    if torch_module:
        doubt = (
            f"the torch module answered {columns} columns with {_span(values)}; they are taken "
            "as logits and turned into probabilities by softmax. Say output='logits' if that is "
            "right, or output='regression'"
        )
        return Meaning("classification", "softmax", doubt=doubt)
    raise ValueError(
        f"the model answered {columns} columns with {_span(values)}, which may be logits or "
        "plain values: say output='logits' or output='regression', or return probabilities "
        "(output='probability' or output='multilabel')"
    )
