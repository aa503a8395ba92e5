"""Methods that ask the model anew for every row: ground truth, and rivals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch

from fastexplain.attribution import exact_attribution
from fastexplain.attribution._exact import _KINDS as KINDS
from fastexplain.attribution._scores import prediction_scores
from fastexplain.explainers._base import BaseExplainer
from fastexplain.explainers._sample_masks import SampleMasks, content_numbers
from fastexplain.maskers import Masker
from fastexplain.predictors import Select
from fastexplain.tables import Table

__all__ = ["ExactExplainer", "RISEExplainer"]


class _PerSampleExplainer(BaseExplainer):
    _pickles_model = True
    _may_be_baseline = True

    def fit(self, X: Any, y: Any = None, *, model: Any = None) -> Self:
        """Take the baseline from X and keep the model; nothing is learned.

        Parameters
        ----------
        X : ndarray or DataFrame of shape (n, C)
            Rows that the baseline is computed from.
        y : object
            The fitted model: ``fit(X, model)``. Labels are ignored if ``model`` is given.
        model : object, optional
            The fitted model, by name.

        Returns
        -------
        self
        """
        self._take(X, y, model)
        return self

    def _take(self, X: Any, y: Any, model: Any) -> None:
        self._validate_parameters()
        self._begin_fit(X, y, model)

    def _bases(self, samples: Any) -> np.ndarray:
        return self._own_bases(samples)

    def _validate_parameters(self) -> None:
        """Say which parameter is wrong before the model is asked anything."""
        raise NotImplementedError


class ExactExplainer(_PerSampleExplainer):
    r"""Exact attributions by enumerating every coalition.

    Parameters
    ----------
    kind : {"normalized", "empirical", "shapley"}, default="normalized"
        ``"empirical"`` is Definition 1, :math:`\phi_i = \sum_{m: m_i = 1} f(m \odot x) / K_m`
        (Eq. 2); ``"normalized"`` is :math:`\phi / A = E_p[m]` (Eq. 5, 6), what FEX learns;
        ``"shapley"`` the Shapley values of the model's outputs.
    masker : TabularMasker, optional
        What removing a feature means; default ``TabularMasker(baseline, groups)``.
    baseline : {"mean", "median", "zero", "marginal"} or row, default="mean"
        See ``TabularMasker``.
    groups : mapping of name to columns, optional
        Columns that are one player.
    categorical : sequence of names or positions, optional
        Of tables: columns whose numbers are codes. The mean or median baseline of such a column
        is its mode. LightGBM, XGBoost, CatBoost and histogram boosting of scikit-learn tell
        theirs.
    removal : {"baseline", "surrogate"} or SurrogateRemoval, default="baseline"
        What stands for removed features: the baseline's values, or a network that predicts
        the model's outputs without them; see ``SurrogateRemoval``.
    output : str, default="auto"
        What the model answers: "probability", "logits", "margin" (raw scores or log-odds),
        "regression", "multilabel", "multilabel_logits", or "auto" for what the model says of
        itself; see ``fastexplain.predictors.make_predictor``. ``output_reason_`` tells how the
        answers were read.
    output_names : sequence of str, optional
        Names of the outputs; default those that the model or its answers give.
    select : str, int or callable, optional
        Which part is explained where the model answers a dict, tuple or list.
    model_batch_size : int, optional
        Most rows in one call of the model.
    n_jobs : int, optional
        Workers for models outside torch, through joblib.
    random_state : int, RandomState or None
        Draws the background of ``baseline="marginal"``.

    Attributes
    ----------
    masker_ : TabularMasker
        Fitted masker.
    base_values_ : ndarray of shape (K,)
        The model's outputs with all features removed.
    output_names_ : list of str
    classes_ : ndarray of shape (K,)
        Class labels; classifiers only.

    See Also
    --------
    FEXExplainer : Learns the normalised attribution.

    Notes
    -----
    A row whose ``a`` features differ from the baseline takes ``2**a`` queries. Rows with
    more than 20 such features raise ValueError.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fastexplain import ExactExplainer
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=1000).fit(X, y)
    >>> explanation = ExactExplainer(kind="shapley").fit(X, model).explain(X[:5], target=2)
    >>> explanation.values.shape
    (5, 4)
    """

    def __init__(
        self,
        kind: str = "normalized",
        *,
        masker: Masker | None = None,
        baseline: Any = "mean",
        groups: Any = None,
        categorical: Any = None,
        removal: Any = "baseline",
        output: str = "auto",
        output_names: Sequence[str] | None = None,
        select: Select = None,
        model_batch_size: int | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.kind = kind
        self.masker = masker
        self.baseline = baseline
        self.groups = groups
        self.categorical = categorical
        self.removal = removal
        self.output = output
        self.output_names = output_names
        self.select = select
        self.model_batch_size = model_batch_size
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _validate_parameters(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {self.kind!r}.")

    def _explain_table(self, table: Table) -> tuple[np.ndarray, np.ndarray | None]:
        spread = None if self.kind == "shapley" else self._spread
        values, neutral = exact_attribution(self._need_model(), table, self.kind, spread)
        return values, None if self.kind == "shapley" else neutral

    def _method(self) -> str:
        return f"exact ({self.kind}), {self._removes()}"


class RISEExplainer(_PerSampleExplainer):
    r"""RISE (Petsiuk et al., 2018): the mean of random masks, weighted by the output.

    :math:`\sum_t f(m_t \odot x)\, m_{t,i} / \sum_t f(m_t \odot x)`, over masks that keep each
    feature with probability ``keep``.

    Parameters
    ----------
    n_masks : int, default=1000
        Queries a row.
    keep : float, default=0.5
        Probability that a mask keeps a feature.
    masker, baseline, groups, categorical, removal, output, output_names, select,
    model_batch_size, n_jobs
        As in ``ExactExplainer``.
    random_state : int, RandomState or None
        Draws the masks. Each row has its own, drawn from this and from the row's content: equal
        rows get equal masks, whatever stands beside them, and errors of different rows are
        independent of each other.

    See Also
    --------
    ExactExplainer : Without sampling, for few features.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fastexplain import RISEExplainer
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = LogisticRegression(max_iter=10000).fit(X / X.max(axis=0), y)
    >>> rise = RISEExplainer(100, random_state=0).fit(X / X.max(axis=0), model)
    >>> rise.explain(X[:3] / X.max(axis=0)).values.shape
    (3, 30)
    """

    def __init__(
        self,
        n_masks: int = 1000,
        *,
        keep: float = 0.5,
        masker: Masker | None = None,
        baseline: Any = "mean",
        groups: Any = None,
        categorical: Any = None,
        removal: Any = "baseline",
        output: str = "auto",
        output_names: Sequence[str] | None = None,
        select: Select = None,
        model_batch_size: int | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.n_masks = n_masks
        self.keep = keep
        self.masker = masker
        self.baseline = baseline
        self.groups = groups
        self.categorical = categorical
        self.removal = removal
        self.output = output
        self.output_names = output_names
        self.select = select
        self.model_batch_size = model_batch_size
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, *, model: Any = None) -> Self:
        """Take the baseline from X and keep the model; masks are drawn for each row explained.

        Parameters
        ----------
        X : ndarray or DataFrame of shape (n, C)
            Rows that the baseline is computed from.
        y : object
            The fitted model: ``fit(X, model)``. Labels are ignored if ``model`` is given.
        model : object, optional
            The fitted model, by name.

        Returns
        -------
        self
        """
        self._take(X, y, model)
        self._masks = SampleMasks(self._seed(), int(self.n_masks), float(self.keep))
        return self

    def _validate_parameters(self) -> None:
        if not isinstance(self.keep, float | np.floating) or not 0.0 < self.keep < 1.0:
            raise ValueError(f"keep must be a number between 0 and 1, got {self.keep!r}.")
        whole = isinstance(self.n_masks, int | np.integer) and not isinstance(self.n_masks, bool)
        if not whole or self.n_masks < 1:
            raise ValueError(f"n_masks must be a whole number of at least 1, got {self.n_masks!r}.")

    def _explain_table(self, table: Table) -> tuple[np.ndarray, np.ndarray | None]:
        masked, masks = self._need_model(), self._masks
        null = masked.masker.null_players(table)
        step = max(1, masked.chunk_rows(table.n_columns) // masks.n_masks)
        parts = []
        for start in range(0, len(table), step):
            part = table.take(slice(start, start + step))
            parts.append(self._explain_part(part, null.shape[1]))
        values = torch.cat(parts).numpy()
        if not isinstance(table, Table):
            # players that a text or image lacks must not get a sample's noise
            values = np.where(null[:, :, None], masks.keep, values)
        # a feature without effect is kept by as large a share as the masks keep it
        return values, np.full((len(table), values.shape[2]), masks.keep)

    def _explain_part(self, part: Any, n_players: int) -> torch.Tensor:
        """Values (B, N, K) of a few samples, block by block of their masks."""
        masked, masks = self._need_model(), self._masks
        numbers, spread = content_numbers(part), self._spread
        full = torch.zeros(()) if spread is None else masked.outputs(part).cpu().double()
        total = kept = weighted = torch.zeros(())
        for block in masks.blocks():
            drawn = masks.draw(numbers, block, n_players)
            answers = masked.values(part, drawn).cpu().double()
            if spread is not None:
                answers = prediction_scores(answers, full, spread.double())
            weights = torch.from_numpy(drawn).double().transpose(1, 2)
            total = total + answers.sum(dim=1, keepdim=True)
            kept = kept + weights.sum(dim=2, keepdim=True)
            weighted = weighted + weights @ answers
        # f that is zero under every mask prefers none of them
        share = weighted / total.clamp(min=1e-300)
        return torch.where(total > 0, share, kept / masks.n_masks)

    def _method(self) -> str:
        return f"RISE ({self._masks.n_masks} masks), {self._removes()}"
