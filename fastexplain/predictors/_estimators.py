"""Estimators in the manner of scikit-learn: recognised by the methods they have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastexplain.predictors._answers import Select, answer_names, part_of
from fastexplain.predictors._bound import Bound
from fastexplain.predictors._calls import ArrayCall, Method, check_square
from fastexplain.predictors._labels import (
    asks_for_scores,
    check_binary_labels,
    estimator_type,
    is_classifier,
    is_estimator,
    is_multilabel,
    knows_labels,
    label_classes,
    predicts_indicators,
    refuse_classifier,
    refuse_labels,
)
from fastexplain.predictors._margins import (
    LogOdds,
    SecondClass,
    is_tables,
    margin_call,
    pair_cure,
    scores_classes,
)
from fastexplain.predictors._matrix import ask, n_rows, to_matrix
from fastexplain.predictors._meaning import Meaning, OutputError, declared, guessed
from fastexplain.predictors._predictor import Predictor, build_predictor

__all__ = ["read_bound", "read_estimator"]

Reading = tuple[Predictor, str | None]


def _asked(function: Any, sample: Any, select: Select) -> tuple[ArrayCall, Any, bool]:
    """How a method is asked, the part of its answer that is explained, and if that is all."""
    answer = ask(function, sample)
    part = answer if select is None else part_of(answer, n_rows(sample), select)
    return ArrayCall(function, select).like(part), part, part is answer


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
    check_binary_labels([table.shape[1] for table in tables])
    call = ArrayCall(SecondClass(model))
    meaning = Meaning("multilabel", "identity", f"{_named(model)}.predict_proba of each label")
    return build_predictor(call, meaning, len(tables)), None


def _read_probabilities(
    model: Any, sample: Any, output: str, select: Select, function: Any = None
) -> Reading:
    """Predictor from ``predict_proba``, or from a partial of it."""
    method = Method(model, "predict_proba") if function is None else function
    call, part, whole = _asked(method, sample, select)
    if whole and is_tables(part):
        return _read_label_list(model, part, sample, output)
    values = to_matrix(part, n_rows(sample))
    columns, reason = values.shape[1], f"{_named(model)}.predict_proba"
    classes = getattr(model, "classes_", None) if whole else _classes_of_part(model, select)
    if output != "auto":
        meaning = declared(values, output)
    elif not whole:
        # what the user makes of the answer shows in its numbers alone
        meaning = guessed(values, torch_module=False)
    elif is_multilabel(model, values, sample):
        check_binary_labels([len(part) for part in label_classes(model) or []])
        meaning = declared(values, "multilabel", reason=reason)
    elif columns == 1:
        meaning = declared(values, "probability", reason=reason)
    else:
        meaning = guessed(values, torch_module=False)
    if output == "auto" and whole and meaning.doubt is None:
        meaning = replace(meaning, reason=reason)
    names = answer_names(part, columns)
    meaning = replace(meaning, classes=_in_order(classes, names), names=names)
    return build_predictor(call, meaning, columns), meaning.doubt


def _classes_of_part(model: Any, select: Select) -> np.ndarray | None:
    """Classes of the label whose table is selected; None for what a function selects."""
    classes = label_classes(model)
    if classes is None or not isinstance(select, int):
        return None
    return classes[select] if -len(classes) <= select < len(classes) else None


def _in_order(classes: Any, names: list[str] | None) -> Any:
    """Classes in the order of the columns of a data frame that is named after them."""
    if classes is None or names is None:
        return classes
    own = [str(label) for label in np.asarray(classes).tolist()]
    if len(set(own)) < len(own) or sorted(own) != sorted(names):
        return classes
    return np.asarray(classes)[[own.index(name) for name in names]]


def _read_scores(
    model: Any, sample: Any, output: str, classifier: bool, select: Select = None
) -> Reading:
    """Predictor from raw scores: as they are ("margin"), or through a link."""
    # log-odds would only be turned into probabilities again
    call, how = margin_call(model, classifier and output == "margin", output)
    several = classifier and _has_labels(model, sample, call)
    if isinstance(call.function, LogOdds):
        if several:
            check_binary_labels([len(part) for part in label_classes(model) or []])
        call = ArrayCall(replace(call.function, pair=not several))
    call, part, whole = _asked(call.function, sample, select)
    values = to_matrix(part, n_rows(sample))
    columns = values.shape[1]
    if several and output == "logits":
        raise OutputError(
            "output='logits' means classes that exclude each other, but the classifier has "
            "independent labels"
        )
    meaning = declared(values, output, reason=f"output={output!r}: {_named(model)}, {how}")
    if not whole or not classifier:
        pass  # nothing is known of the columns
    elif several:
        if meaning.output == "margin":
            names = [f"label_{k}" for k in range(columns)]
            meaning = replace(meaning, output="regression", names=names)
    elif how == "decision_function" and not scores_classes(model, sample, values):
        if output != "margin":
            raise OutputError(
                f"output={output!r} needs a score for each class, but the {columns} columns of "
                f"{_named(model)}.decision_function are none, such as pairs of classes: "
                f"{pair_cure(model)}"
            )
        meaning = replace(meaning, output="regression", reason=_no_classes(model, columns))
    else:
        meaning = replace(meaning, classes=getattr(model, "classes_", None))
    return build_predictor(call, meaning, columns), None


def _has_labels(model: Any, sample: Any, call: ArrayCall) -> bool:
    """Whether the columns of a classifier's scores are labels that do not exclude each other."""
    if knows_labels(model):
        return True
    odds = call.function if isinstance(call.function, LogOdds) else None
    # two labels look like two classes, of which the second is meant
    raw = call if odds is None else ArrayCall(replace(odds, pair=False))
    return predicts_indicators(model, sample, raw(sample).shape[1])


def _no_classes(model: Any, columns: int) -> str:
    return (
        f"{_named(model)}.decision_function, whose {columns} columns are not one for each class, "
        "explained as plain values"
    )


def _read_predictions(model: Any, sample: Any, output: str, select: Select) -> Reading:
    """Predictor from ``predict`` of a regressor, or of a model that does not say what it is."""
    kind = estimator_type(model)
    if output != "regression":
        refuse_labels(model)
    call, part, _ = _asked(Method(model, "predict"), sample, select)
    values = to_matrix(part, n_rows(sample))
    check_square(call, sample, values.shape[1])
    if output != "auto":
        meaning = declared(values, output)
    elif kind == "regressor":
        meaning = Meaning("regression", "identity", f"the regressor {_named(model)}")
    else:
        meaning = guessed(values, torch_module=False)
    meaning = replace(meaning, names=answer_names(part, values.shape[1]))
    return build_predictor(call, meaning, values.shape[1]), meaning.doubt


def _named(model: Any) -> str:
    return type(model).__name__


def read_estimator(model: Any, sample: Any, output: str, select: Select = None) -> Reading:
    """Predictor of an estimator.

    Parameters
    ----------
    model : estimator
        A model with ``predict_proba``, ``decision_function`` or ``predict``.
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
    classifier = has_probabilities or is_classifier(model)
    if output == "margin" or (output in ("logits", "multilabel_logits") and classifier):
        return _read_scores(model, sample, output, classifier, select)
    if output == "regression" and (kind == "classifier" or not hasattr(model, "predict")):
        raise OutputError(
            f"output='regression' does not fit the classifier {type(model).__name__}, whose "
            "labels are no quantity; model.predict with output='regression' explains numeric ones "
            "as plain values"
        )
    if has_probabilities and output != "regression":
        return _read_probabilities(model, sample, output, select)
    if classifier and output != "regression":
        refuse_classifier(model, sample)
    return _read_predictions(model, sample, output, select)


def read_bound(bound: Bound, sample: Any, output: str, select: Select = None) -> Reading | None:
    """Predictor of a method of an estimator; None where its name says nothing.

    ``model.predict`` of a regressor is a regression, ``model.predict_proba`` brings the names
    of the classes, and ``model.predict`` of a classifier answers labels, which are refused.

    Parameters
    ----------
    bound : Bound
    sample : ndarray or data frame of shape (B, p)
    output : str
        One of `CHOICES`.
    select : str, int, callable or None
        Which part of an answer is explained.

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
        function = None if bound.plain else bound.call
        return _read_probabilities(model, sample, output, select, function)
    predicts = name == "predict" and is_estimator(model)
    if predicts and output != "regression" and not asks_for_scores(bound):
        refuse_labels(model)
    if not bound.plain:
        return None
    if predicts:
        return _read_predictions(model, sample, output, select)
    if select is not None:
        return None
    if name == "decision_function" and is_classifier(model):
        if output in ("logits", "multilabel_logits"):
            return _read_scores(model, sample, output, classifier=True)
    scores = name in ("decision_function", "predict_log_proba", "score_samples")
    if scores and output in ("auto", "margin", "regression"):
        return _read_plain_scores(bound, sample, output)
    return None


def _read_plain_scores(bound: Bound, sample: Any, output: str) -> Reading:
    """Predictor of scores by a method whose name says that they are some."""
    model = bound.owner
    call, part, _ = _asked(Method(model, bound.name), sample, None)
    values = to_matrix(part, n_rows(sample))
    columns = values.shape[1]
    reason = f"{_named(model)}.{bound.name}"
    classes = getattr(model, "classes_", None)
    plain = Meaning("regression", "identity", reason)
    if output == "regression" or not isinstance(classes, np.ndarray):
        return build_predictor(call, plain, columns), None
    if knows_labels(model) or predicts_indicators(model, sample, columns):
        return build_predictor(call, plain, columns), None
    one_each = len(classes) in (columns, 2 * (columns == 1))
    if bound.name == "decision_function":
        one_each = one_each and scores_classes(model, sample, values)
    if not one_each:
        plain = replace(plain, reason=_no_classes(model, columns))
        return build_predictor(call, plain, columns), None
    meaning = Meaning("margin", "identity", reason, classes=classes)
    return build_predictor(call, meaning, columns), None
