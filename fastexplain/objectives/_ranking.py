"""Cross-entropy over ranks: CoRTX-CE's loss."""

from __future__ import annotations

import torch
from torch.nn import functional as F

__all__ = ["player_order", "ranking_loss"]


def player_order(values: torch.Tensor) -> torch.Tensor:
    """Players from the largest value to the smallest; of equal ones, the later comes first.

    Parameters
    ----------
    values : tensor of shape (..., N)

    Returns
    -------
    int64 tensor of shape (..., N)
    """
    return torch.argsort(values, dim=-1, stable=True).flip(-1)


def ranking_loss(
    scores: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    r"""Cross-entropy of each place's player, :math:`\sum_j CE(\hat r_j, onehot(r_j))`.

    CoRTX-CE's loss (section 4.2): for each place of the ranking, a classification of which
    player stands there. The mean over places is taken in place of the sum.

    Parameters
    ----------
    scores : tensor of shape (B, K, N, N)
        ``scores[b, k, r, j]``: how well player ``j`` fits place ``r``, the first being that
        of the largest value.
    labels : tensor of shape (B, K, N)
        Shapley values, whose ranking is learned.

    Returns
    -------
    loss : scalar tensor
    parts : dict of scalar tensors
    """
    order = player_order(labels)
    loss = F.cross_entropy(scores.flatten(0, 2), order.flatten())
    return loss, {"ranking": loss.detach()}
