"""Estimators: parameters in, fitted attributes out."""

from fastexplain.explainers._concept_sets import ConceptSetExplainer
from fastexplain.explainers._cortx import CoRTXExplainer
from fastexplain.explainers._fastshap import FastSHAPExplainer
from fastexplain.explainers._fex import FEXExplainer
from fastexplain.explainers._l2x import L2XExplainer
from fastexplain.explainers._per_sample import ExactExplainer, RISEExplainer
from fastexplain.explainers._supervised import SupervisedExplainer

__all__ = [
    "CoRTXExplainer",
    "ConceptSetExplainer",
    "ExactExplainer",
    "FEXExplainer",
    "FastSHAPExplainer",
    "L2XExplainer",
    "RISEExplainer",
    "SupervisedExplainer",
]
