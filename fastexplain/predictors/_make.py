"""Making a predictor: recognise the model by what it can do, then probe it."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from sklearn.exceptions import NotFittedError

from fastexplain.predictors._boosters import (
    is_lightgbm_booster,
    is_xgboost_booster,
    read_lightgbm,
    read_xgboost,
)
from fastexplain.predictors._estimators import is_estimator, read_estimator
from fastexplain.predictors._matrix import describe, first_rows
from fastexplain.predictors._meaning import CHOICES, declared, guessed
from fastexplain.predictors._predictor import ArrayCall, Predictor, build_predictor
from fastexplain.predictors._torch import read_torch

__all__ = ["make_predictor"]

_PROBE_ROWS = 64


def _check_model(model: Any) -> None:
    """Raise a TypeError for what cannot be a model, naming the cure."""
    if isinstance(model, type):
        raise TypeError(
            f"the model is the class {model.__name__} itself; pass a fitted instance of it, "
            f"such as {model.__name__}(...).fit(X, y)"
        )
    if isinstance(model, torch.nn.Module) or is_estimator(model) or callable(model):
        return
    raise TypeError(
        f"the model must be a fitted estimator, a torch module, a booster or a function of X; "
        f"got {describe(model)}. The second argument of fit is the model, not the labels"
    )


def _read_function(function: Any, sample: Any, output: str) -> tuple[Predictor, str | None]:
    """Predictor of a plain function of tables."""
    call = ArrayCall(function)
    values = call(sample)
    meaning = guessed(values, torch_module=False) if output == "auto" else declared(values, output)
    return build_predictor(call, meaning, values.shape[1]), meaning.doubt


def _read(model: Any, sample: Any, output: str) -> tuple[Predictor, str | None]:
    """Predictor of a model by the first capability it has."""
    if isinstance(model, torch.nn.Module):
        return read_torch(model, sample, output)
    # boosters have predict, too, but their objective says more than their numbers
    if is_xgboost_booster(model):
        return read_xgboost(model, sample, output)
    if is_lightgbm_booster(model):
        return read_lightgbm(model, sample, output)
    if is_estimator(model):
        return read_estimator(model, sample, output)
    return _read_function(model, sample, output)


def make_predictor(model: Any, X: Any, *, output: str = "auto") -> Predictor:
    """Make any model one batched function from rows to a matrix of outputs.

    The model is recognised by what it can do: a ``torch.nn.Module``, a booster of XGBoost or
    LightGBM, an estimator with ``predict_proba`` or ``predict``, or a function of `X`. It is
    asked once or twice for the first rows of `X` to see what it answers.

    Parameters
    ----------
    model : object
        A fitted model or a function that takes `X` and returns numbers of shape ``(B,)`` or
        ``(B, C)``. A torch module that is shared between threads should be in evaluation
        mode; otherwise it is put there for the time of each call.
    X : ndarray or pandas or polars DataFrame of shape (n, p)
        Rows in exactly the container the model was fitted on; the first 64 are used. A torch
        module takes a tensor, too.
    output : {"auto", "probability", "logits", "regression", "multilabel"}, default="auto"
        What the model answers:

        - "probability": probabilities of classes; one column ``p`` becomes ``[1 - p, p]``;
        - "logits": scores of classes, put through a softmax, or through a sigmoid if there
          is one column; classifiers are asked for their ``decision_function``;
        - "regression": plain values;
        - "multilabel": an independent probability in each column;
        - "auto": what the model says about itself or, failing that, what its answers show.

    Returns
    -------
    Predictor
        Maps rows of shape ``(B, p)`` to outputs of shape ``(B, K)``.

    Raises
    ------
    TypeError
        `model` is no model (a class, None, labels), or `X` is no table.
    ValueError
        The answers have the wrong shape or type, are not finite where they have to be
        judged, contradict `output`, or allow more than one reading.
    sklearn.exceptions.NotFittedError
        The model is not fitted.

    Warns
    -----
    UserWarning
        The answers left room for doubt; the message says how they were read.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fastexplain.predictors import make_predictor
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> model = LogisticRegression().fit(X, ["cat", "cat", "dog", "dog"])
    >>> predictor = make_predictor(model, X)
    >>> predictor.kind, predictor.output_names
    ('classification', ['cat', 'dog'])
    >>> predictor(X).shape
    (4, 2)
    """
    if output not in CHOICES:
        raise ValueError(f"output must be one of {', '.join(CHOICES)}; got {output!r}")
    _check_model(model)
    sample = first_rows(X, _PROBE_ROWS)
    try:
        predictor, doubt = _read(model, sample, output)
    except NotFittedError as error:
        if not hasattr(model, "fit"):
            raise  # a function around a model knows better what is not fitted
        raise NotFittedError(
            f"the {type(model).__name__} must be fitted before it can be explained: call "
            f"model.fit(X, y) first ({error})"
        ) from error
    if doubt is not None:
        warnings.warn(doubt, UserWarning, stacklevel=2)
    return predictor
