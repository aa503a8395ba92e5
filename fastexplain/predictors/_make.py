"""Making a predictor: recognise the model by what it can do, then probe it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import NotFittedError

from fastexplain._warnings import warn_user
from fastexplain.predictors._answers import Select, answer_names, check_select, settled
from fastexplain.predictors._boosters import (
    is_lightgbm_booster,
    is_xgboost_booster,
    read_lightgbm,
    read_xgboost,
)
from fastexplain.predictors._bound import bound_to, owner_of
from fastexplain.predictors._calls import ArrayCall, check_square
from fastexplain.predictors._estimators import read_bound, read_estimator
from fastexplain.predictors._huggingface import read_tokens
from fastexplain.predictors._images import read_images
from fastexplain.predictors._labels import is_estimator
from fastexplain.predictors._matrix import ask, describe, is_texts, n_rows, some_rows, to_matrix
from fastexplain.predictors._meaning import CHOICES, OutputError, declared, guessed
from fastexplain.predictors._parts import ModelParts, is_tokens, parts_of, refuse_wrappers
from fastexplain.predictors._pipelines import refuse_pipeline
from fastexplain.predictors._predictor import Predictor, build_predictor, with_names
from fastexplain.predictors._torch import read_torch

__all__ = ["make_predictor", "probe_size", "read_predictor"]

_PROBE_ROWS = 64
_FEWEST_ROWS = 8
# large images and long texts take a network seconds, and a few of them tell as much
_PROBE_NUMBERS = 2**21
_PROBE_TOKENS = 2**12

Reading = tuple[Predictor, str | None]

# what a pipeline makes of scores, as what they are
_APPLIED = {"sigmoid": "multilabel", "softmax": "logits", "none": "regression"}


def _check_model(model: Any) -> None:
    """Raise a TypeError for what cannot be a model, naming the cure."""
    if isinstance(model, type):
        raise TypeError(
            f"the model is the class {model.__name__} itself; pass a fitted instance of it, "
            f"such as {model.__name__}(...).fit(X, y)"
        )
    refuse_pipeline(model)
    refuse_wrappers(model)
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


def probe_size(X: Any) -> int:
    """How many samples of ``X`` a model can be asked for in a moment, 8 to 64."""
    shape = getattr(X, "shape", ())
    size = math.prod(shape[1:]) if isinstance(shape, tuple) else 1
    budget = _PROBE_TOKENS if is_tokens(X) else _PROBE_NUMBERS
    return min(max(budget // max(size, 1), _FEWEST_ROWS), _PROBE_ROWS)


class _Reader:
    """Reads what a model answers to a sample; one for each call of `make_predictor`."""

    def __init__(self, model: Any, sample: Any, rows: np.ndarray, select: Select) -> None:
        self.model, self.sample, self.rows, self.select = model, sample, rows, select

    def read(self, output: str) -> Reading:
        """Predictor of the model by the first capability it has."""
        model, sample = self.model, self.sample
        parts = parts_of(model)
        if output == "auto" and parts.function is not None:
            output = _APPLIED.get(parts.function, "auto")
        if parts.module is not None:
            return self._module(parts.module, parts, output)
        if is_tokens(sample):
            raise TypeError(
                f"token ids are for torch modules; {describe(model)} is none. Give it the texts"
            )
        bound = bound_to(model)
        booster = owner_of(model) if bound is None or bound.name == "predict" else None
        # boosters have predict, too, but their objective says more than their numbers
        if is_xgboost_booster(booster):
            given = {} if bound is None else bound.keywords
            return read_xgboost(booster, sample, output, given, self.select)
        if is_lightgbm_booster(booster) and (bound is None or bound.plain):
            return read_lightgbm(booster, sample, output, self.select)
        found = None if bound is None else read_bound(bound, sample, output, self.select)
        if found is not None:
            return found
        if is_estimator(model):
            return read_estimator(model, sample, output, self.select)
        return self._function(output)

    def _function(self, output: str) -> Reading:
        """Predictor of a plain function of tables."""
        answer = ask(self.model, self.sample)
        count = n_rows(self.sample)
        call = ArrayCall(self.model, settled(answer, count, self.select))
        part = ArrayCall(lambda _: answer, call.select).raw(self.sample)
        values, call = to_matrix(part, count), call.like(part)
        check_square(call, self.sample, values.shape[1])
        if output == "auto":
            meaning = guessed(values, torch_module=False, rows=self.rows)
        else:
            meaning = declared(values, output)
        meaning = replace(meaning, names=answer_names(part, values.shape[1]))
        return build_predictor(call, meaning, values.shape[1]), meaning.doubt

    def _module(self, module: torch.nn.Module, parts: ModelParts, output: str) -> Reading:
        """Predictor of a torch module by what the samples and its other parts are."""
        sample, given = self.sample, (self.select, self.rows)
        config = getattr(module, "config", None)
        if hasattr(config, "text_config") and hasattr(config, "vision_config"):
            raise TypeError(
                f"{type(module).__name__} takes images and texts together, as CLIP does, and "
                "answers how alike they are. Pass a function of one of them, with the other "
                "fixed: lambda images: model(**processor(text=labels, images=list(images), "
                "return_tensors='pt')).logits_per_image.softmax(1)"
            )
        if is_tokens(sample):
            return read_tokens(module, sample, output, *given)
        if is_texts(sample):
            raise TypeError(
                "a torch module takes batches of token ids, not texts: a masker of texts makes "
                "them with the tokenizer of a pipeline, or of a pair (model, tokenizer)"
            )
        if parts.image_processor is not None:
            return read_images(module, parts.image_processor, sample, output, *given)
        if parts.tokenizer is not None:
            raise TypeError(
                f"a model with a tokenizer takes batches of token ids; got {describe(sample)}. "
                "For numbers pass the torch module alone, for images a pair (model, image "
                "processor)"
            )
        return read_torch(module, sample, output, *given)

    def choices(self, without: str) -> list[str]:
        """Values of ``output=`` that the model's answers fit."""
        found = []
        for output in CHOICES:
            if output == without:
                continue
            try:
                self.read(output)
            except Exception:
                continue
            found.append(output)
        return found


def make_predictor(
    model: Any,
    X: Any,
    *,
    output: str = "auto",
    output_names: Sequence[str] | None = None,
    select: Select = None,
) -> Predictor:
    """Make any model one batched function from samples to a matrix of outputs.

    The model is recognised by what it can do: a ``torch.nn.Module``, a pipeline of
    transformers, a booster of XGBoost or LightGBM, an estimator with ``predict_proba`` or
    ``predict``, a method of these, or a function of `X`. It is asked once or twice for some
    samples of `X` to see what it answers.

    Parameters
    ----------
    model : object
        A fitted model or a function that takes `X` and returns numbers of shape ``(B,)`` or
        ``(B, C)``. Functions and estimators of texts are given lists of strings. A torch
        module that is shared between threads should be in evaluation mode; otherwise it is
        put there for the time of each call. What prepares its inputs comes along in a
        pipeline, or in a pair ``(model, tokenizer)`` or ``(model, image_processor)``.
    X : ndarray or pandas or polars DataFrame of shape (n, p)
        Rows in exactly the container the model was fitted on; at most 64, spread over all of
        them, are used. A torch module takes a tensor, too. Images are arrays or tensors of
        shape (n, ...), texts an object ndarray of shape (n,), and token ids a `TokenBatch`.
    output : str, default="auto"
        What the model answers:

        - "probability": probabilities of classes; one column ``p`` becomes ``[1 - p, p]``;
        - "logits": scores of classes, put through a softmax, or through a sigmoid if there
          is one column; classifiers are asked for their raw scores;
        - "margin": raw scores or log-odds of classes, explained as they are. Classifiers give
          their ``decision_function``, boosters their raw scores, others the log-odds of
          ``predict_proba`` (kept 1e-6 away from 0 and 1);
        - "regression": plain values;
        - "multilabel": an independent probability in each column;
        - "multilabel_logits": a logit of an independent label in each column;
        - "auto": what the model says about itself or, failing that, what its answers show. One
          column that nothing is known about is explained as it is.

        A model with a ``config`` that answers an object with ``.logits`` says what they are:
        "multilabel" then puts a sigmoid on each of them.
    output_names : sequence of str, optional
        Names of the outputs. Default: those of the model's classes, of its ``config.id2label``,
        or of the columns of a data frame that it answers. The model's own names cannot be given
        in another order.
    select : str, int or callable, optional
        Which part is explained where the model answers a dict, tuple or list: a key, a
        position, or a function of the answer. Not needed where one part alone has a row for
        each sample.

    Returns
    -------
    Predictor
        Maps samples, such as rows of shape ``(B, p)``, to outputs of shape ``(B, K)``. Later
        answers that leave the range that was read, such as a probability of 2, raise.

    Raises
    ------
    TypeError
        `model` is no model (a class, None, labels), or `X` is nothing that it takes.
    ValueError
        The answers have the wrong shape or type, are not finite where they have to be
        judged, contradict `output`, or allow more than one reading. The message names the
        choices that fit.
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
    >>> predictor.kind, predictor.output_names, predictor.reason
    ('classification', ['cat', 'dog'], 'LogisticRegression.predict_proba')
    >>> predictor(X).shape
    (4, 2)
    """
    predictor, doubt = read_predictor(model, X, output, output_names, select)
    if doubt is not None:
        warn_user(doubt)
    return predictor


def read_predictor(
    model: Any, X: Any, output: str, output_names: Sequence[str] | None, select: Select
) -> Reading:
    """A predictor, and what there is to warn about, which is not done here.

    Parameters
    ----------
    model, X, output, output_names, select
        See `make_predictor`.

    Returns
    -------
    predictor : Predictor
    doubt : str or None
    """
    if output not in CHOICES:
        raise ValueError(f"output must be one of {', '.join(CHOICES)}; got {output!r}")
    check_select(select)
    _check_model(model)
    sample, rows = some_rows(X, probe_size(X))
    reader = _Reader(model, sample, rows, select)
    try:
        predictor, doubt = reader.read(output)
    except OutputError as error:
        fits = [f"output={choice!r}" for choice in reader.choices(output)]
        cure = f"What fits its answers: {', '.join(fits)}" if fits else "No output= fits them"
        raise ValueError(f"{error}. {cure}") from error
    except NotFittedError as error:
        if not hasattr(model, "fit"):
            raise  # a function around a model knows better what is not fitted
        raise NotFittedError(
            f"the {type(model).__name__} must be fitted before it can be explained: call "
            f"model.fit(X, y) first ({error})"
        ) from error
    if is_texts(sample):
        predictor = replace(predictor, takes="texts")
    return with_names(predictor, output_names), doubt
