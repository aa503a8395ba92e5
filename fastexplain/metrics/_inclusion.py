"""Inclusion and exclusion: the curves on which FastSHAP and CoRTX are compared on images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastexplain.masked_model import MaskedModel
from fastexplain.metrics._bootstrap import bootstrap_interval, check_bootstrap
from fastexplain.metrics._curves import curve_areas, masked_scores, pick_score, step_sizes
from fastexplain.metrics._ranked import rank_players

__all__ = ["InclusionExclusionAUC", "delta_log_odds", "inclusion_exclusion_auc"]


@dataclass(frozen=True)
class InclusionExclusionAUC:
    """Areas under the inclusion and exclusion curves, with intervals over the samples.

    Attributes
    ----------
    inclusion, exclusion : float
        Mean areas, most important players included first and excluded first.
    inclusion_interval, exclusion_interval : tuple of float
        Lower and upper end of their confidence intervals.
    inclusion_curve, exclusion_curve : ndarray of shape (n_steps + 1,)
        Mean score at each of the shares.
    shares : ndarray of shape (n_steps + 1,)
        Share of each sample's players that is included or excluded: 0, 1 / n_steps, ..., 1.
    """

    inclusion: float
    exclusion: float
    inclusion_interval: tuple[float, float]
    exclusion_interval: tuple[float, float]
    inclusion_curve: np.ndarray
    exclusion_curve: np.ndarray
    shares: np.ndarray


def inclusion_exclusion_auc(
    masked: MaskedModel,
    X: Any,
    values: Any,
    target: Any = None,
    *,
    score: str = "accuracy",
    n_steps: int | None = None,
    confidence: float = 0.95,
    n_bootstrap: int = 1000,
    random_state: Any = 0,
) -> InclusionExclusionAUC:
    """Build samples up from nothing, and take them apart, most important players first.

    Good attributions restore the prediction with few players (a high inclusion AUC) and lose
    it with few (a low exclusion AUC).

    Parameters
    ----------
    masked : MaskedModel
        The model with its masker; asked for twice ``n_steps + 1`` inputs a sample.
    X : table, images or texts
        n samples, raw or wrapped.
    values : array-like of shape (n, N)
        Attributions; ties are broken by position.
    target : int array-like of shape (n,), optional
        Position of the explained output of each sample. Default: the model's largest, so
        that accuracy is agreement with the prediction for the whole sample.
    score : {"accuracy", "probability", "log_odds"}
        Whether the target is the largest output (FastSHAP's top-1 accuracy, Figure 7 and
        Table 1 of the CoRTX paper), the output itself, or its log-odds log(p / (1 - p))
        (CoRTX, appendix G), p held within 1e-6 of 0 and 1.
    n_steps : int, optional
        Steps from no players to all, as in `perturbation_auc`.
    confidence : float, default=0.95
        Of the intervals.
    n_bootstrap : int, default=1000
        Times that n samples are drawn with replacement for the intervals, which are
        percentiles of their mean areas. The CoRTX paper drew 666 of 1,000 images 20 times.
    random_state : int, Generator or None, default=0
        For the draws.

    Returns
    -------
    InclusionExclusionAUC
        By the trapezoidal rule over the share of players, from 0 to 1.

    Raises
    ------
    ValueError
        If shapes do not agree, values hold NaN, an argument is not known, accuracy is asked
        of a model with one output, or log-odds of one that does not answer probabilities.

    References
    ----------
    Jethani, N., Sudarshan, M., Covert, I., Lee, S.-I. & Ranganath, R. (2022). FastSHAP:
    Real-Time Shapley Value Estimation. ICLR.

    Petsiuk, V., Das, A. & Saenko, K. (2018). RISE: Randomized Input Sampling for Explanation
    of Black-box Models. BMVC.

    Examples
    --------
    >>> import numpy as np
    >>> from fastexplain.masked_model import MaskedModel
    >>> from fastexplain.maskers import TabularMasker
    >>> from fastexplain.metrics import inclusion_exclusion_auc
    >>> from fastexplain.predictors import make_predictor
    >>> X = np.array([[0.5, 0.1, 0.2], [0.0, 0.3, 0.6]])
    >>> model = make_predictor(lambda x: x.sum(axis=1), X, output="regression")
    >>> masked = MaskedModel(model, TabularMasker("zero").fit(X))
    >>> found = inclusion_exclusion_auc(masked, X, X, score="probability")
    >>> found.inclusion_curve, found.exclusion_curve
    (array([0.  , 0.55, 0.8 , 0.85]), array([0.85, 0.3 , 0.05, 0.  ]))
    """
    check_bootstrap(confidence, n_bootstrap)
    found = _curves(masked, X, values, target, score, n_steps)
    return _summary(*found, confidence, n_bootstrap, random_state)


def delta_log_odds(
    masked: MaskedModel,
    X: Any,
    values: Any,
    target: Any = None,
    *,
    n_steps: int | None = None,
    confidence: float = 0.95,
    n_bootstrap: int = 1000,
    random_state: Any = 0,
) -> InclusionExclusionAUC:
    r"""Log-odds that masked samples lack of the whole one's, by inclusion and exclusion.

    :math:`\log\frac{p(x)}{1 - p(x)} - \log\frac{p(x_m)}{1 - p(x_m)}` along the curves of
    `inclusion_exclusion_auc` (CoRTX, appendix G and Table 4). Here a high exclusion AUC and a
    low inclusion AUC are good.

    Parameters
    ----------
    masked : MaskedModel
        The model with its masker; must answer probabilities.
    X : table, images or texts
        n samples, raw or wrapped.
    values : array-like of shape (n, N)
        Attributions; ties are broken by position.
    target : int array-like of shape (n,), optional
        Position of the explained output of each sample. Default: the model's largest.
    n_steps, confidence, n_bootstrap, random_state
        As in `inclusion_exclusion_auc`.

    Returns
    -------
    InclusionExclusionAUC

    Raises
    ------
    ValueError
        If shapes do not agree, values hold NaN, or the model does not answer probabilities.

    References
    ----------
    Chuang, Y.-N. et al. (2023). CoRTX: Contrastive Framework for Real-time Explanation. ICLR.
    """
    check_bootstrap(confidence, n_bootstrap)
    shares, included, excluded = _curves(masked, X, values, target, "log_odds", n_steps)
    whole = excluded[:, :1]
    return _summary(
        shares, whole - included, whole - excluded, confidence, n_bootstrap, random_state
    )


def _curves(
    masked: MaskedModel, X: Any, values: Any, target: Any, score: str, n_steps: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares (T,), and each sample's scores (n, T) as players are included and excluded."""
    chosen = pick_score(masked, score)
    ranked = rank_players(masked, X, values, target)
    shares, sizes = step_sizes(ranked.counts, n_steps)
    included = masked_scores(masked, ranked, sizes, True, chosen)
    return shares, included, masked_scores(masked, ranked, sizes, False, chosen)


def _summary(
    shares: np.ndarray,
    included: np.ndarray,
    excluded: np.ndarray,
    confidence: float,
    n_bootstrap: int,
    random_state: Any,
) -> InclusionExclusionAUC:
    inclusion, exclusion = curve_areas(included), curve_areas(excluded)
    return InclusionExclusionAUC(
        inclusion=float(inclusion.mean()),
        exclusion=float(exclusion.mean()),
        inclusion_interval=bootstrap_interval(inclusion, confidence, n_bootstrap, random_state),
        exclusion_interval=bootstrap_interval(exclusion, confidence, n_bootstrap, random_state),
        inclusion_curve=included.mean(axis=0),
        exclusion_curve=excluded.mean(axis=0),
        shares=shares,
    )
