r"""Forward KL: the objective that Definition 1 asks for.

:math:`E_x \sum_m p(m|x) (-\log q(m|x))` is minimised over all Bernoulli distributions
:math:`q` exactly by :math:`\lambda = E_p[m] = \phi / A` (Eq. 5-8): matching the moments of
p is the same as being nearest to it in this direction.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

__all__ = ["forward_kl_loss"]

_EPS = 1e-6


def forward_kl_loss(
    deviation: torch.Tensor,
    level: torch.Tensor,
    unit: torch.Tensor,
    level_scale: torch.Tensor,
    mean: torch.Tensor,
    neutral: torch.Tensor,
    variance: torch.Tensor,
    null: torch.Tensor,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    r"""Cross-entropy between p's moments and q, each entry weighted by its precision.

    With targets :math:`\lambda^* = E_p[m]`, the forward KL of a row is, up to a constant,
    :math:`\sum_i \mathrm{softplus}(\ell_i) - \lambda^*_i \ell_i`. A dominating feature
    would decide this sum alone, although rankings hang on small differences too, so entry
    ``i`` is divided by what its error is measured against: its own size, the unit of
    deviations, and the sampling variance of its target. Weights do not move the optimum;
    they are constants to the gradient. Deviations are learned with the level given, so
    that the level's error, larger than a small deviation, does not drown them.

    Parameters
    ----------
    deviation, level : tensor of shape (B, K, N) and (B, K)
        The policy's logits are ``deviation + level``.
    unit, level_scale : tensor of shape (K, 1) and (K,)
        Size of a small deviation; spread of levels.
    mean, neutral, variance : tensor of shape (B, K, N), (B, K) and (B, K)
        ``Targets``.
    null : bool tensor of shape (B, N)

    Returns
    -------
    loss : scalar tensor
    parts : dict of scalar tensors
    """
    level_target = torch.logit(neutral, eps=_EPS)
    logit = deviation + level_target[:, :, None]
    rate = torch.sigmoid(logit.detach()).clamp(_EPS, 1 - _EPS)
    curvature = rate * (1 - rate)
    entropy = F.softplus(logit) - mean * logit
    noise = variance[:, :, None] / curvature**2
    weight = 1.0 / (curvature * (unit**2 + deviation.detach() ** 2 + noise))
    active = (~null)[:, None].to(weight.dtype)
    players = (active.sum() * mean.shape[1]).clamp(min=1.0)
    # the optimum's own entropy is taken off: it moves with the weights, not with the fit
    rest = _binary_entropy(mean)
    fit = (weight * (entropy - rest) * active).sum() / players
    level_rate = torch.sigmoid(level.detach()).clamp(_EPS, 1 - _EPS)
    level_curvature = level_rate * (1 - level_rate)
    level_noise = variance / level_curvature**2
    level_weight = 1.0 / (level_curvature * (0.01 * level_scale**2 + level_noise))
    level_fit = F.softplus(level) - neutral * level - _binary_entropy(neutral)
    level_loss = (level_weight * level_fit).mean()
    return fit + 0.1 * level_loss, {"deviations": fit.detach(), "level": level_loss.detach()}


def _binary_entropy(rate: torch.Tensor) -> torch.Tensor:
    return -(torch.xlogy(rate, rate) + torch.xlogy(1 - rate, 1 - rate))
