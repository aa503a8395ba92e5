"""L2XExplainer: which k features tell most of what the model answers."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from fastexplain.explainers._learned import LearnedExplainer, is_number
from fastexplain.explainers._saved_outputs import Measure
from fastexplain.explainers._validators import Validator
from fastexplain.maskers import TabularMasker
from fastexplain.networks import TabularNetwork
from fastexplain.objectives import distillation_loss, relaxed_subset, top_subset
from fastexplain.predictors import Select
from fastexplain.tables import Table
from fastexplain.training import TargetPool, Trainer

__all__ = ["L2XExplainer"]

# a logit that is never drawn, and yet no infinity
_NEVER = -1e4


class L2XExplainer(LearnedExplainer):
    r"""Learning to explain: the features that share most information with the answer.

    A selector gives each feature of a row a chance; k features are drawn by a relaxed
    (Gumbel-softmax) choice, and a predictor learns the model's outputs from them alone. Both
    are trained together to maximise a bound of the mutual information
    :math:`I(X_S; Y)` (Chen et al., 2018, Eqs. 1 to 6). Values are the chances: they are not
    signed, add up to 1 for a row, and are the same for every output, since ``Y`` is all that
    the model answers. The model is asked for rows as they are; no masked ones.

    Parameters
    ----------
    n_selected : int, optional
        k, the features that the predictor gets to see; default a third of them, from 1 to 10.
    temperature : float, default=0.5
        Tau of the relaxed choice.
    masker : TabularMasker, optional
        What removing a feature means; default ``TabularMasker(baseline, groups)``. The
        predictor sees the baseline's values in place of features that are not chosen.
    baseline : {"mean", "median", "zero", "marginal"} or row, default="mean"
        What removed features are replaced by; see ``TabularMasker``.
    groups : mapping of name to columns, optional
        Columns that are one player.
    categorical : sequence of names or positions, optional
        Of tables: columns whose numbers are codes. The mean or median baseline of such a column
        is its mode. LightGBM, XGBoost, CatBoost and histogram boosting of scikit-learn tell
        theirs.
    output : str, default="auto"
        What the model answers: "probability", "logits", "margin" (raw scores or log-odds),
        "regression", "multilabel", "multilabel_logits", or "auto" for what the model says of
        itself; see ``fastexplain.predictors.make_predictor``. ``output_reason_`` tells how the
        answers were read.
    output_names : sequence of str, optional
        Names of the outputs; default those that the model or its answers give.
    select : str, int or callable, optional
        Which part is explained where the model answers a dict, tuple or list.
    n_queries : int, default=200_000
        About as many rows the model is asked for in ``fit``: real ones first, then rows that
        mix the values of two.
    hidden_dim, n_blocks : int, default=128 and 3
        Width and number of residual blocks of both networks.
    max_steps, batch_size : int, default=4000 and 256
        Optimiser steps, and rows in each.
    learning_rate, weight_decay : float, default=1e-3 and 1e-2
        Of AdamW, with warm-up and a cosine to zero.
    patience : int, default=10
        Validations without a new best before training stops.
    validation_fraction : float, default=0.1
        Share of rows held out (256 at most) to choose the best selector by.
    model_batch_size : int, optional
        Most rows in one call of the model.
    n_jobs : int, optional
        Workers for models outside torch.
    device, precision : str, default="auto"
        Where the networks train and run, and their precision.
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
    n_selected_ : int
        k.
    best_score_ : float
        On held-out rows: share of the squared distance from v(none) to the model's outputs
        that the k features with the largest values cover, the others at the baseline.
    output_names_, classes_, masker_, history_, n_model_queries_, n_iter_, stopped_by_
        As in ``FEXExplainer``.

    Notes
    -----
    Which features are chosen may itself tell the predictor something: one that only decides
    which of others matter need not be chosen, and then has a low value.

    References
    ----------
    Chen, J., Song, L., Wainwright, M. & Jordan, M. (2018). Learning to Explain: An
    Information-Theoretic Perspective on Model Interpretation. ICML.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fastexplain import L2XExplainer
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=1000).fit(X, y)
    >>> explainer = L2XExplainer(n_selected=2, max_steps=300, random_state=0).fit(X, model)
    >>> explainer.explain(X[:3]).values.shape
    (3, 4)
    """

    _score_name = "share of the outputs' movement that the chosen features keep"
    removal = "baseline"
    _measures = MappingProxyType({"n_selected_": Measure(int, 1, 2**31)})

    _defaults = MappingProxyType(
        {
            "n_queries": 200_000,
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
        n_selected: int | None = None,
        temperature: float = 0.5,
        masker: TabularMasker | None = None,
        baseline: Any = "mean",
        groups: Any = None,
        categorical: Any = None,
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
        self.n_selected = n_selected
        self.temperature = temperature
        self.masker = masker
        self.baseline = baseline
        self.groups = groups
        self.categorical = categorical
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
        table = self._begin_fit(X, y, model)
        if self._schema is None:
            raise ValueError(
                f"L2XExplainer is for tables, and these are {table.kind}: its predictor reads "
                "columns. ConceptSetExplainer finds what keeps a prediction of images and texts."
            )
        seed = self._seed()
        n_players = self.masker_.n_players
        if self.n_selected is not None and self.n_selected > n_players:
            raise ValueError(
                f"n_selected={self.n_selected} is more than the {n_players} features there are."
            )
        self.n_selected_ = int(self.n_selected or np.clip(round(n_players / 3), 1, 10))
        train, held = self._split(table, seed)
        self._fit_encoder(table, seed, started)
        checkpoint = self._make_checkpoint(table, seed)
        validate = self._validator(table.take(held), seed)
        rng = np.random.default_rng([seed, 3])
        rows = self._training_rows(table.take(train), rng, 1, enumerates=False)

        def make(part: Table, chunk: int) -> dict[str, torch.Tensor]:
            return self._encode(part) | {"outputs": self._masked.outputs(part).cpu()}

        pool = self._collect(rows, make, started, checkpoint)
        if self.kind_ == "regression":
            center, spread = pool["outputs"].mean(dim=0), pool["outputs"].std(dim=0, correction=0)
            pool["outputs"] = (pool["outputs"] - center) / torch.where(spread > 0, spread, 1.0)
        pool["outputs"] = pool["outputs"].float()
        module = self._networks(seed)
        kind = self.kind_

        def loss(network: Any, batch: dict[str, torch.Tensor]) -> Any:
            logits = network(batch["x"], batch["null"], batch["absent"], batch["uniform"])
            found = distillation_loss(logits.float(), batch["outputs"], kind).mean()
            return found, {"distillation": found.detach()}

        absent = torch.from_numpy(self._encoder.transform(self.masker_.background_))
        noisy = _Noisy(TargetPool(pool, self.batch_size, seed), self.n_selected_, n_players, absent)
        settings = self._settings(self.max_steps, seed, started)
        fitted = self._train(Trainer(module, loss, noisy, validate, settings, checkpoint))
        # the predictor has done its part once the selector is trained
        self._finish(module.selector, fitted, validate)

    def _networks(self, seed: int) -> _SelectorPredictor:
        player = torch.from_numpy(self.masker_.player_of_column_)
        with torch.random.fork_rng(devices=[]):
            predictor = TabularNetwork(
                self._encoder, 0, len(self.output_names_), self.hidden_dim, self.n_blocks
            )
        module = _SelectorPredictor(self._build_network(), predictor, player, self.temperature)
        generator = torch.Generator().manual_seed(seed)
        for network in (module.selector, predictor):
            network.reset(generator)
        return module

    def _build_network(self) -> TabularNetwork:
        return self._body(1, 0)

    def _validator(self, table: Table, seed: int) -> Any:
        """How far the chosen features alone take the model's outputs from v(none)."""
        # asked at each of about ten validations
        table = table.take(slice(0, self._clock.few(0.01, 4, len(table))))
        inputs = self._encode(table)
        full = self._masked.outputs(table).cpu().double()
        distance = ((full - torch.from_numpy(self.base_values_)) ** 2).sum(dim=0)
        moves = distance > 0

        def errors(module: nn.Module) -> torch.Tensor:
            selector: Any = getattr(module, "selector", module)
            device = next(selector.parameters()).device
            with torch.inference_mode():
                logits = _logits(selector, inputs["x"].to(device), inputs["null"].to(device))
            masks = top_subset(logits, self.n_selected_).cpu().numpy()
            kept = self._masked.values(table, masks[:, None])[:, 0].cpu().double()
            return ((full - kept) ** 2).sum(dim=0)

        def per_output(module: nn.Module) -> np.ndarray:
            share = 1.0 - errors(module) / torch.where(moves, distance, 1.0)
            return torch.where(moves, share, torch.nan).numpy()

        def overall(module: nn.Module) -> float:
            if not bool(moves.any()):
                return 1.0
            return float(1.0 - errors(module).sum() / distance.sum())

        return Validator(per_output, overall, 0.0)

    # -- explaining ------------------------------------------------------------------------
    def _read_out(
        self, x: torch.Tensor, null: torch.Tensor, chosen: np.ndarray | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        chance = _logits(self._network, x, null).double().softmax(dim=1).masked_fill(null, 0.0)
        n_out = len(self.output_names_) if chosen is None else 1
        # what is chosen is chosen for all outputs
        return chance[:, None].expand(-1, n_out, -1), chance.new_zeros((len(x), n_out))

    def _method(self) -> str:
        return f"L2X ({self.n_selected_} features), {self._removes()}"

    def _validate_parameters(self) -> None:
        self._validate_training(*(["n_selected"] if self.n_selected is not None else []))
        if not is_number(self.temperature) or not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature!r}.")


def _logits(selector: Any, x: torch.Tensor, null: torch.Tensor) -> torch.Tensor:
    """The selector's logits (B, N); null players are never drawn."""
    return selector(x, null).float().masked_fill(null, _NEVER)


class _SelectorPredictor(nn.Module):
    """The selector, and the predictor that sees what is drawn."""

    player: torch.Tensor

    def __init__(
        self,
        selector: TabularNetwork,
        predictor: TabularNetwork,
        player: torch.Tensor,
        temperature: float,
    ) -> None:
        super().__init__()
        self.selector = selector
        self.predictor = predictor
        self.register_buffer("player", player)
        self.temperature = temperature

    def forward(
        self, x: torch.Tensor, null: torch.Tensor, absent: torch.Tensor, uniform: torch.Tensor
    ) -> torch.Tensor:
        """Map encoded rows and noise (B, k, N) to the predictor's logits (B, K)."""
        drawn = relaxed_subset(_logits(self.selector, x, null), uniform, self.temperature)
        return self.predictor(x, x.new_zeros((len(x), 0)), drawn[:, self.player], absent)


class _Noisy:
    """A pool's batches with uniform noise, and a background row for each of their rows."""

    most_batches: int | None = None

    def __init__(self, pool: TargetPool, k: int, n_players: int, background: torch.Tensor) -> None:
        self.pool = pool
        self.shape = (k, n_players)
        self.background = background

    def batch(self, module: nn.Module, generator: torch.Generator) -> dict[str, torch.Tensor]:
        batch = self.pool.batch(module, generator)
        device, n = batch["x"].device, len(batch["x"])
        which = torch.randint(len(self.background), (n,), generator=generator)
        noise = torch.rand((n, *self.shape), generator=generator)
        return batch | {
            "uniform": noise.to(device),
            "absent": self.background[which].to(device),
        }

    def position(self) -> int:
        return self.pool.position()

    def seek(self, position: int) -> None:
        self.pool.seek(position)

    def shrink(self, share: float) -> None:
        self.pool.shrink(share)
