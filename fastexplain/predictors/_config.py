"""What the configuration of a module says about its answers, as in Hugging Face models.

Such a configuration has ``id2label``, the names of the outputs, and ``problem_type``, which
tells classes that exclude each other from independent labels and from plain values.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from fastexplain.predictors._meaning import Meaning, declared

__all__ = ["arguments", "config_of", "label_names", "meaning_of_logits"]


def config_of(module: torch.nn.Module) -> Any:
    """Configuration of a module that names its outputs; None for a module without one."""
    # what spreads a module over devices holds it as .module, and hides its attributes
    for holder in (module, getattr(module, "module", None)):
        config = getattr(holder, "config", None)
        if hasattr(config, "id2label"):
            return config
    return None


def label_names(module: torch.nn.Module) -> list[str] | None:
    """Names of a module's outputs by position; None where it has none."""
    names = getattr(config_of(module), "id2label", None)
    if not isinstance(names, Mapping) or not names:
        return None
    # keys that were read from a file may be text
    return [str(names[key]) for key in sorted(names, key=int)]


def meaning_of_logits(
    module: torch.nn.Module, values: np.ndarray, output: str, rounding: float
) -> Meaning | None:
    """Meaning of answers that the module calls logits; None where its configuration is silent.

    Parameters
    ----------
    module : torch.nn.Module
        The module that answered an object with ``.logits``.
    values : ndarray of shape (B, C)
        The logits.
    output : str
        One of `CHOICES`.
    rounding : float
        Relative rounding error of the type the model computes in.

    Returns
    -------
    Meaning or None
    """
    config = config_of(module)
    if config is None:
        return None
    problem = getattr(config, "problem_type", None)
    reason = f"output={output!r} is given"
    if output == "auto":
        reason = f"logits, and the model's config: problem_type={problem!r}"
        if problem == "multi_label_classification":
            output = "multilabel"
        elif problem == "regression" or (problem is None and values.shape[1] == 1):
            output = "regression"
        else:
            output = "logits"
    if output == "multilabel":
        output = "multilabel_logits"
    return declared(values, output, rounding, reason)


def arguments(
    module: torch.nn.Module, given: dict[str, Any], switches: dict[str, Any] | None = None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments for a module, of those that its ``forward`` really has.

    Parameters
    ----------
    module : torch.nn.Module
        The module to be called.
    given : dict
        What there is to give, by the names that are usual; the first is the main input,
        which goes by position where ``forward`` gives it a name of its own.
    switches : dict, optional
        Settings that are given only where ``forward`` names them.

    Returns
    -------
    args : tuple
    kwargs : dict
    """
    main = next(iter(given))
    try:
        parameters = inspect.signature(module.forward).parameters
    except (TypeError, ValueError):
        return (given[main],), {}  # compiled code may not show its parameters
    kinds = {parameter.kind for parameter in parameters.values()}
    positional = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    if inspect.Parameter.VAR_KEYWORD in kinds and not kinds & positional:
        # what spreads a module over devices passes everything on to it
        inner = getattr(module, "module", None)
        if isinstance(inner, torch.nn.Module):
            return arguments(inner, given, switches)
        return (), given
    offered = given | (switches or {})
    named = {name: value for name, value in offered.items() if name in parameters}
    return ((), named) if main in named else ((given[main],), named)
