"""InfoNCE: the contrastive loss of CoRTX's encoder."""

from __future__ import annotations

import torch
from torch.nn import functional as F

__all__ = ["info_nce_loss"]


def info_nce_loss(
    anchors: torch.Tensor, positives: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    r"""Contrast of each anchor with its positive and the batch's other anchors (CoRTX, Eq. 5).

    :math:`-\log \exp(h_i \cdot h_i^+ / \tau) / (\exp(h_i \cdot h_i^+ / \tau) + \sum_{j \ne i}
    \exp(h_i \cdot h_j / \tau))`, as van den Oord et al. (2018) have it: as printed, the
    positive is missing from the denominator and the anchor is its own negative. Latents are
    of unit length, without which the dot product grows without bound.

    Parameters
    ----------
    anchors, positives : tensor of shape (B, d)
    temperature : float

    Returns
    -------
    loss : scalar tensor
    parts : dict of scalar tensors
    """
    anchors, positives = F.normalize(anchors, dim=1), F.normalize(positives, dim=1)
    similarity = anchors @ anchors.T / temperature
    own = (anchors * positives).sum(dim=1) / temperature
    here = torch.arange(len(anchors), device=anchors.device)
    similarity = similarity.index_put((here, here), own)
    loss = F.cross_entropy(similarity, here)
    return loss, {"contrast": loss.detach()}
