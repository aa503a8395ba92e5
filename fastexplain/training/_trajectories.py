"""Sets drawn from the current policy: the experience of policy gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from fastexplain.objectives import bernoulli_log_prob

__all__ = ["Trajectories"]

Batch = dict[str, torch.Tensor]

# what a judge makes of sets: f of the masked samples (B, T), f of the samples (B,), the sets
# (B, T, N), their log probabilities (B, T) or None, and what the module gave beside its policy
Judge = Callable[
    [torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor | None], Batch
]
# T sets of each sample (B, T, N) from logits (B, N) and null flags (B, N), and the sets' log
# probabilities (B, T), where updates need them
Draw = Callable[
    [torch.Tensor, torch.Tensor, int, torch.Generator], tuple[torch.Tensor, torch.Tensor | None]
]


def bernoulli_sets(
    logits: torch.Tensor, null: torch.Tensor, n_sets: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw every player by its own chance."""
    shape = (len(logits), n_sets, logits.shape[1])
    throws = torch.rand(shape, generator=generator).to(logits.device)
    masks = (throws < torch.sigmoid(logits)[:, None]).float()
    return masks, bernoulli_log_prob(logits, masks)


class Trajectories:
    """Draws masks from the policy, asks the model, and gives them out for several updates.

    Parameters
    ----------
    samples : Table, Images or Texts of n samples
    x, null, outputs : tensors with n rows
        Encoded samples, null flags, and the model's outputs ``f(x)``.
    ask : callable
        ``ask(samples, rows, masks)`` gives f of masked samples in [0, 1], (B, T, K).
    act : callable
        ``act(module, x, null)`` gives the policy's logits (B, K, N), and what else the judge
        needs of each output, (B, K) or None.
    judge : callable
        Gives what updates need to know of the sets drawn, tensors with B rows.
    random_share : float
        Whose policy draws: a random output's for this share of the samples, that of the
        predicted class for the others.
    trajectory_length, inner_updates, batch_size : int
        T masks a sample; updates on each set of trajectories; samples in it.
    max_queries, set_queries : int
        No new trajectory is begun past this many queries; queries that a set takes.
    seed : int
    draw : callable, optional
        ``draw(logits, null, T, generator)`` gives T sets of each sample, (B, T, N), and their log
        probabilities (B, T) or None; Bernoulli draws by default.
    beside : dict of tensors with n rows, optional
        What else batches hold of the samples.
    """

    def __init__(
        self,
        samples: Any,
        x: torch.Tensor,
        null: torch.Tensor,
        outputs: torch.Tensor,
        ask: Callable[[Any, np.ndarray, np.ndarray], torch.Tensor],
        act: Callable[[Any, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor | None]],
        judge: Judge,
        *,
        random_share: float,
        trajectory_length: int,
        inner_updates: int,
        batch_size: int,
        max_queries: int,
        seed: int,
        set_queries: int = 1,
        draw: Draw | None = None,
        beside: Batch | None = None,
    ) -> None:
        self.draw = bernoulli_sets if draw is None else draw
        self.beside = {} if beside is None else beside
        self.samples, self.x, self.null, self.outputs = samples, x, null, outputs
        self.ask, self.act, self.judge = ask, act, judge
        self.random_share = random_share
        self.trajectory_length, self.inner_updates = trajectory_length, inner_updates
        self.batch_size = min(batch_size, len(samples))
        self.max_queries, self.set_queries = max_queries, set_queries
        self.seed = seed
        self._given = 0
        self._current: Batch | None = None

    @property
    def most_batches(self) -> int:
        """How many batches the queries buy."""
        queries = self.batch_size * self.trajectory_length * self.set_queries
        drawn = self.max_queries // queries
        return max(drawn, 1) * self.inner_updates

    def batch(self, module: Any, generator: torch.Generator) -> Batch | None:
        """Give the current trajectories, or draw new ones when they are used up."""
        drawn, use = divmod(self._given, self.inner_updates)
        if use == 0 or self._current is None:
            if self._given >= self.most_batches:
                return None
            self._current = self._draw(module, generator, drawn)
        self._given += 1
        return self._current

    def _draw(self, module: Any, generator: torch.Generator, number: int) -> Batch:
        rng = np.random.default_rng([self.seed, number])
        rows = rng.choice(len(self.samples), size=self.batch_size, replace=False)
        device = next(module.parameters()).device
        picked = torch.from_numpy(rows)
        batch = {
            "x": self.x[picked].to(device),
            "null": self.null[picked].to(device),
            "outputs": self.outputs[picked].to(device),
        }
        batch |= {name: tensor[picked].to(device) for name, tensor in self.beside.items()}
        batch["target"] = self._targets(batch["outputs"], generator)
        # in the mode of the updates: ratios of chances begin at 1
        module.train()
        with torch.no_grad():
            logits, beside = self.act(module, batch["x"], batch["null"])
        at = torch.arange(len(rows), device=device), batch["target"]
        own = logits[at]
        masks, log_q = self.draw(own, batch["null"], self.trajectory_length, generator)
        score = self.ask(self.samples.take(rows), rows, masks.bool().cpu().numpy())
        index = batch["target"][:, None, None].expand(-1, score.shape[1], 1)
        score = score.to(device).float().gather(2, index)[:, :, 0]
        beside = None if beside is None else beside[at]
        found = self.judge(score, batch["outputs"][at], masks, log_q, beside)
        if log_q is not None:
            batch["old_log_q"] = log_q
        return batch | {"masks": masks} | found

    def _targets(self, outputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Position of the output that each sample's sets are drawn for."""
        predicted = outputs.argmax(dim=1)
        if not self.random_share:
            return predicted
        shape = (len(outputs),)
        drawn = torch.randint(outputs.shape[1], shape, generator=generator).to(outputs.device)
        if self.random_share >= 1.0:
            return drawn
        chosen = torch.rand(shape, generator=generator).to(outputs.device) < self.random_share
        return torch.where(chosen, drawn, predicted)

    def position(self) -> dict[str, Any]:
        """How many batches have been given, and the trajectories where more updates are due."""
        used_up = self._given % self.inner_updates == 0
        return {"given": self._given, "current": None if used_up else self._current}

    def seek(self, position: dict[str, Any]) -> None:
        """Go on as if so many batches had been given, from the same trajectories."""
        self._given, self._current = int(position["given"]), position["current"]

    def shrink(self, share: float) -> None:
        """Give sets of a share of as many samples from now on, of two at least."""
        self.batch_size = max(int(share * self.batch_size), min(2, self.batch_size))
        if self._current is not None:
            # the updates that are still due are as long as those after them
            self._current = {k: tensor[: self.batch_size] for k, tensor in self._current.items()}
