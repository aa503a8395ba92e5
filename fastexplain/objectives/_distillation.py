"""Distillation of a model's outputs into a network."""

from __future__ import annotations

import torch
from torch.nn import functional as F

__all__ = ["as_outputs", "distillation_loss"]


def as_outputs(logits: torch.Tensor, kind: str) -> torch.Tensor:
    """What a model of a kind would answer: probabilities, or the numbers as they are.

    Parameters
    ----------
    logits : tensor of shape (..., K)
    kind : {"classification", "multilabel", "regression"}

    Returns
    -------
    tensor of shape (..., K)
    """
    if kind == "classification":
        return logits.softmax(dim=-1)
    return torch.sigmoid(logits) if kind == "multilabel" else logits


def distillation_loss(logits: torch.Tensor, outputs: torch.Tensor, kind: str) -> torch.Tensor:
    r"""Divergence of a network from the model it stands for (Frye et al., 2021, Eq. 12).

    :math:`KL(f(x) \| \hat f(x_S))` for classes, one for each label of several, squared error
    for real-valued outputs. With rows and coalitions drawn, its optimum is the expectation
    of ``f`` given the features in S.

    Parameters
    ----------
    logits : tensor of shape (B, K)
        The network's, for masked rows.
    outputs : tensor of shape (B, K)
        The model's probabilities or standardised values for whole rows.
    kind : {"classification", "multilabel", "regression"}

    Returns
    -------
    tensor of shape (B,)
    """
    if kind == "regression":
        return ((logits - outputs) ** 2).mean(dim=1)
    if kind == "classification":
        entropy = torch.special.entr(outputs).sum(dim=1)
        return -(outputs * F.log_softmax(logits, dim=1)).sum(dim=1) - entropy
    cross = F.binary_cross_entropy_with_logits(logits, outputs, reduction="none")
    entropy = torch.special.entr(outputs) + torch.special.entr(1.0 - outputs)
    return (cross - entropy).mean(dim=1)
