"""How good an attribution is."""

from fastexplain.metrics._faithfulness import faithfulness
from fastexplain.metrics._inclusion import (
    InclusionExclusionAUC,
    delta_log_odds,
    inclusion_exclusion_auc,
)
from fastexplain.metrics._localization import Localization, localization
from fastexplain.metrics._log_odds import LogOdds, log_odds
from fastexplain.metrics._perturbation import PerturbationAUC, perturbation_auc
from fastexplain.metrics._randomization import randomization_check, randomize
from fastexplain.metrics._rank import rank_correlation
from fastexplain.metrics._rationales import (
    TokenF1,
    comprehensiveness,
    sufficiency,
    token_f1_curve,
)
from fastexplain.metrics._shapley import additive_normalization, l2_error, rank_accuracy
from fastexplain.metrics._throughput import throughput

__all__ = [
    "InclusionExclusionAUC",
    "Localization",
    "LogOdds",
    "PerturbationAUC",
    "TokenF1",
    "additive_normalization",
    "comprehensiveness",
    "delta_log_odds",
    "faithfulness",
    "inclusion_exclusion_auc",
    "l2_error",
    "localization",
    "log_odds",
    "perturbation_auc",
    "randomization_check",
    "randomize",
    "rank_accuracy",
    "rank_correlation",
    "sufficiency",
    "throughput",
    "token_f1_curve",
]
