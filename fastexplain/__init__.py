"""Learned explainers: train once over any model, then explain in one forward pass."""

from fastexplain._version import __version__
from fastexplain.explainers import (
    ConceptSetExplainer,
    CoRTXExplainer,
    ExactExplainer,
    FastSHAPExplainer,
    FEXExplainer,
    L2XExplainer,
    RISEExplainer,
    SupervisedExplainer,
)
from fastexplain.explainers._targets import ALL, PREDICTED
from fastexplain.explanation import Explanation
from fastexplain.maskers import ImageMasker, TabularMasker, TextMasker
from fastexplain.persistence import load
from fastexplain.removal import SurrogateRemoval

__all__ = [
    "ALL",
    "PREDICTED",
    "CoRTXExplainer",
    "ConceptSetExplainer",
    "ExactExplainer",
    "Explanation",
    "FEXExplainer",
    "FastSHAPExplainer",
    "ImageMasker",
    "L2XExplainer",
    "RISEExplainer",
    "SupervisedExplainer",
    "SurrogateRemoval",
    "TabularMasker",
    "TextMasker",
    "__version__",
    "load",
]
