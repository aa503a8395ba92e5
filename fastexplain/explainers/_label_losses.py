"""Losses of networks that learn from labels: their values or ranks, with coalitions beside."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from fastexplain._blocks import row_blocks
from fastexplain.explainers._shapley_learned import GAP_WEIGHT, ShapleyLearner, usual_size
from fastexplain.objectives import coalition_loss, label_loss, ranking_loss

__all__ = ["LabelsAndCoalitions", "coalition_weight", "precision", "rank_labels"]

# exact labels up to which coalitions count in full
_FEW_LABELS = 250.0
# how fast their weight falls beside more, and where it ends; by a validation split of the
# CoRTX authors' Adult, at 1%, 5% and 25% of the labels
_FALL, _LEAST_WEIGHT = 3.5, 3e-4


def precision(pool: dict[str, torch.Tensor], scale: torch.Tensor) -> float:
    """What share of a label is not noise, 1 for exact ones."""
    square = scale[:, None] ** 2
    total, count = 0.0, 0
    for rows in row_blocks(len(pool["variance"]), pool["variance"][0].numel()):
        variance = pool["variance"][rows]
        noise = torch.where(variance < 0, square, variance)
        kept = torch.where(noise > 0, square / (square + noise), 1.0)
        kept = kept[(~pool["null"][rows])[:, None].expand_as(kept)]
        total, count = total + float(kept.sum()), count + kept.numel()
    return total / count if count else 1.0


def coalition_weight(n_rows: float) -> float:
    """What coalitions of other rows count beside exact labels of so many rows.

    The few answers to coalitions of a row are a noisy label of it. Beside few labels they
    keep the network from learning those by heart; beside many, their noise would be what is
    left of the error, and they only tell it where no label is.
    """
    weight = (_FEW_LABELS / max(n_rows, 1.0)) ** _FALL
    return float(np.clip(weight, _LEAST_WEIGHT, 1.0))


class LabelsAndCoalitions:
    """The labels' loss on a batch, and the coalitions' of rows without labels."""

    def __init__(self, explainer: ShapleyLearner, module: Any, weight: float) -> None:
        self.explainer = explainer
        # asked for its scale only now and then: it may have moved to another device
        self.module = module
        self.weight = weight

    def __call__(self, network: Any, batch: dict[str, torch.Tensor]) -> Any:
        if not self.weight:
            values, spread, gap = self.explainer._efficient(network, batch)
            fit, parts = self._labels(values, spread, batch)
            return fit + GAP_WEIGHT * gap, parts
        free = {k.removeprefix("free_"): v for k, v in batch.items() if k.startswith("free_")}
        # one pass over both: a wrapped network may be called once a step
        joined = {k: torch.cat([batch[k], free[k]]) for k in ("x", "null", "total")}
        values, spread, gap = self.explainer._efficient(network, joined)
        n = len(batch["x"])
        fit, parts = self._labels(values[:n], spread[:n], batch)
        scale = usual_size(self.module)
        rest, more = coalition_loss(spread[n:], free["masks"], free["gains"], scale)
        weight = self.weight * (len(values) - n) / n
        return fit + weight * rest + GAP_WEIGHT * (1 + weight) * gap, parts | more

    def _labels(
        self, values: torch.Tensor, spread: torch.Tensor, batch: dict[str, torch.Tensor]
    ) -> Any:
        given = spread if self.explainer._adds_up() else values
        scale = usual_size(self.module)
        return label_loss(given, batch["labels"], batch["variance"], scale, batch["null"])


def rank_labels(module: Any, batch: dict[str, torch.Tensor]) -> Any:
    return ranking_loss(module(batch["x"], batch["null"]), batch["labels"])
