"""The network's output as Shapley values: null players at zero, sums known."""

from __future__ import annotations

import torch
from torch import nn

from fastexplain.networks._players import shaped

__all__ = ["ShapleyNetwork", "spread_gap"]


class ShapleyNetwork(nn.Module):
    """Shapley values of every output and player; those of null players are exactly 0.

    Parameters
    ----------
    body : nn.Module
        Maps encoded rows and null flags to ``n_outputs * n_players`` numbers.
    n_outputs, n_players : int
        K and N.
    """

    scale: torch.Tensor

    def __init__(self, body: nn.Module, n_outputs: int, n_players: int) -> None:
        super().__init__()
        self.body = body
        self.shape = (n_outputs, n_players)
        # the usual size of a value, so that the body works with numbers near one
        self.register_buffer("scale", torch.ones(n_outputs))

    def forward(self, x: torch.Tensor, null: torch.Tensor) -> torch.Tensor:
        """Map encoded rows (B, C) and null flags (B, N) to values (B, K, N)."""
        out = shaped(self.body(x, null).float(), self.shape)
        return (out * self.scale[:, None]).masked_fill(null[:, None], 0.0)


def spread_gap(
    values: torch.Tensor, total: torch.Tensor, null: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Additive efficient normalization (Ruiz et al., 1998) of (B, K, N) values.

    What is missing to ``total`` (B, K) is spread evenly over the players that are not null.

    Returns
    -------
    values : tensor of shape (B, K, N)
    gap : tensor of shape (B, K)
        What was missing.
    """
    active = (~null)[:, None].to(values.dtype)
    gap = total - (values * active).sum(dim=2)
    share = gap / active.sum(dim=2).clamp(min=1.0)
    return (values + share[:, :, None]) * active, gap
