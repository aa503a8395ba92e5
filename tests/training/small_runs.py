"""Runs of a few steps that are left, killed and taken up in the tests of checkpoints."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fastexplain.tables import as_table
from fastexplain.training import (
    Checkpoint,
    Fitted,
    TargetPool,
    Trainer,
    TrainSettings,
    collect,
)

ROWS = 40


class Net(nn.Module):
    """A line, behind a layer that notes what passes through it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1)
        self.line = nn.Linear(1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.line(self.norm(x))


def make_rows(rows: Any, chunk: int) -> dict[str, torch.Tensor]:
    x = torch.from_numpy(rows.native).float()
    return {"x": x, "y": 3 * x + 1}


def squared(module: nn.Module, batch: dict[str, torch.Tensor]) -> Any:
    loss = ((module(batch["x"]) - batch["y"]) ** 2).mean()
    return loss, {"square": loss.detach()}


def closeness(module: nn.Module) -> float:
    x = torch.linspace(-1, 1, 9)[:, None]
    with torch.no_grad():
        return -float(((module(x) - 3 * x - 1) ** 2).mean())


def fit(
    folder: Path | None,
    *,
    name: str = "a",
    make: Any = make_rows,
    loss: Any = squared,
    score: Any = closeness,
    stay: bool = False,
    **changes: Any,
) -> tuple[dict[str, torch.Tensor], Fitted]:
    """Collect a pool and train on it, as explainers do."""
    settings: dict[str, Any] = {"max_steps": 12, "eval_every": 4, "patience": 100}
    settings |= {"learning_rate": 0.05, "weight_decay": 0.0, "device": "cpu"}
    settings |= {"precision": "32-true", "verbose": 0, "seed": 0, "started": 0.0}
    checkpoint = None if folder is None else Checkpoint(folder, name, lambda: 7)
    try:
        table = as_table(np.linspace(-1, 1, ROWS)[:, None])
        held = None if checkpoint is None else checkpoint.pool()
        save = None if checkpoint is None else checkpoint.save_rows
        pool = collect(table, make, held=held, save=save)
        torch.manual_seed(0)
        module = Net()
        given = TargetPool(pool, 16, seed=0), score, TrainSettings(**settings | changes)
        fitted = Trainer(module, loss, *given, checkpoint).run()
        if checkpoint is not None and fitted.stopped_by != "interrupt" and not stay:
            checkpoint.finish()
    finally:
        if checkpoint is not None:
            checkpoint.close()
    return module.state_dict(), fitted


def stopping_at(real: Any, call: int, kind: type[BaseException] = KeyboardInterrupt) -> Any:
    calls = []

    def stopping(*given: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            raise kind
        return real(*given)

    return stopping


def same(found: tuple[dict[str, torch.Tensor], Fitted], whole: Any) -> None:
    """The same weights to the last digit, and the same history but for the clock."""
    for name, tensor in whole[0].items():
        assert torch.equal(found[0][name], tensor), name
    for name in ("step", "score", "loss", "square"):
        assert found[1].history[name] == whole[1].history[name], name
    for name in ("best_step", "best_score", "n_steps", "stopped_by"):
        assert getattr(found[1], name) == getattr(whole[1], name), name


def quietly(folder: Path, **given: Any) -> tuple[dict[str, torch.Tensor], Fitted]:
    """A fit that must have nothing to say."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return fit(folder, **given)


def left_run(folder: Path) -> Path:
    """A run that was left after its second validation."""
    with pytest.warns(UserWarning, match="interrupted"):
        fit(folder, loss=stopping_at(squared, 10))
    return folder
