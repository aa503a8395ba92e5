"""The network's output as a distribution over sets of players."""

from __future__ import annotations

import torch
from torch import nn

from fastexplain.networks._players import shaped

__all__ = ["ConceptPolicy", "PolicyNumbers"]

# players that change nothing are in no set: a chance of 1e-13
_NEVER = -30.0


class ConceptPolicy(nn.Module):
    r"""Bernoulli parameters :math:`p = g(x)` (Eq. 13) of every output and player.

    Their logits are the body's numbers times ``gain``, plus ``level``: 1 and 0 unless the body
    has learned something else before, such as what players add to coalitions.

    Parameters
    ----------
    body : nn.Module
        Maps "x" and null flags to ``n_outputs * n_players`` numbers, or (B, K, N).
    n_outputs, n_players : int
        K and N.
    """

    gain: torch.Tensor
    level: torch.Tensor

    def __init__(self, body: nn.Module, n_outputs: int, n_players: int) -> None:
        super().__init__()
        self.body = body
        self.shape = (n_outputs, n_players)
        self.register_buffer("gain", torch.ones(()))
        self.register_buffer("level", torch.zeros(()))

    def forward(self, x: torch.Tensor, null: torch.Tensor) -> torch.Tensor:
        """Logits (B, K, N)."""
        return self.logits(self.numbers(x, null), null)

    def logits(self, numbers: torch.Tensor, null: torch.Tensor) -> torch.Tensor:
        """Logits of what the body gives, of all outputs or of some, (B, ..., N)."""
        out = torch.addcmul(self.level, self.gain, numbers)
        # on either side of this, a set is as good as certain, and gradients vanish
        return out.clamp(-12.0, 12.0).masked_fill(null[:, None], _NEVER)

    def numbers(self, x: torch.Tensor, null: torch.Tensor) -> torch.Tensor:
        """What the body gives, (B, K, N)."""
        return shaped(self.body(x, null).float(), self.shape)


class PolicyNumbers(nn.Module):
    """The body's numbers of a policy, 0 for null players, as its forward pass.

    Parameters
    ----------
    policy : ConceptPolicy
    """

    def __init__(self, policy: ConceptPolicy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, x: torch.Tensor, null: torch.Tensor) -> torch.Tensor:
        """Numbers (B, K, N)."""
        return self.policy.numbers(x, null).masked_fill(null[:, None], 0.0)
