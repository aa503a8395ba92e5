"""Positive and negative perturbation: what happens as ranked features are removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastexplain.masked_model import MaskedModel
from fastexplain.tables import Table, as_table

__all__ = ["PerturbationAUC", "perturbation_auc"]


@dataclass(frozen=True)
class PerturbationAUC:
    """Areas under the perturbation curves of one set of attributions.

    Attributes
    ----------
    positive : float
        Most important features removed first: lower is better.
    negative : float
        Least important first: higher is better.
    positive_curve, negative_curve : ndarray of shape (N + 1,)
        Mean score with 0, 1, ..., N features removed.
    """

    positive: float
    negative: float
    positive_curve: np.ndarray
    negative_curve: np.ndarray


def perturbation_auc(
    masked: MaskedModel, X: Any, values: Any, target: Any, kind: str = "accuracy"
) -> PerturbationAUC:
    """Remove features in order of attribution and watch the explained output.

    Parameters
    ----------
    masked : MaskedModel
        The model with its masker.
    X : Table, ndarray or DataFrame of n rows
    values : array-like of shape (n, N)
        Attributions; ties are broken by position.
    target : int array-like of shape (n,)
        Position of the explained output of each row.
    kind : {"accuracy", "probability"}
        Score: whether the target is still the model's argmax (section 4.2 of the FEX paper,
        after Chefer et al., 2021), or its output.

    Returns
    -------
    PerturbationAUC
        By the trapezoidal rule over the share of features removed, from 0 to 1.

    Raises
    ------
    ValueError
        If shapes do not agree or ``kind`` is not known.
    """
    if kind not in ("accuracy", "probability"):
        raise ValueError(f"kind must be 'accuracy' or 'probability', got {kind!r}.")
    table, values, target = check_attributions(masked, X, values, target)
    n, n_players = values.shape
    # position of each feature in the order of removal, most important first
    place = np.argsort(np.argsort(-values, axis=1, kind="stable"), axis=1)
    steps = np.arange(n_players + 1)[:, None]
    # as many rows at a time as fill one call, so that memory does not grow with n
    chunk = max(1, masked.chunk_rows(table.n_columns) // len(steps))
    curves = []
    for order in (place, n_players - 1 - place):
        total = np.zeros(len(steps))
        for start in range(0, n, chunk):
            rows = np.arange(start, min(start + chunk, n))
            masks = order[rows, None] >= steps
            answers = masked.values(table.take(rows), masks, rows).cpu().numpy()
            if kind == "accuracy":
                score = answers.argmax(axis=2) == target[rows, None]
            else:
                score = np.take_along_axis(answers, target[rows, None, None], axis=2)[:, :, 0]
            total += score.sum(axis=0)
        curves.append(total / n)
    areas = [float(np.trapezoid(curve, dx=1.0 / n_players)) for curve in curves]
    return PerturbationAUC(areas[0], areas[1], curves[0], curves[1])


def check_attributions(
    masked: MaskedModel, X: Any, values: Any, target: Any
) -> tuple[Table, np.ndarray, np.ndarray]:
    """Rows, attributions (n, N) and explained outputs (n,), or an error that says what is wrong."""
    table = X if isinstance(X, Table) else as_table(X)
    values, target = np.asarray(values, float), np.asarray(target)
    n, n_players = len(table), masked.masker.n_players
    if values.shape != (n, n_players) or target.shape != (n,):
        raise ValueError(
            f"values of shape {values.shape} and target of shape {target.shape} do not fit "
            f"{n} rows of {n_players} features."
        )
    if not np.isfinite(values).all():
        raise ValueError("values hold NaN or infinity; attributions must be finite.")
    n_outputs = masked.predictor.n_outputs
    if n and (target.min() < 0 or target.max() >= n_outputs):
        raise ValueError(f"target must be positions of the model's {n_outputs} outputs.")
    if n == 0:
        raise ValueError("There are no rows to perturb.")
    return table, values, target
