"""CoRTXExplainer: a contrastive encoder, then a head tuned on few labels."""

from __future__ import annotations

import numbers
import time
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from fastexplain.explainers._coalition_pool import packed_coalitions_of
from fastexplain.explainers._labelled import LabelLearner
from fastexplain.explainers._learned import is_number
from fastexplain.explainers._saved_outputs import Measure
from fastexplain.maskers import Masker
from fastexplain.objectives import info_nce_loss
from fastexplain.predictors import Select
from fastexplain.training import TargetPool, Trainer, TrainSettings, chunk_ends

__all__ = ["CoRTXExplainer", "choose_positive"]

_POSITIVES = ("compact", "random", "maximum")
# positives of each row, drawn once
_DRAWS = 1
# of the query budget, for positives and for coalitions of rows without labels
_POSITIVE_SHARE, _COALITION_SHARE = 0.2, 0.5
_FEWEST_PAIRS = 64
# copies to choose a positive from, where the model is slow
_FEWEST_COPIES = 4


class CoRTXExplainer(LabelLearner):
    r"""Shapley values in one forward pass, from an encoder that needs no labels (CoRTX).

    Algorithm 1: for each row, ``n_positives`` masked copies are drawn that keep every feature
    with probability ``keep_probability`` (Eq. 2); the one whose prediction moves least is its
    positive (Eq. 4). An encoder learns to tell a row's positive from the batch's other rows
    (InfoNCE, Eq. 5). A head is then tuned, and the encoder with it, on the labels of some rows.

    Parameters
    ----------
    task : {"attribution", "ranking"}, default="attribution"
        What is learned from labels: the values, by least squares, or their ranking, by
        cross-entropy over each place's feature (CoRTX-CE). Explanations of ``"ranking"`` hold
        ranks: a permutation of 1 to N for each row, N for the largest signed value. They do
        not add up to anything, and need no model. (In ``benchmarks/cortx_adult.py`` the values'
        own ranking is nearer to the true one.)
    positives : {"compact", "random", "maximum"}, default="compact"
        Which masked copy is the positive: the one whose prediction moves least, any, or the
        one whose prediction moves most (the paper's ablations, Figure 6).
    n_positives : int, default=30
        Masked copies to choose from, m of Eq. 2; the paper's Table 2 has 30 for the Adult
        census, 300 for data of a hundred columns.
    keep_probability : float, default=0.5
        Lambda of Eq. 2.
    temperature : float, default=0.02
        Tau of Eq. 5.
    contrastive_steps : int, default=300
        Optimiser steps of the encoder; 0 leaves it as drawn (the supervised explainer).
    contrastive_batch_size : int, default=1024, of images and texts 128
        Rows that are told from each other.
    contrastive_learning_rate : float, default=3e-4
        Of the encoder. At the labels' rate the encoder ends where labels cannot move it well.
    freeze_encoder : bool, default=False
        Keep the encoder as the contrast left it, as the paper does, and tune the head alone.
    n_head_layers : int, default=1
        Layers of the head; the paper's Table 2 has 3.
    n_masks : int, default=32
        Coalitions of each row, labelled or not, whose answers train the network beside the
        labels, by FastSHAP's loss; as many rows as half of ``n_queries`` buys. They count in
        full beside exact labels of up to 250 rows, and ever less beside more. 0 is the paper's
        method, which learns from the labels alone, as ``task="ranking"`` does.
    label_source : {"auto", "exact", "kernel", "permutation"} or LabelSource, default="auto"
        Where labels come from; see ``SupervisedExplainer``.
    label_fraction : float, optional
        Share of the rows that is labelled, held-out ones included. Default: as many rows as
        ``n_queries`` buys.
    n_labels : int, optional
        Number of rows that are labelled, in place of ``label_fraction``.
    n_copies : int, optional
        Masked copies of each enumerated row to train on; see ``SupervisedExplainer``.
    label_cache : path-like, optional
        Folder that labels are kept in, by content: rows, baseline, source, seed and the model's
        answers. Another fit that needs the same ones takes them from there; files hold arrays
        only. The default keeps none.
    masker : TabularMasker, optional
        What removing a feature means; default ``TabularMasker(baseline, groups)``.
    baseline : {"mean", "median", "zero", "marginal"} or row, default="mean"
        What removed features are replaced by: the paper's reference value.
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
        About as many rows the model is asked for in ``fit``: a fifth at most for positives,
        half for coalitions, the rest for labels where their number is left open.
    hidden_dim, n_blocks : int, default=256 and 3
        Width of the residual network and number of its blocks.
    max_steps, batch_size : int, default=10_000 and 256
        Optimiser steps on labels and rows in each.
    learning_rate, weight_decay : float, default=3e-3 and 1e-2
        Of AdamW, with warm-up and a cosine to zero, in both stages.
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
        Folder that the stage on labels is saved to as it goes, and taken up from.
    verbose : int, default=0
        1 shows progress bars.
    random_state : int, RandomState or None
        Governs all that is drawn.

    Attributes
    ----------
    contrast_ : float
        Share of held-out rows whose positive is nearer than every other row of the batch.
    best_score_ : float
        Share of the squares of held-out labels that the network explains; 1 is perfect.
    base_values_ : ndarray of shape (K,)
        v(none), the model's outputs with all features removed.
    output_names_, classes_, masker_, history_, n_model_queries_, n_iter_, stopped_by_
        As in ``FEXExplainer``.

    See Also
    --------
    SupervisedExplainer : The same without the contrastive stage.

    References
    ----------
    Chuang, Y.-N. et al. (2023). CoRTX: Contrastive Framework for Real-time Explanation. ICLR.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fastexplain import CoRTXExplainer
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=1000).fit(X, y)
    >>> explainer = CoRTXExplainer(
    ...     label_fraction=0.25, contrastive_steps=50, max_steps=300, random_state=0
    ... ).fit(X, model)
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
            "contrastive_batch_size": 1024,
        }
    )
    _sample_defaults = MappingProxyType(
        {**LabelLearner._sample_defaults, "contrastive_batch_size": 128}
    )
    _measures = MappingProxyType({"contrast_": Measure(float, 0.0, 1.0, always=False)})

    def __init__(
        self,
        *,
        task: str = "attribution",
        positives: str = "compact",
        n_positives: int = 30,
        keep_probability: float = 0.5,
        temperature: float = 0.02,
        contrastive_steps: int = 300,
        contrastive_batch_size: int | None = None,
        contrastive_learning_rate: float = 3e-4,
        freeze_encoder: bool = False,
        n_head_layers: int = 1,
        n_masks: int = 32,
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
        self.positives = positives
        self.n_positives = n_positives
        self.keep_probability = keep_probability
        self.temperature = temperature
        self.contrastive_steps = contrastive_steps
        self.contrastive_batch_size = contrastive_batch_size
        self.contrastive_learning_rate = contrastive_learning_rate
        self.freeze_encoder = freeze_encoder
        self.n_head_layers = n_head_layers
        self.n_masks = n_masks
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

    @property
    def _label_share(self) -> float:  # type: ignore[override]
        alone = not self.n_masks or self.task == "ranking"
        return 0.95 - _POSITIVE_SHARE - (0.0 if alone else _COALITION_SHARE)

    def _beside(self) -> float:
        """Those of positives and of rows without labels, which ``n_queries`` limits."""
        share = _POSITIVE_SHARE if self.contrastive_steps else 0.0
        alone = not self.n_masks or self.task == "ranking"
        return (share + (0.0 if alone else _COALITION_SHARE)) * self.n_queries

    def _prepare(self, module: Any, table: Any, seed: int, started: float) -> None:
        """Learn the encoder by contrast, without labels."""
        checkpoint, known = self._checkpoint, None
        if checkpoint is not None and checkpoint.holds_run():
            # that run's weights have learned it
            known = checkpoint.kept("contrast")
        if isinstance(known, float):
            self.contrast_ = known
        elif self.contrastive_steps:
            train, held = self._split(table, seed)
            rng = np.random.default_rng([seed, 8])
            background = self.masker_.n_background_
            room = _POSITIVE_SHARE * self._budget() / (_DRAWS * self.n_positives * background)
            # a pair is two samples, and each sample is in several pairs
            room = min(room, self._most_held() / (2 * _DRAWS))
            # of a slow model, as many as a share of the time allows
            few = self._clock.few_masked(0.02 / (_FEWEST_COPIES * background), 4, _FEWEST_PAIRS)
            learn = table.take(train[: max(few, int(room))])
            deadline = self._clock.deadline(0.6)
            test = self._pairs(table.take(held[: max(few, int(0.1 * room))]), rng)
            pairs = self._pairs(learn, rng, deadline)
            encoder = _Encoder(module.body)
            loss = _Contrast(self.temperature)

            def validate(network: nn.Module) -> float:
                return _share_told(network, test)

            settings = self._contrast_settings(seed, started)
            size = self.contrastive_batch_size
            assert size is not None  # chosen by the kind of data
            experience = TargetPool(pairs, size, seed)
            fitted = Trainer(encoder, loss, experience, validate, settings).run()
            if fitted.stopped_by == "interrupt":
                # labels are in the checkpoint by now; what is left would take long
                raise KeyboardInterrupt
            self.contrast_ = fitted.best_score
            if checkpoint is not None:
                checkpoint.keep("contrast", self.contrast_)
        if self.freeze_encoder:
            for name, parameter in module.body.named_parameters():
                parameter.requires_grad_(name.startswith("last."))

    def _unlabelled(self, table: Any, seed: int, started: float) -> dict[str, torch.Tensor] | None:
        if not self.n_masks:
            return None
        n_masks = self._masks_in_time(self.n_masks + self.n_masks % 2)
        rng = np.random.default_rng([seed, 9])
        # a share of its own, whatever labels cost: a run that is taken up has the same
        budget = _COALITION_SHARE * self.n_queries
        rows = self._training_rows(table, rng, n_masks + 1, budget, enumerates=False)

        def make(part: Any, chunk: int) -> dict[str, torch.Tensor]:
            rng = np.random.default_rng([seed, 10, chunk])
            made = packed_coalitions_of(self, part, n_masks, rng)
            del made["sizes"]
            return made

        # asked again when a run is taken up: the checkpoint holds the labels, which cost more
        return self._collect(rows, make, started, None)

    def _contrast_settings(self, seed: int, started: float) -> TrainSettings:
        settings = self._settings(self.contrastive_steps, seed, started)
        deadline = None if self.max_time is None else started + 0.7 * float(self.max_time)
        rate = self.contrastive_learning_rate
        return replace(settings, learning_rate=rate, deadline=deadline)

    def _pairs(
        self, rows: Any, rng: np.random.Generator, deadline: float | None = None
    ) -> dict[str, torch.Tensor]:
        """Anchors and their positives, ``_DRAWS`` of each row; fewer rows if time runs out."""
        m = 1 if self.positives == "random" else self.n_positives
        if m > 1:
            # of a slow model, fewer copies rather than fewer rows
            own = 0.02 / (_FEWEST_PAIRS * self.masker_.n_background_)
            m = self._clock.few_masked(own, min(_FEWEST_COPIES, m), m)
        parts: list[dict[str, torch.Tensor]] = []
        most = max(1, self._masked.chunk_rows(rows.n_columns) // m)
        for start, end in chunk_ends(len(rows), most):
            if parts and deadline is not None and time.monotonic() > deadline:
                break
            part = rows.take(slice(start, end))
            for _ in range(_DRAWS):
                shape = (len(part), m, self._nulls(part).shape[1])
                masks = rng.random(shape) < self.keep_probability
                if m > 1:
                    answers = self._masked.values(part, masks)
                    full = self._masked.outputs(part).to(answers)
                    masks = choose_positive(masks, answers, full, self.positives)[:, None]
                copies = self._reader.encode_masked(part, masks[:, 0], self._masked)
                positive = {f"positive_{k}": v for k, v in copies.items()}
                parts.append(self._encode(part) | positive)
        return {name: torch.cat([part.pop(name) for part in parts]) for name in list(parts[0])}

    def _validate_parameters(self) -> None:
        super()._validate_parameters()
        self._validate_training("n_positives", "contrastive_batch_size", "n_head_layers")
        if self.positives not in _POSITIVES:
            raise ValueError(f"positives must be one of {_POSITIVES}, got {self.positives!r}.")
        for name in ("contrastive_steps", "n_masks"):
            value = getattr(self, name)
            if not is_number(value, numbers.Integral) or value < 0:
                raise ValueError(f"{name} must be a whole number, 0 or more, got {value!r}.")
        if not is_number(self.keep_probability) or not 0 < self.keep_probability < 1:
            raise ValueError(
                f"keep_probability must be between 0 and 1, got {self.keep_probability!r}."
            )
        rate = self.contrastive_learning_rate
        if not is_number(rate) or not rate > 0:
            raise ValueError(f"contrastive_learning_rate must be above 0, got {rate!r}.")
        if not is_number(self.temperature) or not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature!r}.")


def choose_positive(
    masks: np.ndarray, answers: torch.Tensor, full: torch.Tensor, which: str
) -> np.ndarray:
    """Choose the masked copy whose outputs move least (Eq. 4), or most.

    Parameters
    ----------
    masks : bool ndarray of shape (B, m, N)
    answers : tensor of shape (B, m, K)
        Outputs of the masked copies.
    full : tensor of shape (B, K)
        Outputs of the rows.
    which : {"compact", "maximum"}

    Returns
    -------
    bool ndarray of shape (B, N)
    """
    moved = (answers - full[:, None]).abs().sum(dim=2)
    best = moved.argmin(dim=1) if which == "compact" else moved.argmax(dim=1)
    return masks[np.arange(len(masks)), best.cpu().numpy()]


class _Encoder(nn.Module):
    """The body's latent of anchors and positives."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor, null: torch.Tensor) -> torch.Tensor:
        return self.body.latent(x, null)


class _Contrast:
    """InfoNCE (Eq. 5) of an encoder on a batch of pairs."""

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def __call__(self, module: Any, batch: dict[str, torch.Tensor]) -> Any:
        anchors = module(batch["x"], batch["null"])
        positives = module(batch["positive_x"], batch["positive_null"])
        return info_nce_loss(anchors.float(), positives.float(), self.temperature)


def _share_told(module: nn.Module, pairs: dict[str, torch.Tensor]) -> float:
    """Share of rows whose positive is nearer than any other row."""
    device = next(module.parameters()).device
    first = {name: tensor.to(device) for name, tensor in pairs.items()}
    with torch.inference_mode():
        anchors = nn.functional.normalize(module(first["x"], first["null"]).float(), dim=1)
        positives = module(first["positive_x"], first["positive_null"]).float()
        own = (anchors * nn.functional.normalize(positives, dim=1)).sum(dim=1)
        others = (anchors @ anchors.T).fill_diagonal_(-2.0).amax(dim=1)
    return float((own > others).float().mean())
