"""ERASER: what a model makes of its rationales, and how well they match people's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastexplain.masked_model import MaskedModel
from fastexplain.metrics._curves import masked_scores, own_output, share_sizes
from fastexplain.metrics._ranked import rank_players

__all__ = ["TokenF1", "comprehensiveness", "sufficiency", "token_f1_curve"]

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)


def comprehensiveness(
    masked: MaskedModel,
    X: Any,
    values: Any,
    target: Any = None,
    shares: Sequence[float] = SHARES,
) -> np.ndarray:
    """What the probability loses without the most important players: higher is better.

    p(whole sample) - p(without its k most important players), averaged over the shares (the
    area over the perturbation curve, AOPC, of the ERASER benchmark). Rationales that hold all
    that the prediction rests on lose much.

    Parameters
    ----------
    masked : MaskedModel
        The model with its masker; asked for one input more than there are shares a sample.
    X : table, images or texts
        n samples, raw or wrapped.
    values : array-like of shape (n, N)
        Attributions; ties are broken by position.
    target : int array-like of shape (n,), optional
        Position of the output of each sample. Default: the predicted class, the model's
        largest.
    shares : sequence of float, default=(0.01, 0.05, 0.1, 0.2, 0.5)
        Shares of each sample's own players, rounded up to whole players. The benchmark's
        formula counts the empty rationale, too; its code, like this, the shares only.

    Returns
    -------
    ndarray of shape (n,)
        Between -1 and 1 where the model answers probabilities.

    Raises
    ------
    ValueError
        If shapes do not agree, values hold NaN, or shares are not above 0 and up to 1.

    References
    ----------
    DeYoung, J. et al. (2020). ERASER: A Benchmark to Evaluate Rationalized NLP Models. ACL.

    Examples
    --------
    >>> import numpy as np
    >>> from fastexplain.masked_model import MaskedModel
    >>> from fastexplain.maskers import TabularMasker
    >>> from fastexplain.metrics import comprehensiveness, sufficiency
    >>> from fastexplain.predictors import make_predictor
    >>> X = np.array([[0.3, 0.2], [0.1, 0.4]])
    >>> model = make_predictor(lambda x: x.sum(axis=1), X, output="probability")
    >>> masked = MaskedModel(model, TabularMasker("zero").fit(X))
    >>> comprehensiveness(masked, X, X, [1, 1], shares=[0.5])
    array([0.3, 0.4])
    >>> sufficiency(masked, X, X, [1, 1], shares=[0.5])
    array([0.2, 0.1])
    """
    return _lost(masked, X, values, target, shares, keep_top=False)


def sufficiency(
    masked: MaskedModel,
    X: Any,
    values: Any,
    target: Any = None,
    shares: Sequence[float] = SHARES,
) -> np.ndarray:
    """What the probability loses with only the most important players: lower is better.

    p(whole sample) - p(only its k most important players), averaged over the shares (AOPC of
    the ERASER benchmark). Rationales that suffice for the prediction lose little; below 0, the
    model is surer with the rationale alone.

    Parameters
    ----------
    masked, X, values, target, shares
        As in `comprehensiveness`.

    Returns
    -------
    ndarray of shape (n,)
        Between -1 and 1 where the model answers probabilities.

    Raises
    ------
    ValueError
        If shapes do not agree, values hold NaN, or shares are not above 0 and up to 1.

    References
    ----------
    DeYoung, J. et al. (2020). ERASER: A Benchmark to Evaluate Rationalized NLP Models. ACL.
    """
    return _lost(masked, X, values, target, shares, keep_top=True)


def _lost(
    masked: MaskedModel, X: Any, values: Any, target: Any, shares: Any, keep_top: bool
) -> np.ndarray:
    ranked = rank_players(masked, X, values, target)
    chosen = share_sizes(ranked.counts, shares)
    whole = ranked.counts[:, None] if keep_top else np.zeros_like(chosen[:, :1])
    found = masked_scores(masked, ranked, np.hstack([whole, chosen]), keep_top, own_output)
    return found[:, 0] - found[:, 1:].mean(axis=1)


@dataclass(frozen=True)
class TokenF1:
    """Agreement with people's rationales as tokens are taken in order of attribution.

    Attributes
    ----------
    mean : float
        Mean of the curve: higher is better.
    curve : ndarray of shape (C,)
        Mean F1 over the texts at each number of tokens.
    counts : int ndarray of shape (C,)
        Numbers of tokens.
    """

    mean: float
    curve: np.ndarray
    counts: np.ndarray


def token_f1_curve(
    values: Any,
    rationales: Sequence[Any],
    counts: Sequence[int] = tuple(range(10, 81, 10)),
) -> TokenF1:
    """F1 of the k most important tokens against the tokens that people marked.

    The ERASER benchmark's token F1 of each text, averaged over texts, for a growing number of
    tokens (Figure 3 of the FEX and concept set papers, after Chefer et al., 2021).

    Parameters
    ----------
    values : array-like of shape (n, N)
        Attributions; ties are broken by position. Columns past a text's own tokens are not
        looked at.
    rationales : sequence of n bool array-likes of shape (N_i,)
        Tokens of each text that people marked, at least one a text.
    counts : sequence of int, default=(10, 20, ..., 80)
        Numbers k of tokens; shorter texts give all they have.

    Returns
    -------
    TokenF1

    Raises
    ------
    ValueError
        If shapes do not agree, values hold NaN, counts are below 1, or a text has no marked
        token, where F1 says nothing.

    References
    ----------
    DeYoung, J. et al. (2020). ERASER: A Benchmark to Evaluate Rationalized NLP Models. ACL.

    Examples
    --------
    >>> from fastexplain.metrics import token_f1_curve
    >>> token_f1_curve([[0.9, 0.1, 0.5]], [[True, False, True]], counts=[1, 2, 3]).curve
    array([0.66666667, 1.        , 0.8       ])
    """
    values, ks = np.asarray(values, float), np.asarray(counts)
    if values.ndim != 2 or not len(values) or len(rationales) != len(values):
        raise ValueError(
            f"values of shape {values.shape} and {len(rationales)} rationales do not fit. Give a "
            "row of attributions, shape (n, N), and a rationale for each of n texts."
        )
    if not np.isfinite(values).all():
        raise ValueError("values hold NaN or infinity; attributions must be finite.")
    if ks.ndim != 1 or not len(ks) or ks.dtype.kind not in "iu" or ks.min() < 1:
        raise ValueError(f"counts must be whole numbers of at least 1, got {counts!r}.")
    total = np.zeros(len(ks))
    for i, (row, marks) in enumerate(zip(values, rationales, strict=True)):
        marked = _marked(marks, i, values.shape[1])
        taken = np.minimum(ks, len(marked))
        hits = np.cumsum(marked[np.argsort(-row[: len(marked)], kind="stable")])[taken - 1]
        # 2 P R / (P + R), with P = hits / taken and R = hits / marked
        total += 2 * hits / (taken + marked.sum())
    curve = total / len(values)
    return TokenF1(float(curve.mean()), curve, ks)


def _marked(marks: Any, i: int, n_players: int) -> np.ndarray:
    """Rationale of text ``i`` as a bool array, checked."""
    given = np.asarray(marks)
    if given.ndim != 1 or len(given) > n_players or not np.isin(given, (0, 1)).all():
        raise ValueError(
            f"rationales[{i}] must be a bool array of at most {n_players} tokens, got shape "
            f"{given.shape} of {given.dtype}. Cut it where the text was cut."
        )
    if not given.any():
        raise ValueError(f"rationales[{i}] marks no token, so F1 says nothing; leave the text out.")
    return given.astype(bool)
