"""Relaxed draws of k features: L2X's way to a gradient through a choice."""

from __future__ import annotations

import torch

__all__ = ["relaxed_subset", "top_subset"]


def relaxed_subset(logits: torch.Tensor, uniform: torch.Tensor, temperature: float) -> torch.Tensor:
    r"""Draw about k players by Gumbel-softmax (Chen et al., 2018, Eqs. 5 and 6).

    Each of k draws is :math:`C_j = softmax((\log p + G_j) / \tau)` with Gumbel noise
    :math:`G = -\log(-\log u)`; their maximum :math:`V_i = \max_j C_{ji}` is near 1 for the
    players drawn and near 0 for others.

    Parameters
    ----------
    logits : tensor of shape (B, N)
    uniform : tensor of shape (B, k, N)
        Uniform draws from [0, 1).
    temperature : float
        Draws tend to one-hot vectors as it goes to 0.

    Returns
    -------
    tensor of shape (B, N)
        In [0, 1].
    """
    tiny = torch.finfo(uniform.dtype).tiny
    gumbel = -(-uniform.clamp(min=tiny).log()).clamp(min=tiny).log()
    draws = ((logits.log_softmax(dim=1)[:, None] + gumbel) / temperature).softmax(dim=2)
    return draws.amax(dim=1)


def top_subset(logits: torch.Tensor, k: int) -> torch.Tensor:
    """Mark the k players with the largest logits, bool (B, N)."""
    chosen = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
    return chosen.scatter_(1, logits.topk(min(k, logits.shape[1]), dim=1).indices, True)
