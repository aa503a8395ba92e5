"""The one training loop: schedule, validation, interrupts, history."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import nn

from fastexplain._warnings import warn_user
from fastexplain.networks._players import Pretrained
from fastexplain.training._checkpoint import Checkpoint
from fastexplain.training._interrupts import Interrupts
from fastexplain.training._muon import MuonAdamW
from fastexplain.training._pace import Pace
from fastexplain.training._settings import Fitted, TrainSettings, fabric_for

__all__ = ["Experience", "Trainer"]

# layers of copies whose weights Muon moves, and rows and columns of these, at least
_MATRICES = (nn.Linear, nn.Conv1d, nn.Conv2d)
_LEAST_SIDE = 16
# layers that note what passes through them in training
_NORMS = nn.modules.batchnorm._BatchNorm

Batch = dict[str, torch.Tensor]
LossFunction = Callable[[nn.Module, Batch], tuple[torch.Tensor, dict[str, torch.Tensor]]]


class Experience(Protocol):
    """Where batches come from: a pool of targets, or trajectories of the current policy."""

    @property
    def most_batches(self) -> int | None:
        """How many it can give, where the schedule is to end; None without end."""

    def batch(self, module: nn.Module, generator: torch.Generator) -> Batch | None:
        """Give the next batch, or None once the query budget is spent."""

    def position(self) -> Any:
        """Where it is: numbers, and tensors that later batches are made of."""

    def seek(self, position: Any) -> None:
        """Go on from a position as if the batches before it had been given."""

    def shrink(self, share: float) -> None:
        """Give batches of a share of their size from now on."""


class Trainer:
    """Moves a network by an objective.

    Parameters
    ----------
    module : nn.Module
        The network; holds the best weights found when ``run`` returns.
    loss : callable
        ``loss(module, batch)`` gives a scalar to minimise and parts to log.
    experience : Experience
        Gives batches.
    validate : callable
        ``validate(module)`` gives a held-out score, higher is better.
    settings : TrainSettings
    checkpoint : Checkpoint, optional
        Saved to at every validation; resumed from where it holds an unfinished run.
    """

    def __init__(
        self,
        module: nn.Module,
        loss: LossFunction,
        experience: Experience,
        validate: Callable[[nn.Module], float],
        settings: TrainSettings,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.module = module
        self.loss = loss
        self.experience = experience
        self.validate = validate
        self.settings = settings
        self.checkpoint = checkpoint
        self._fabric: Any = None

    def run(self) -> Fitted:
        """Train until the steps, the time or the patience run out.

        A step, and what is noted of it, is done whole or not at all when Ctrl-C comes: a run that
        is taken up ends as one that was never left.

        Returns
        -------
        Fitted
            With ``stopped_by`` one of "max_steps", "max_time", "patience", "queries" and
            "interrupt".
        """
        s = self.settings
        fabric = fabric_for(s.device, s.precision)
        if fabric.world_size > 1:
            fabric.launch()
        self._fabric = fabric
        self.module.to(fabric.device)
        optimizer = MuonAdamW(_groups(self.module, s.weight_decay), s.learning_rate)
        wrapped, self._optimizer = fabric.setup(self.module, optimizer, move_to_device=False)
        for name in getattr(self.module, "forward_methods", ()):
            # mixed precision then wraps these as it wraps forward
            wrapped.mark_forward_method(name)
        self._generator = torch.Generator().manual_seed(s.seed)
        self._step, self._fitted, self._best = 0, Fitted(), _weights(self.module)
        self._take_up()
        fitted = self._fitted
        if s.judge_start and self._step == 0:
            self.module.eval()
            fitted.best_score = fabric.broadcast(self.validate(self.module))
        with (
            _progress(s.verbose, s.max_steps, self._step) as bar,
            Interrupts() as interrupts,
        ):
            try:
                self._train(wrapped, interrupts, bar)
            except KeyboardInterrupt:
                with interrupts.held():
                    self._leave()
                warn_user(
                    f"Training was interrupted at step {self._step} of {s.max_steps}; the best "
                    f"network so far (step {fitted.best_step}) is kept."
                )
        self.module.load_state_dict(self._best)
        self.module.eval()
        fitted.n_steps = self._step
        return fitted

    def _take_up(self) -> None:
        """Go on from what the checkpoint holds, if anything."""
        if self.checkpoint is not None:
            given = self._generator, self.experience, self._fabric.strategy.precision
            resumed = self.checkpoint.resume(self.module, self._optimizer, *given)
            if resumed is not None:
                self._step, self._fitted, self._best = resumed
                self._fitted.stopped_by = "max_steps"
        # what batch norms note of batches that pass, before the step is made
        norms = [m for m in self.module.modules() if isinstance(m, _NORMS)]
        self._moving = [buffer for norm in norms for buffer in norm.buffers()]
        # of the steps since the last validation
        self._sums: dict[str, Any] = dict(self._fitted.sums)
        self._count = self._fitted.count
        self._fitted.sums, self._fitted.count = {}, 0
        self._pace = Pace(self.settings, self._step)
        self._mark()

    def _train(self, wrapped: Any, interrupts: Interrupts, bar: Any) -> None:
        """Make steps until something ends them, and say what in ``stopped_by``."""
        s, fitted = self.settings, self._fitted
        while True:
            if self._count and (self._step % s.eval_every == 0 or self._step >= s.max_steps):
                self._validate(interrupts)
                bar.set_postfix(score=f"{fitted.history['score'][-1]:.3f}", refresh=False)
            # from what is saved alone: a run that is taken up here ends here, too
            waited = self._step - fitted.best_step
            if not self._count and 0 < s.patience * s.eval_every <= waited:
                fitted.stopped_by = "patience"
                break
            if self._step >= s.max_steps:
                break
            progress = self._progress(self._step)
            if self._fabric.world_size > 1 and s.deadline is not None:
                # clocks differ, and a process that stops alone leaves the others waiting
                progress = self._fabric.broadcast(progress)
            if progress >= 1.0:
                fitted.stopped_by = "max_time"
                break
            batch = self.experience.batch(wrapped, self._generator)
            if batch is None:
                fitted.stopped_by = "queries"
                break
            if self._step == self._pace.start:
                batch = self._fitting(wrapped, batch)
            for group in self._optimizer.param_groups:
                group["lr"] = s.learning_rate * _schedule(progress)
            wrapped.train()
            loss, parts = self.loss(wrapped, self._share(batch))
            if not torch.isfinite(loss):
                raise FloatingPointError(
                    f"The training loss became {loss.item()} at step {self._step}; lower "
                    "learning_rate, or check X for extreme values."
                )
            self._optimizer.zero_grad()
            self._fabric.backward(loss)
            nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
            with interrupts.held():
                self._optimizer.step()
                self._step += 1
                for name, value in {"loss": loss.detach(), **parts}.items():
                    self._sums[name] = self._sums.get(name, 0.0) + value
                self._count += 1
                # from here on this batch has been learned from
                self._mark()
            bar.update(1)
            share = self._pace.after(self._step)
            if share is not None and self._fabric.world_size == 1:
                self.experience.shrink(share)
        if self._count:
            self._validate(interrupts, save=False)

    def _fitting(self, wrapped: Any, batch: Batch) -> Batch:
        """The first batch, smaller where steps of its size would be too slow for the time."""
        if self._fabric.world_size > 1:
            return batch
        n_rows = len(next(iter(batch.values())))

        def attempt(few: int) -> None:
            wrapped.train()
            loss, _ = self.loss(wrapped, {name: part[:few] for name, part in batch.items()})
            self._fabric.backward(loss)
            self._optimizer.zero_grad()
            for buffer, before in zip(self._moving, self._before, strict=True):
                buffer.copy_(before)

        share = self._pace.before(n_rows, attempt)
        if share is None:
            return batch
        self.experience.shrink(share)
        left = max(int(share * n_rows), 2)
        return {name: part[:left] for name, part in batch.items()}

    def _share(self, batch: Batch) -> Batch:
        """Rows of a batch that this process learns from."""
        n, rank = self._fabric.world_size, self._fabric.global_rank
        if n == 1:
            return batch
        if len(next(iter(batch.values()))) < n:
            raise ValueError(
                f"A batch has fewer rows than the {n} processes; raise batch_size, give more "
                "rows, or start fewer processes."
            )
        return {name: tensor[rank::n] for name, tensor in batch.items()}

    def _mark(self) -> None:
        """Note where a run that is left now would have to go on."""
        self._drawn = self.experience.position(), self._generator.get_state()
        self._before = [buffer.clone() for buffer in self._moving]

    def _leave(self) -> None:
        """Undo what was done of a step that was interrupted, and save."""
        position, drawn = self._drawn
        self.experience.seek(position)
        self._generator.set_state(drawn)
        for buffer, before in zip(self._moving, self._before, strict=True):
            buffer.copy_(before)
        fitted = self._fitted
        fitted.stopped_by = "interrupt"
        fitted.sums, fitted.count = {k: float(v) for k, v in self._sums.items()}, self._count
        self._save()

    def _validate(self, interrupts: Interrupts, save: bool = True) -> None:
        """Score the network, and note and save it, all of that or nothing."""
        s, fitted, step = self.settings, self._fitted, self._step
        self.module.eval()
        # one process's word, so that all stop at the same step with the same weights
        score = self._fabric.broadcast(self.validate(self.module))
        with interrupts.held():
            row = {name: float(total) / self._count for name, total in self._sums.items()}
            row |= {"step": step, "score": score, "seconds": time.monotonic() - s.started}
            for name, value in row.items():
                fitted.history.setdefault(name, []).append(float(value))
            if score > fitted.best_score:
                fitted.best_score, fitted.best_step = score, step
                self._best = _weights(self.module)
            self._sums, self._count = {}, 0
            if save:
                self._save()

    def _progress(self, step: int) -> float:
        """Share of the run that is over, by steps or by time, whichever is further."""
        s = self.settings
        most = self.experience.most_batches
        steps = s.max_steps if most is None else min(s.max_steps, most)
        # time alone ends a run here
        share = min(step / max(steps, 1), 1.0 - 1e-6)
        if s.deadline is None:
            return share
        left = s.deadline - time.monotonic()
        begun = s.started if s.begun is None else s.begun
        return max(share, 1.0 - left / max(s.deadline - begun, 1e-9)) if left > 0 else 1.0

    def _save(self) -> None:
        if self.checkpoint is not None:
            state = self._step, self.module, self._optimizer, self._generator, self.experience
            precision = self._fabric.strategy.precision
            self.checkpoint.save(*state, self._fitted, self._best, precision)


def _schedule(progress: float, warmup: float = 0.05) -> float:
    """Linear warm-up, then a cosine to zero."""
    if progress < warmup:
        return max(progress / warmup, 0.02)
    share = (progress - warmup) / (1.0 - warmup)
    return 0.5 * (1.0 + float(torch.cos(torch.tensor(torch.pi * share))))


def _groups(module: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases, norms and scales do not. A copy that trains on takes Muon's steps."""
    copies = [part for part in module.modules() if isinstance(part, Pretrained)]
    layers = [part for copy in copies for part in copy.modules() if isinstance(part, _MATRICES)]
    turned = {
        id(part.weight)
        for part in layers
        if part.weight.requires_grad
        and min(len(part.weight), part.weight[0].numel()) >= _LEAST_SIDE
    }
    parameters = [p for p in module.parameters() if p.requires_grad]
    others = [p for p in parameters if id(p) not in turned]
    return [
        {"params": [p for p in others if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0},
        {
            "params": [p for p in parameters if id(p) in turned],
            "weight_decay": decay,
            "matrices": True,
        },
    ]


def _weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def _progress(verbose: int, total: int, start: int) -> Any:
    from tqdm.auto import tqdm

    return tqdm(total=total, initial=start, desc="training", unit="step", disable=not verbose)
