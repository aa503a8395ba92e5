"""From model outputs to the non-negative ``f`` that Definition 1 asks for."""

from __future__ import annotations

import torch

__all__ = ["prediction_scores"]


def prediction_scores(
    values: torch.Tensor, full: torch.Tensor, scale: torch.Tensor | None
) -> torch.Tensor:
    r"""Turn masked outputs into ``f`` in [0, 1].

    Probabilities are their own ``f``. For real-valued outputs, which the paper leaves
    open, a mask scores by how well it keeps the prediction,

    .. math:: s(m, x) = \exp\left(-\frac{(f(m \odot x) - f(x))^2}{2 \sigma^2}\right).

    Parameters
    ----------
    values : tensor of shape (B, T, K)
        Model outputs of masked inputs.
    full : tensor of shape (B, K)
        Model outputs of the inputs themselves.
    scale : tensor of shape (K,) or None
        The spread :math:`\sigma` of each output over the data; None for probabilities.

    Returns
    -------
    tensor of shape (B, T, K)
    """
    if scale is None:
        return values
    distance = (values - full[:, None]) / scale
    return torch.exp(-0.5 * distance**2)
