"""How good an attribution is."""

from fastexplain.metrics._faithfulness import faithfulness
from fastexplain.metrics._perturbation import PerturbationAUC, perturbation_auc
from fastexplain.metrics._rank import rank_correlation
from fastexplain.metrics._shapley import additive_normalization, l2_error, rank_accuracy
from fastexplain.metrics._throughput import throughput

__all__ = [
    "PerturbationAUC",
    "additive_normalization",
    "faithfulness",
    "l2_error",
    "perturbation_auc",
    "rank_accuracy",
    "rank_correlation",
    "throughput",
]
