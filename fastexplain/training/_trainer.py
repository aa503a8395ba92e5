"""The one training loop: device, precision, schedule, validation, interrupts, history."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from fastexplain.networks._players import Pretrained
from fastexplain.training._checkpoint import Checkpoint
from fastexplain.training._muon import MuonAdamW

__all__ = ["Experience", "Fitted", "TrainSettings", "Trainer", "fabric_for", "where_to_train"]

# weights in single precision, as the inputs and targets that are collected beforehand
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")

# layers of copies whose weights Muon moves, and rows and columns of these, at least
_MATRICES = (nn.Linear, nn.Conv1d, nn.Conv2d)
_LEAST_SIDE = 16

Batch = dict[str, torch.Tensor]
LossFunction = Callable[[nn.Module, Batch], tuple[torch.Tensor, dict[str, torch.Tensor]]]


class Experience(Protocol):
    """Where batches come from: a pool of targets, or trajectories of the current policy."""

    @property
    def most_batches(self) -> int | None:
        """How many it can give, where the schedule is to end; None without end."""

    def batch(self, module: nn.Module, generator: torch.Generator) -> Batch | None:
        """Give the next batch, or None once the query budget is spent."""

    def position(self) -> int:
        """How many batches have been given."""

    def seek(self, position: int) -> None:
        """Go on as if so many batches had been given."""


@dataclass(frozen=True)
class TrainSettings:
    """How long, how fast and on what.

    Attributes
    ----------
    max_steps : int
        Optimiser steps.
    learning_rate, weight_decay : float
        Of AdamW, and of Muon for copies of models that train on; the rate rises over the
        first 5% and falls to zero along a cosine.
    eval_every, patience : int
        Steps between validations; validations without a new best before stopping.
    deadline : float or None
        ``time.monotonic()`` at which to stop; the schedule shortens to end there.
    started : float
        ``time.monotonic()`` when fit began.
    begun : float or None
        The same when the schedule begins, if later.
    judge_start : bool
        Whether the weights that training begins with may be the best ones.
    """

    max_steps: int
    learning_rate: float
    weight_decay: float
    eval_every: int
    patience: int
    device: str
    precision: str
    verbose: int
    seed: int
    started: float
    deadline: float | None = None
    begun: float | None = None
    judge_start: bool = False


@dataclass
class Fitted:
    """What a run leaves behind."""

    history: dict[str, list[float]] = field(default_factory=dict)
    best_score: float = float("-inf")
    best_step: int = 0
    n_steps: int = 0
    stopped_by: str = "max_steps"
    # of the steps since the last validation
    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0


def where_to_train(device: str, precision: str) -> tuple[str, str, str]:
    """Kind of device, its number or "", and precision that names stand for.

    Raises
    ------
    ValueError
        For names that are not known, or a device that is not there.
    """
    name, _, index = str(device).partition(":")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device='cuda' was asked for, but torch sees no CUDA device here.")
    if name not in ("cpu", "cuda", "mps"):
        raise ValueError(f"device={device!r} is not known: give 'auto', 'cpu', 'cuda' or 'cuda:0'.")
    if index and not index.isdigit():
        raise ValueError(f"device={device!r}: what follows the colon must be a number.")
    if precision == "auto":
        mixed = name == "cuda" and torch.cuda.is_bf16_supported()
        precision = "bf16-mixed" if mixed else "32-true"
    if precision not in PRECISIONS:
        known = "', '".join(("auto", *PRECISIONS))
        raise ValueError(f"precision={precision!r} is not one of '{known}'.")
    return name, index, precision


def fabric_for(device: str, precision: str) -> Any:
    """Lightning Fabric for a device name (``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``).

    In a program started as several processes (``torchrun``, ``fabric run``) each trains on
    its share of every batch, with gradients averaged; all end with the same network.
    """
    from lightning_fabric import Fabric

    name, index, precision = where_to_train(device, precision)
    options: dict[str, Any] = {"accelerator": name, "precision": precision}
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world > 1:
        local = int(os.environ.get("LOCAL_WORLD_SIZE", world))
        # a table without categories leaves the embedding of categories unused
        options |= {"strategy": "ddp_find_unused_parameters_true", "num_nodes": world // local}
        return Fabric(devices=local, **options)
    return Fabric(devices=[int(index)] if index else 1, **options)


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
        share = slice(fabric.global_rank, None, fabric.world_size)
        self.module.to(fabric.device)
        optimizer = MuonAdamW(_groups(self.module, s.weight_decay), s.learning_rate)
        wrapped, optimizer = fabric.setup(self.module, optimizer, move_to_device=False)
        for name in getattr(self.module, "forward_methods", ()):
            # mixed precision then wraps these as it wraps forward
            wrapped.mark_forward_method(name)
        generator = torch.Generator().manual_seed(s.seed)
        fitted, best = Fitted(), _weights(self.module)
        start = 0
        if self.checkpoint is not None:
            resumed = self.checkpoint.resume(self.module, optimizer, generator, self.experience)
            if resumed is not None:
                start, fitted, best = resumed
                fitted.stopped_by = "max_steps"
        if s.judge_start and start == 0:
            self.module.eval()
            fitted.best_score = fabric.broadcast(self.validate(self.module))
        sums: dict[str, Any] = dict(fitted.sums)
        count, position = fitted.count, self.experience.position()
        fitted.sums, fitted.count = {}, 0
        drawn = generator.get_state()
        step = start
        bar = _progress(s.verbose, s.max_steps, start)
        try:
            while step < s.max_steps:
                progress = self._progress(step)
                if fabric.world_size > 1 and s.deadline is not None:
                    # clocks differ, and a process that stops alone leaves the others waiting
                    progress = fabric.broadcast(progress)
                if progress >= 1.0:
                    fitted.stopped_by = "max_time"
                    break
                if count and step % s.eval_every == 0:
                    # left in the midst of this validation
                    if self._record(fitted, step, sums, count):
                        best = _weights(self.module)
                    sums, count = {}, 0
                position, drawn = self.experience.position(), generator.get_state()
                batch = self.experience.batch(wrapped, generator)
                if batch is None:
                    fitted.stopped_by = "queries"
                    break
                for group in optimizer.param_groups:
                    group["lr"] = s.learning_rate * _schedule(progress)
                wrapped.train()
                if fabric.world_size > 1:
                    if len(next(iter(batch.values()))) < fabric.world_size:
                        raise ValueError(
                            f"A batch has fewer rows than the {fabric.world_size} processes; "
                            "raise batch_size, give more rows, or start fewer processes."
                        )
                    batch = {name: tensor[share] for name, tensor in batch.items()}
                loss, parts = self.loss(wrapped, batch)
                if not torch.isfinite(loss):
                    raise FloatingPointError(
                        f"The training loss became {loss.item()} at step {step}; lower "
                        "learning_rate, or check X for extreme values."
                    )
                optimizer.zero_grad()
                fabric.backward(loss)
                nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
                optimizer.step()
                step += 1
                # from here on this batch has been learned from
                position, drawn = self.experience.position(), generator.get_state()
                for name, value in {"loss": loss.detach(), **parts}.items():
                    sums[name] = sums.get(name, 0.0) + value
                count += 1
                bar.update(1)
                if step % s.eval_every == 0 or step == s.max_steps:
                    if self._record(fitted, step, sums, count):
                        best = _weights(self.module)
                    bar.set_postfix(score=f"{fitted.history['score'][-1]:.3f}", refresh=False)
                    sums, count = {}, 0
                    self._save(step, optimizer, generator, fitted, best)
                    if step - fitted.best_step >= s.patience * s.eval_every:
                        fitted.stopped_by = "patience"
                        break
            if count and self._record(fitted, step, sums, count):
                best = _weights(self.module)
        except KeyboardInterrupt:
            fitted.stopped_by = "interrupt"
            # the batch that was interrupted has not been learned from
            self.experience.seek(position)
            generator.set_state(drawn)
            fitted.sums, fitted.count = {k: float(v) for k, v in sums.items()}, count
            self._save(step, optimizer, generator, fitted, best)
            warnings.warn(
                f"Training was interrupted at step {step} of {s.max_steps}; the best network "
                f"so far (step {fitted.best_step}) is kept.",
                stacklevel=4,
            )
        finally:
            bar.close()
        self.module.load_state_dict(best)
        self.module.eval()
        fitted.n_steps = step
        return fitted

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

    def _record(self, fitted: Fitted, step: int, sums: dict[str, Any], count: int) -> bool:
        self.module.eval()
        # one process's word, so that all stop at the same step with the same weights
        score = self._fabric.broadcast(self.validate(self.module))
        row = {name: float(total) / count for name, total in sums.items()}
        row |= {"step": step, "score": score, "seconds": time.monotonic() - self.settings.started}
        for name, value in row.items():
            fitted.history.setdefault(name, []).append(float(value))
        better = score > fitted.best_score
        if better:
            fitted.best_score, fitted.best_step = score, step
        return better

    def _save(self, step: int, optimizer: Any, generator: torch.Generator, *rest: Any) -> None:
        if self.checkpoint is not None:
            self.checkpoint.save(step, self.module, optimizer, generator, self.experience, *rest)


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
