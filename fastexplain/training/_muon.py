"""An optimiser that turns and scales a matrix's step as a whole, beside AdamW for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["MuonAdamW"]

# of the iteration that makes a matrix orthogonal, and how often it is run (Jordan et al., 2024)
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_MOMENTUM = 0.95
# a step's root mean square beside that of AdamW, so that both take one learning rate
_SHARE = 0.2


class MuonAdamW(torch.optim.AdamW):
    """Muon for groups that ask for it by ``matrices=True``, AdamW for the others.

    Muon (Jordan et al., 2024) makes each matrix's momentum orthogonal before it steps: weak
    directions of the gradient move as far as strong ones. Pretrained convolutions that are to
    learn something else, in the few thousand steps that a fit has, come further. Steps are
    as large as AdamW's (Liu et al., 2025). ``torch.optim.Muon`` has matrices alone; weights of
    convolutions are taken here as matrices of one row for each channel that they give.

    Parameters
    ----------
    groups : list of dict
        As of ``torch.optim.AdamW``.
    lr, weight_decay : float
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, weight_decay: float = 0.0) -> None:
        for group in groups:
            group.setdefault("matrices", False)
        super().__init__(groups, lr=lr, weight_decay=weight_decay)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step."""
        groups = self.param_groups
        try:
            self.param_groups = [group for group in groups if not group["matrices"]]
            loss = super().step(closure)
        finally:
            self.param_groups = groups
        for group in groups:
            if group["matrices"]:
                for weight in group["params"]:
                    if weight.grad is not None:
                        self._turn(weight, weight.grad, group["lr"], group["weight_decay"])
        return loss

    def _turn(self, weight: torch.Tensor, gradient: torch.Tensor, lr: float, decay: float) -> None:
        state = self.state[weight]
        if not state:
            # AdamW looks for a step in every state that it restores
            state["step"], state["momentum"] = torch.zeros(()), torch.zeros_like(weight)
        state["momentum"].lerp_(gradient, 1.0 - _MOMENTUM)
        step = gradient.lerp(state["momentum"], _MOMENTUM).flatten(1)
        step = orthogonal(step) * (_SHARE * max(step.shape) ** 0.5)
        weight.mul_(1.0 - lr * decay)
        weight.add_(step.reshape(weight.shape).to(weight.dtype), alpha=-lr)


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """The nearest orthogonal matrix, roughly: singular values between 0.7 and 1.2."""
    a, b, c = _COEFFICIENTS
    # processors without instructions for it take far longer
    x = matrix.bfloat16() if matrix.is_cuda else matrix
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return (x.T if tall else x).to(matrix.dtype)
