"""Predictors: any model as one batched function from samples to a matrix of outputs."""

from fastexplain.predictors._answers import Select
from fastexplain.predictors._make import make_predictor
from fastexplain.predictors._parts import ModelParts, parts_of
from fastexplain.predictors._predictor import Predictor

__all__ = ["ModelParts", "Predictor", "Select", "make_predictor", "parts_of"]
