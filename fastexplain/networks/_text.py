"""The network that reads texts: a small transformer on tokens, pooled to players."""

from __future__ import annotations

import math

import torch
from torch import nn

from fastexplain.networks._players import TransformerBlock, player_shares

__all__ = ["TextTrunk", "pooled_tokens"]


class TextTrunk(nn.Module):
    """Features of every player of a text, and of the text.

    Parameters
    ----------
    n_tokens : int
        Size of the vocabulary.
    width, n_blocks : int
        Features, and transformer blocks.
    embeddings : tensor of shape (n_tokens, e), optional
        The model's own embeddings of tokens, which are kept as they are. Without them, the
        network has its own.
    """

    embeddings: torch.Tensor

    def __init__(
        self, n_tokens: int, width: int, n_blocks: int, embeddings: torch.Tensor | None = None
    ) -> None:
        super().__init__()
        copied = torch.zeros(0, 0) if embeddings is None else embeddings.detach().float().clone()
        self.register_buffer("embeddings", copied)
        self.own = nn.Embedding(n_tokens, width) if embeddings is None else None
        self.enter = nn.Linear(copied.shape[1], width) if embeddings is not None else None
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList([TransformerBlock(width) for _ in range(n_blocks)])
        self.flag = nn.Embedding(2, width)

    def forward(self, x: torch.Tensor, null: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens and their players (B, L, 2) and flags (B, N) to (B, N, d) and (B, d)."""
        ids, player = x[:, :, 0], x[:, :, 1]
        present = player > -2
        # attention among nothing is NaN: a text without tokens sees its padding
        present = present | ~present.any(dim=1, keepdim=True)
        if self.own is not None:
            h = self.own(ids)
        else:
            assert self.enter is not None
            h = self.enter(self.embeddings[ids])
        h = self.norm(h) + _places(h.shape[1], h.shape[2], h.device)
        for block in self.blocks:
            h = block(h, present)
        return pooled_tokens(h, player, null, self.flag)


def pooled_tokens(
    h: torch.Tensor, player: torch.Tensor, null: torch.Tensor, flag: nn.Embedding
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean of each player's tokens (B, N, d), and of all that are there (B, d)."""
    shares = player_shares(player.clamp(min=-1)[:, :, None], null.shape[1])
    present = (player > -2).to(h.dtype)[:, :, None]
    whole = (h * present).sum(dim=1) / present.sum(dim=1).clamp(min=1.0)
    return torch.matmul(shares.to(h.dtype), h) + flag(null.long()), whole


def _places(length: int, width: int, device: torch.device) -> torch.Tensor:
    """Sines and cosines of places (L, d): texts may be longer than those trained on."""
    half = (width + 1) // 2
    rate = torch.exp(torch.arange(half, device=device) * (-math.log(10_000.0) / max(half, 1)))
    angle = torch.arange(length, device=device)[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], dim=1)[:, :width]
