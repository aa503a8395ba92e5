"""One training loop for every method, and where its batches come from."""

from fastexplain.training._checkpoint import Checkpoint
from fastexplain.training._pool import PoolPair, TargetPool, chunk_ends, collect, mix_rows
from fastexplain.training._trainer import (
    Experience,
    Fitted,
    Trainer,
    TrainSettings,
    fabric_for,
    where_to_train,
)
from fastexplain.training._trajectories import Trajectories

__all__ = [
    "Checkpoint",
    "Experience",
    "Fitted",
    "PoolPair",
    "TargetPool",
    "TrainSettings",
    "Trainer",
    "Trajectories",
    "chunk_ends",
    "collect",
    "fabric_for",
    "mix_rows",
    "where_to_train",
]
