"""Labels of estimators: which of their answers are labels, and what to ask instead."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from sklearn.utils import get_tags

from fastexplain.predictors._bound import Bound
from fastexplain.predictors._calls import Method
from fastexplain.predictors._matrix import ask, n_rows
from fastexplain.predictors._meaning import check_finite

__all__ = [
    "asks_for_scores",
    "check_binary_labels",
    "estimator_type",
    "is_classifier",
    "is_estimator",
    "is_multilabel",
    "knows_labels",
    "label_classes",
    "predicts_indicators",
    "refuse_classifier",
    "refuse_labels",
]

# what predict answers that is no quantity, beside classes
_LABELS = {
    "clusterer": "a clusterer, whose predict answers labels of clusters",
    "outlier_detector": "an outlier detector, whose predict answers labels of inliers and outliers",
    "density_estimator": "a mixture, whose predict answers labels of components",
}


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


def is_classifier(model: Any) -> bool:
    """Whether ``predict`` answers labels of classes."""
    kind = estimator_type(model)
    if kind is not None:
        return kind == "classifier"
    return hasattr(model, "predict_proba") or hasattr(model, "classes_")


def asks_for_scores(bound: Bound) -> bool:
    """Whether the arguments of ``predict`` ask for scores or probabilities instead of labels."""
    given = bound.keywords
    if given.get("output_margin") or given.get("raw_score"):
        return True
    return given.get("prediction_type", "Class") != "Class"


def refuse_labels(model: Any) -> None:
    """Raise where ``predict`` answers labels, naming what the model can be asked instead.

    Parameters
    ----------
    model : estimator

    Raises
    ------
    ValueError
        It is a classifier, a clusterer, an outlier detector or a mixture.
    """
    name, kind = type(model).__name__, estimator_type(model)
    # other kinds, such as transformers, answer labels where they have probabilities of them
    labels = kind != "regressor" and hasattr(model, "predict_proba")
    plain = "output='regression' explains numeric labels as plain values"
    if kind in _LABELS:
        asked = ["predict_proba", "decision_function", "score_samples"]
        cures = [f"model.{method}" for method in asked if hasattr(model, method)]
        if hasattr(model, "transform"):
            cures.append("model.transform with output='regression'")
        cure = f"pass {' or '.join(cures)}; {plain}" if cures else plain
        raise ValueError(f"{name} is {_LABELS[kind]}, which are no quantity: {cure}")
    if not labels and not is_classifier(model):
        return
    if hasattr(model, "predict_proba"):
        cure = "pass model.predict_proba, or the model itself. "
    elif hasattr(model, "decision_function"):
        cure = (
            "pass model.decision_function, or the model itself with output='logits' or 'margin'. "
        )
    else:
        cure = f"{_another_classifier(model)}. "
    raise ValueError(
        f"{name}.predict answers labels of classes, which are no quantity: {cure}{plain}."
    )


def refuse_classifier(model: Any, sample: Any) -> NoReturn:
    """Raise for a classifier that knows no probabilities, naming the cure."""
    # a model that is not fitted says so itself, which is the better message
    ask(Method(model, "predict"), sample)
    if hasattr(model, "decision_function"):
        cure = (
            "wrap it in sklearn.calibration.CalibratedClassifierCV and fit that, or say "
            "output='logits' or 'margin' to use its decision_function"
        )
    else:
        cure = (
            f"{_another_classifier(model)}, or pass model.predict with output='regression', which "
            "explains numeric labels as plain values"
        )
    raise ValueError(f"{type(model).__name__} is a classifier without predict_proba: {cure}")


def _another_classifier(model: Any) -> str:
    """What to train instead of a classifier that has labels and no scores."""
    if getattr(model, "voting", None) == "hard":
        return "fit it with voting='soft' and members that have predict_proba"
    return "fit a classifier that has predict_proba"


def label_classes(model: Any) -> list[np.ndarray] | None:
    """Classes of every label of a multi-output classifier; None for all others."""
    classes = getattr(model, "classes_", None)
    if not isinstance(classes, list | tuple) or not classes:
        return None
    if all(np.ndim(part) == 1 for part in classes):
        return [np.asarray(part) for part in classes]
    return None


def check_binary_labels(counts: list[int]) -> None:
    """Raise unless every label of a multi-output classifier has two classes."""
    for label, count in enumerate(counts):
        if count != 2:
            what = "a single class" if count == 1 else f"{count} classes"
            raise ValueError(
                f"label {label} of the multi-output classifier has {what}; every label must "
                "have two. Explain such a label with a classifier of its own, or drop it"
            )


def knows_labels(model: Any) -> bool:
    """Whether a classifier says that it has labels that do not exclude each other."""
    return bool(getattr(model, "multilabel_", False)) or label_classes(model) is not None


def predicts_indicators(model: Any, sample: Any, columns: int) -> bool:
    """Whether ``predict`` answers a column of zeros and ones for every one of several labels."""
    if columns == 1 or not hasattr(model, "predict"):
        return False
    labels = ask(Method(model, "predict"), sample)
    return np.shape(labels) == (n_rows(sample), columns)


def is_multilabel(model: Any, values: np.ndarray, sample: Any) -> bool:
    """Whether the columns of ``predict_proba`` are labels that do not exclude each other."""
    if knows_labels(model):
        return True
    check_finite(values)
    if np.allclose(values.sum(axis=1), 1, rtol=0, atol=1e-3):
        return False
    # only now is it worth a second call; wrappers and pipelines show it nowhere else
    return predicts_indicators(model, sample, values.shape[1])
