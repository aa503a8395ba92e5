"""Learned explainers: train once over any model, then explain in one forward pass."""

from fastexplain._version import __version__
from fastexplain.explainers import ExactExplainer, FEXExplainer, RISEExplainer
from fastexplain.explanation import Explanation
from fastexplain.maskers import TabularMasker
from fastexplain.persistence import load

__all__ = [
    "ExactExplainer",
    "Explanation",
    "FEXExplainer",
    "RISEExplainer",
    "TabularMasker",
    "__version__",
    "load",
]
