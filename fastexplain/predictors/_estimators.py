"""Estimators in the manner of scikit-learn: recognised by the methods they have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from fastexplain.predictors._matrix import ask, describe, n_rows, to_matrix
from fastexplain.predictors._meaning import Meaning, check_finite, declared, guessed
from fastexplain.predictors._predictor import ArrayCall, Method, Predictor, build_predictor

__all__ = ["estimator_type", "is_estimator", "read_estimator"]


def is_estimator(model: Any) -> bool:
    """Whether the model predicts, or says that it will once it is fitted."""
    if hasattr(model, "predict_proba") or hasattr(model, "predict"):
        return True
    return estimator_type(model) in ("classifier", "regressor")


def estimator_type(model: Any) -> str | None:
    """Kind of estimator that scikit-learn's tags name: "classifier", "regressor", or None."""
    try:
        return get_tags(model).estimator_type
    except Exception:
        # models of other libraries have no tags, or tags that only work once fitted
        return getattr(model, "_estimator_type", None)


@dataclass(frozen=True, eq=False)
class _SecondClass:
    """Probability of the second class of every label, from one ``predict_proba`` a label."""

    model: Any

    def __call__(self, X: Any) -> np.ndarray:
        parts = self.model.predict_proba(X)
        return np.column_stack([to_matrix(part, n_rows(X), 2)[:, 1] for part in parts])


def _label_classes(model: Any) -> list[np.ndarray] | None:
    """Classes of every label of a multi-output classifier; None for all others."""
    classes = getattr(model, "classes_", None)
    if isinstance(classes, list | tuple) and all(np.ndim(part) == 1 for part in classes):
        return [np.asarray(part) for part in classes]
    return None


def _check_binary_labels(counts: list[int]) -> None:
    """Raise unless every label of a multi-output classifier has two classes."""
    for label, count in enumerate(counts):
        if count != 2:
            what = "a single class" if count == 1 else f"{count} classes"
            raise ValueError(
                f"label {label} of the multi-output classifier has {what}; every label must "
                "have two. Explain such a label with a classifier of its own, or drop it"
            )


def _predicts_indicators(model: Any, sample: Any, columns: int) -> bool:
    """Whether ``predict`` answers a column of zeros and ones for every label."""
    if not hasattr(model, "predict"):
        return False
    labels = ask(Method(model, "predict"), sample)
    return np.shape(labels) == (n_rows(sample), columns)


def _is_multilabel(model: Any, values: np.ndarray, sample: Any) -> bool:
    """Whether the columns of ``predict_proba`` are labels that do not exclude each other."""
    if getattr(model, "multilabel_", False) or _label_classes(model) is not None:
        return True
    check_finite(values)
    if values.shape[1] == 1 or np.allclose(values.sum(axis=1), 1, rtol=0, atol=1e-3):
        return False
    # only now is it worth a second call; wrappers and pipelines show it nowhere else
    return _predicts_indicators(model, sample, values.shape[1])


def _read_label_list(
    model: Any, answer: list[Any] | tuple[Any, ...], sample: Any, output: str
) -> tuple[Predictor, str | None]:
    """Predictor of a classifier that answers one table of probabilities for every label."""
    if output == "probability":
        raise ValueError(
            "predict_proba answered one table for every label, so that the outputs are "
            "independent labels, not classes: leave output='auto' or say output='multilabel'"
        )
    tables = [to_matrix(part, n_rows(sample)) for part in answer]
    _check_binary_labels([table.shape[1] for table in tables])
    call = ArrayCall(_SecondClass(model))
    return build_predictor(call, Meaning("multilabel", "identity"), len(tables)), None


def _read_probabilities(model: Any, sample: Any, output: str) -> tuple[Predictor, str | None]:
    """Predictor from ``predict_proba``."""
    method = Method(model, "predict_proba")
    answer = ask(method, sample)
    if isinstance(answer, list | tuple) and all(np.ndim(part) == 2 for part in answer):
        return _read_label_list(model, answer, sample, output)
    values = to_matrix(answer, n_rows(sample))
    if output != "auto":
        meaning = declared(values, output)
    elif _is_multilabel(model, values, sample):
        _check_binary_labels([len(part) for part in _label_classes(model) or []])
        meaning = declared(values, "multilabel")
    elif values.shape[1] == 1:
        meaning = declared(values, "probability")
    else:
        meaning = guessed(values, torch_module=False)
    meaning = replace(meaning, classes=getattr(model, "classes_", None))
    return build_predictor(ArrayCall(method), meaning, values.shape[1]), meaning.doubt


def _read_decisions(model: Any, sample: Any) -> tuple[Predictor, str | None]:
    """Predictor of a classifier from ``decision_function``, its scores taken as logits."""
    call = ArrayCall(Method(model, "decision_function"))
    values = call(sample)
    columns = values.shape[1]
    several = getattr(model, "multilabel_", False) or _label_classes(model) is not None
    if several or (columns > 1 and _predicts_indicators(model, sample, columns)):
        raise ValueError(
            "output='logits' means classes that exclude each other, but the classifier has "
            "independent labels: pass a function of probabilities and output='multilabel'"
        )
    meaning = replace(declared(values, "logits"), classes=getattr(model, "classes_", None))
    return build_predictor(call, meaning, columns), None


def _read_predictions(
    model: Any, sample: Any, output: str, kind: str | None
) -> tuple[Predictor, str | None]:
    """Predictor from ``predict`` of a regressor, or of a model that does not say what it is."""
    if output == "auto" and kind in ("clusterer", "outlier_detector"):
        raise ValueError(
            f"{type(model).__name__} is a {kind.replace('_', ' ')}, whose predict answers labels; "
            "pass a function of scores such as model.score_samples, or a distance, instead"
        )
    call = ArrayCall(Method(model, "predict"))
    values = call(sample)
    if output != "auto":
        meaning = declared(values, output)
    elif kind == "regressor":
        meaning = Meaning("regression", "identity")
    else:
        meaning = guessed(values, torch_module=False)
    return build_predictor(call, meaning, values.shape[1]), meaning.doubt


def _refuse_labels(model: Any, sample: Any) -> NoReturn:
    """Raise for a classifier that knows no probabilities, naming the cure."""
    # a model that is not fitted says so itself, which is the better message
    ask(Method(model, "predict"), sample)
    scores = ", or say output='logits' to use its decision_function"
    raise ValueError(
        f"{type(model).__name__} is a classifier without predict_proba: wrap it in "
        "sklearn.calibration.CalibratedClassifierCV and fit that"
        f"{scores if hasattr(model, 'decision_function') else ''}"
    )


def read_estimator(model: Any, sample: Any, output: str) -> tuple[Predictor, str | None]:
    """Predictor of an estimator.

    Parameters
    ----------
    model : estimator
        A model with ``predict_proba``, ``decision_function`` or ``predict``.
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
    NotFittedError
        The model is not fitted.
    ValueError
        A classifier has no probabilities, or its answers contradict `output`.
    """
    if not hasattr(model, "predict_proba") and not hasattr(model, "predict"):
        check_is_fitted(model)  # stacked models show what they can do only once fitted
    kind = estimator_type(model)
    has_probabilities = hasattr(model, "predict_proba") and kind != "regressor"
    classifier = kind == "classifier" or has_probabilities
    if output == "regression" and (kind == "classifier" or not hasattr(model, "predict")):
        raise ValueError(
            f"output='regression' does not fit the classifier {type(model).__name__}: leave "
            "output='auto' to explain its probabilities, or pass a function of plain values"
        )
    if output == "logits" and classifier:
        if hasattr(model, "decision_function"):
            return _read_decisions(model, sample)
        raise ValueError(
            f"output='logits' needs a decision_function, which {describe(model)} lacks: leave "
            "output='auto' to use predict_proba"
        )
    if has_probabilities and output != "regression":
        return _read_probabilities(model, sample, output)
    if kind == "classifier":
        _refuse_labels(model, sample)
    return _read_predictions(model, sample, output, kind)
