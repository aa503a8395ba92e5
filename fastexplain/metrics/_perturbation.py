"""Positive and negative perturbation: what happens as ranked features are removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastexplain.masked_model import MaskedModel
from fastexplain.metrics._curves import curve_areas, hits, masked_scores, own_output, step_sizes
from fastexplain.metrics._ranked import rank_players

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
    positive_curve, negative_curve : ndarray of shape (n_steps + 1,)
        Mean score at each of the shares.
    shares : ndarray of shape (n_steps + 1,)
        Share of each sample's features that is removed: 0, 1 / n_steps, ..., 1.
    """

    positive: float
    negative: float
    positive_curve: np.ndarray
    negative_curve: np.ndarray
    shares: np.ndarray


def perturbation_auc(
    masked: MaskedModel,
    X: Any,
    values: Any,
    target: Any,
    kind: str = "accuracy",
    n_steps: int | None = None,
) -> PerturbationAUC:
    """Remove features in order of attribution and watch the explained output.

    Parameters
    ----------
    masked : MaskedModel
        The model with its masker; asked for twice ``n_steps + 1`` inputs a sample, or twice
        one more than its features if these are fewer.
    X : table, images or texts
        n samples, raw or wrapped.
    values : array-like of shape (n, N)
        Attributions; ties are broken by position. Columns past a text's own features are
        not looked at.
    target : int array-like of shape (n,)
        Position of the explained output of each sample; None for the model's largest.
    kind : {"accuracy", "probability"}
        Score: whether the target is still the model's argmax (section 4.2 of the FEX paper,
        after Chefer et al., 2021), or its output.
    n_steps : int, optional
        Steps from all features to none. Default: N, one feature at a time, or 50 if N is
        above 64, where N is the features of the sample that has most. At each step the
        same share of each sample's own features is gone, to the nearest whole feature.

    Returns
    -------
    PerturbationAUC
        By the trapezoidal rule over the share of features removed, from 0 to 1.

    Raises
    ------
    ValueError
        If shapes do not agree, values hold NaN, or ``kind`` or ``n_steps`` is not known.

    References
    ----------
    Chefer, H., Gur, S. & Wolf, L. (2021). Transformer Interpretability Beyond Attention
    Visualization. CVPR.

    Examples
    --------
    >>> import numpy as np
    >>> from fastexplain.masked_model import MaskedModel
    >>> from fastexplain.maskers import TabularMasker
    >>> from fastexplain.metrics import perturbation_auc
    >>> from fastexplain.predictors import make_predictor
    >>> X = np.array([[1.0, 2.0, 3.0], [3.0, 0.0, 1.0]])
    >>> model = make_predictor(lambda x: x.sum(axis=1), X)
    >>> masked = MaskedModel(model, TabularMasker("zero").fit(X))
    >>> perturbation_auc(masked, X, X, [0, 0], "probability").positive_curve
    array([5. , 2. , 0.5, 0. ])
    """
    if kind not in ("accuracy", "probability"):
        raise ValueError(f"kind must be 'accuracy' or 'probability', got {kind!r}.")
    score = hits if kind == "accuracy" else own_output
    ranked = rank_players(masked, X, values, target)
    shares, sizes = step_sizes(ranked.counts, n_steps)
    positive = masked_scores(masked, ranked, sizes, False, score).mean(axis=0)
    # without the least important k, the most important others are left
    left = ranked.counts[:, None] - sizes
    negative = masked_scores(masked, ranked, left, True, score).mean(axis=0)
    areas = curve_areas(np.stack([positive, negative]))
    return PerturbationAUC(float(areas[0]), float(areas[1]), positive, negative, shares)
