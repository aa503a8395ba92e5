"""ConceptSetExplainer: the fewest concepts that keep a prediction."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from fastexplain.attribution import FeasibleSets, minimal_prefixes
from fastexplain.explainers._concept_near import better_than_random
from fastexplain.explainers._concept_start import begin_with_coalitions
from fastexplain.explainers._learned import LearnedExplainer, is_number, picked, sigmoid
from fastexplain.explainers._validators import Validator
from fastexplain.networks import ConceptPolicy
from fastexplain.objectives import concept_set_loss, prediction_drop, relative_drop
from fastexplain.predictors import Select
from fastexplain.training import Fitted, Trainer, Trajectories

__all__ = ["ConceptSetExplainer"]

# sets drawn of each held-out sample, the same at every validation
_VALIDATION_SETS = 4
# rate of learning from sets beside that from coalitions, which they are not to undo
_FURTHER = 0.03
# what rankings are worse than chance by, at least, before fit says so
_SURELY = 1e-3
# queries that max_time has to allow before some of them go into a look at the rankings
_TIME_TO_RANK = 50_000
# coalition_share of images
_IMAGE_SHARE = 0.9


class ConceptSetExplainer(LearnedExplainer):
    r"""Minimum feasible concept sets in one forward pass (Pan et al., 2024).

    A network gives for every concept of a sample (patch, superpixel, token, word, sentence,
    column, group of columns) the chance :math:`p = g(x)` that it belongs to the smallest set
    that keeps the prediction (Eq. 13). It is trained once, on answers of the model to sets drawn
    from p, to make p small and what the prediction loses small (Eq. 18). Values are p, in
    [0, 1]; ``minimal_sets`` turns them into one set for each sample.

    Parameters
    ----------
    size_weight : float, default=1.0
        What the size of a set, as a share of all concepts, counts beside what it loses; 1 is
        :math:`\lambda = 1` of Eq. 15.
    clip : float, default=0.3
        Delta of Eq. 18.
    n_sets : int, default=8
        Sets drawn of each sample.
    inner_updates : int, default=4
        Updates on each draw.
    centered : bool, default=True
        Subtract from each set's loss the mean of the sample's others: the same gradient on
        average, with less variance. False is Eq. 18 as printed.
    coalition_share : float, default=0.9 of images, 0 of tables and texts
        Share of queries and steps that first teach the network what players add to random
        coalitions, then to sets near the ranking's own prefixes (``2 n_sets`` of each sample),
        by log-odds where outputs are chances; Eq. 18 goes on from there.
        Sets drawn from a policy that knows nothing lose nearly everything, whichever of many
        players they hold. 0 is the paper. ``history_`` and ``n_iter_`` tell of the
        last steps, those of Eq. 18 unless ``fit`` was interrupted before.
    other_share : float, default=0.25
        Share of samples whose sets are drawn for any output, rather than the predicted one, so
        that others can be explained, too.
    masker : TabularMasker, ImageMasker or TextMasker, optional
        What a concept is and what eliminating it means (Definitions 1 to 3).
    baseline : {"mean", "median", "zero", "marginal"} or row, default="mean"
        Of tables; see ``TabularMasker``.
    groups : mapping of name to columns, optional
        Of tables: columns that are one concept.
    categorical : sequence of names or positions, optional
        Of tables: columns whose numbers are codes. The mean or median baseline of such a column
        is its mode. LightGBM, XGBoost, CatBoost and histogram boosting of scikit-learn tell
        theirs.
    removal : {"baseline", "surrogate"} or SurrogateRemoval, default="baseline"
        Of tables; see ``SurrogateRemoval``.
    network : {"auto", "unet", "vit", "copy", "transformer", "hidden", "hidden_classes"} or list
        What reads images and texts; see ``FEXExplainer``. "hidden" is Eq. 19,
        "hidden_classes" Eq. 20.
    output : str, default="auto"
        What the model answers: "probability", "logits", "margin" (raw scores or log-odds),
        "regression", "multilabel", "multilabel_logits", or "auto" for what the model says of
        itself; see ``fastexplain.predictors.make_predictor``. ``output_reason_`` tells how the
        answers were read.
        Of real-valued outputs, what is kept is closeness to the prediction, as in
        ``FEXExplainer``.
    output_names : sequence of str, optional
        Names of the outputs; default those that the model or its answers give.
    select : str, int or callable, optional
        Which part is explained where the model answers a dict, tuple or list.
    n_queries : int, default=2_000_000, of images and texts 1_000_000
        About as many samples the model is asked for in ``fit``.
    hidden_dim, n_blocks : int, default=128 and 3, of images and texts 128 and 2
        Width and number of blocks of the network.
    max_steps, batch_size : int, default=4000 and 256, of images and texts 3000 and 64
        Optimiser steps, and samples in each.
    learning_rate, weight_decay : float, default=1e-3 and 1e-2
        Of AdamW, and Muon for a copy's layers; warm-up, then a cosine to zero. Where coalitions
        come first, half of it for sets near the ranking and 0.03 of it for Eq. 18.
    patience : int, default=20
        Validations without a better score before training stops.
    validation_fraction : float, default=0.1
        Share of samples held out (256 at most) to choose the best network by.
    model_batch_size : int, optional
        Most samples in one call of the model.
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
    best_score_ : float
        1 less the objective (Eq. 15) of held-out samples: near 1, few concepts keep nearly all
        of the prediction. Below what keeping nothing would score, ``fit`` warns.
    base_values_, output_names_, classes_, masker_, history_, n_model_queries_, n_iter_, stopped_by_
        As in ``FEXExplainer``.

    References
    ----------
    Pan, D., Moniz, N., Chawla, N. V. (2024). Fast Explainability via Feasible Concept Sets
    Generator. arXiv:2405.18664.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fastexplain import ConceptSetExplainer, ImageMasker
    >>> X, y = load_digits(return_X_y=True)
    >>> model = LogisticRegression(max_iter=2000).fit(X, y)
    >>> images = X.reshape(-1, 8, 8)
    >>> explainer = ConceptSetExplainer(
    ...     masker=ImageMasker(patch_size=2), hidden_dim=16, max_steps=40, random_state=0
    ... ).fit(images, lambda a: model.predict_proba(a.reshape(-1, 64)))
    >>> explainer.explain(images[:3]).values.shape
    (3, 16)
    >>> sets = explainer.minimal_sets(images[:3], epsilon=0.1)
    >>> bool((sets.drops < 0.1).all())
    True
    """

    _score_name = "1 less size and loss of the sets"
    #: than rankings at random, where that was seen
    _better = 0.0
    _defaults = MappingProxyType(
        {
            "n_queries": 2_000_000,
            "hidden_dim": 128,
            "n_blocks": 3,
            "max_steps": 4000,
            "batch_size": 256,
            "learning_rate": 1e-3,
        }
    )

    def __init__(
        self,
        *,
        size_weight: float = 1.0,
        clip: float = 0.3,
        n_sets: int = 8,
        inner_updates: int = 4,
        centered: bool = True,
        coalition_share: float | None = None,
        other_share: float = 0.25,
        masker: Any = None,
        baseline: Any = "mean",
        groups: Any = None,
        categorical: Any = None,
        removal: Any = "baseline",
        network: Any = "auto",
        output: str = "auto",
        output_names: Sequence[str] | None = None,
        select: Select = None,
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
        self.size_weight = size_weight
        self.clip = clip
        self.n_sets = n_sets
        self.inner_updates = inner_updates
        self.centered = centered
        self.coalition_share = coalition_share
        self.other_share = other_share
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

    # -- fitting ---------------------------------------------------------------------------
    def _fit(self, X: Any, y: Any, model: Any, started: float) -> None:
        samples = self._begin_fit(X, y, model)
        if self.coalition_share is None:
            # this is the copy that is fitted: the user's own parameter stays as it is
            self.coalition_share = _IMAGE_SHARE if samples.kind == "images" else 0.0
        seed = self._seed()
        train, held = self._split(samples, seed)
        self._fit_encoder(samples, seed, started)
        checkpoint = self._make_checkpoint(samples, seed)
        # a tenth of the queries for eight validations, as a short run has
        few = self._budget() // (10 * 8 * (_VALIDATION_SETS + 1) * self.masker_.n_background_)
        least = self._clock.few_masked(0.05 / (8 * (_VALIDATION_SETS + 1)), 4, 16)
        judged = samples.take(held[: max(least, few)])
        rows = samples.take(train)
        module: Any = self._build_network()
        module.body.reset(torch.Generator().manual_seed(seed))
        share, earlier = self._share(), 0
        if share > 0 and not (checkpoint is not None and checkpoint.holds_run()):
            budget, steps = share * self._budget(), max(1, round(share * self.max_steps))
            objective = self._validator(judged.take(slice(0, max(least, few // 8))), seed)
            # gains and levels are tried one by one, each by all of these samples' sets
            tries = self._clock.few_masked(0.05 / (least * _VALIDATION_SETS), 1, 30)
            given = (self, module, rows, judged, objective, tries, budget, steps, seed, started)
            begun = begin_with_coalitions(*given, checkpoint)
            earlier = begun.n_steps
            late = not self._clock.fits(self._queries_of_a_start(len(rows), len(judged)))
            if begun.stopped_by == "interrupt" or late:
                stopped_by = "max_time" if late else "interrupt"
                self._finish(module, replace(begun, stopped_by=stopped_by), objective)
                return
        validate = self._validator(judged, seed)
        rows = rows.take(slice(0, self._most_held()))
        inputs, outputs = self._encoded_with_outputs(rows)
        experience = Trajectories(
            rows,
            inputs["x"],
            inputs["null"],
            outputs.float(),
            self._asker(outputs),
            lambda network, x, null: (network(x, null), None),
            self._judge,
            random_share=self._random_share(),
            trajectory_length=self.n_sets,
            inner_updates=self.inner_updates,
            batch_size=self._batch_in_time(self.n_sets),
            max_queries=self._queries_for_sets(),
            set_queries=self.masker_.n_background_,
            seed=seed,
        )
        steps = max(1, round((1.0 - share) * self.max_steps))
        settings = self._settings(steps, seed, started, experience.most_batches)
        if share:
            # a schedule of its own, which is not to undo what was learned
            rate = _FURTHER * settings.learning_rate
            settings = replace(settings, learning_rate=rate, begun=time.monotonic())
            settings = replace(settings, judge_start=True)
        trainer = Trainer(module, self._loss, experience, validate, settings, checkpoint)
        fitted = self._train(trainer)
        background = self.masker_.n_background_
        if fitted.stopped_by != "interrupt" and self._queries_in_time > _TIME_TO_RANK * background:
            few = np.clip(self._budget() // (2000 * background), 4, 16)
            some = judged.take(slice(0, int(few)))
            self._better = better_than_random(self, module, some, seed + 2)
        self._finish(module, fitted, validate, earlier)

    def _share(self) -> float:
        assert self.coalition_share is not None  # chosen by the kind of data
        return float(self.coalition_share)

    def _queries_for_sets(self) -> int:
        """What of ``n_queries`` Eq. 18 has; of a run that is taken up as much as before."""
        share = self._share()
        return max(1, int((1.0 - share) * self.n_queries)) if share else self._queries_left()

    def _queries_of_a_start(self, n_samples: int, n_held: int) -> int:
        """What Eq. 18 asks before and for its first step: outputs, three looks and a batch."""
        looks = 3 * n_held * _VALIDATION_SETS
        batch = self._batch_in_time(self.n_sets) * self.n_sets
        return n_samples + n_held + (looks + batch) * self.masker_.n_background_

    def _random_share(self) -> float:
        """Outputs of regressors and labels are explained one as often as another."""
        if len(self.output_names_) == 1:
            return 0.0
        return self.other_share if self.kind_ == "classification" else 1.0

    def _judged(self, outputs: torch.Tensor) -> torch.Tensor:
        """Output of each held-out sample that a policy is judged by: all in turn, or the class."""
        if self.kind_ == "classification":
            return outputs.argmax(dim=1)
        return torch.arange(len(outputs)) % outputs.shape[1]

    def _judge(
        self,
        score: torch.Tensor,
        full: torch.Tensor,
        masks: torch.Tensor,
        log_q: torch.Tensor | None,
        beside: torch.Tensor | None,
    ) -> dict[str, torch.Tensor]:
        if self._spread is not None:
            full = torch.ones_like(full)
        drop = prediction_drop(full, score)
        return {"cost": relative_drop(drop) if self.centered else drop}

    def _loss(self, module: Any, batch: dict[str, torch.Tensor]) -> Any:
        rows = torch.arange(len(batch["target"]), device=batch["target"].device)
        own = module(batch["x"], batch["null"])[rows, batch["target"]]
        return concept_set_loss(
            own,
            batch["masks"],
            batch["cost"],
            batch["old_log_q"],
            (~batch["null"]).sum(dim=1),
            1.0 / self.size_weight,
            self.clip,
        )

    def _validator(self, samples: Any, seed: int) -> Any:
        """1 less the objective, over sets drawn by the same throws at every validation."""
        inputs, outputs = self._encoded_with_outputs(samples)
        ask = self._asker(outputs)
        rows = torch.arange(len(samples))
        target = self._judged(outputs)
        full = torch.ones(len(samples))
        if self._spread is None:
            full = outputs[rows, target].float()
        generator = torch.Generator().manual_seed(seed + 1)
        null = inputs["null"]
        nothing = ask(samples, rows.numpy(), np.zeros((len(samples), 1, null.shape[1]), dtype=bool))
        lost = prediction_drop(full, nothing.cpu().float()[rows, :, target])
        self._nothing_score = float(1.0 - lost.mean())
        throws = torch.rand((len(samples), _VALIDATION_SETS, null.shape[1]), generator=generator)

        def scores(module: nn.Module) -> torch.Tensor:
            own = torch.sigmoid(self._forward(module, inputs)[rows, target].float())
            masks = throws < own[:, None]
            answers = ask(samples, rows.numpy(), masks.numpy()).cpu().float()
            kept = answers.gather(2, target[:, None, None].expand(-1, answers.shape[1], 1))
            drop = prediction_drop(full, kept[:, :, 0]).mean(dim=1)
            size = own.norm(dim=1) / (~null).sum(dim=1).clamp(min=1).sqrt()
            return 1.0 - (self.size_weight * size + drop)

        def per_output(module: nn.Module) -> np.ndarray:
            # of the samples that are judged by an output; NaN where there is none
            count = torch.bincount(target, minlength=outputs.shape[1])
            total = torch.zeros(len(count)).index_add_(0, target.cpu(), scores(module).float())
            return torch.where(count > 0, total / count.clamp(min=1), torch.nan).double().numpy()

        return Validator(per_output, lambda module: float(scores(module).mean()))

    def _what_is_poor(self, score: float) -> str | None:
        if score >= self._nothing_score:
            if self._better >= -_SURELY:
                return None
            return (
                "the model on held-out samples: players in the order of their values keep less of "
                "the prediction, and leave more, than in any order. Raise n_queries or max_steps, "
                "give more samples, or choose another network=."
            )
        return (
            f"the model on held-out samples: {self._score_name} are {score:.2f} (best_score_), and "
            f"{self._nothing_score:.2f} where nothing is kept. Lower size_weight where players are "
            "few, raise n_queries or max_steps, or give more samples."
        )

    def _why_nothing_was_learned(
        self, fitted: Fitted, n_steps: int, validate: Validator
    ) -> str | None:
        if n_steps == 0:
            return "no training step was made, the network is as it was drawn."
        if self._better < -_SURELY:
            return "on held-out samples, rankings by these values are worse than any."
        return None

    def _build_network(self) -> nn.Module:
        n_out = len(self.output_names_)
        return ConceptPolicy(self._body(n_out, 0), n_out, self.masker_.n_players)

    # -- explaining ------------------------------------------------------------------------
    def _read_out(
        self, x: torch.Tensor, null: torch.Tensor, chosen: np.ndarray | None
    ) -> tuple[torch.Tensor, None]:
        # of a thousand outputs one is asked for: the rest of the work is done for that one
        numbers = picked(self._network.numbers(x, null), chosen)
        chance = sigmoid(self._network.logits(numbers, null))
        return chance.masked_fill(null.cpu()[:, None], 0.0), None

    def _meaning(self) -> dict[str, bool]:
        return {"additive": False}

    def minimal_sets(
        self,
        X: Any,
        target: Any = "predicted",
        *,
        epsilon: float = 0.1,
        search: str = "bisection",
    ) -> FeasibleSets:
        """Find for each sample a short prefix of the ranking that is feasible.

        With ``search="scan"`` the shortest; bisection may miss it where drops do not fall as
        players come in.

        Parameters
        ----------
        X : ndarray or DataFrame of shape (n, C), images or texts
        target : "predicted", label or array of n labels, default="predicted"
            Which output is to be kept.
        epsilon : float, default=0.1
            What the output may lose, at most, of a probability (Definition 4).
        search : {"bisection", "scan"}, default="bisection"
            "bisection" asks the model log2(N) times a sample, "scan" N times; see
            ``fastexplain.attribution.minimal_prefixes``.

        Returns
        -------
        FeasibleSets
            Sets, their sizes and what the output loses with them.

        Raises
        ------
        ValueError
            Without a model, or for ``target="all"``.
        """
        if isinstance(target, str) and target == "all":
            raise ValueError("A set keeps one output: pass target= a label or 'predicted'.")
        masked = self._need_model()
        explanation = self.explain(X, target)
        samples = self._check_rows(X)
        values, chosen = explanation.values, explanation.target
        return minimal_prefixes(masked, samples, values, chosen, epsilon, search)

    def _method(self) -> str:
        return f"ConceptSetExplainer, {self._removes()}"

    def _validate_parameters(self) -> None:
        self._validate_training("n_sets", "inner_updates")
        for name in ("size_weight", "clip"):
            value = getattr(self, name)
            if not is_number(value) or not value > 0:
                raise ValueError(f"{name} must be above 0, got {value!r}.")
        if not isinstance(self.centered, bool):
            raise ValueError(f"centered must be True or False, got {self.centered!r}.")
        share = self.coalition_share
        if share is not None and (not is_number(share) or not 0 <= share < 1):
            raise ValueError(f"coalition_share must be in [0, 1), got {share!r}.")
        if not is_number(self.other_share) or not 0 <= self.other_share <= 1:
            raise ValueError(f"other_share must be in [0, 1], got {self.other_share!r}.")
