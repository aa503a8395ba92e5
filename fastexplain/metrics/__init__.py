"""How good an attribution is."""

from fastexplain.metrics._perturbation import PerturbationAUC, perturbation_auc
from fastexplain.metrics._rank import rank_correlation
from fastexplain.metrics._shapley import additive_normalization, l2_error, rank_accuracy

__all__ = [
    "PerturbationAUC",
    "additive_normalization",
    "l2_error",
    "perturbation_auc",
    "rank_accuracy",
    "rank_correlation",
]
