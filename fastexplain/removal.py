"""Removal off a baseline: a surrogate that knows the model without some features."""

from __future__ import annotations

import copy
import numbers
import os
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import nn

from fastexplain.masked_model import MaskedModel
from fastexplain.networks import TabularEncoder, TabularNetwork
from fastexplain.networks._encoder import quantiles_of
from fastexplain.objectives import as_outputs, distillation_loss
from fastexplain.persistence import (
    Fields,
    WeightsError,
    check_shape,
    decode_value,
    encode_value,
    fill_network,
    params_of,
    weights_of,
)
from fastexplain.tables import Table
from fastexplain.training import TargetPool, Trainer, TrainSettings, collect

__all__ = ["SurrogateRemoval"]

# most masked rows in one forward pass, most numbers that they are embedded in, and coalitions
# of a held-out row
_CALL_ROWS, _CALL_NUMBERS = 16_384, 2**24
_HELD_MASKS = 16
_HELD_ROWS = 256


class SurrogateRemoval(BaseEstimator):
    r"""Removal of features by a network that predicts the model's outputs without them.

    A baseline puts features together that never occur together, where a model may answer
    anything. The surrogate :math:`\hat f(x_S)` is trained to give the model's output for a row
    of which it is shown the features S alone; its optimum is the expectation of ``f`` given
    them (Frye et al., 2021; the image setting of FastSHAP and CoRTX). Coalitions are then the
    surrogate's to answer, at no query of the model, while whole rows remain the model's own:
    v(all) = f(x). No feature is null because of its value.

    Pass it as ``removal=`` to an explainer, whose ``fit`` trains it; one that is trained
    already (``explainer.removal_``) is taken as it is, so that several explainers share it.

    Parameters
    ----------
    hidden_dim, n_blocks : int, default=256 and 3
        Width and number of residual blocks.
    max_steps, batch_size : int, default=4000 and 512
        Optimiser steps, and masked rows in each.
    learning_rate, weight_decay : float, default=3e-3 and 1e-2
        Of AdamW, with warm-up and a cosine to zero.
    patience : int, default=10
        Validations without a new best before training stops.
    validation_fraction : float, default=0.1
        Share of the rows held out, 256 at most.

    Attributes
    ----------
    loss_ : float
        On held-out rows and coalitions of all sizes: mean divergence from the model's outputs
        (for regression, squared error in standard deviations).
    n_iter_ : int
        Steps taken.

    References
    ----------
    Frye, C. et al. (2021). Shapley explainability on the data manifold. ICLR.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fastexplain import ExactExplainer, SurrogateRemoval
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=1000).fit(X, y)
    >>> removal = SurrogateRemoval(hidden_dim=32, max_steps=200)
    >>> explainer = ExactExplainer("shapley", removal=removal, random_state=0).fit(X, model)
    >>> explainer.explain(X[:3]).values.shape
    (3, 4)
    """

    def __init__(
        self,
        *,
        hidden_dim: int = 256,
        n_blocks: int = 3,
        max_steps: int = 4000,
        batch_size: int = 512,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-2,
        patience: int = 10,
        validation_fraction: float = 0.1,
    ) -> None:
        self.hidden_dim = hidden_dim
        self.n_blocks = n_blocks
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.patience = patience
        self.validation_fraction = validation_fraction

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_network")

    def distil(
        self,
        masked: MaskedModel,
        table: Table,
        *,
        seed: int,
        started: float,
        deadline: float | None = None,
        device: str = "auto",
        precision: str = "auto",
        verbose: int = 0,
    ) -> Self:
        """Train on a model's outputs of rows.

        Parameters
        ----------
        masked : MaskedModel
            Asked for each row once, and for fewer where that takes half of the time.
        table : Table of n rows
        seed : int
            What all that is drawn follows from.
        started, deadline : float
            ``time.monotonic()`` at which fitting began, and by which it must end.
        device, precision, verbose
            As the explainer's.

        Returns
        -------
        self
        """
        self._validate()
        self._masker, self._kind = masked.masker, masked.predictor.kind
        codes = masked.masker.categorical_
        encoder = TabularEncoder.fit(table, quantiles_of(table, codes), codes)
        # centred in double precision: real-valued outputs may differ by little of their size
        table, outputs = self._answers(masked, table, seed, started, deadline)
        center, spread = outputs.new_zeros(outputs.shape[1]), outputs.new_ones(outputs.shape[1])
        if self._kind == "regression":
            center, spread = outputs.mean(dim=0), outputs.std(dim=0, correction=0)
            spread = torch.where(spread > 0, spread, torch.ones_like(spread))
        self._set(encoder, center, spread)
        self._network.reset(torch.Generator().manual_seed(seed))
        pool = {
            "x": torch.from_numpy(encoder.transform(table)),
            "outputs": ((outputs - center) / spread).float(),
        }
        order = np.random.default_rng([seed, 11]).permutation(len(table))
        n_held = min(int(np.ceil(self.validation_fraction * len(table))), _HELD_ROWS)
        held = order[:n_held] if 0 < n_held < len(table) else order[:_HELD_ROWS]
        train = order[n_held:] if n_held < len(table) else order
        rows = TargetPool({k: v[train] for k, v in pool.items()}, self.batch_size, seed)
        experience = _Masked(rows, self._masker.n_players)
        settings = TrainSettings(
            max_steps=self.max_steps,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            eval_every=max(1, min(250, self.max_steps // 8)),
            patience=self.patience,
            device=device,
            precision=precision,
            verbose=verbose,
            seed=seed,
            started=started,
            deadline=deadline,
        )
        validate = self._validator({k: v[held] for k, v in pool.items()}, seed)
        fitted = Trainer(self._network, self._loss, experience, validate, settings).run()
        if fitted.stopped_by == "interrupt":
            raise KeyboardInterrupt
        self.loss_, self.n_iter_ = -fitted.best_score, fitted.n_steps
        return self

    def _answers(
        self, masked: MaskedModel, table: Table, seed: int, started: float, deadline: float | None
    ) -> tuple[Table, torch.Tensor]:
        """Rows and the model's outputs of them, of as many as half of the time allows."""
        if deadline is None or int(os.environ.get("WORLD_SIZE", 1)) > 1:
            return table, masked.outputs(table).cpu().double()
        order = np.random.default_rng([seed, 13]).permutation(len(table))
        asked = collect(
            table.take(order),
            lambda part, _: {"outputs": masked.outputs(part).cpu().double()},
            deadline=(started + deadline) / 2,
        )["outputs"]
        # as they came: which rows are asked about first shall change nothing where all are
        back = np.argsort(order[: len(asked)])
        return table.take(order[: len(asked)][back]), asked[torch.from_numpy(back)]

    def _set(self, encoder: TabularEncoder, center: torch.Tensor, spread: torch.Tensor) -> None:
        self._encoder, self._center, self._spread = encoder, center, spread
        self._network = self._bare_network().eval()

    def _bare_network(self) -> TabularNetwork:
        """The network as it is before it learns."""
        n_players, n_out = self._masker.n_players, len(self._center)
        # layers draw their first weights from torch's global generator, which is the user's
        with torch.random.fork_rng(devices=[]):
            return TabularNetwork(self._encoder, n_players, n_out, self.hidden_dim, self.n_blocks)

    def _logits(self, module: Any, x: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        player = torch.from_numpy(self._masker.player_of_column_).to(masks.device)
        return module(x, ~masks, masks[:, player])

    def _loss(self, module: Any, batch: dict[str, torch.Tensor]) -> Any:
        logits = self._logits(module, batch["x"], batch["masks"]).float()
        loss = distillation_loss(logits, batch["outputs"], self._kind).mean()
        return loss, {"distillation": loss.detach()}

    def _validator(self, held: dict[str, torch.Tensor], seed: int) -> Any:
        x = held["x"].repeat_interleave(_HELD_MASKS, dim=0)
        outputs = held["outputs"].repeat_interleave(_HELD_MASKS, dim=0)
        generator = torch.Generator().manual_seed(seed + 1)
        masks = draw_masks(len(x), self._masker.n_players, generator)

        def validate(module: nn.Module) -> float:
            device = next(module.parameters()).device
            with torch.inference_mode():
                logits = self._logits(module, x.to(device), masks.to(device)).float().cpu()
            return -float(distillation_loss(logits, outputs, self._kind).mean())

        return validate

    @torch.inference_mode()
    def values(self, table: Table, masks: np.ndarray) -> torch.Tensor:
        """Answer for masked rows.

        Parameters
        ----------
        table : Table of B rows
        masks : bool ndarray of shape (B, T, N)

        Returns
        -------
        float64 tensor of shape (B, T, K)
            On the CPU.
        """
        x = torch.from_numpy(self._encoder.transform(table))
        device = next(self._network.parameters()).device
        n_rows, n_masks = masks.shape[:2]
        row = np.repeat(np.arange(n_rows), n_masks)
        flat = torch.from_numpy(masks.reshape(len(row), -1).copy())
        parts = [self._center.new_zeros((0, len(self._center)))]
        width = self._network.embed_numbers.out_features + self.hidden_dim
        step = int(np.clip(_CALL_NUMBERS // width, 1, _CALL_ROWS))
        for start in range(0, len(row), step):
            some = slice(start, start + step)
            logits = self._logits(self._network, x[row[some]].to(device), flat[some].to(device))
            found = as_outputs(logits.float(), self._kind).cpu().double()
            parts.append(found * self._spread + self._center)
        return torch.cat(parts).unflatten(0, (n_rows, n_masks))

    def fits(self, masked: MaskedModel) -> bool:
        """Whether this was trained on such a game: the same players and kind of outputs."""
        known = self._masker.feature_names_ == masked.masker.feature_names_
        same = np.array_equal(self._masker.player_of_column_, masked.masker.player_of_column_)
        outputs = len(self._center) == masked.predictor.n_outputs
        return bool(known and same and outputs and self._kind == masked.predictor.kind)

    def config(self) -> dict[str, Any]:
        """What was learned, as JSON values; with ``weights``, for a saved explainer."""
        from fastexplain.readers._state import encode_encoder

        return {
            "params": {name: encode_value(v) for name, v in self.get_params().items()},
            "kind": self._kind,
            "encoder": encode_encoder(self._encoder),
            "loss": encode_value(float(self.loss_)),
            "n_iter": self.n_iter_,
        }

    def weights(self) -> dict[str, torch.Tensor]:
        """What was learned, as tensors."""
        own = {f"network.{k}": v for k, v in weights_of(self._network).items()}
        return own | {"center": self._center, "spread": self._spread}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], weights: dict[str, torch.Tensor], masker: Any
    ) -> Self:
        """The inverse of ``config`` and ``weights``, with the explainer's masker.

        Raises
        ------
        ValueError
            For what these do not write.
        """
        from fastexplain.readers._state import decode_encoder

        fields = Fields(config, "removal")
        self = cls(**params_of(cls, fields.section("params")))
        self._validate()
        self._masker = masker
        self._kind = fields.text("kind", ("classification", "multilabel", "regression"))
        encoder = decode_encoder(fields.items("encoder", masker.background_.n_columns))
        center = check_shape(weights, "center", (None,))
        spread = check_shape(weights, "spread", (len(center),))
        if bool((spread <= 0).any()):
            raise WeightsError("the surrogate's spread is not above 0")
        self.loss_ = decode_value(fields.value("loss"))
        self.n_iter_ = fields.whole("n_iter", 0, 2**53)
        fields.close()
        own = {k.removeprefix("network."): v for k, v in weights.items()}
        # its width and blocks are seen to be those of the weights before it is made
        self._encoder, self._center, self._spread = encoder, center, spread
        blocks = int(self.n_blocks)
        network: Any = fill_network(self._bare_network, own, blocks, "the surrogate")
        self._network = network.eval()
        return self

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "_network" in state:
            # trained on a GPU, it must load where there is none
            state["_network"] = copy.deepcopy(state["_network"]).cpu()
        return state

    def _validate(self) -> None:
        for name in ("hidden_dim", "max_steps", "batch_size", "patience"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}.")
        blocks = self.n_blocks
        if isinstance(blocks, bool) or not isinstance(blocks, numbers.Integral) or blocks < 0:
            raise ValueError(f"n_blocks must be a whole number, 0 or more, got {blocks!r}.")
        ranges = {
            "learning_rate": ("above 0", lambda v: v > 0),
            "weight_decay": ("0 or more", lambda v: v >= 0),
            "validation_fraction": ("in [0, 1)", lambda v: 0 <= v < 1),
        }
        for name, (text, holds) in ranges.items():
            value = getattr(self, name)
            if not isinstance(value, numbers.Real) or not holds(value):
                raise ValueError(f"{name} must be {text}, got {value!r}.")


class _Masked:
    """Rows of a pool, each with a coalition drawn anew."""

    most_batches: int | None = None

    def __init__(self, rows: TargetPool, n_players: int) -> None:
        self.rows = rows
        self.n_players = n_players

    def batch(self, module: nn.Module, generator: torch.Generator) -> dict[str, torch.Tensor]:
        batch = self.rows.batch(module, generator)
        masks = draw_masks(len(batch["x"]), self.n_players, generator)
        return batch | {"masks": masks.to(batch["x"].device)}

    def position(self) -> int:
        return self.rows.position()

    def seek(self, position: int) -> None:
        self.rows.seek(position)

    def shrink(self, share: float) -> None:
        self.rows.shrink(share)


def draw_masks(n: int, n_players: int, generator: torch.Generator) -> torch.Tensor:
    """Coalitions of every size alike, from none to all players, bool (n, N)."""
    size = torch.randint(n_players + 1, (n, 1), generator=generator)
    place = torch.rand((n, n_players), generator=generator).argsort(dim=1).argsort(dim=1)
    return place < size
