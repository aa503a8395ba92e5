"""What explainers that learn Shapley values share: null players, efficiency, the score."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from fastexplain._blocks import row_blocks
from fastexplain.explainers._base import agreement
from fastexplain.explainers._learned import LearnedExplainer, picked
from fastexplain.explainers._validators import Validator
from fastexplain.labels import KernelShapley
from fastexplain.masked_model import MaskedModel
from fastexplain.networks import ShapleyNetwork
from fastexplain.networks._shapley import spread_gap
from fastexplain.objectives import coalition_loss
from fastexplain.training import Experience, Fitted, Trainer

__all__ = ["ShapleyLearner"]

# coalitions of a held-out row, and of a row to score: rows with fewer are enumerated
_VALIDATION_QUERIES = 1024
_SCORE_QUERIES = 4096
#: of the efficiency gap in the loss, beside values that are corrected for it
GAP_WEIGHT = 0.1
#: usual size of a class's values, beside that of the class that moves most, at least
LEAST_SCALE = 0.03
_NORMALIZATIONS = ("additive", None)
# of what an even spread leaves unexplained: what a network explains that has learned something
_NOISE = 0.01
# share of the squares above which values are right, whoever finds them
_RIGHT = 0.9


class ShapleyLearner(LearnedExplainer):
    """Base of explainers whose network gives Shapley values."""

    _score_name = "share of the labels' squares that is explained"
    normalize: str | None

    def _adds_up(self) -> bool:
        """Whether values are corrected to add up to the model's outputs."""
        return self.normalize == "additive"

    @property
    def _pickles_model(self) -> bool:  # type: ignore[override]
        """Values that add up need the model's outputs of the rows."""
        return self._adds_up()

    def _need_model(self) -> MaskedModel:
        if getattr(self, "_masked", None) is None and self._adds_up():
            raise ValueError(
                "No model is attached (saved explainers hold none), and values that add up to "
                "its outputs need them: attach it with load(path, model=...) or "
                "attach_model(model), or take values that need not add up by "
                "set_params(normalize=None)."
            )
        return super()._need_model()

    def _meaning(self) -> dict[str, bool]:
        return {"gap_is_spread": self._adds_up()}

    # -- explaining ------------------------------------------------------------------------
    def _asks_outputs(self, target: Any) -> bool:
        return self._adds_up() or super()._asks_outputs(target)

    @torch.inference_mode()
    def _attribute(
        self,
        samples: Any,
        outputs: torch.Tensor | None,
        chosen: np.ndarray | None,
        encoded: dict[str, torch.Tensor] | None,
        bases: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        device = next(self._network.parameters()).device
        inputs = self._encode(samples) if encoded is None else encoded
        null = inputs["null"]
        values = self._network(inputs["x"].to(device), null.to(device)).cpu().double()
        gap = None
        if outputs is not None:
            total = outputs.cpu().double() - torch.tensor(bases)
            spread, missing = spread_gap(values, total, null)
            gap = picked(missing, chosen).numpy()
            values = spread if self._adds_up() else values
        return picked(values, chosen).transpose(1, 2).numpy(), None, gap

    def _bases(self, samples: Any) -> np.ndarray:
        if getattr(self, "_masked", None) is None:
            return super()._bases(samples)
        return self._own_bases(samples)

    def score(self, X: Any, y: Any = None, *, per_output: bool = False) -> float | np.ndarray:
        """Agreement with Shapley values by enumeration or sampling.

        Parameters
        ----------
        X : ndarray or DataFrame of shape (n, C)
            Rows, best not those of ``fit``. The model is asked for up to 4,096 coalitions a
            row; rows with no more than 12 features off the baseline are enumerated.
        y : ignored
        per_output : bool, default=False
            Whether to give one score for each output, over all rows: a rare class hides in an
            average.

        Returns
        -------
        float, or ndarray of shape (K,)
            Mean over rows of Spearman's rank correlation, for the predicted output (all
            outputs of a regressor); 1 is perfect.

        Warns
        -----
        UserWarning
            If the explainer has learned nothing (``caution_``).
        """
        samples = self._check_rows(X)
        masked = self._need_model()
        self._warn_of_nothing()
        truth = KernelShapley(_SCORE_QUERIES).labels(masked, samples, np.random.default_rng(0))
        found, expected = self._all_values(samples).swapaxes(1, 2), truth.values.swapaxes(1, 2)
        chosen = None
        if self._are_ranked() and not per_output:
            chosen = truth.full.argmax(axis=1)
        return agreement(found, expected, chosen, per_output)

    # -- fitting ---------------------------------------------------------------------------
    def _totals(self, full: np.ndarray, samples: Any) -> torch.Tensor:
        """v(all) - v(none) of samples, or of masked copies of each, as float32."""
        bases = self._bases(samples)
        return torch.from_numpy(full - (bases if full.ndim == 2 else bases[:, None])).float()

    def _validator(self, table: Any, seed: int) -> Any:
        """Share of the held-out labels' squares that is explained, over all outputs."""
        rng = np.random.default_rng([seed, 2])
        size, table = self._affordable(table, _VALIDATION_QUERIES)
        # no estimate takes fewer coalitions than this
        own = 2 * self.masker_.n_players + 2
        if self._is_short_of_time() and size < own:
            table = table.take(slice(0, self._clock.few_masked(0.1 / own, 1, len(table))))
        found = KernelShapley(size).labels(self._masked, table, rng)
        labels = torch.from_numpy(found.values.swapaxes(1, 2)).float()
        return self._validate_on(self._encode(table), labels, self._totals(found.full, table))

    def _validate_on(
        self, inputs: dict[str, torch.Tensor], labels: torch.Tensor, total: torch.Tensor
    ) -> Any:
        size = (labels**2).sum(dim=(0, 2))
        # an output that never moves has nothing to explain
        told = size > 0
        unit = self._floored(size.sqrt()) ** 2

        def errors(values: torch.Tensor) -> torch.Tensor:
            if self._adds_up():
                values = spread_gap(values, total, inputs["null"])[0]
            return ((values - labels) ** 2).sum(dim=(0, 2))

        def per_output(module: nn.Module) -> np.ndarray:
            share = 1.0 - errors(self._forward(module, inputs)) / torch.where(told, size, 1.0)
            return torch.where(told, share, torch.nan).double().numpy()

        def explained(values: torch.Tensor) -> float:
            if not bool(told.any()):
                return 1.0
            return float(1.0 - (errors(values) / unit)[told].sum() / (size / unit)[told].sum())

        # who knows nothing spreads the total evenly, where values are made to add up
        even = explained(torch.zeros_like(labels))
        chance = even + _NOISE * (1.0 - even)
        if even > _RIGHT or not bool(told.any()):
            # where one player decides, an even share over those with an effect is the right one
            chance = -np.inf
        return Validator(
            per_output, lambda module: explained(self._forward(module, inputs)), chance
        )

    def _run(
        self,
        experience: Experience,
        module: nn.Module,
        loss: Any,
        validate: Any,
        seed: int,
        started: float,
        checkpoint: Any,
    ) -> Fitted:
        settings = self._settings(self.max_steps, seed, started)
        return self._train(Trainer(module, loss, experience, validate, settings, checkpoint))

    def _build_network(self) -> nn.Module:
        n_players, n_out = self.masker_.n_players, len(self.output_names_)
        return ShapleyNetwork(self._body(n_out, 0), n_out, n_players)

    def _fresh_network(self, seed: int, scale: torch.Tensor) -> Any:
        """The network with weights of its own and the labels' scale."""
        module: Any = self._build_network()
        module.body.reset(torch.Generator().manual_seed(seed))
        # an output that never moves has the scale 0, and values of exactly 0
        module.scale.copy_(self._floored(scale))
        return module

    def _floored(self, scale: torch.Tensor) -> torch.Tensor:
        """Sizes of outputs (K,) that errors are told in.

        Of a thousand classes most hardly ever come up: errors in them that are small beside any
        other class's values would outweigh all others.
        """
        if self.kind_ != "classification":
            return scale
        least = float(LEAST_SCALE * scale.max())
        return torch.where(scale > 0, scale.clamp(min=least), scale)

    def _efficient(
        self, module: Any, batch: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """A batch's values as they are, as they add up, and what the gap between costs."""
        values = module(batch["x"], batch["null"])
        return values, *adding_up(values, batch["total"], batch["null"], usual_size(module))

    def _validate_parameters(self) -> None:
        if self.normalize not in _NORMALIZATIONS:
            raise ValueError(f"normalize must be one of {_NORMALIZATIONS}, got {self.normalize!r}.")
        self._validate_training()

    def _method(self) -> str:
        return f"{type(self).__name__}, {self._removes()}"


def adding_up(
    values: torch.Tensor, total: torch.Tensor, null: torch.Tensor, scale: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Values (B, K, N) corrected to add up, and what the gap that was left costs.

    Values that are corrected alone would leave a row's common shift to chance, and the gap
    would tell nothing; coalitions tell of values that add up only.
    """
    spread, gap = spread_gap(values, total, null)
    count = (~null).sum(dim=1, keepdim=True).clamp(min=1)
    return spread, ((gap / count / scale) ** 2).mean()


def coalition_fit(
    values: torch.Tensor, batch: dict[str, torch.Tensor], scale: torch.Tensor
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Loss of values (B, K, N) on a batch of ``coalition_pool``: that of the gap included."""
    spread, gap = adding_up(values, batch["total"], batch["null"], scale)
    fit, parts = coalition_loss(spread, batch["masks"], batch["gains"], scale, batch["weights"])
    return fit + GAP_WEIGHT * gap, parts


def typical_size(labels: torch.Tensor, null: torch.Tensor) -> torch.Tensor:
    """Root mean square of the active players' labels (n, K, N), for each output."""
    squares, count = labels.new_zeros(labels.shape[1]), labels.new_zeros(())
    for rows in row_blocks(len(labels), labels[0].numel()):
        active = (~null[rows])[:, None].to(labels.dtype)
        squares += (labels[rows] ** 2 * active).sum(dim=(0, 2))
        count += active.sum()
    return (squares / count.clamp(min=1.0)).sqrt()


def usual_size(module: Any) -> torch.Tensor:
    """The usual size of a network's values for each output; 1 for those that never move."""
    return torch.where(module.scale > 0, module.scale, torch.ones_like(module.scale))
