"""Learned explainers: train once over any model, then explain in one forward pass."""

from fastexplain._version import __version__
from fastexplain.explainers import (
    CoRTXExplainer,
    ExactExplainer,
    FastSHAPExplainer,
    FEXExplainer,
    L2XExplainer,
    RISEExplainer,
    SupervisedExplainer,
)
from fastexplain.explanation import Explanation
from fastexplain.maskers import TabularMasker
from fastexplain.persistence import load
from fastexplain.removal import SurrogateRemoval

__all__ = [
    "CoRTXExplainer",
    "ExactExplainer",
    "Explanation",
    "FEXExplainer",
    "FastSHAPExplainer",
    "L2XExplainer",
    "RISEExplainer",
    "SupervisedExplainer",
    "SurrogateRemoval",
    "TabularMasker",
    "__version__",
    "load",
]
