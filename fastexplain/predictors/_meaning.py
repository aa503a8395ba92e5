"""What the numbers of a model mean.

A matrix of answers may hold probabilities of classes, probabilities of independent labels,
logits, raw scores, or plain values. Either the user or the model says which (`declared`), or
the answers on a sample tell (`guessed`). What nobody declares is explained as it is. The result
is a `Meaning`, which also says how it is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

__all__ = ["CHOICES", "Meaning", "OutputError", "check_finite", "declared", "guessed"]

CHOICES = (
    "auto",
    "probability",
    "logits",
    "margin",
    "regression",
    "multilabel",
    "multilabel_logits",
)

_KINDS = {
    "probability": "classification",
    "logits": "classification",
    "margin": "regression",
    "regression": "regression",
    "multilabel": "multilabel",
    "multilabel_logits": "multilabel",
}

# rounding of single precision; rows of probabilities add up less exactly than one entry does
_RANGE_TOLERANCE = 1e-6
_SUM_TOLERANCE = 1e-3


class OutputError(ValueError):
    """The answers do not fit ``output=``; `make_predictor` adds which choices do."""


@dataclass(frozen=True, eq=False)
class Meaning:
    """What a model's answers mean, and how they become outputs.

    Attributes
    ----------
    output : str
        One of `CHOICES` but "auto".
    link : {"identity", "complement", "sigmoid", "sigmoid_each", "softmax"}
        See `apply_link`.
    reason : str
        How the meaning is known, for the user to read.
    classes : ndarray of shape (K,) or None
        Labels of the classes where the model knows them. Of a single raw score, the two
        classes that it separates.
    names : list of str of length K or None
        Names of the outputs where the model or its answers give some.
    doubt : str or None
        What the user is told where the answers leave room for doubt.
    """

    output: str
    link: str
    reason: str = "declared"
    classes: np.ndarray | None = None
    doubt: str | None = None
    names: list[str] | None = None

    @property
    def kind(self) -> str:
        """Whether outputs are classes, independent labels or real values."""
        return _KINDS[self.output]

    def check(self, values: np.ndarray | torch.Tensor, rounding: float = 0.0) -> None:
        """Raise if answers leave the range that they were read in.

        Parameters
        ----------
        values : ndarray or tensor of shape (B, C), B and C at least 1
            Answers of the model. NaN passes: it is refused elsewhere, with its row.
        rounding : float, default=0.0
            Relative rounding error of the type the model computes in.

        Raises
        ------
        ValueError
            A probability lies outside [0, 1], or probabilities of classes do not add up to one.
        """
        if self.output not in ("probability", "multilabel") or self.link == "sigmoid_each":
            return
        slack = max(_RANGE_TOLERANCE, rounding)
        low, high = float(values.min()), float(values.max())
        found = None
        if low < -slack or high > 1 + slack:
            found = f"{high if high > 1 + slack else low:.6g}"
        elif self.output == "probability" and self.link == "identity":
            worst = _worst_sum(values)
            if abs(worst - 1) > max(_SUM_TOLERANCE, rounding):
                found = f"a row of probabilities that sums to {worst:.6g}"
        if found is not None:
            raise ValueError(
                f"The model answered {found}, but its answers are read as probabilities in "
                f"[0, 1] ({self.reason}). If they are plain values, fit again with a function of "
                "them as the model and output='regression'."
            )


def _worst_sum(values: np.ndarray | torch.Tensor) -> float:
    """Sum of the row whose sum is farthest from one; NaN where a row holds it."""
    if isinstance(values, torch.Tensor):
        sums = values.sum(dim=1)
        return float(sums[(sums - 1).abs().argmax()])
    # ten times as fast as NumPy's own sum of short rows
    found = values @ np.ones(values.shape[1], dtype=values.dtype)
    return float(found[np.abs(found - 1).argmax()])


def check_finite(values: np.ndarray, rows: np.ndarray | None = None) -> None:
    """Raise if answers that have to be judged contain NaN or infinity.

    Parameters
    ----------
    values : ndarray of shape (B, C)
        Answers of the model on some rows of ``X``.
    rows : int ndarray of shape (B,), optional
        Positions of these rows in ``X``; 0 to B - 1 by default.

    Raises
    ------
    ValueError
        Names the first row whose answer is not finite.
    """
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        what = "NaN" if np.isnan(values[row]).any() else "infinity"
        place = row if rows is None else int(rows[row])
        raise ValueError(
            f"the model answered {what} at row {place} of X ({int(bad.sum())} of {len(values)} "
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


def declared(
    values: np.ndarray, output: str, rounding: float = 0.0, reason: str | None = None
) -> Meaning:
    """Meaning of answers whose kind is declared; the sample must not contradict it.

    Parameters
    ----------
    values : ndarray of shape (B, C)
        Answers on the sample.
    output : str
        One of `CHOICES` but "auto".
    rounding : float, default=0.0
        Relative rounding error of the type the model computes in.
    reason : str, optional
        Who declares it; the user by default.

    Returns
    -------
    Meaning

    Raises
    ------
    OutputError
        Declared probabilities lie outside [0, 1], or their rows do not sum to one.
    """
    why = f"output={output!r} is given" if reason is None else reason
    single = values.shape[1] == 1
    if output in ("regression", "margin"):
        return Meaning(output, "identity", why)
    if output == "logits":
        return Meaning(output, "sigmoid" if single else "softmax", why)
    if output == "multilabel_logits":
        return Meaning(output, "sigmoid_each", why)
    # rows that are not finite say nothing about the others
    finite = values[np.isfinite(values).all(axis=1)]
    if not _in_unit_range(finite):
        raise OutputError(
            f"output={output!r} needs probabilities in [0, 1]; the model answered {_span(finite)}"
        )
    if output == "multilabel":
        return Meaning(output, "identity", why)
    if single:
        return Meaning(output, "complement", why)
    if not _sums_to_one(finite, rounding):
        raise OutputError(
            "output='probability' needs rows that sum to one; the model answered rows that sum "
            f"to {_span(finite.sum(axis=1, keepdims=True))}"
        )
    return Meaning(output, "identity", why)


def guessed(
    values: np.ndarray,
    *,
    torch_module: bool,
    rounding: float = 0.0,
    rows: np.ndarray | None = None,
) -> Meaning:
    """Meaning of answers about which nothing is known but the answers themselves.

    One column is explained as it is: numbers in [0, 1] need not be probabilities. Several
    columns are classes where every row sums to one.

    Parameters
    ----------
    values : ndarray of shape (B, C)
        Answers on the sample.
    torch_module : bool
        Several columns of a torch module that are no probabilities are most likely logits; a
        plain function is asked instead.
    rounding : float, default=0.0
        Relative rounding error of the type the model computes in.
    rows : int ndarray of shape (B,), optional
        Positions of the sample's rows in ``X``, for messages.

    Returns
    -------
    Meaning
        With a ``doubt`` where another reading is likely.

    Raises
    ------
    ValueError
        The answers are not finite.
    OutputError
        They allow more than one reading.
    """
    check_finite(values, rows)
    columns, unit = values.shape[1], _in_unit_range(values)
    tried = f"on {len(values)} rows tried"
    if columns == 1:
        reason = f"one column of {_span(values)} {tried}, explained as it is"
        doubt = None
        if unit:
            doubt = (
                f"The model answers one column of {_span(values)}, which is explained as it is, "
                "as plain values. If it is the probability of a class, say output='probability'; "
                "output='regression' confirms plain values."
            )
        elif torch_module:
            doubt = (
                f"The torch module answers one column of {_span(values)}, which is explained as "
                "it is, as plain values. If it is the logit of a class, say output='logits' to "
                "explain the probability; output='regression' confirms plain values."
            )
        return Meaning("regression", "identity", reason, doubt=doubt)
    if unit and _sums_to_one(values, rounding):
        reason = f"{columns} columns in [0, 1] whose rows sum to one, {tried}"
        return Meaning("probability", "identity", reason)
    if unit:
        reason = f"{columns} columns in [0, 1] whose rows do not sum to one, {tried}"
        doubt = (
            f"The model answers {columns} columns in [0, 1] whose rows do not sum to one; they "
            "are taken as independent probabilities. Say output='multilabel' if that is right, "
            "or output='regression' for plain values."
        )
        return Meaning("multilabel", "identity", reason, doubt=doubt)
    if torch_module:
        reason = f"{columns} columns of {_span(values)} {tried}, taken as logits"
        doubt = (
            f"The torch module answers {columns} columns of {_span(values)}; they are taken as "
            "logits of classes and turned into probabilities by softmax. Say output='logits' if "
            "that is right, output='margin' to explain the logits themselves, or "
            "output='regression' for plain values."
        )
        return Meaning("logits", "softmax", reason, doubt=doubt)
    raise OutputError(
        f"the model answered {columns} columns of {_span(values)}, which may be logits or plain "
        "values: say which"
    )
