r"""Losses whose optimum is the Shapley value: labels, and sampled coalitions (FastSHAP)."""

from __future__ import annotations

import torch

__all__ = ["coalition_loss", "label_loss"]

# errors, in usual sizes of a value, from which on a row's distance counts and not its square
_DELTA = 0.03


def label_loss(
    values: torch.Tensor,
    labels: torch.Tensor,
    variance: torch.Tensor,
    scale: torch.Tensor,
    null: torch.Tensor,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    r"""Distance to labels (CoRTX-MSE, section 4.2): squared, or of exact rows its root.

    With :math:`m` the mean over a row's players of
    :math:`(\hat\phi_j - \phi_j)^2 / (s^2 + \sigma_j^2)`, the usual size of the output's values
    and the label's own sampling variance, a row costs :math:`m / 2` if its labels are noisy.
    Squares are what an unbiased noise averages out in. Exact labels have none, and the
    measure that counts is the mean of norms, not of squares: their rows cost the pseudo-Huber
    :math:`\delta (\sqrt{m + \delta^2} - \delta)`, so that few hard rows do not rule.

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
        Mean over rows and outputs.
    parts : dict of scalar tensors
    """
    square = scale[:, None] ** 2
    active = (~null)[:, None].to(values.dtype)
    noise = torch.where(variance < 0, square, variance) * active
    fit = (values - labels) ** 2 / (square + noise) * active
    rows = fit.sum(dim=2) / active.sum(dim=2).clamp(min=1.0)
    root = _DELTA * ((rows + _DELTA**2).sqrt() - _DELTA)
    exact = (noise == 0).all(dim=2)
    loss = torch.where(exact, root, 0.5 * rows).mean()
    return loss, {"labels": loss.detach()}


def coalition_loss(
    values: torch.Tensor,
    masks: torch.Tensor,
    gains: torch.Tensor,
    scale: torch.Tensor,
    weights: torch.Tensor | None = None,
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
    weights : tensor of shape (B, T), optional
        What each coalition counts for, where they are not drawn as the kernel has them.

    Returns
    -------
    loss : scalar tensor
    parts : dict of scalar tensors
    """
    predicted = torch.einsum("btn,bkn->btk", masks.to(values.dtype), values)
    square = ((gains - predicted) / scale) ** 2
    loss = (square if weights is None else square * weights[:, :, None]).mean()
    return loss, {"coalitions": loss.detach()}
