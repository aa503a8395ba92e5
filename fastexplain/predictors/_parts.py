"""What a model is made of: the torch module, and what prepares its inputs.

A pipeline of transformers and a pair such as ``(model, tokenizer)`` hold a torch module and
the part that turns texts or images into its inputs. Both are recognised by what they can do.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import torch

from fastexplain.predictors._bound import bound_to
from fastexplain.predictors._pipelines import OPENED_TASKS, is_pipeline, pipeline_task

__all__ = ["ModelParts", "is_tokens", "parts_of", "refuse_wrappers"]


@dataclass(frozen=True, eq=False)
class ModelParts:
    """The parts of a model that a masker and a predictor need.

    Attributes
    ----------
    module : torch.nn.Module or None
        The module that answers; None for every model outside torch.
    tokenizer : object or None
        Turns texts into token ids.
    image_processor : object or None
        Turns images into the numbers that the module takes.
    function : {"sigmoid", "softmax", "none"} or None
        What a pipeline makes of the module's scores, where its configuration does not say
        (``function_to_apply``).
    max_length : int or None
        Most tokens of a text that a pipeline was told to give to the module.
    """

    module: torch.nn.Module | None = None
    tokenizer: Any = None
    image_processor: Any = None
    function: str | None = None
    max_length: int | None = None


def is_tokens(X: Any) -> bool:
    """Whether ``X`` is a batch of token ids, such as `TokenBatch`."""
    return hasattr(X, "ids") and hasattr(X, "attention")


def _is_tokenizer(part: Any) -> bool:
    return callable(part) and (
        hasattr(part, "convert_ids_to_tokens") or hasattr(part, "mask_token")
    )


def _module_of(part: Any) -> torch.nn.Module | None:
    """The torch module that a part is, a compiled one unwrapped, or that it holds as ``model``."""
    if isinstance(part, type):
        return None
    if isinstance(part, torch.nn.Module):
        original = getattr(part, "_orig_mod", None)
        return original if isinstance(original, torch.nn.Module) else part
    # what has a call of its own does more than the module that it holds
    opened = not callable(part) or _is_cross_encoder(part)
    return _held_module(part) if opened else None


def _held_module(part: Any) -> torch.nn.Module | None:
    """The torch module that an object holds as ``model``, if it is not there to encode inputs."""
    held = getattr(part, "model", None)
    # what encodes texts or images itself may hold a module, too
    return held if isinstance(held, torch.nn.Module) and not _prepares(part) else None


def _is_cross_encoder(part: Any) -> bool:
    """Whether it is a CrossEncoder of sentence-transformers, which is not imported to look."""
    known = getattr(sys.modules.get("sentence_transformers"), "CrossEncoder", None)
    return isinstance(known, type) and isinstance(part, known)


def refuse_wrappers(model: Any) -> None:
    """Raise a TypeError for a pair of which one part calls the module that it holds itself."""
    pair = isinstance(model, tuple | list) and len(model) == 2
    if not pair or parts_of(model).module is not None:
        return
    for part in model:
        if isinstance(part, type) or isinstance(part, torch.nn.Module) or not callable(part):
            continue
        if _held_module(part) is not None:
            raise TypeError(
                f"the {type(part).__name__} in the pair has a __call__ of its own, which does more "
                "than the torch module that it holds as .model. Pass the module in its place to "
                "explain that, or a function of the samples that calls the whole"
            )


def _prepares(part: Any) -> bool:
    """Whether something makes a module's inputs: a tokenizer or an image processor."""
    return _is_tokenizer(part) or hasattr(part, "preprocess") or hasattr(part, "image_processor")


def _parts_of_pair(pair: tuple[Any, ...] | list[Any]) -> ModelParts:
    """Parts of a torch module beside a tokenizer or an image processor, in either order."""
    if len(pair) != 2:
        return ModelParts()
    modules = [_module_of(part) for part in pair]
    found = [module for module in modules if module is not None]
    others = [part for part, module in zip(pair, modules, strict=True) if module is None]
    if len(found) != 1 or isinstance(others[0], type):
        return ModelParts()
    other = others[0]
    if _is_tokenizer(other):
        return ModelParts(found[0], tokenizer=other)
    # a processor of images and texts together holds the one for images
    held = getattr(other, "image_processor", None)
    processor = other if held is None else held
    if hasattr(processor, "preprocess") or callable(processor):
        return ModelParts(found[0], image_processor=processor)
    return ModelParts()


def parts_of(model: Any) -> ModelParts:
    """Take a model apart into a torch module and what prepares its inputs.

    Only what is known to be such a combination is taken apart: an object with a ``__call__`` of
    its own is called, whatever it holds.

    Parameters
    ----------
    model : object
        A torch module, compiled or not, or its bound ``forward``; a pipeline of transformers
        for text or image classification; a pair of a torch module and a tokenizer, or of a
        torch module and an image processor; or any other model.

    Returns
    -------
    ModelParts
        With the module None for any other model, and the parts None that there are not.

    Examples
    --------
    >>> import torch
    >>> from fastexplain.predictors import parts_of
    >>> module = torch.nn.Linear(3, 2)
    >>> parts_of(module).module is module
    True
    >>> parts_of(abs).module is None
    True
    """
    if isinstance(model, type):
        return ModelParts()
    if isinstance(model, torch.nn.Module):
        return ModelParts(_module_of(model))
    if isinstance(model, tuple | list):
        return _parts_of_pair(model)
    bound = bound_to(model)
    if bound is not None and isinstance(bound.owner, torch.nn.Module):
        forward = bound.plain and bound.name in ("forward", "__call__", "_wrapped_call_impl")
        return ModelParts(_module_of(bound.owner)) if forward else ModelParts()
    if not is_pipeline(model) or pipeline_task(model) not in OPENED_TASKS:
        return ModelParts()
    module = model.model
    if not isinstance(module, torch.nn.Module):
        return ModelParts()
    given = getattr(model, "_postprocess_params", {}).get("function_to_apply")
    function = _applied_by_default(module) if given is None else getattr(given, "value", given)
    options = getattr(model, "_preprocess_params", {})
    longest = None if options.get("truncation") is False else options.get("max_length")
    images = pipeline_task(model) == "image-classification"
    tokenizer = None if images else model.tokenizer
    processor = model.image_processor if images else None
    return ModelParts(module, tokenizer, processor, function, longest)


def _applied_by_default(module: torch.nn.Module) -> str | None:
    """What pipelines of classification make of a single score that is not called a regressor's."""
    config = getattr(module, "config", None)
    single = getattr(config, "num_labels", None) == 1
    regressor = getattr(config, "problem_type", None) == "regression"
    return "sigmoid" if single and not regressor else None
