"""How long, how fast and where a network trains, and what a run leaves behind."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import torch

__all__ = [
    "PRECISIONS",
    "Fitted",
    "TrainSettings",
    "fabric_for",
    "load_fabric",
    "where_to_train",
]

# weights in single precision, as the inputs and targets that are collected beforehand
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


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


def load_fabric() -> Any:
    """Give the class of Lightning Fabric; its first import takes seconds, and not all need it."""
    from lightning_fabric import Fabric

    return Fabric


def fabric_for(device: str, precision: str) -> Any:
    """Lightning Fabric for a device name (``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``).

    In a program started as several processes (``torchrun``, ``fabric run``) each trains on
    its share of every batch, with gradients averaged; all end with the same network.
    """
    fabric = load_fabric()
    name, index, precision = where_to_train(device, precision)
    options: dict[str, Any] = {"accelerator": name, "precision": precision}
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world > 1:
        local = int(os.environ.get("LOCAL_WORLD_SIZE", world))
        # a table without categories leaves the embedding of categories unused
        options |= {"strategy": "ddp_find_unused_parameters_true", "num_nodes": world // local}
        return fabric(devices=local, **options)
    return fabric(devices=[int(index)] if index else 1, **options)
