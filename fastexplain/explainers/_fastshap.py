"""FastSHAPExplainer: Shapley values without labels, by least squares on coalitions."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from fastexplain.explainers._announce import Plan
from fastexplain.explainers._coalition_pool import batches_of, coalition_pool, usual_share
from fastexplain.explainers._shapley_learned import ShapleyLearner, coalition_fit, usual_size
from fastexplain.maskers import Masker
from fastexplain.predictors import Select

__all__ = ["FastSHAPExplainer"]


class FastSHAPExplainer(ShapleyLearner):
    r"""Shapley values in one forward pass, learned without a single label.

    FastSHAP (Jethani et al., 2022): the network's values minimise
    :math:`E_S (v(S) - v(\emptyset) - \sum_{i \in S} \phi_i)^2` over coalitions of the Shapley
    kernel under the efficiency constraint. They are drawn in pairs, all sizes equally often and
    weighted as the kernel has them, and what coalitions gain by their size alone is taken out
    (``objectives.size_curves``): the optimum is the same, with less noise on the way.

    Parameters
    ----------
    masker : TabularMasker, optional
        What removing a feature means; default ``TabularMasker(baseline, groups)``.
    baseline : {"mean", "median", "zero", "marginal"} or row, default="mean"
        What removed features are replaced by; see ``TabularMasker``.
    groups : mapping of name to columns, optional
        Columns that are one player.
    categorical : sequence of names or positions, optional
        Of tables: columns whose numbers are codes. The mean or median baseline of such a column
        is its mode. LightGBM, XGBoost, CatBoost and histogram boosting of scikit-learn tell
        theirs.
    removal : {"baseline", "surrogate"} or SurrogateRemoval, default="baseline"
        What stands for removed features: the baseline's values, or a network that predicts
        the model's outputs without them; see ``SurrogateRemoval``.
    network : {"auto", "unet", "vit", "copy", "transformer", "hidden", "hidden_classes"} or list
        What reads images and texts; see ``FEXExplainer``.
    output : str, default="auto"
        What the model answers: "probability", "logits", "margin" (raw scores or log-odds),
        "regression", "multilabel", "multilabel_logits", or "auto" for what the model says of
        itself; see ``fastexplain.predictors.make_predictor``. ``output_reason_`` tells how the
        answers were read.
    output_names : sequence of str, optional
        Names of the outputs; default those that the model or its answers give.
    select : str, int or callable, optional
        Which part is explained where the model answers a dict, tuple or list.
    normalize : {"additive"} or None, default="additive"
        Spread what a row's values lack to v(all) - v(none) evenly over its features, for which
        ``explain`` asks the model once a row; or leave them as they are.
    n_queries : int, default=8_000_000
        About as many rows the model is asked for in ``fit``.
    n_masks : int, default=32
        Coalitions asked for each training row. Fewer buy more rows: real ones first, then
        rows that mix the values of two.
    hidden_dim, n_blocks : int, default=256 and 3
        Width of the residual network and number of its blocks.
    max_steps, batch_size : int, default=6000 and 256
        Optimiser steps and rows in each.
    learning_rate, weight_decay : float, default=3e-3 and 1e-2
        Of AdamW, with warm-up and a cosine to zero.
    patience : int, default=10
        Validations without a new best before training stops.
    validation_fraction : float, default=0.1
        Share of the rows held out to validate on, 256 at most.
    model_batch_size : int, optional
        Most rows in one call of the model.
    n_jobs : int, optional
        Workers for models outside torch.
    device, precision : str, default="auto"
        Where the network trains and runs, and its precision.
    max_time : float, optional
        Seconds for ``fit``.
    checkpoint : path-like, optional
        Folder that the run is saved to as it goes, and taken up from.
    verbose : int, default=0
        1 shows progress bars.
    random_state : int, RandomState or None
        Governs all that is drawn.

    Attributes
    ----------
    base_values_ : ndarray of shape (K,)
        v(none), the model's outputs with all features removed.
    best_score_ : float
        Share of the squares of held-out Shapley values (enumerated, or by 1,024 coalitions a
        row) that the network explains; 1 is perfect.
    output_names_, classes_, masker_, history_, n_model_queries_, n_iter_, stopped_by_
        As in ``FEXExplainer``.

    See Also
    --------
    SupervisedExplainer : Learns from labels; nearer to the truth at the same queries wherever
        rows can be enumerated.

    Notes
    -----
    Features of a row that equal a single-row baseline have the value 0 exactly.

    References
    ----------
    Jethani, N., Sudarshan, M., Covert, I., Lee, S.-I., Ranganath, R. (2022). FastSHAP:
    Real-Time Shapley Value Estimation. ICLR.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fastexplain import FastSHAPExplainer
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=1000).fit(X, y)
    >>> explainer = FastSHAPExplainer(max_steps=300, random_state=0).fit(X, model)
    >>> explainer.explain(X[:3]).values.shape
    (3, 4)
    """

    _defaults = MappingProxyType(
        {
            "n_queries": 8_000_000,
            "hidden_dim": 256,
            "n_blocks": 3,
            "max_steps": 6000,
            "batch_size": 256,
            "learning_rate": 3e-3,
        }
    )

    def __init__(
        self,
        *,
        masker: Masker | None = None,
        baseline: Any = "mean",
        groups: Any = None,
        categorical: Any = None,
        removal: Any = "baseline",
        network: Any = "auto",
        output: str = "auto",
        output_names: Sequence[str] | None = None,
        select: Select = None,
        normalize: str | None = "additive",
        n_queries: int | None = None,
        n_masks: int = 32,
        hidden_dim: int | None = None,
        n_blocks: int | None = None,
        max_steps: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        weight_decay: float = 1e-2,
        patience: int = 10,
        validation_fraction: float = 0.1,
        model_batch_size: int | None = None,
        n_jobs: int | None = None,
        device: str = "auto",
        precision: str = "auto",
        max_time: float | None = None,
        checkpoint: Any = None,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.masker = masker
        self.baseline = baseline
        self.groups = groups
        self.categorical = categorical
        self.removal = removal
        self.network = network
        self.output = output
        self.output_names = output_names
        self.select = select
        self.normalize = normalize
        self.n_queries = n_queries
        self.n_masks = n_masks
        self.hidden_dim = hidden_dim
        self.n_blocks = n_blocks
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.model_batch_size = model_batch_size
        self.n_jobs = n_jobs
        self.device = device
        self.precision = precision
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.random_state = random_state

    def _plan(self, samples: Any) -> Plan:
        return self._pool_plan(samples, self.n_masks + self.n_masks % 2 + 1, enumerates=False)

    def _fit(self, X: Any, y: Any, model: Any, started: float) -> None:
        table = self._begin_fit(X, y, model)
        seed = self._seed()
        train, held = self._split(table, seed)
        self._fit_encoder(table, seed, started)
        checkpoint = self._make_checkpoint(table, seed)
        validate = self._validator(table.take(held), seed)
        n_masks = self._masks_in_time(self.n_masks + self.n_masks % 2)
        cost = n_masks + 1
        rng = np.random.default_rng([seed, 3])
        # no name for the rows: they go once their coalitions are there
        pool = coalition_pool(
            self,
            self._training_rows(table.take(train), rng, cost, enumerates=False),
            n_masks,
            [seed, 4],
            started,
            checkpoint,
        )
        # a value is about as large as a total's share
        module = self._fresh_network(seed, usual_share(pool))

        def loss(network: Any, batch: dict[str, torch.Tensor]) -> Any:
            return coalition_fit(network(batch["x"], batch["null"]), batch, usual_size(module))

        experience = batches_of(pool, self.batch_size, seed)
        fitted = self._run(experience, module, loss, validate, seed, started, checkpoint)
        self._finish(module, fitted, validate)

    def _validate_parameters(self) -> None:
        super()._validate_parameters()
        self._validate_training("n_masks")
