"""The network's output as a ranking: which player stands at which place."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["MAX_RANKED", "RankingNetwork", "decode_ranking"]

#: most players of a ranking: a batch has as many scores as their square for each row
MAX_RANKED = 256
# numbers that describe a player; with as many as players, any scores can be had
_RANK = 16


class RankingNetwork(nn.Module):
    """Scores of every player at every place.

    The body describes each player by some numbers, of which every place takes a sum of its
    own: with as many numbers as players this is any matrix of scores (the CoRTX paper's
    ranking head); with fewer, what a hundred columns need stays small.

    Parameters
    ----------
    body : nn.Module
        Maps encoded rows and null flags to ``n_outputs * n_players * rank`` numbers.
    n_outputs, n_players : int
        K and N.
    """

    def __init__(self, body: nn.Module, n_outputs: int, n_players: int) -> None:
        super().__init__()
        self.body = body
        self.shape = (n_outputs, n_players, self.rank(n_players))
        self.places = nn.Parameter(torch.empty(n_players, self.shape[2]))
        self.reset_places(torch.Generator().manual_seed(0))

    @staticmethod
    def rank(n_players: int) -> int:
        """How many numbers describe a player."""
        return min(n_players, _RANK)

    def reset_places(self, generator: torch.Generator) -> None:
        """Draw what places look for anew."""
        with torch.no_grad():
            self.places.normal_(0.0, 1.0, generator=generator)

    def forward(self, x: torch.Tensor, null: torch.Tensor) -> torch.Tensor:
        """Map encoded rows (B, C) and null flags (B, N) to scores (B, K, places, players)."""
        out = self.body(x, null).float()
        n_out, _, rank = self.shape
        if out.ndim > 2:  # (B, K * rank, N), with N of the batch's own
            players = out.unflatten(1, (n_out, rank)).transpose(2, 3)
        else:
            players = out.unflatten(1, self.shape)
        return torch.einsum("bknd,rd->bkrn", players, self.places.float())


def decode_ranking(scores: torch.Tensor, null: torch.Tensor) -> torch.Tensor:
    """Read a permutation off scores: each place, from the first, takes the best player left.

    The largest score of each place alone, as the paper has it, names some players twice.
    Null players, whose values are equal, share the places they got by column, the later
    column higher, as in the labels.

    Parameters
    ----------
    scores : tensor of shape (B, K, N, N)
        Places by players.
    null : bool tensor of shape (B, N)

    Returns
    -------
    int64 tensor of shape (B, K, N)
        Each player's rank, N for the first place and 1 for the last.
    """
    n_players = scores.shape[-1]
    open_ = torch.zeros_like(scores[:, :, 0])
    ranks = torch.zeros(scores.shape[:2] + (n_players,), dtype=torch.long, device=scores.device)
    for place in range(n_players):
        best = (scores[:, :, place] + open_).argmax(dim=2, keepdim=True)
        open_.scatter_(2, best, -torch.inf)
        ranks.scatter_(2, best, n_players - place)
    # null players' ranks in ascending order, by column
    flags = null[:, None].expand_as(ranks)
    first = n_players + 1
    held = torch.where(flags, ranks, first).sort(dim=2).values
    turn = (flags.long().cumsum(dim=2) - 1).clamp(min=0)
    return torch.where(flags, held.gather(2, turn), ranks)
