"""Faithfulness: whether attributions go with what predictions lose."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastexplain.masked_model import MaskedModel
from fastexplain.metrics._ranked import check_attributions

__all__ = ["faithfulness"]


def faithfulness(masked: MaskedModel, X: Any, values: Any, target: Any) -> np.ndarray:
    r"""Correlation of each row's attribution with the drops of its prediction.

    Pearson's correlation over the features ``j`` of ``values[i, j]`` with
    :math:`f_t(x) - f_t(x_{-j})`, what the explained output loses when that feature alone is
    removed (XAI-Bench: Liu et al., 2021, after Alvarez-Melis & Jaakkola, 2018; the measure
    of the CoRTX paper's Table 5). It needs no true attribution.

    Parameters
    ----------
    masked : MaskedModel
        The model with its masker; asked for one input more than a sample has features.
    X : table, images or texts
        n samples, raw or wrapped.
    values : array-like of shape (n, N)
        Signed attributions. Columns past a text's own features are not looked at.
    target : int array-like of shape (n,)
        Position of the explained output of each sample; None for the model's largest.

    Returns
    -------
    ndarray of shape (n,)
        In [-1, 1]. Where attribution and drops are both constant they agree (1); where one
        is, nothing can be said (0).

    Raises
    ------
    ValueError
        If shapes do not agree, or values hold NaN.

    References
    ----------
    Liu, Y. et al. (2021). Synthetic Benchmarks for Scientific Research in Explainable Machine
    Learning. NeurIPS Datasets and Benchmarks.

    Examples
    --------
    >>> import numpy as np
    >>> from fastexplain.masked_model import MaskedModel
    >>> from fastexplain.maskers import TabularMasker
    >>> from fastexplain.metrics import faithfulness
    >>> from fastexplain.predictors import make_predictor
    >>> X = np.array([[1.0, 2.0, 3.0], [3.0, 0.0, 1.0]])
    >>> model = make_predictor(lambda x: x @ np.array([1.0, 0.5, -1.0]), X)
    >>> masked = MaskedModel(model, TabularMasker("zero").fit(X))
    >>> faithfulness(masked, X, X * [1.0, 0.5, -1.0], [0, 0])
    array([1., 1.])
    """
    samples, values, target, counts = check_attributions(masked, X, values, target)
    n, n_players = values.shape
    own = np.arange(n_players) < counts[:, None]
    drops = np.zeros((n, n_players))
    # samples with as many features go together; where all have all, they stay in their order
    line, start = np.argsort(counts, kind="stable"), 0
    limit = masked.chunk_rows(samples.n_columns)
    while start < n:
        rows = line[start : start + max(1, limit // (counts[line[start]] + 1))]
        rows = rows[: max(1, limit // (counts[rows[-1]] + 1))]
        masks = np.vstack([np.ones(n_players, bool), ~np.eye(n_players, dtype=bool)])
        masks = masks[: counts[rows[-1]] + 1]
        answers = masked.values(samples.take(rows), masks, rows).cpu().double().numpy()
        output = np.take_along_axis(answers, target[rows, None, None], axis=2)[:, :, 0]
        drops[rows, : len(masks) - 1] = output[:, :1] - output[:, 1:]
        start += len(rows)
    a, b = (_centred(z, own) for z in (values, drops))
    size = np.sqrt((a**2).sum(axis=1)) * np.sqrt((b**2).sum(axis=1))
    found = np.divide((a * b).sum(axis=1), size, out=np.zeros(n), where=size > 0)
    # means of equal numbers may differ from them in the last digit
    flat = [
        z.max(axis=1, where=own, initial=-np.inf) <= z.min(axis=1, where=own, initial=np.inf)
        for z in (values, drops)
    ]
    found[flat[0] | flat[1]] = 0.0
    found[flat[0] & flat[1]] = 1.0
    return np.clip(found, -1.0, 1.0)


def _centred(z: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Distances from each row's mean over its own players; 0 for players it does not have."""
    mean = np.where(own, z, 0.0).sum(axis=1, keepdims=True)
    return np.where(own, z - mean / np.maximum(own.sum(axis=1, keepdims=True), 1), 0.0)
