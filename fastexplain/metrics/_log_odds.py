"""Log-odds: how much confidence goes with the most important players."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastexplain.masked_model import MaskedModel
from fastexplain.metrics._bootstrap import bootstrap_interval, check_bootstrap
from fastexplain.metrics._curves import masked_scores, pick_score, share_sizes
from fastexplain.metrics._ranked import rank_players

__all__ = ["LogOdds", "log_odds"]


@dataclass(frozen=True)
class LogOdds:
    """Change of log-odds on removal of the most important players.

    Attributes
    ----------
    change : float
        Mean over the samples: log-odds without the players less those with them. Lower, which
        is more negative, is better.
    interval : tuple of float
        Lower and upper end of its confidence interval.
    per_sample : ndarray of shape (n,)
    """

    change: float
    interval: tuple[float, float]
    per_sample: np.ndarray


def log_odds(
    masked: MaskedModel,
    X: Any,
    values: Any,
    target: Any = None,
    share: float = 0.2,
    *,
    confidence: float = 0.95,
    n_bootstrap: int = 1000,
    random_state: Any = 0,
) -> LogOdds:
    r"""Remove the most important share of players and see how the log-odds change.

    :math:`\log\frac{p(x_m)}{1 - p(x_m)} - \log\frac{p(x)}{1 - p(x)}` for the explained class
    (after Shrikumar et al., 2017, and Schwab & Karlen, 2019, whose difference has the other
    sign). `delta_log_odds` follows it along all shares.

    Parameters
    ----------
    masked : MaskedModel
        The model with its masker; must answer probabilities; asked for two inputs a sample.
    X : table, images or texts
        n samples, raw or wrapped.
    values : array-like of shape (n, N)
        Attributions; ties are broken by position.
    target : int array-like of shape (n,), optional
        Position of the explained output of each sample. Default: the model's largest.
    share : float, default=0.2
        Share of each sample's own players that is removed, rounded up to whole players.
    confidence : float, default=0.95
        Of the interval.
    n_bootstrap : int, default=1000
        Times that n samples are drawn with replacement for it.
    random_state : int, Generator or None, default=0
        For the draws.

    Returns
    -------
    LogOdds
        Probabilities within 1e-6 of 0 and 1 count as if they were that far from them.

    Raises
    ------
    ValueError
        If shapes do not agree, values hold NaN, ``share`` is not above 0 and up to 1, or the
        model does not answer probabilities.

    References
    ----------
    Shrikumar, A., Greenside, P. & Kundaje, A. (2017). Learning Important Features Through
    Propagating Activation Differences. ICML.

    Schwab, P. & Karlen, W. (2019). CXPlain: Causal Explanations for Model Interpretation under
    Uncertainty. NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from fastexplain.masked_model import MaskedModel
    >>> from fastexplain.maskers import TabularMasker
    >>> from fastexplain.metrics import log_odds
    >>> from fastexplain.predictors import make_predictor
    >>> X = np.array([[0.3, 0.2], [0.1, 0.4]])
    >>> model = make_predictor(lambda x: x.sum(axis=1), X, output="probability")
    >>> masked = MaskedModel(model, TabularMasker("zero").fit(X))
    >>> log_odds(masked, X, X, [1, 1], share=0.5).per_sample.round(3)
    array([-1.386, -2.197])
    """
    check_bootstrap(confidence, n_bootstrap)
    score = pick_score(masked, "log_odds")
    ranked = rank_players(masked, X, values, target)
    removed = share_sizes(ranked.counts, [share])
    sizes = np.hstack([np.zeros_like(removed), removed])
    found = masked_scores(masked, ranked, sizes, False, score)
    change = found[:, 1] - found[:, 0]
    interval = bootstrap_interval(change, confidence, n_bootstrap, random_state)
    return LogOdds(float(change.mean()), interval, change)
