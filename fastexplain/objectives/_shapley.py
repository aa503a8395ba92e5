r"""Losses whose optimum is the Shapley value: labels, and sampled coalitions (FastSHAP)."""

from __future__ import annotations

import torch

__all__ = ["coalition_loss", "label_loss"]


def label_loss(
    values: torch.Tensor,
    labels: torch.Tensor,
    variance: torch.Tensor,
    scale: torch.Tensor,
    null: torch.Tensor,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    r"""Mean squared error to labels (CoRTX, section 3.2), noisy labels counting less.

    Each entry is divided by :math:`s_k^2 + \sigma^2`, the usual size of the output's values
    and the label's own sampling variance.

    Parameters
    ----------
    values, labels, variance : tensor of shape (B, K, N)
        A negative variance marks a label of unknown error, which counts as a noisy one.
    scale : tensor of shape (K,)
    null : bool tensor of shape (B, N)
        Null players, whose values are known.

    Returns
    -------
    loss : scalar tensor
    parts : dict of scalar tensors
    """
    square = scale[:, None] ** 2
    noise = torch.where(variance < 0, square, variance)
    active = (~null)[:, None].to(values.dtype)
    fit = (values - labels) ** 2 / (square + noise) * active
    loss = fit.sum() / (active.sum() * labels.shape[1]).clamp(min=1.0)
    return loss, {"labels": loss.detach()}


def coalition_loss(
    values: torch.Tensor, masks: torch.Tensor, gains: torch.Tensor, scale: torch.Tensor
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    r"""FastSHAP's weighted least squares, :math:`E_S (v(S) - v(\emptyset) - S \cdot \phi)^2`.

    Jethani et al. (2022), Eq. 5, with coalitions drawn from the Shapley kernel. Its optimum
    under the efficiency constraint are the Shapley values.

    Parameters
    ----------
    values : tensor of shape (B, K, N)
        Normalised to their totals.
    masks : tensor of shape (B, T, N)
        Coalitions drawn with the Shapley kernel's probabilities.
    gains : tensor of shape (B, T, K)
        v(S) - v(none).
    scale : tensor of shape (K,)
        Usual size of a value.

    Returns
    -------
    loss : scalar tensor
    parts : dict of scalar tensors
    """
    predicted = torch.einsum("btn,bkn->btk", masks.to(values.dtype), values)
    loss = (((gains - predicted) / scale) ** 2).mean()
    return loss, {"coalitions": loss.detach()}
