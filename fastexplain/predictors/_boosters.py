"""Boosters of XGBoost and LightGBM: their objective tells what they predict.

The libraries are looked up among the imported modules: whoever has a booster has imported
its library, and nobody else has to.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, replace
from typing import Any

from fastexplain.predictors._answers import Select, part_of
from fastexplain.predictors._calls import ArrayCall
from fastexplain.predictors._matrix import ask, n_rows, to_matrix
from fastexplain.predictors._meaning import Meaning, OutputError, declared, guessed
from fastexplain.predictors._predictor import Predictor, build_predictor

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
    keywords: dict[str, Any] = field(default_factory=dict)

    def __call__(self, X: Any) -> Any:
        # there is no booster, not even an unpickled one, before its library is imported
        xgboost = sys.modules["xgboost"]
        data = xgboost.DMatrix(X, enable_categorical=True)
        return self.booster.predict(data, **{**self.keywords, "output_margin": self.raw})


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
    select: Select,
) -> tuple[Predictor, str | None]:
    """Predictor of a booster whose objective asks for a reading of its answers."""
    raw = predict.raw or output == "margin"
    if output == "logits" and reading == "probability":
        raise OutputError(f"the booster's objective {objective!r} already gives probabilities")
    predict = replace(predict, raw=raw)
    answer = ask(predict, sample)
    part = answer if select is None else part_of(answer, n_rows(sample), select)
    call, values = ArrayCall(predict, select), to_matrix(part, n_rows(sample))
    reason = f"{'raw scores of ' if raw else ''}the booster's objective {objective!r}"
    if output != "auto":
        meaning = declared(values, output)
    elif part is not answer or (reading == "probability" and values.shape[1] > 1):
        # several columns are classes or independent labels, whichever the row sums say, and what
        # the user makes of an answer shows in its numbers alone
        meaning = guessed(values, torch_module=False)
    else:
        meaning = declared(values, reading, reason=reason)
    if meaning.doubt is None and output == "auto" and part is answer:
        meaning = replace(meaning, reason=reason)
    return build_predictor(call, meaning, values.shape[1]), meaning.doubt


# objectives whose answers are labels of classes, and those that answer probabilities
_LABELS = {"multi:softmax": "multi:softprob", "binary:hinge": "binary:logistic"}
# arguments of predict that ask for something else than predictions
_NO_PREDICTIONS = ("pred_leaf", "pred_contribs", "approx_contribs", "pred_interactions")


def _xgboost_reading(objective: str) -> str:
    """Return how the answers are read for the name of an XGBoost objective."""
    if objective == "binary:logitraw":
        return "logits"
    if objective in ("binary:logistic", "multi:softprob"):
        return "probability"
    # reg:, count:, rank: and survival: all answer plain values
    return "regression"


def read_xgboost(
    booster: Any,
    sample: Any,
    output: str,
    keywords: dict[str, Any] | None = None,
    select: Select = None,
) -> tuple[Predictor, str | None]:
    """Predictor of an ``xgboost.Booster``.

    Parameters
    ----------
    booster : xgboost.Booster
        The model.
    sample : ndarray or data frame of shape (B, p)
        Rows to probe it with.
    output : str
        One of `CHOICES`.
    keywords : dict, optional
        Arguments of its ``predict`` that a partial of it holds.
    select : str, int, callable or None
        Which part of an answer is explained.

    Returns
    -------
    predictor : Predictor
    doubt : str or None
        What to warn about.

    Raises
    ------
    ValueError
        The booster answers class labels, is asked for something else than predictions, or
        contradicts `output`.
    """
    given = dict(keywords or {})
    for name in _NO_PREDICTIONS:
        if given.get(name):
            raise ValueError(
                f"the partial of the booster's predict asks for {name}, which is no prediction. "
                "Pass a function of the rows that says so: "
                f"lambda X: booster.predict(xgboost.DMatrix(X), {name}=True)"
            )
    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    raw, reading = bool(given.pop("output_margin", False)), _xgboost_reading(objective)
    if objective in _LABELS:
        if output in ("margin", "logits"):
            raw = True
        elif not raw:
            raise ValueError(
                f"the booster's objective {objective!r} answers class labels, not probabilities; "
                f"train it with {_LABELS[objective]!r}, or say output='margin' to explain its raw "
                "scores, or output='logits' to turn them into probabilities"
            )
    if raw and output in ("probability", "multilabel"):
        raise OutputError(f"output={output!r} does not fit raw scores, which output_margin=True is")
    if raw:
        known = reading != "regression" or objective in _LABELS
        reading = "margin" if known else "regression"
    predict = _XGBoostPredict(booster, raw, given)
    return _finish(predict, sample, output, objective, reading, select)


def read_lightgbm(
    booster: Any, sample: Any, output: str, select: Select = None
) -> tuple[Predictor, str | None]:
    """Predictor of a ``lightgbm.Booster``.

    Parameters
    ----------
    booster : lightgbm.Booster
        The model.
    sample : ndarray or data frame of shape (B, p)
        Rows to probe it with.
    output : str
        One of `CHOICES`.
    select : str, int, callable or None
        Which part of an answer is explained.

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
        call = ArrayCall(_LightGBMPredict(booster), select)
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
    return _finish(_LightGBMPredict(booster), sample, output, objective, reading, select)
