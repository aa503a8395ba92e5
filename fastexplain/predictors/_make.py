"""Making a predictor: recognise the model by what it can do, then probe it."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
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
from fastexplain.predictors._huggingface import read_tokens
from fastexplain.predictors._images import read_images
from fastexplain.predictors._matrix import describe, first_rows, is_texts
from fastexplain.predictors._meaning import CHOICES, declared, guessed
from fastexplain.predictors._parts import ModelParts, is_tokens, parts_of
from fastexplain.predictors._predictor import ArrayCall, Predictor, build_predictor
from fastexplain.predictors._torch import read_torch

__all__ = ["make_predictor"]

_PROBE_ROWS = 64
_FEWEST_ROWS = 8
# large images and long texts take a network seconds, and a few of them tell as much
_PROBE_NUMBERS = 2**21
_PROBE_TOKENS = 2**12


def _check_model(model: Any) -> None:
    """Raise a TypeError for what cannot be a model, naming the cure."""
    if isinstance(model, type):
        raise TypeError(
            f"the model is the class {model.__name__} itself; pass a fitted instance of it, "
            f"such as {model.__name__}(...).fit(X, y)"
        )
    if parts_of(model).module is not None or is_estimator(model) or callable(model):
        return
    if isinstance(model, tuple | list) and any(isinstance(m, torch.nn.Module) for m in model):
        raise TypeError(
            "several parts given as the model must be a pair: a torch module and its tokenizer, "
            f"or a torch module and its image processor; got {[type(m).__name__ for m in model]}"
        )
    raise TypeError(
        f"the model must be a fitted estimator, a torch module, a booster or a function of X; "
        f"got {describe(model)}. The second argument of fit is the model, not the labels"
    )


def _probe(X: Any) -> Any:
    """First samples of ``X``, as many as a model can be asked for in a moment."""
    shape = getattr(X, "shape", ())
    size = math.prod(shape[1:]) if isinstance(shape, tuple) else 1
    budget = _PROBE_TOKENS if is_tokens(X) else _PROBE_NUMBERS
    rows = min(max(budget // max(size, 1), _FEWEST_ROWS), _PROBE_ROWS)
    return first_rows(X, rows)


# what a pipeline makes of scores, as what they are
_APPLIED = {"sigmoid": "multilabel", "softmax": "logits", "none": "regression"}


def _read_function(function: Any, sample: Any, output: str) -> tuple[Predictor, str | None]:
    """Predictor of a plain function of tables."""
    call = ArrayCall(function)
    values = call(sample)
    meaning = guessed(values, torch_module=False) if output == "auto" else declared(values, output)
    return build_predictor(call, meaning, values.shape[1]), meaning.doubt


def _read_module(
    module: torch.nn.Module, parts: ModelParts, sample: Any, output: str
) -> tuple[Predictor, str | None]:
    """Predictor of a torch module by what the samples and its other parts are."""
    if is_tokens(sample):
        return read_tokens(module, sample, output)
    if is_texts(sample):
        raise TypeError(
            "a torch module takes batches of token ids, not texts: a masker of texts makes them "
            "with the tokenizer of a pipeline, or of a pair (model, tokenizer)"
        )
    if parts.image_processor is not None:
        return read_images(module, parts.image_processor, sample, output)
    if parts.tokenizer is not None:
        raise TypeError(
            f"a model with a tokenizer takes batches of token ids; got {describe(sample)}. For "
            "numbers pass the torch module alone, for images a pair (model, image processor)"
        )
    return read_torch(module, sample, output)


def _read(model: Any, sample: Any, output: str) -> tuple[Predictor, str | None]:
    """Predictor of a model by the first capability it has."""
    parts = parts_of(model)
    if output == "auto" and parts.function is not None:
        output = _APPLIED.get(parts.function, "auto")
    if parts.module is not None:
        return _read_module(parts.module, parts, sample, output)
    if is_tokens(sample):
        raise TypeError(
            f"token ids are for torch modules; {describe(model)} is none. Give it the texts"
        )
    # boosters have predict, too, but their objective says more than their numbers
    if is_xgboost_booster(model):
        return read_xgboost(model, sample, output)
    if is_lightgbm_booster(model):
        return read_lightgbm(model, sample, output)
    if is_estimator(model):
        return read_estimator(model, sample, output)
    return _read_function(model, sample, output)


def make_predictor(model: Any, X: Any, *, output: str = "auto") -> Predictor:
    """Make any model one batched function from samples to a matrix of outputs.

    The model is recognised by what it can do: a ``torch.nn.Module``, a pipeline of
    transformers, a booster of XGBoost or LightGBM, an estimator with ``predict_proba`` or
    ``predict``, or a function of `X`. It is asked once or twice for the first samples of `X`
    to see what it answers.

    Parameters
    ----------
    model : object
        A fitted model or a function that takes `X` and returns numbers of shape ``(B,)`` or
        ``(B, C)``. Functions and estimators of texts are given lists of strings. A torch
        module that is shared between threads should be in evaluation mode; otherwise it is
        put there for the time of each call. What prepares its inputs comes along in a
        pipeline, or in a pair ``(model, tokenizer)`` or ``(model, image_processor)``.
    X : ndarray or pandas or polars DataFrame of shape (n, p)
        Rows in exactly the container the model was fitted on; at most the first 64 are used.
        A torch module takes a tensor, too. Images are arrays or tensors of shape (n, ...),
        texts an object ndarray of shape (n,), and token ids a `TokenBatch`.
    output : {"auto", "probability", "logits", "regression", "multilabel"}, default="auto"
        What the model answers:

        - "probability": probabilities of classes; one column ``p`` becomes ``[1 - p, p]``;
        - "logits": scores of classes, put through a softmax, or through a sigmoid if there
          is one column; classifiers are asked for their ``decision_function``;
        - "regression": plain values;
        - "multilabel": an independent probability in each column;
        - "auto": what the model says about itself or, failing that, what its answers show.

        A model with a ``config`` that answers an object with ``.logits`` says what they are:
        "multilabel" then puts a sigmoid on each of them.

    Returns
    -------
    Predictor
        Maps samples, such as rows of shape ``(B, p)``, to outputs of shape ``(B, K)``.

    Raises
    ------
    TypeError
        `model` is no model (a class, None, labels), or `X` is nothing that it takes.
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
    sample = _probe(X)
    try:
        predictor, doubt = _read(model, sample, output)
    except NotFittedError as error:
        if not hasattr(model, "fit"):
            raise  # a function around a model knows better what is not fitted
        raise NotFittedError(
            f"the {type(model).__name__} must be fitted before it can be explained: call "
            f"model.fit(X, y) first ({error})"
        ) from error
    if is_texts(sample):
        predictor = replace(predictor, takes="texts")
    if doubt is not None:
        warnings.warn(doubt, UserWarning, stacklevel=2)
    return predictor
