"""Estimators: parameters in, fitted attributes out."""

from fastexplain.explainers._fex import FEXExplainer
from fastexplain.explainers._per_sample import ExactExplainer, RISEExplainer

__all__ = ["ExactExplainer", "FEXExplainer", "RISEExplainer"]
