"""What FEX trains: policy and value network, their losses on batches, and the scales."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from fastexplain.networks import MaskPolicy
from fastexplain.objectives import (
    PPOCoefficients,
    advantage,
    forward_kl_loss,
    mask_reward,
    ppo_loss,
    reverse_kl_reward,
)

__all__ = [
    "ActorCritic",
    "MaskJudge",
    "PolicyGradient",
    "act",
    "calibrate",
    "choose_resolution",
    "match_moments",
]

#: a deviation this small beside their spread still has its place in the ranking
_UNIT = 0.01
#: in units: deviations below may be told from none or not, as held-out rows decide
_RESOLUTIONS = (0.125, 0.25, 0.5, 1.0, 2.0)


class ActorCritic(nn.Module):
    """The policy g and the value network v of Algorithm 1, trained together."""

    forward_methods = ("deviations", "policy_and_value")

    def __init__(self, policy: MaskPolicy, value: nn.Module) -> None:
        super().__init__()
        self.policy = policy
        self.value = value

    def forward(self, x: torch.Tensor, null: torch.Tensor) -> torch.Tensor:
        return self.policy(x, null)

    def deviations(self, x: torch.Tensor, null: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.policy.deviations(x, null)

    def policy_and_value(
        self, x: torch.Tensor, null: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mask logits (B, K, N) and values (B, K)."""
        return self.policy(x, null), self.value(x, null).float()


def match_moments(module: Any, batch: dict[str, torch.Tensor]) -> Any:
    """Forward KL of a policy on a batch of targets."""
    deviation, level = module.deviations(batch["x"], batch["null"])
    return forward_kl_loss(
        deviation,
        level,
        module.unit,
        module.level_scale,
        batch["mean"],
        batch["neutral"],
        batch["variance"],
        batch["null"],
    )


class PolicyGradient:
    """PPO's loss (Eq. 25) of an ``ActorCritic`` on a batch of trajectories."""

    def __init__(self, coefficients: PPOCoefficients, classes: bool) -> None:
        self.coefficients = coefficients
        self.classes = classes

    def __call__(self, module: Any, batch: dict[str, torch.Tensor]) -> Any:
        logits, value = module.policy_and_value(batch["x"], batch["null"])
        return ppo_loss(
            logits,
            value,
            batch["target"],
            batch["masks"],
            batch["reward"],
            batch["old_log_q"],
            batch["advantage"],
            batch["outputs"] if self.classes else None,
            self.coefficients,
        )


def act(
    module: Any, x: torch.Tensor, null: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Policy and value of an ``ActorCritic``, for ``Trajectories``."""
    return module.policy_and_value(x, null)


class MaskJudge:
    """Rewards of masks (Eq. 9) and their advantages (Eq. 18), for ``Trajectories``."""

    def __init__(self, reverse_kl: bool) -> None:
        self.reverse_kl = reverse_kl

    def __call__(
        self,
        score: torch.Tensor,
        full: torch.Tensor,
        masks: torch.Tensor,
        log_q: torch.Tensor | None,
        value: torch.Tensor | None,
    ) -> dict[str, torch.Tensor]:
        assert value is not None and log_q is not None
        reward = mask_reward(score, masks)
        if self.reverse_kl:
            reward = reverse_kl_reward(reward, log_q)
        return {"reward": reward, "advantage": advantage(reward, value)}


def calibrate(module: MaskPolicy, pool: dict[str, torch.Tensor]) -> None:
    """Set the scales of levels and deviations from the targets."""
    rows = slice(0, 8192)
    level = torch.logit(pool["neutral"][rows], eps=1e-6)
    deviation = torch.logit(pool["mean"][rows], eps=1e-6) - level[:, :, None]
    active = ~pool["null"][rows][:, None].expand_as(deviation)
    size = (deviation**2 * active).sum(dim=(0, 2)) / active.sum(dim=(0, 2)).clamp(min=1)
    # the noise of sampled targets is no signal; some spread is kept for tiny data
    floor = torch.full_like(size, 1e-8)
    module.unit.copy_(_UNIT * torch.maximum(size, floor).sqrt()[:, None])
    module.level.copy_(level.mean(dim=0))
    spread = level.std(dim=0, correction=0)
    module.level_scale.copy_(torch.where(spread > 1e-4, spread, torch.full_like(spread, 1e-2)))


def choose_resolution(module: MaskPolicy, validate: Any, score: float) -> float:
    """Set the size below which deviations count as none, and give the score with it."""
    best = 0.0
    for resolution in _RESOLUTIONS:
        module.resolution.fill_(resolution)
        found = validate(module)
        if found > score:
            best, score = resolution, found
    module.resolution.fill_(best)
    return score
