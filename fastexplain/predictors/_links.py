"""Links: from a model's raw answers to the outputs that are explained."""

from __future__ import annotations

from typing import overload

import numpy as np
import torch
from scipy.special import expit, softmax

__all__ = ["apply_link"]

# numbers that a CPU handles at once
_VECTOR = 16


@overload
def apply_link(values: np.ndarray, link: str) -> np.ndarray: ...
@overload
def apply_link(values: torch.Tensor, link: str) -> torch.Tensor: ...


def apply_link(values: np.ndarray | torch.Tensor, link: str) -> np.ndarray | torch.Tensor:
    """Turn a matrix of answers into outputs, on the device it is on.

    Parameters
    ----------
    values : ndarray or tensor of shape (B, C)
        Answers of the model.
    link : {"identity", "complement", "sigmoid", "sigmoid_each", "softmax"}
        "complement" turns one probability ``p`` into ``[1 - p, p]``; "sigmoid" turns one
        logit into the same pair; "sigmoid_each" turns every logit into a probability of its
        own; "softmax" normalises every row.

    Returns
    -------
    ndarray or tensor of shape (B, K)
    """
    if link == "identity":
        return values
    return _of_tensor(values, link) if isinstance(values, torch.Tensor) else _of_array(values, link)


def _of_tensor(values: torch.Tensor, link: str) -> torch.Tensor:
    if link == "softmax":
        # along a short last axis the CPU goes number by number: five times as slow
        if values.device.type == "cpu" and values.shape[1] < _VECTOR:
            return torch.softmax(values.T, dim=0).T.contiguous()
        return torch.softmax(values, dim=1)
    if link == "sigmoid_each":
        return torch.sigmoid(values)
    if link == "sigmoid":
        # sigmoid(-d) keeps the digits that 1 - sigmoid(d) would lose
        return torch.sigmoid(torch.cat([-values, values], dim=1))
    return torch.cat([1 - values, values], dim=1)


def _of_array(values: np.ndarray, link: str) -> np.ndarray:
    if link == "softmax":
        return softmax(values, axis=1)
    if link == "sigmoid_each":
        return expit(values)
    if link == "sigmoid":
        return expit(np.hstack([-values, values]))
    return np.hstack([1 - values, values])
