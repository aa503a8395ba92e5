"""Mask distributions: the network's output as Bernoulli logits, null players tied."""

from __future__ import annotations

import torch
from torch import nn

from fastexplain.networks._players import shaped

__all__ = ["MaskPolicy"]


class MaskPolicy(nn.Module):
    r"""Bernoulli parameters :math:`\lambda = g(x)` (Eq. 7) for every output and player.

    The logit of player ``i`` is a row's neutral level plus that player's own deviation,
    ``l_i = r + d_i``. Null players have no deviation: symmetry demands one common value of
    them, and they get it exactly. Deviations of tables span orders of magnitude, from a
    dominating feature to one that hardly matters, and rankings depend on all of them; with
    ``link="sinh"`` the network gives them on a scale that is linear near zero and
    logarithmic further out.

    What the network cannot tell from nothing is nothing: deviations below ``resolution``
    units are given as none, so that features without effect share the null players' rank
    rather than have a random one. It is zero until chosen on held-out rows.

    Parameters
    ----------
    body : nn.Module
        Maps encoded rows and null flags to ``n_outputs * (n_players + 1)`` numbers.
    n_outputs, n_players : int
        K and N.
    link : {"linear", "sinh"}
        How deviations follow from the body's output.
    """

    forward_methods = ("deviations",)
    level: torch.Tensor
    level_scale: torch.Tensor
    unit: torch.Tensor
    resolution: torch.Tensor

    def __init__(self, body: nn.Module, n_outputs: int, n_players: int, link: str) -> None:
        super().__init__()
        if link not in ("linear", "sinh"):
            raise ValueError(f"link must be 'linear' or 'sinh', got {link!r}.")
        self.body = body
        self.link = link
        self.shape = (n_outputs, n_players + 1)
        self.register_buffer("level", torch.zeros(n_outputs))
        self.register_buffer("level_scale", torch.ones(n_outputs))
        self.register_buffer("unit", torch.ones(n_outputs, 1))
        self.register_buffer("resolution", torch.zeros(()))

    def deviations(self, x: torch.Tensor, null: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Deviations (B, K, N), zero for null players, and neutral levels (B, K)."""
        out = shaped(self.body(x, null).float(), self.shape)
        deviation = out[:, :, :-1]
        if self.link == "sinh":
            # beyond 12 the sinh of a float32 is no longer a usable number
            deviation = self.unit * torch.sinh((3.0 * deviation).clamp(-12.0, 12.0))
        level = out[:, :, -1] * self.level_scale + self.level
        none = null[:, None] | (deviation.abs() < self.resolution * self.unit)
        return deviation.masked_fill(none, 0.0), level

    def forward(self, x: torch.Tensor, null: torch.Tensor) -> torch.Tensor:
        """Logits of the mask probabilities, shape (B, K, N)."""
        deviation, level = self.deviations(x, null)
        return deviation + level[:, :, None]
