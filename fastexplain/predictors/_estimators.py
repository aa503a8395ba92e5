"""Estimators in the manner of scikit-learn: recognised by the methods they have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from fastexplain.predictors._answers import answer_names
from fastexplain.predictors._bound import Bound
from fastexplain.predictors._margins import margin_call
from fastexplain.predictors._matrix import ask, n_rows, to_matrix
from fastexplain.predictors._meaning import Meaning, OutputError, check_finite, declared, guessed
from fastexplain.predictors._predictor import ArrayCall, Method, Predictor, build_predictor

__all__ = ["estimator_type", "is_estimator", "read_bound", "read_estimator"]

Reading = tuple[Predictor, str | None]

# what predict answers that is no quantity
_LABELS = {"clusterer": "clusters", "outlier_detector": "inliers and outliers"}


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


def _is_classifier(model: Any) -> bool:
    """Whether ``predict`` answers labels of classes."""
    kind = estimator_type(model)
    if kind is not None:
        return kind == "classifier"
    return hasattr(model, "predict_proba") or hasattr(model, "classes_")


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


def _has_labels(model: Any, sample: Any, columns: int) -> bool:
    """Whether the columns of a classifier's scores are labels that do not exclude each other."""
    if getattr(model, "multilabel_", False) or _label_classes(model) is not None:
        return True
    return columns > 1 and _predicts_indicators(model, sample, columns)


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
) -> Reading:
    """Predictor of a classifier that answers one table of probabilities for every label."""
    if output not in ("auto", "multilabel"):
        raise OutputError(
            "predict_proba answered one table for every label, so that the outputs are "
            "independent labels, not classes"
        )
    tables = [to_matrix(part, n_rows(sample)) for part in answer]
    _check_binary_labels([table.shape[1] for table in tables])
    call = ArrayCall(_SecondClass(model))
    meaning = Meaning("multilabel", "identity", f"{_named(model)}.predict_proba of each label")
    return build_predictor(call, meaning, len(tables)), None


def _read_probabilities(model: Any, sample: Any, output: str, function: Any = None) -> Reading:
    """Predictor from ``predict_proba``, or from a partial of it."""
    method = Method(model, "predict_proba") if function is None else function
    answer = ask(method, sample)
    if isinstance(answer, list | tuple) and all(np.ndim(part) == 2 for part in answer):
        return _read_label_list(model, answer, sample, output)
    values = to_matrix(answer, n_rows(sample))
    reason = f"{_named(model)}.predict_proba"
    if output != "auto":
        meaning = declared(values, output)
    elif _is_multilabel(model, values, sample):
        _check_binary_labels([len(part) for part in _label_classes(model) or []])
        meaning = declared(values, "multilabel", reason=reason)
    elif values.shape[1] == 1:
        meaning = declared(values, "probability", reason=reason)
    else:
        meaning = guessed(values, torch_module=False)
        if meaning.doubt is None:
            meaning = replace(meaning, reason=reason)
    names = answer_names(answer, values.shape[1])
    meaning = replace(meaning, classes=getattr(model, "classes_", None), names=names)
    return build_predictor(ArrayCall(method), meaning, values.shape[1]), meaning.doubt


def _read_scores(model: Any, sample: Any, output: str, classifier: bool) -> Reading:
    """Predictor from raw scores: as they are ("margin"), or through a link."""
    # log-odds would only be turned into probabilities again
    call, how = margin_call(model, classifier and output == "margin", output)
    values = call(sample)
    columns = values.shape[1]
    several = classifier and _has_labels(model, sample, columns)
    if several and output == "logits":
        raise OutputError(
            "output='logits' means classes that exclude each other, but the classifier has "
            "independent labels"
        )
    meaning = declared(values, output, reason=f"output={output!r}: {_named(model)}, {how}")
    if not several and classifier:
        meaning = replace(meaning, classes=getattr(model, "classes_", None))
    if several and meaning.output == "margin":
        names = [f"label_{k}" for k in range(columns)]
        meaning = replace(meaning, output="regression", names=names)
    return build_predictor(call, meaning, columns), None


def _read_predictions(model: Any, sample: Any, output: str) -> Reading:
    """Predictor from ``predict`` of a regressor, or of a model that does not say what it is."""
    kind = estimator_type(model)
    if output == "auto" and kind in _LABELS:
        raise ValueError(
            f"{type(model).__name__}.predict answers labels of {_LABELS[kind]}; pass a function "
            "of scores such as model.score_samples, or a distance, instead"
        )
    method = Method(model, "predict")
    answer = ask(method, sample)
    values = to_matrix(answer, n_rows(sample))
    if output != "auto":
        meaning = declared(values, output)
    elif kind == "regressor":
        meaning = Meaning("regression", "identity", f"the regressor {_named(model)}")
    else:
        meaning = guessed(values, torch_module=False)
    meaning = replace(meaning, names=answer_names(answer, values.shape[1]))
    return build_predictor(ArrayCall(method), meaning, values.shape[1]), meaning.doubt


def _named(model: Any) -> str:
    return type(model).__name__


def _refuse_labels(model: Any, sample: Any) -> NoReturn:
    """Raise for a classifier that knows no probabilities, naming the cure."""
    # a model that is not fitted says so itself, which is the better message
    ask(Method(model, "predict"), sample)
    scores = ", or say output='logits' or 'margin' to use its decision_function"
    raise ValueError(
        f"{type(model).__name__} is a classifier without predict_proba: wrap it in "
        "sklearn.calibration.CalibratedClassifierCV and fit that"
        f"{scores if hasattr(model, 'decision_function') else ''}"
    )


def read_estimator(model: Any, sample: Any, output: str) -> Reading:
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
    OutputError
        Its answers contradict `output`.
    ValueError
        A classifier has no probabilities.
    """
    if not hasattr(model, "predict_proba") and not hasattr(model, "predict"):
        check_is_fitted(model)  # stacked models show what they can do only once fitted
    kind = estimator_type(model)
    has_probabilities = hasattr(model, "predict_proba") and kind != "regressor"
    classifier = has_probabilities or _is_classifier(model)
    if output == "margin" or (output in ("logits", "multilabel_logits") and classifier):
        return _read_scores(model, sample, output, classifier)
    if output == "regression" and (kind == "classifier" or not hasattr(model, "predict")):
        raise OutputError(
            f"output='regression' does not fit the classifier {type(model).__name__}, whose "
            "labels are no quantity"
        )
    if has_probabilities and output != "regression":
        return _read_probabilities(model, sample, output)
    if classifier and output != "regression":
        _refuse_labels(model, sample)
    return _read_predictions(model, sample, output)


def read_bound(bound: Bound, sample: Any, output: str) -> Reading | None:
    """Predictor of a method of an estimator; None where its name says nothing.

    ``model.predict`` of a regressor is a regression, ``model.predict_proba`` brings the names
    of the classes, and ``model.predict`` of a classifier answers labels, which are refused.

    Parameters
    ----------
    bound : Bound
    sample : ndarray or data frame of shape (B, p)
    output : str
        One of `CHOICES`.

    Returns
    -------
    (Predictor, str or None) or None

    Raises
    ------
    ValueError
        The method answers labels of a classifier, and `output` does not say that they are
        plain values.
    """
    model, name = bound.owner, bound.name
    if name == "predict_proba":
        return _read_probabilities(model, sample, output, None if bound.plain else bound.call)
    if not bound.plain:
        return None
    if name == "predict" and is_estimator(model):
        if output == "auto" and _is_classifier(model):
            probable = hasattr(model, "predict_proba")
            cure = "model.predict_proba, or the model itself" if probable else "the model itself"
            raise ValueError(
                f"{_named(model)}.predict answers labels of classes, which are no quantity: pass "
                f"{cure}. output='regression' explains numeric labels as plain values."
            )
        return _read_predictions(model, sample, output)
    scores = name in ("decision_function", "predict_log_proba", "score_samples")
    if scores and output in ("auto", "margin", "regression"):
        return _read_plain_scores(bound, sample, output)
    return None


def _read_plain_scores(bound: Bound, sample: Any, output: str) -> Reading:
    """Predictor of scores by a method whose name says that they are some."""
    model = bound.owner
    call = ArrayCall(Method(model, bound.name))
    values = call(sample)
    columns = values.shape[1]
    reason = f"{_named(model)}.{bound.name}"
    classes = getattr(model, "classes_", None)
    one_each = isinstance(classes, np.ndarray) and len(classes) in (columns, 2 * (columns == 1))
    if output != "regression" and one_each and not _has_labels(model, sample, columns):
        return build_predictor(
            call, Meaning("margin", "identity", reason, classes=classes), columns
        ), None
    return build_predictor(call, Meaning("regression", "identity", reason), columns), None
