"""Minimum feasible concept sets: Eqs. 13-18 of Pan et al. (2024)."""

from __future__ import annotations

import torch

from fastexplain.objectives._ppo import bernoulli_log_prob

__all__ = ["concept_set_loss", "prediction_drop", "relative_drop"]


def prediction_drop(full: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    r"""Distance of predictions, :math:`z = \max(f(x) - f(\hat s \odot x), 0)` (Eqs. 11, 15).

    Parameters
    ----------
    full : tensor of shape (B,)
        Output for the whole sample.
    kept : tensor of shape (B, T)
        Output for each of T sets.

    Returns
    -------
    tensor of shape (B, T)
    """
    return (full[:, None] - kept).clamp(min=0.0)


def relative_drop(drop: torch.Tensor) -> torch.Tensor:
    """Drops less the mean of the sample's other sets, (B, T) to (B, T).

    What a set costs beyond the others of its sample: subtracting what does not depend on the
    set leaves the gradient's expectation as it is, and takes most of its variance.
    """
    n_sets = drop.shape[1]
    if n_sets < 2:
        return drop
    return (drop - drop.mean(dim=1, keepdim=True)) * (n_sets / (n_sets - 1))


def concept_set_loss(
    logits: torch.Tensor,
    masks: torch.Tensor,
    cost: torch.Tensor,
    old_log_q: torch.Tensor,
    n_players: torch.Tensor,
    weight: float,
    clip: float,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    r"""Size of the set plus what it loses of the prediction, clipped as in PPO (Eq. 18).

    :math:`\|p\|_2 / \sqrt N + \lambda \frac 1 T \sum_t \max(z_t r_t, z_t \,
    \mathrm{clip}(r_t, 1 - \delta, 1 + \delta))` with :math:`r_t = P(\hat s_t) / P'(\hat s_t)`.
    The size is divided by that of keeping everything, and drops are averaged, so that both lie
    in [0, 1] and :math:`\lambda` weighs them alike whatever N and T are.

    Parameters
    ----------
    logits : tensor of shape (B, N)
        Of p, for the explained output.
    masks : float tensor of shape (B, T, N)
        Sets drawn from the policy of the last draw.
    cost : tensor of shape (B, T)
        z of each set, or ``relative_drop`` of it.
    old_log_q : tensor of shape (B, T)
        Log probability of each set when it was drawn.
    n_players : tensor of shape (B,)
        N, without players that are not there or change nothing.
    weight, clip : float
        Lambda and delta.

    Returns
    -------
    loss : scalar tensor
    parts : dict of scalar tensors
    """
    chance = torch.sigmoid(logits)
    size = chance.norm(dim=1) / n_players.clamp(min=1).to(chance.dtype).sqrt()
    ratio = torch.exp(bernoulli_log_prob(logits, masks) - old_log_q)
    bounded = ratio.clamp(1.0 - clip, 1.0 + clip)
    lost = torch.maximum(ratio * cost, bounded * cost).mean(dim=1)
    loss = (size + weight * lost).mean()
    return loss, {"size": size.mean().detach(), "lost": lost.mean().detach()}
