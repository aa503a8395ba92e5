"""Objectives: what a network is moved by, one method a file, as functions of tensors."""

from fastexplain.objectives._concept_sets import (
    concept_set_loss,
    prediction_drop,
    relative_drop,
)
from fastexplain.objectives._contrastive import info_nce_loss
from fastexplain.objectives._distillation import as_outputs, distillation_loss
from fastexplain.objectives._forward_kl import forward_kl_loss
from fastexplain.objectives._near_sets import (
    log_odds_of,
    near_set_loss,
    near_sets,
    relative_gains,
)
from fastexplain.objectives._ppo import (
    PPOCoefficients,
    advantage,
    bernoulli_entropy,
    bernoulli_log_prob,
    class_kl,
    mask_reward,
    ppo_clip,
    ppo_loss,
    reverse_kl_reward,
)
from fastexplain.objectives._ranking import player_order, ranking_loss
from fastexplain.objectives._shapley import coalition_loss, label_loss
from fastexplain.objectives._size_curves import active_counts, size_curves, take_size_curves
from fastexplain.objectives._subsets import relaxed_subset, top_subset

__all__ = [
    "PPOCoefficients",
    "active_counts",
    "advantage",
    "as_outputs",
    "bernoulli_entropy",
    "bernoulli_log_prob",
    "class_kl",
    "coalition_loss",
    "concept_set_loss",
    "distillation_loss",
    "forward_kl_loss",
    "info_nce_loss",
    "label_loss",
    "log_odds_of",
    "mask_reward",
    "near_set_loss",
    "near_sets",
    "player_order",
    "prediction_drop",
    "ppo_clip",
    "ppo_loss",
    "ranking_loss",
    "relative_drop",
    "relative_gains",
    "relaxed_subset",
    "reverse_kl_reward",
    "size_curves",
    "take_size_curves",
    "top_subset",
]
