"""SupervisedExplainer: Shapley values learned from labels of some rows."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from fastexplain.explainers._labelled import LabelLearner
from fastexplain.maskers import Masker
from fastexplain.predictors import Select

__all__ = ["SupervisedExplainer"]


class SupervisedExplainer(LabelLearner):
    r"""Shapley values in one forward pass, learned from labels of some rows.

    The CoRTX paper's supervised real-time explainer (section 2.2): a network is fitted to
    Shapley labels by least squares. Labels are made by ``label_source``, or passed to ``fit``.

    Parameters
    ----------
    task : {"attribution", "ranking"}, default="attribution"
        What is learned from labels: the values, by least squares, or their ranking, by
        cross-entropy over each place's feature (CoRTX-CE). Explanations of ``"ranking"`` hold
        ranks: a permutation of 1 to N for each row, N for the largest signed value. They do
        not add up to anything, and need no model. (In ``benchmarks/cortx_adult.py`` the values'
        own ranking is nearer to the true one.)
    label_source : {"auto", "exact", "kernel", "permutation"} or LabelSource, default="auto"
        Where labels come from, see ``fastexplain.labels``. ``"auto"`` is ``KernelShapley``
        with 4,096 coalitions, so that rows with up to 12 features off the baseline are
        enumerated; with fewer, 128 at least, where the budget would buy few rows otherwise.
    label_fraction : float, optional
        Share of the rows that is labelled, held-out ones included; every label comes from
        these. Default: as many rows as ``n_queries`` buys.
    n_labels : int, optional
        Number of rows that are labelled, in place of ``label_fraction``.
    n_copies : int, optional
        Masked copies of each enumerated row to train on as well. The answers that label a row
        label its copies exactly, at no further cost. Default: so many that training sees about
        200,000 rows, 60 of a row at most.
    label_cache : path-like, optional
        Folder that labels are kept in, by content: rows, baseline, source, seed and the model's
        answers. Another fit that needs the same ones takes them from there; files hold arrays
        only. The default keeps none.
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
        Spread what a row's values lack to v(all) - v(none) evenly over its features, in
        training and in ``explain``, which then asks the model once a row; or leave them as
        they are.
    n_queries : int, default=8_000_000
        About as many rows the model is asked for in ``fit`` where the number of labels is
        left open; real rows come first, then rows that mix the values of two.
    hidden_dim, n_blocks : int, default=256 and 3
        Width of the residual network and number of its blocks.
    max_steps, batch_size : int, default=10_000 and 256
        Optimiser steps and rows in each.
    learning_rate, weight_decay : float, default=3e-3 and 1e-2
        Of AdamW, with warm-up and a cosine to zero.
    patience : int, default=20
        Validations without a new best before training stops.
    validation_fraction : float, default=0.1
        Share of the labelled rows held out to validate on, 256 at most.
    model_batch_size : int, optional
        Most rows in one call of the model.
    n_jobs : int, optional
        Workers for models outside torch.
    device, precision : str, default="auto"
        Where the network trains and runs, and its precision.
    max_time : float, optional
        Seconds for ``fit``.
    checkpoint : path-like, optional
        Folder that the run is saved to as it goes, labels included, and taken up from.
    verbose : int, default=0
        1 shows progress bars.
    random_state : int, RandomState or None
        Governs all that is drawn.

    Attributes
    ----------
    base_values_ : ndarray of shape (K,)
        v(none), the model's outputs with all features removed.
    best_score_ : float
        Share of the squares of held-out labels that the network explains; 1 is perfect.
    output_names_, classes_, masker_, history_, n_model_queries_, n_iter_, stopped_by_
        As in ``FEXExplainer``.

    See Also
    --------
    FastSHAPExplainer : The same values without labels.
    CoRTXExplainer : The same with an encoder learned beforehand.

    Notes
    -----
    Features of a row that equal a single-row baseline have the value 0 exactly.

    References
    ----------
    Chuang, Y.-N. et al. (2023). CoRTX: Contrastive Framework for Real-time Explanation. ICLR.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fastexplain import SupervisedExplainer
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=1000).fit(X, y)
    >>> explainer = SupervisedExplainer(max_steps=300, random_state=0).fit(X, model)
    >>> explainer.explain(X[:3]).values.shape
    (3, 4)
    """

    _defaults = MappingProxyType(
        {
            "n_queries": 8_000_000,
            "hidden_dim": 256,
            "n_blocks": 3,
            "max_steps": 10_000,
            "batch_size": 256,
            "learning_rate": 3e-3,
        }
    )

    def __init__(
        self,
        *,
        task: str = "attribution",
        label_source: Any = "auto",
        label_fraction: float | None = None,
        n_labels: int | None = None,
        n_copies: int | None = None,
        label_cache: Any = None,
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
        hidden_dim: int | None = None,
        n_blocks: int | None = None,
        max_steps: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        weight_decay: float = 1e-2,
        patience: int = 20,
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
        self.task = task
        self.label_source = label_source
        self.label_fraction = label_fraction
        self.n_labels = n_labels
        self.n_copies = n_copies
        self.label_cache = label_cache
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
