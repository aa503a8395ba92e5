"""Trajectories of the current policy: the experience of Algorithm 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from fastexplain.objectives import (
    advantage,
    bernoulli_log_prob,
    mask_reward,
    reverse_kl_reward,
)
from fastexplain.tables import Table

__all__ = ["Trajectories"]

Batch = dict[str, torch.Tensor]


class Trajectories:
    """Draws masks from the policy, asks the model, and gives them out for several updates.

    Parameters
    ----------
    table : Table of n rows
    x, null, outputs : tensors with n rows
        Encoded rows, null flags, and the model's outputs ``f(x)``.
    ask : callable
        ``ask(rows_table, rows, masks)`` gives f of masked rows in [0, 1], (B, T, K).
    reverse_kl : bool
        Reward ``log c - log q`` in place of ``c``.
    random_target : bool
        Whose policy draws: a random output's, or the predicted class's (Algorithm 1).
    trajectory_length, inner_updates, batch_size : int
        T masks a row; updates on each set of trajectories; rows in it.
    max_queries : int
        No new trajectory is begun past this many queries.
    seed : int
    """

    def __init__(
        self,
        table: Table,
        x: torch.Tensor,
        null: torch.Tensor,
        outputs: torch.Tensor,
        ask: Callable[[Table, np.ndarray, np.ndarray], torch.Tensor],
        *,
        reverse_kl: bool,
        random_target: bool,
        trajectory_length: int,
        inner_updates: int,
        batch_size: int,
        max_queries: int,
        seed: int,
    ) -> None:
        self.table, self.x, self.null, self.outputs = table, x, null, outputs
        self.ask = ask
        self.reverse_kl, self.random_target = reverse_kl, random_target
        self.trajectory_length, self.inner_updates = trajectory_length, inner_updates
        self.batch_size = min(batch_size, len(table))
        self.max_queries = max_queries
        self.seed = seed
        self._given = 0
        self._current: Batch | None = None

    def batch(self, module: Any, generator: torch.Generator) -> Batch | None:
        """Give the current trajectories, or draw new ones when they are used up."""
        drawn, use = divmod(self._given, self.inner_updates)
        if use == 0 or self._current is None:
            spent = (drawn + 1) * self.batch_size * self.trajectory_length
            if spent > self.max_queries and drawn:
                return None
            self._current = self._draw(module, generator, drawn)
        self._given += 1
        return self._current

    def _draw(self, module: Any, generator: torch.Generator, number: int) -> Batch:
        rng = np.random.default_rng([self.seed, number])
        rows = rng.choice(len(self.table), size=self.batch_size, replace=False)
        device = next(module.parameters()).device
        picked = torch.from_numpy(rows)
        batch = {
            "x": self.x[picked].to(device),
            "null": self.null[picked].to(device),
            "outputs": self.outputs[picked].to(device),
        }
        if self.random_target:
            choice = torch.randint(self.outputs.shape[1], (len(rows),), generator=generator)
            batch["target"] = choice.to(device)
        else:
            batch["target"] = batch["outputs"].argmax(dim=1)
        module.eval()
        with torch.no_grad():
            logits, value = module.policy_and_value(batch["x"], batch["null"])
        at = torch.arange(len(rows), device=device), batch["target"]
        own, value = logits[at], value[at]
        shape = (len(rows), self.trajectory_length, own.shape[1])
        throws = torch.rand(shape, generator=generator).to(device)
        masks = (throws < torch.sigmoid(own)[:, None]).float()
        score = self.ask(self.table.take(rows), rows, masks.bool().cpu().numpy())
        index = batch["target"][:, None, None].expand(-1, score.shape[1], 1)
        score = score.to(device).float().gather(2, index)[:, :, 0]
        reward = mask_reward(score, masks)
        log_q = bernoulli_log_prob(own, masks)
        if self.reverse_kl:
            reward = reverse_kl_reward(reward, log_q)
        batch |= {"masks": masks, "reward": reward, "old_log_q": log_q}
        batch["advantage"] = advantage(reward, value)
        return batch

    def position(self) -> int:
        """How many batches have been given."""
        return self._given

    def seek(self, position: int) -> None:
        """Go on as if so many batches had been given; trajectories are drawn anew."""
        self._given = position - position % self.inner_updates
