"""Objectives: what a network is moved by, one method a file, as functions of tensors."""

from fastexplain.objectives._forward_kl import forward_kl_loss
from fastexplain.objectives._ppo import (
    PPOCoefficients,
    advantage,
    bernoulli_entropy,
    bernoulli_log_prob,
    class_kl,
    mask_reward,
    ppo_clip,
    ppo_loss,
    reverse_kl_reward,
)

__all__ = [
    "PPOCoefficients",
    "advantage",
    "bernoulli_entropy",
    "bernoulli_log_prob",
    "class_kl",
    "forward_kl_loss",
    "mask_reward",
    "ppo_clip",
    "ppo_loss",
    "reverse_kl_reward",
]
