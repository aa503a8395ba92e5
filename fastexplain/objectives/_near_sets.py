"""Sets near a ranking's own prefixes, and what players add to them."""

from __future__ import annotations

import torch

__all__ = ["log_odds_of", "near_set_loss", "near_sets", "relative_gains"]

# chances nearer to 0 or 1 count as if they were here: beyond, a model's word is mostly noise
_LEAST = 1e-3


def log_odds_of(chance: torch.Tensor) -> torch.Tensor:
    """Log-odds of chances, none of them nearer to 0 or 1 than 0.001."""
    return chance.clamp(_LEAST, 1.0 - _LEAST).logit()


def near_sets(
    values: torch.Tensor,
    null: torch.Tensor,
    n_sets: int,
    generator: torch.Generator,
    noise: float = 0.3,
) -> torch.Tensor:
    """Prefixes of a ranking that is blurred a little, and what each of them leaves out.

    One size is drawn for each sample, small ones more often (the square of an even throw): of
    most samples a few players tell all. Every set of a sample then holds the players that lead
    after logistic noise is added to their values.

    Parameters
    ----------
    values : tensor of shape (B, N)
        Whose ranking it is.
    null : bool tensor of shape (B, N)
        Players that are in no set.
    n_sets : int
        T.
    generator : torch.Generator
        On the CPU.
    noise : float, default=0.3
        Scale of the noise, in standard deviations of the sample's values.

    Returns
    -------
    bool tensor of shape (B, 2 T, N)
        T sets of one size, then the T sets of the other players.
    """
    active = ~null
    count = active.sum(dim=1)
    rows, n_players = values.shape
    throws = torch.rand((rows, 1 + n_sets * n_players), generator=generator).to(values.device)
    size = (throws[:, 0].square() * (count - 1)).ceil().clamp(min=1)
    unit = throws[:, 1:].reshape(rows, n_sets, n_players).clamp(1e-6, 1.0 - 1e-6)
    values = values.masked_fill(null, 0.0)
    mean = values.sum(dim=1, keepdim=True) / count.clamp(min=1)[:, None]
    values = (values - mean) * active
    spread = (values.square().sum(dim=1) / count.clamp(min=1)).sqrt()
    # values that are alike but for their rounding are led by the noise
    spread = torch.maximum(spread, 1e-5 * mean[:, 0].abs()).clamp(min=1e-12)
    blurred = (values / spread[:, None])[:, None] + noise * unit.logit()
    order = blurred.masked_fill(null[:, None], float("-inf")).argsort(dim=2, descending=True)
    place = order.argsort(dim=2)
    kept = (place < size[:, None, None]) & active[:, None]
    return torch.cat([kept, ~kept & active[:, None]], dim=1)


def relative_gains(gains: torch.Tensor) -> torch.Tensor:
    """What sets gain beyond the mean of their sample's others of the same size.

    Parameters
    ----------
    gains : tensor of shape (B, 2 T)
        Of the sets of ``near_sets``.

    Returns
    -------
    tensor of shape (B, 2 T)
        Each half has the mean 0.
    """
    halves = gains.unflatten(1, (2, -1))
    return (halves - halves.mean(dim=2, keepdim=True)).flatten(1)


def near_set_loss(
    values: torch.Tensor,
    masks: torch.Tensor,
    gains: torch.Tensor,
    total: torch.Tensor,
    null: torch.Tensor,
    scale: torch.Tensor,
    kept_weight: float,
    gap_weight: float,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    r"""Least squares of what sets gain on who is in them, among sets of one size.

    With sets :math:`S_t` drawn around a ranking,
    :math:`\frac 1 T \sum_t (v(S_t) - \bar v - (S_t - \bar S) \cdot \phi)^2`. Its optimum are the
    effects of players *on the ranking's own prefixes*, where exact Shapley values average over
    prefixes that no ranking would have; where a game is additive, both are the same. It is akin
    to the natural gradient of what the sets keep (Kakade, 2001: least squares of rewards on a
    policy's scores), with values that become the effects rather than move by them.

    Parameters
    ----------
    values : tensor of shape (B, N)
    masks : bool tensor of shape (B, 2 T, N)
        Of ``near_sets``.
    gains : tensor of shape (B, 2 T)
        Of ``relative_gains``.
    total : tensor of shape (B,)
        v(all) - v(none): sets of one size tell nothing of what all values have in common.
    null : bool tensor of shape (B, N)
    scale : tensor of shape (B,)
        Usual size of a value.
    kept_weight : float
        In (0, 1): what sets of leading players count for; the sets of all others have the rest.
    gap_weight : float
        Of the mean square of what values miss of the total, a player.

    Returns
    -------
    loss : scalar tensor
    parts : dict of scalar tensors
    """
    values = values.masked_fill(null, 0.0)
    predicted = relative_gains(torch.einsum("btn,bn->bt", masks.to(values.dtype), values))
    square = (((gains - predicted) / scale[:, None]) ** 2).unflatten(1, (2, -1)).mean(dim=(0, 2))
    count = (~null).sum(dim=1).clamp(min=1)
    gap = (((total - values.sum(dim=1)) / count / scale) ** 2).mean()
    loss = kept_weight * square[0] + (1.0 - kept_weight) * square[1] + gap_weight * gap
    return loss, {"kept": square[0].detach(), "left": square[1].detach()}
