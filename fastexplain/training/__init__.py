"""One training loop for every method, and where its batches come from."""

from fastexplain.training._bits import pack_bits, unpack_bits
from fastexplain.training._checkpoint import Checkpoint
from fastexplain.training._mixtures import mix_rows, rows_and_mixtures
from fastexplain.training._pool import PoolPair, TargetPool, chunk_ends, collect
from fastexplain.training._settings import (
    Fitted,
    TrainSettings,
    fabric_for,
    load_fabric,
    where_to_train,
)
from fastexplain.training._trainer import Experience, Trainer
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
    "load_fabric",
    "mix_rows",
    "pack_bits",
    "rows_and_mixtures",
    "unpack_bits",
    "where_to_train",
]
