"""Boosters of XGBoost and LightGBM: their objective tells what they predict.

The libraries are looked up among the imported modules: whoever has a booster has imported
its library, and nobody else has to.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from typing import Any

from fastexplain.predictors._meaning import Meaning, OutputError, declared, guessed
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
    raw: bool = False

    def __call__(self, X: Any) -> Any:
        # there is no booster, not even an unpickled one, before its library is imported
        xgboost = sys.modules["xgboost"]
        data = xgboost.DMatrix(X, enable_categorical=True)
        return self.booster.predict(data, output_margin=self.raw)


@dataclass(frozen=True, eq=False)
class _LightGBMPredict:
    """Predictions of a booster for a table."""

    booster: Any
    raw: bool = False

    def __call__(self, X: Any) -> Any:
        return self.booster.predict(X, raw_score=self.raw)


def _finish(
    predict: _XGBoostPredict | _LightGBMPredict,
    sample: Any,
    output: str,
    objective: str,
    reading: str,
) -> tuple[Predictor, str | None]:
    """Predictor of a booster whose objective asks for a reading of its answers."""
    if output == "logits" and reading == "probability":
        raise OutputError(f"the booster's objective {objective!r} already gives probabilities")
    call = ArrayCall(replace(predict, raw=output == "margin"))
    values = call(sample)
    reason = f"the booster's objective {objective!r}"
    if output != "auto":
        meaning = declared(values, output)
    elif reading == "probability" and values.shape[1] > 1:
        # several columns are classes or independent labels, whichever the row sums say
        meaning = guessed(values, torch_module=False)
    else:
        meaning = declared(values, reading, reason=reason)
    if meaning.doubt is None and output == "auto":
        meaning = replace(meaning, reason=reason)
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
    return _finish(_XGBoostPredict(booster), sample, output, objective, reading)


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
    OutputError
        Its answers contradict `output`.
    """
    # the parameters may hold an alias or be lost in a file; one tree is enough for the header
    header = booster.dump_model(num_iteration=1).get("objective")
    objective = str(header).split(" ")[0] if header else "custom"
    if objective == "custom" and output == "auto":
        call = ArrayCall(_LightGBMPredict(booster))
        values = call(sample)
        reason = "raw scores of a booster that was trained with a function as its objective"
        doubt = (
            "The booster was trained with a function as its objective, so that the meaning of its "
            "raw scores is unknown: they are explained as they are. If they are logits of "
            "classes, say output='logits'; output='regression' confirms plain values."
        )
        meaning = Meaning("regression", "identity", reason, doubt=doubt)
        return build_predictor(call, meaning, values.shape[1]), doubt
    probabilities = ("binary", "multiclass", "multiclassova", "cross_entropy")
    reading = "probability" if objective in probabilities else "regression"
    return _finish(_LightGBMPredict(booster), sample, output, objective, reading)
