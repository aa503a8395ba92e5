"""Margins: raw scores of estimators, before a link makes probabilities of them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastexplain.predictors._calls import ArrayCall, Method
from fastexplain.predictors._matrix import ask, n_rows, to_matrix
from fastexplain.predictors._meaning import OutputError

__all__ = [
    "LogOdds",
    "RawScores",
    "SecondClass",
    "is_tables",
    "margin_call",
    "pair_cure",
    "scores_classes",
]

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


def is_tables(answer: Any) -> bool:
    """Whether ``predict_proba`` answered one table of probabilities for every label."""
    return isinstance(answer, list | tuple) and all(np.ndim(part) == 2 for part in answer)


def _second_columns(tables: Any, rows: int) -> np.ndarray:
    return np.column_stack([to_matrix(table, rows, 2)[:, 1] for table in tables])


@dataclass(frozen=True, eq=False)
class SecondClass:
    """Probability of the second class of every label, from one ``predict_proba`` a label."""

    model: Any

    def __call__(self, X: Any) -> np.ndarray:
        """Return the probabilities, (B, K)."""
        return _second_columns(self.model.predict_proba(X), n_rows(X))


@dataclass(frozen=True, eq=False)
class LogOdds:
    """Log-odds of what ``predict_proba`` gives.

    Attributes
    ----------
    model : estimator
    pair : bool
        Whether two columns are two classes, of which the second is meant: not two labels.
    """

    model: Any
    pair: bool = True

    def __call__(self, X: Any) -> np.ndarray:
        """Return log(p / (1 - p)), (B, 1) or (B, K); p is kept 1e-6 away from 0 and 1."""
        answer, rows = self.model.predict_proba(X), n_rows(X)
        if is_tables(answer):
            chances = _second_columns(answer, rows)
        else:
            chances = to_matrix(answer, rows)
            if self.pair and chances.shape[1] == 2:
                chances = chances[:, 1:]
        chances = np.clip(chances, _LEAST_CHANCE, 1 - _LEAST_CHANCE)
        return np.log(chances) - np.log1p(-chances)


def _last_step(model: Any) -> Any:
    """The last step of a pipeline; any other model itself."""
    steps = getattr(model, "steps", None)
    return steps[-1][1] if isinstance(steps, list) and steps else model


def _raw_argument(model: Any) -> str | None:
    """Argument by which ``predict`` gives scores; of a pipeline that of its last step."""
    try:
        parameters = inspect.signature(_last_step(model).predict).parameters
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


def scores_classes(model: Any, sample: Any, values: np.ndarray) -> bool:
    """Whether the columns of a ``decision_function`` are the classes, one for each.

    Support vector machines may answer a column for each pair of classes, which are as many as
    the classes where these are three. Then `predict` tells: it takes the class of the largest
    score, or the one that wins most of the pairs.

    Parameters
    ----------
    model : classifier
    sample : ndarray or data frame of shape (B, p)
    values : ndarray of shape (B, C)
        Its ``decision_function`` of the sample.

    Returns
    -------
    bool
        True where the model does not tell its classes.
    """
    classes = getattr(model, "classes_", None)
    columns = values.shape[1]
    if classes is None or columns == 1:
        return True
    if len(classes) != columns or _answers_pairs(model):
        return False
    if not hasattr(model, "predict"):
        return True
    places = {label: k for k, label in enumerate(np.asarray(classes).tolist())}
    labels = np.asarray(ask(Method(model, "predict"), sample)).ravel().tolist()
    predicted = np.array([places.get(label, -1) for label in labels])
    chosen = values[np.arange(len(values)), predicted]
    agreeing = float(np.mean((predicted >= 0) & (chosen >= values.max(axis=1))))
    by_pairs = float(np.mean(_winners(values) == predicted)) if columns == 3 else 0.0
    # a vote that no class wins is decided in other ways, which costs single rows
    return agreeing > 0.5 and agreeing >= by_pairs


def _winners(values: np.ndarray) -> np.ndarray:
    """Which of three classes wins most of the pairs (0, 1), (0, 2) and (1, 2)."""
    first = values > 0
    votes = np.stack([first[:, 0] * 1 + first[:, 1], ~first[:, 0] * 1 + first[:, 2]], axis=1)
    return np.column_stack([votes, 3 - votes.sum(axis=1)]).argmax(axis=1)


def _answers_pairs(model: Any) -> bool:
    """Whether a support vector machine, searched for or in a pipeline, is set to pairs."""
    inner = _last_step(getattr(model, "best_estimator_", model))
    return bool(getattr(inner, "decision_function_shape", None) == "ovo")


def pair_cure(model: Any) -> str:
    """How a model is told to answer a score for each class, where it is known."""
    if _answers_pairs(model):
        return "set decision_function_shape='ovr' of the SVC, which it takes after fit, too"
    return "output='margin' explains them as they are"
