"""Proximal policy optimisation of the mask distribution: Algorithm 1, Eqs. 9-25."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

__all__ = [
    "PPOCoefficients",
    "advantage",
    "bernoulli_entropy",
    "bernoulli_log_prob",
    "class_kl",
    "mask_reward",
    "ppo_clip",
    "ppo_loss",
    "reverse_kl_reward",
]

_EPS = 1e-6


@dataclass(frozen=True)
class PPOCoefficients:
    """Weights of Eq. 25 and the clip range of Eq. 22."""

    entropy: float = 1e-5
    value: float = 0.5
    kl: float = 1.0
    clip: float = 0.2


def bernoulli_log_prob(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """``log q(m|x)`` of Eq. 7: logits (B, N) and masks (B, T, N) to (B, T)."""
    wide = logits[:, None].expand_as(masks)
    return -F.binary_cross_entropy_with_logits(wide, masks, reduction="none").sum(dim=-1)


def bernoulli_entropy(logits: torch.Tensor) -> torch.Tensor:
    """H(q) of independent Bernoullis, logits (B, N) to (B,)."""
    return (F.softplus(logits) - torch.sigmoid(logits) * logits).sum(dim=-1)


def mask_reward(score: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """``c(m, x) = f(m * x) / K_m`` (Eq. 9), zero for the empty mask; (B, T)."""
    kept = masks.sum(dim=-1)
    return torch.where(kept > 0, score / kept.clamp(min=1), torch.zeros_like(score))


def reverse_kl_reward(reward: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """``log c - log q``: its expectation under q is ``-KL(q || p)`` up to a constant."""
    return reward.clamp(min=_EPS).log() - log_q


def advantage(reward: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """``A = (c - V) / T`` (Eq. 18): reward (B, T) and value (B,) to (B, T)."""
    return (reward - value[:, None]) / reward.shape[1]


def ppo_clip(
    log_q: torch.Tensor, old_log_q: torch.Tensor, adv: torch.Tensor, clip: float
) -> torch.Tensor:
    """``L_ppo``, to be maximised (Eqs. 20-22): sum over the trajectory, mean over rows."""
    ratio = torch.exp(log_q - old_log_q)
    bounded = ratio.clamp(1.0 - clip, 1.0 + clip)
    return torch.minimum(ratio * adv, bounded * adv).sum(dim=1).mean()


def class_kl(logits: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
    """Class alignment (Eq. 24): KL between the softmax of mean log g_k, and f.

    Parameters
    ----------
    logits : tensor of shape (B, K, N)
        Of all classes' mask probabilities.
    probabilities : tensor of shape (B, K)
        The model's outputs.
    """
    log_mean = F.logsigmoid(logits).mean(dim=-1)
    log_shares = F.log_softmax(log_mean, dim=-1)
    gap = log_shares - probabilities.clamp(min=_EPS).log()
    return (log_shares.exp() * gap).sum(dim=-1).mean()


def ppo_loss(
    logits: torch.Tensor,
    value: torch.Tensor,
    target: torch.Tensor,
    masks: torch.Tensor,
    reward: torch.Tensor,
    old_log_q: torch.Tensor,
    adv: torch.Tensor,
    probabilities: torch.Tensor | None,
    coefficients: PPOCoefficients,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Eq. 25 with its signs made consistent: ``-L_clip - l_en H + l_v L_v + l_kl L_kl``.

    Printed, the loss to be minimised adds ``L_ppo``, which Eq. 20 maximises; the clipped
    surrogate enters here with a minus sign.

    Parameters
    ----------
    logits : tensor of shape (B, K, N)
        Current policy.
    value : tensor of shape (B, K)
        Value network v(x).
    target : int tensor of shape (B,)
        The output y whose policy drew the trajectory.
    masks : float tensor of shape (B, T, N)
    reward, old_log_q, adv : tensor of shape (B, T)
        Fixed when the trajectory was drawn.
    probabilities : tensor of shape (B, K) or None
        Outputs that the class term aligns with; None leaves it out.
    coefficients : PPOCoefficients

    Returns
    -------
    loss : scalar tensor
    parts : dict of scalar tensors
    """
    rows = torch.arange(len(target), device=target.device)
    own = logits[rows, target]
    log_q = bernoulli_log_prob(own, masks)
    gain = ppo_clip(log_q, old_log_q, adv, coefficients.clip)
    entropy = bernoulli_entropy(own).mean()
    value_loss = ((reward - value[rows, target][:, None]) ** 2).mean()
    loss = -gain - coefficients.entropy * entropy + coefficients.value * value_loss
    parts = {"ppo": gain.detach(), "entropy": entropy.detach(), "value": value_loss.detach()}
    if probabilities is not None and coefficients.kl:
        kl = class_kl(logits, probabilities)
        loss = loss + coefficients.kl * kl
        parts["class_kl"] = kl.detach()
    return loss, parts
