"""FEXExplainer: attribution as a Bernoulli distribution over feature masks."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from fastexplain._warnings import warn_user
from fastexplain.attribution import attribution_targets
from fastexplain.explainers._announce import Plan
from fastexplain.explainers._fex_training import (
    ActorCritic,
    MaskJudge,
    PolicyGradient,
    act,
    calibrate,
    choose_resolution,
    match_moments,
)
from fastexplain.explainers._learned import LearnedExplainer
from fastexplain.maskers import Masker
from fastexplain.networks import MaskPolicy
from fastexplain.networks._players import own_parts
from fastexplain.objectives import PPOCoefficients
from fastexplain.predictors import Select
from fastexplain.training import (
    Checkpoint,
    Experience,
    TargetPool,
    Trainer,
    Trajectories,
)

__all__ = ["FEXExplainer"]

_OBJECTIVES = ("forward_kl", "reverse_kl", "ppo")


class FEXExplainer(LearnedExplainer):
    r"""Fast explanation: attributions of any fitted model in one forward pass.

    A network learns, once, for every output of a model the parameters
    :math:`\lambda = g(x)` of a Bernoulli distribution over feature masks (Eq. 7) that
    stands for the empirical attribution of Definition 1:
    :math:`\lambda_i = E_p[m_i] = \phi_i / A` (Eq. 5-8), in [0, 1].

    Parameters
    ----------
    objective : {"forward_kl", "reverse_kl", "ppo"}, default="forward_kl"
        ``"ppo"`` is the paper as printed: Algorithm 1, Eqs. 9-25. Its objective (Eq. 10)
        is maximised by the single best mask, nearly always one feature, so its attributions
        collapse onto single features. ``"reverse_kl"`` is the same machinery with reward
        ``log c - log q``, whose optimum is the Bernoulli distribution nearest to p.
        ``"forward_kl"`` matches p's moments and is the only one whose optimum is
        Definition 1 itself. It is the default since it comes closest to the exact
        attribution in ``benchmarks/fex_tabular.py``, each objective with its defaults.
    masker : TabularMasker, ImageMasker or TextMasker, optional
        What a feature is and what removing it means. Default: ``TabularMasker(baseline,
        groups)`` for tables, ``ImageMasker()`` for images, ``TextMasker()`` for texts, with the
        tokenizer that comes with the model.
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
    output : str, default="auto"
        What the model answers: "probability", "logits", "margin" (raw scores or log-odds),
        "regression", "multilabel", "multilabel_logits", or "auto" for what the model says of
        itself; see ``fastexplain.predictors.make_predictor``. ``output_reason_`` tells how the
        answers were read.
        Real-valued outputs are explained by how well a mask keeps the prediction (see Notes).
    output_names : sequence of str, optional
        Names of the outputs; default those that the model or its answers give.
    select : str, int or callable, optional
        Which part is explained where the model answers a dict, tuple or list.
    network : str or list of layers, default="auto"
        What reads images and texts: "unet", "vit", "copy", "transformer", "hidden",
        "hidden_classes". "auto" is "unet" for images and "transformer" for texts. "copy" is a
        copy of a torch model of images, trained further. "hidden" reads the model's own last
        hidden states, "hidden_classes" compares them with the classes' weights, a list of names
        of submodules reads what these answer: prediction and explanation then come from one
        pass of the model.
    n_queries : int, default=8_000_000, of images and texts 1_000_000
        About as many rows the model is asked for in ``fit``, fewer if ``max_steps`` or
        ``max_time`` end it first.
    n_masks : int, default=128
        ``"forward_kl"``: coalitions asked for each training row. Rows that have fewer are
        enumerated. Fewer masks buy more rows: real ones first, then rows that mix the
        values of two.
    hidden_dim, n_blocks : int, default=128 and 3, of images and texts 128 and 2
        Width and number of blocks of the network.
    max_steps, batch_size : int, default=6000 and 256, of images and texts 3000 and 64
        Optimiser steps, and rows in each.
    learning_rate, weight_decay : float, default=3e-3 and 1e-2, of images and texts 1e-3
        Of AdamW; warm-up, then a cosine to zero.
    patience : int, default=10
        Validations without a better score before training stops.
    validation_fraction : float, default=0.1
        Share of rows held out (256 at most) to choose the best network by.
    trajectory_length : int, default=5
        ``"ppo"`` and ``"reverse_kl"``: T masks drawn for each row (Eq. 11).
    inner_updates : int, default=4
        ``"ppo"`` and ``"reverse_kl"``: updates on each set of trajectories (Algorithm 1,
        line 4).
    clip : float, default=0.2
        The same: :math:`\epsilon` of Eq. 22.
    lambda_entropy, lambda_value : float, default=1e-5 and 0.5
        The same: :math:`\lambda_{en}` and :math:`\lambda_v` of Eq. 25.
    lambda_kl : float, optional
        The same: :math:`\lambda_{kl}` of Eq. 25; default 1 for ``"ppo"`` and 0 for
        ``"reverse_kl"``, whose optimum the class term would move.
    model_batch_size : int, optional
        Most rows in one call of the model.
    n_jobs : int, optional
        Workers for models outside torch, through joblib.
    device : str, default="auto"
        Where the network trains and runs: "cpu", "cuda", "cuda:1"; "auto" takes CUDA
        where there is one. The model stays where it is.
    precision : str, default="auto"
        Of training: "32-true", "bf16-mixed" or "16-mixed" (Lightning Fabric's names); "auto"
        is "bf16-mixed" on CUDA devices that have it, "32-true" elsewhere.
    max_time : float, optional
        Seconds for ``fit``; the schedule shortens to end there. Results then depend on
        the machine. A thousand queries or two are asked in any case, whatever they take.
    checkpoint : path-like, optional
        Folder that the run is saved to as it goes. ``fit`` with the same parameters, data
        and model takes an unfinished run up again; it is removed at the end.
    verbose : int, default=0
        1 shows progress bars.
    random_state : int, RandomState or None
        Governs all that is drawn.

    Attributes
    ----------
    masker_ : TabularMasker
        Fitted masker.
    classes_ : ndarray of shape (K,)
        Class labels; classifiers only.
    output_names_ : list of str
        Names of the K outputs.
    base_values_ : ndarray of shape (K,)
        The model's outputs with all features removed.
    best_score_ : float
        Mean rank correlation with sampled or exact attributions of held-out rows, over all
        outputs: how far the explainer can be trusted.
    history_ : dict of lists
        Losses, held-out score, step and seconds at each validation.
    n_model_queries_ : int
        Rows that the model was asked for.
    n_iter_ : int
        Optimiser steps taken.
    stopped_by_ : {"max_steps", "patience", "queries", "max_time", "interrupt"}
        Why training ended.

    See Also
    --------
    ExactExplainer : The same attribution by enumeration, for few features.
    fastexplain.load : Load a saved explainer.

    Notes
    -----
    Features of a row that equal a single-row baseline change nothing when removed. The
    network is told which these are, and gives them one common value, as symmetry demands:
    the ``neutral_values`` of the explanation. Larger values raise the output. ``fit`` also
    looks for values of single columns that the model never tells from the baseline's, such
    as numbers on the same side of every split of a forest: none of 200 to 500 answers
    changed in the last digit. Features with such values are null players too, and so are
    those whose effect is smaller than the network resolves, where held-out rows agree.

    For real-valued outputs f is :math:`\exp(-(f(m \odot x) - f(x))^2 / 2 \sigma^2)` with
    :math:`\sigma` the spread of the output over X.

    After ``fit`` the model is needed to know the predicted class only. Pickles and saved
    folders of this explainer hold no model.

    References
    ----------
    Pan, D., Moniz, N., Chawla, N. V. (2025). Fast Explanations via Policy
    Gradient-Optimized Explainer. IJCAI.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fastexplain import FEXExplainer
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=1000).fit(X, y)
    >>> explainer = FEXExplainer(max_steps=300, random_state=0).fit(X, model)
    >>> explanation = explainer.explain(X[:3])
    >>> explanation.values.shape
    (3, 4)
    """

    _defaults = MappingProxyType(
        {
            "n_queries": 8_000_000,
            "hidden_dim": 128,
            "n_blocks": 3,
            "max_steps": 6000,
            "batch_size": 256,
            "learning_rate": 3e-3,
        }
    )

    def __init__(
        self,
        objective: str = "forward_kl",
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
        n_queries: int | None = None,
        n_masks: int = 128,
        hidden_dim: int | None = None,
        n_blocks: int | None = None,
        max_steps: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        weight_decay: float = 1e-2,
        patience: int = 10,
        validation_fraction: float = 0.1,
        trajectory_length: int = 5,
        inner_updates: int = 4,
        clip: float = 0.2,
        lambda_entropy: float = 1e-5,
        lambda_value: float = 0.5,
        lambda_kl: float | None = None,
        model_batch_size: int | None = None,
        n_jobs: int | None = None,
        device: str = "auto",
        precision: str = "auto",
        max_time: float | None = None,
        checkpoint: Any = None,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.objective = objective
        self.masker = masker
        self.baseline = baseline
        self.groups = groups
        self.categorical = categorical
        self.removal = removal
        self.network = network
        self.output = output
        self.output_names = output_names
        self.select = select
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
        self.trajectory_length = trajectory_length
        self.inner_updates = inner_updates
        self.clip = clip
        self.lambda_entropy = lambda_entropy
        self.lambda_value = lambda_value
        self.lambda_kl = lambda_kl
        self.model_batch_size = model_batch_size
        self.n_jobs = n_jobs
        self.device = device
        self.precision = precision
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.random_state = random_state

    def _plan(self, samples: Any) -> Plan:
        if self.objective != "forward_kl":
            return super()._plan(samples)
        return self._pool_plan(samples, self.n_masks, enumerates=True)

    def _fit(self, X: Any, y: Any, model: Any, started: float) -> None:
        table = self._begin_fit(X, y, model)
        seed = self._seed()
        train, held = self._split(table, seed)
        self._fit_encoder(table, seed, started)
        checkpoint = self._make_checkpoint(table, seed)
        validate = self._validator(table.take(held), seed)
        torch_rng = torch.Generator().manual_seed(seed)
        rows = table.take(train)
        if self.objective == "forward_kl":
            experience, module = self._forward_kl(rows, seed, started, checkpoint)
            loss: Any = match_moments
        else:
            experience, module = self._policy_gradient(rows, seed)
            loss = PolicyGradient(self._coefficients(), self.kind_ == "classification")
        for part in own_parts(module):
            reset: Any = getattr(part, "reset", None)
            if reset is not None:
                reset(torch_rng)
        settings = self._settings(self.max_steps, seed, started, experience.most_batches)
        trainer = Trainer(module, loss, experience, validate, settings, checkpoint)
        fitted = self._train(trainer)
        # the value network has done its part once the policy is trained
        policy: Any = getattr(module, "policy", module)
        if self.objective == "forward_kl" and fitted.history:
            fitted.best_score = choose_resolution(policy, validate, fitted.best_score)
        self._finish(policy, fitted, validate)

    # -- forward KL ------------------------------------------------------------------------
    def _forward_kl(
        self,
        rows: Any,
        seed: int,
        started: float,
        checkpoint: Checkpoint | None,
    ) -> tuple[Experience, nn.Module]:
        rng = np.random.default_rng([seed, 3])
        n_masks = self._masks_in_time(self.n_masks)
        rows = self._training_rows(rows, rng, n_masks)

        def make(part: Any, chunk: int) -> dict[str, torch.Tensor]:
            own = np.random.default_rng([seed, 4, chunk])
            inputs = self._encode(part)
            null = inputs["null"].numpy()
            targets = attribution_targets(self._masked, part, n_masks, own, self._spread, null)
            return inputs | vars(targets)

        pool = self._collect(rows, make, started, checkpoint)
        module = self._policy("sinh")
        calibrate(module, pool)
        return TargetPool(pool, self.batch_size, seed), module

    # -- policy gradient -------------------------------------------------------------------
    def _policy_gradient(self, rows: Any, seed: int) -> tuple[Experience, nn.Module]:
        rows = rows.take(slice(0, self._most_held()))
        inputs, outputs = self._encoded_with_outputs(rows)
        reverse = self.objective == "reverse_kl"
        experience = Trajectories(
            rows,
            inputs["x"],
            inputs["null"],
            outputs.float(),
            self._asker(outputs),
            act,
            MaskJudge(reverse),
            random_share=float(reverse or self.kind_ != "classification"),
            trajectory_length=self.trajectory_length,
            inner_updates=self.inner_updates,
            batch_size=self._batch_in_time(self.trajectory_length),
            max_queries=self._queries_left(),
            set_queries=self.masker_.n_background_,
            seed=seed,
        )
        policy = self._policy("linear")
        value = self._body(0, len(self.output_names_))
        return experience, ActorCritic(policy, value)

    def _coefficients(self) -> PPOCoefficients:
        kl = self.lambda_kl
        if kl is None:
            kl = 1.0 if self.objective == "ppo" else 0.0
        return PPOCoefficients(self.lambda_entropy, self.lambda_value, kl, self.clip)

    def _build_network(self) -> nn.Module:
        return self._policy("sinh" if self.objective == "forward_kl" else "linear")

    # -- pieces ----------------------------------------------------------------------------
    def _policy(self, link: str) -> MaskPolicy:
        n_players, n_out = self.masker_.n_players, len(self.output_names_)
        body = self._body(n_out, n_out)
        return MaskPolicy(body, n_out, n_players, link)

    def _method(self) -> str:
        return f"FEX ({self.objective}), {self._removes()}"

    def _validate_parameters(self) -> None:
        if self.objective not in _OBJECTIVES:
            raise ValueError(f"objective must be one of {_OBJECTIVES}, got {self.objective!r}.")
        self._validate_training("n_masks", "trajectory_length", "inner_updates")
        if self.objective == "forward_kl" and self.lambda_kl:
            warn_user("lambda_kl has no effect with objective='forward_kl'.")
