"""Faithfulness: whether attributions go with what predictions lose."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastexplain.masked_model import MaskedModel
from fastexplain.metrics._perturbation import check_attributions

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
        The model with its masker; asked for N + 1 inputs a row.
    X : Table, ndarray or DataFrame of n rows
    values : array-like of shape (n, N)
        Signed attributions.
    target : int array-like of shape (n,)
        Position of the explained output of each row.

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
    table, values, target = check_attributions(masked, X, values, target)
    n, n_players = values.shape
    masks = np.vstack([np.ones(n_players, bool), ~np.eye(n_players, dtype=bool)])
    chunk = max(1, masked.chunk_rows(table.n_columns) // len(masks))
    drops = np.empty((n, n_players))
    for start in range(0, n, chunk):
        rows = np.arange(start, min(start + chunk, n))
        answers = masked.values(table.take(rows), masks, rows).cpu().double().numpy()
        own = np.take_along_axis(answers, target[rows, None, None], axis=2)[:, :, 0]
        drops[rows] = own[:, :1] - own[:, 1:]
    a, b = (z - z.mean(axis=1, keepdims=True) for z in (values, drops))
    # means of equal numbers may differ from them in the last digit
    flat = [np.ptp(z, axis=1) == 0 for z in (values, drops)]
    size = np.sqrt((a**2).sum(axis=1)) * np.sqrt((b**2).sum(axis=1))
    found = np.divide((a * b).sum(axis=1), size, out=np.zeros(n), where=size > 0)
    found[flat[0] | flat[1]] = 0.0
    found[flat[0] & flat[1]] = 1.0
    return np.clip(found, -1.0, 1.0)
