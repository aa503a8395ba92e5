"""Predictors: any model as one batched function from rows to a matrix of outputs."""

from fastexplain.predictors._make import make_predictor
from fastexplain.predictors._predictor import Predictor

__all__ = ["Predictor", "make_predictor"]
