"""How good an attribution is."""

from fastexplain.metrics._perturbation import PerturbationAUC, perturbation_auc
from fastexplain.metrics._rank import rank_correlation

__all__ = ["PerturbationAUC", "perturbation_auc", "rank_correlation"]
