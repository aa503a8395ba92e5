"""The model randomisation check: whether explanations depend on what the model learned."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from fastexplain.metrics._rank import rank_correlation

__all__ = ["randomization_check", "randomize"]


def randomize(
    model: nn.Module,
    generator: torch.Generator | int = 0,
    how: str = "permute",
    buffers: bool = False,
) -> nn.Module:
    """Copy a model and forget what it learned.

    Parameters
    ----------
    model : torch.nn.Module
        It is not changed.
    generator : torch.Generator or int, default=0
        On the CPU, or a seed of one.
    how : {"permute", "normal"}
        Shuffle the entries of each parameter, or draw them from a normal distribution with
        the parameter's mean and standard deviation. Either keeps the size of activations
        about as it was. Constant parameters stay.
    buffers : bool, default=False
        Whether floating buffers are changed, too: running means and variances, but also all
        weights of scripted modules that were saved for inference only.

    Returns
    -------
    torch.nn.Module
        On the same device and in the same mode, with parameters tied as they were.

    Raises
    ------
    TypeError
        If ``model`` is not a torch module.
    ValueError
        If ``how`` is not known, or the model has nothing to change.

    References
    ----------
    Adebayo, J. et al. (2018). Sanity Checks for Saliency Maps. NeurIPS.

    Examples
    --------
    >>> import torch
    >>> from fastexplain.metrics import randomize
    >>> model = torch.nn.Linear(3, 2)
    >>> other = randomize(model)
    >>> torch.equal(other.weight, model.weight)
    False
    >>> torch.equal(other.weight.flatten().sort()[0], model.weight.flatten().sort()[0])
    True
    """
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"model must be a torch module, got {type(model).__name__}. Of a pipeline, or a pair "
            "with a tokenizer or image processor, give the module alone, and explain the pair "
            "(randomize(module), tokenizer); fit another kind of model anew to shuffled labels."
        )
    if how not in ("permute", "normal"):
        raise ValueError(f"how must be 'permute' or 'normal', got {how!r}.")
    if not isinstance(generator, torch.Generator):
        generator = torch.Generator().manual_seed(int(generator))
    other = copy.deepcopy(model)
    # a tied parameter comes once
    weights: list[torch.Tensor] = list(other.parameters())
    if buffers:
        weights += [buffer for buffer in other.buffers() if buffer.is_floating_point()]
    if not weights:
        raise ValueError(
            "The model has no parameters, so its copy would be the same. Pass buffers=True if it "
            "is a script that keeps its weights there, or the module that it was made of."
        )
    with torch.no_grad():
        for parameter in weights:
            if how == "permute":
                order = torch.randperm(parameter.numel(), generator=generator)
                drawn = parameter.flatten()[order.to(parameter.device)].view_as(parameter)
            elif parameter.is_floating_point() and parameter.numel():
                noise = torch.randn(parameter.shape, generator=generator).to(parameter)
                drawn = parameter.mean() + parameter.std(correction=0) * noise
            else:
                continue
            parameter.copy_(drawn)
    return other


def randomization_check(
    values: Any, randomized_values: Any, counts: Any = None, absolute: bool = False
) -> float:
    """Mean rank correlation of explanations of a model and of its randomised copy.

    Near 0 is good. Near 1 says that the explanation does not depend on what the model
    learned, but on the input alone, as an edge detector's would (Adebayo et al., 2018).

    An explainer that asks the model anew for each sample is given the copy of `randomize` in
    the model's place. A learned explainer must be fitted to the copy, with the same settings
    and seed: one fitted to the model knows nothing of the copy, and would fail the check
    whatever it is. Explain the same samples for the same output both times.

    Parameters
    ----------
    values, randomized_values : array-like of shape (n, N)
        Attributions of the same samples and output under the model and under the copy.
    counts : int array-like of shape (n,), optional
        Players that each text has, if some have fewer than N; only these are compared.
    absolute : bool, default=False
        Whether to compare the size of attributions without their sign.

    Returns
    -------
    float
        Mean over the samples of Spearman's correlation, in [-1, 1]. Samples of fewer than two
        players, which have no order, are left out.

    Raises
    ------
    ValueError
        If shapes do not agree, values hold NaN, or no sample has two players.

    References
    ----------
    Adebayo, J. et al. (2018). Sanity Checks for Saliency Maps. NeurIPS.

    Examples
    --------
    >>> from fastexplain.metrics import randomization_check
    >>> round(randomization_check([[0.1, 0.2, 0.3]], [[0.3, 0.2, 0.1]]), 6)
    -1.0
    """
    a, b = np.asarray(values, float), np.asarray(randomized_values, float)
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(
            f"values and randomized_values must both have shape (n, N), got {a.shape} and "
            f"{b.shape}."
        )
    if absolute:
        a, b = np.abs(a), np.abs(b)
    own = np.full(len(a), a.shape[1]) if counts is None else np.asarray(counts)
    if own.shape != (len(a),) or (own < 0).any() or (own > a.shape[1]).any():
        raise ValueError(
            f"counts must be {len(a)} numbers of players from 0 to {a.shape[1]}, one a sample."
        )
    found = [
        rank_correlation(a[own == count, :count], b[own == count, :count])
        for count in np.unique(own[own > 1])
    ]
    if not found:
        raise ValueError("No sample has two players, so there is no order to compare.")
    return float(np.concatenate(found).mean())
