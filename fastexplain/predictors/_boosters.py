"""Boosters of XGBoost and LightGBM: their objective tells what they predict.

The libraries are looked up among the imported modules: whoever has a booster has imported
its library, and nobody else has to.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

from fastexplain.predictors._meaning import declared, guessed
from fastexplain.predictors._predictor import ArrayCall, Predictor, build_predictor

__all__ = ["is_lightgbm_booster", "is_xgboost_booster", "read_lightgbm", "read_xgboost"]


def _is_booster(model: Any, library: str) -> bool:
    booster = getattr(sys.modules.get(library), "Booster", None)
    return booster is not None and isinstance(model, booster)


def is_xgboost_booster(model: Any) -> bool:
    """Whether the model is an ``xgboost.Booster``."""
    return _is_booster(model, "xgboost")


def is_lightgbm_booster(model: Any) -> bool:
    """Whether the model is a ``lightgbm.Booster``."""
    return _is_booster(model, "lightgbm")


@dataclass(frozen=True, eq=False)
class _XGBoostPredict:
    """Predictions of a booster for a table, which it takes as a ``DMatrix`` only."""

    booster: Any

    def __call__(self, X: Any) -> Any:
        # there is no booster, not even an unpickled one, before its library is imported
        xgboost = sys.modules["xgboost"]
        return self.booster.predict(xgboost.DMatrix(X, enable_categorical=True))


@dataclass(frozen=True, eq=False)
class _LightGBMPredict:
    """Predictions of a booster for a table."""

    booster: Any

    def __call__(self, X: Any) -> Any:
        return self.booster.predict(X)


def _finish(
    call: ArrayCall, sample: Any, output: str, objective: str, reading: str
) -> tuple[Predictor, str | None]:
    """Predictor of a booster whose objective asks for a reading of its answers."""
    if output == "logits" and reading == "probability":
        raise ValueError(
            f"the booster's objective {objective!r} already gives probabilities; "
            "leave output='auto'"
        )
    values = call(sample)
    if output != "auto":
        meaning = declared(values, output)
    elif reading == "probability" and values.shape[1] > 1:
        # several columns are classes or independent labels, whichever the row sums say
        meaning = guessed(values, torch_module=False)
    else:
        meaning = declared(values, reading)
    return build_predictor(call, meaning, values.shape[1]), meaning.doubt


def _xgboost_reading(objective: str) -> str:
    """Return how the answers are read for the name of an XGBoost objective."""
    if objective in ("multi:softmax", "binary:hinge"):
        cure = "multi:softprob" if objective == "multi:softmax" else "binary:logistic"
        raise ValueError(
            f"the booster's objective {objective!r} answers class labels, not probabilities; "
            f"train it with {cure!r}"
        )
    if objective == "binary:logitraw":
        return "logits"
    if objective in ("binary:logistic", "multi:softprob"):
        return "probability"
    # reg:, count:, rank: and survival: all answer plain values
    return "regression"


def read_xgboost(booster: Any, sample: Any, output: str) -> tuple[Predictor, str | None]:
    """Predictor of an ``xgboost.Booster``.

    Parameters
    ----------
    booster : xgboost.Booster
        The model.
    sample : ndarray or data frame of shape (B, p)
        Rows to probe it with.
    output : str
        One of `CHOICES`.

    Returns
    -------
    predictor : Predictor
    doubt : str or None
        What to warn about.

    Raises
    ------
    ValueError
        The booster answers class labels, or contradicts `output`.
    """
    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    reading = _xgboost_reading(objective)
    call = ArrayCall(_XGBoostPredict(booster))
    return _finish(call, sample, output, objective, reading)


def read_lightgbm(booster: Any, sample: Any, output: str) -> tuple[Predictor, str | None]:
    """Predictor of a ``lightgbm.Booster``.

    Parameters
    ----------
    booster : lightgbm.Booster
        The model.
    sample : ndarray or data frame of shape (B, p)
        Rows to probe it with.
    output : str
        One of `CHOICES`.

    Returns
    -------
    predictor : Predictor
    doubt : str or None
        What to warn about.

    Raises
    ------
    ValueError
        The booster was trained with a function as its objective and `output` is "auto", or
        its answers contradict `output`.
    """
    # the parameters may hold an alias or be lost in a file; one tree is enough for the header
    header = booster.dump_model(num_iteration=1).get("objective")
    objective = str(header).split(" ")[0] if header else "custom"
    if objective == "custom" and output == "auto":
        raise ValueError(
            "the booster was trained with a function as its objective, so that the meaning of "
            "its raw scores is unknown: say output='logits', 'regression' or 'probability'"
        )
    probabilities = ("binary", "multiclass", "multiclassova", "cross_entropy")
    reading = "probability" if objective in probabilities else "regression"
    call = ArrayCall(_LightGBMPredict(booster))
    return _finish(call, sample, output, objective, reading)
