"""Margins: raw scores of estimators, before a link makes probabilities of them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastexplain.predictors._matrix import n_rows, to_matrix
from fastexplain.predictors._meaning import OutputError
from fastexplain.predictors._predictor import ArrayCall, Method

__all__ = ["LogOdds", "RawScores", "margin_call"]

# arguments of predict that ask boosters for scores: XGBoost, LightGBM, CatBoost
_RAW_ARGUMENTS = {"output_margin": True, "raw_score": True, "prediction_type": "RawFormulaVal"}
# probabilities of 0 and 1, as forests give them, have no log-odds
_LEAST_CHANCE = 1e-6


@dataclass(frozen=True, eq=False)
class RawScores:
    """Scores that ``predict`` gives when asked for them by an argument."""

    model: Any
    argument: str

    def __call__(self, X: Any) -> Any:
        """Return the scores, (B,) or (B, K)."""
        return self.model.predict(X, **{self.argument: _RAW_ARGUMENTS[self.argument]})


@dataclass(frozen=True, eq=False)
class LogOdds:
    """Log-odds of what ``predict_proba`` gives: of the second of two classes, or of each."""

    model: Any

    def __call__(self, X: Any) -> np.ndarray:
        """Return log(p / (1 - p)), (B, 1) or (B, K); p is kept 1e-6 away from 0 and 1."""
        chances = to_matrix(self.model.predict_proba(X), n_rows(X))
        if chances.shape[1] == 2:
            chances = chances[:, 1:]
        chances = np.clip(chances, _LEAST_CHANCE, 1 - _LEAST_CHANCE)
        return np.log(chances) - np.log1p(-chances)


def _raw_argument(model: Any) -> str | None:
    """Argument by which ``predict`` gives scores; of a pipeline that of its last step."""
    steps = getattr(model, "steps", None)
    final = steps[-1][1] if isinstance(steps, list) and steps else model
    try:
        parameters = inspect.signature(final.predict).parameters
    except (AttributeError, TypeError, ValueError):
        return None
    return next((name for name in _RAW_ARGUMENTS if name in parameters), None)


def margin_call(model: Any, log_odds: bool, output: str = "margin") -> tuple[ArrayCall, str]:
    """How an estimator is asked for raw scores, and in words.

    Parameters
    ----------
    model : estimator
    log_odds : bool
        Whether its probabilities may stand in.
    output : str, default="margin"
        What asks for the scores, for the message.

    Returns
    -------
    call : ArrayCall
    reason : str

    Raises
    ------
    OutputError
        It has no scores.
    """
    if hasattr(model, "decision_function"):
        return ArrayCall(Method(model, "decision_function")), "decision_function"
    # a search over parameters does not pass arguments on
    inner = getattr(model, "best_estimator_", model)
    argument = _raw_argument(inner)
    if argument is not None:
        given = f"predict({argument}={_RAW_ARGUMENTS[argument]!r})"
        return ArrayCall(RawScores(inner, argument)), given
    if log_odds and hasattr(model, "predict_proba"):
        return ArrayCall(LogOdds(model)), "log-odds of predict_proba"
    raise OutputError(f"output={output!r} needs raw scores, which {type(model).__name__} lacks")
