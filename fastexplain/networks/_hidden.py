"""The network that reads a model's own hidden states, one vector a player."""

from __future__ import annotations

import torch
from torch import nn

from fastexplain.networks._players import TransformerBlock

__all__ = ["HiddenTrunk"]


class HiddenTrunk(nn.Module):
    """Features of every player from hidden states that the model has computed anyway.

    Parameters
    ----------
    size : int
        Numbers of a player's hidden state.
    width, n_blocks : int
        Features, and transformer blocks; with 0 blocks every player is read by itself, as in
        Eqs. 19 and 20 of the concept paper, but for the sample's own state and a hidden layer.
    """

    def __init__(self, size: int, width: int, n_blocks: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.enter = nn.Linear(size, width)
        self.whole = nn.Linear(size, width)
        self.blocks = nn.ModuleList([TransformerBlock(width) for _ in range(n_blocks)])
        self.flag = nn.Embedding(2, width)
        inner, outer = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.mlp = nn.Sequential(nn.LayerNorm(width), inner, nn.GELU(), outer)

    def forward(self, x: torch.Tensor, null: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states to features (B, N, d) and (B, d).

        ``x`` is (B, 1 + N, size + 1): first the sample's own state, then the players'; the last
        number tells whether a player is there.
        """
        present = x[:, :, -1] > 0
        states = self.norm(x[:, :, :-1].float())
        players, sample = self.enter(states[:, 1:]), self.whole(states[:, :1])
        h = players + sample + self.flag(null.long())
        h = torch.cat([sample, h], dim=1)
        h = h + self.mlp(h)
        for block in self.blocks:
            h = block(h, present)
        return h[:, 1:], h[:, 0]
