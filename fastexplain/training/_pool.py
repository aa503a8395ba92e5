"""A pool of targets that the model was asked for once and the network sees many times."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from fastexplain.tables import Table

__all__ = ["PoolPair", "TargetPool", "chunk_ends", "collect", "mix_rows"]

Batch = dict[str, torch.Tensor]

# rows whose targets are made before the first look at the clock and the disk
_FIRST = 4
_GROWTH = 4


class TargetPool:
    """Batches drawn from stored tensors, every row once before any row twice.

    Parameters
    ----------
    tensors : dict of tensors with n rows each
    batch_size : int
    seed : int
        Each epoch's order follows from it and the epoch's number alone.
    """

    most_batches: int | None = None

    def __init__(self, tensors: Batch, batch_size: int, seed: int) -> None:
        self.tensors = tensors
        self.n_rows = len(next(iter(tensors.values())))
        self.batch_size = min(batch_size, self.n_rows)
        self.seed = seed
        self._given = 0
        self._order: tuple[int, torch.Tensor] | None = None

    def batch(self, module: nn.Module, generator: torch.Generator) -> Batch:
        """Give the next minibatch, on the network's device."""
        per_epoch = max(1, self.n_rows // self.batch_size)
        epoch, place = divmod(self._given, per_epoch)
        if self._order is None or self._order[0] != epoch:
            shuffle = torch.Generator().manual_seed(self.seed + epoch)
            self._order = epoch, torch.randperm(self.n_rows, generator=shuffle)
        self._given += 1
        start = place * self.batch_size
        rows = self._order[1][start : start + self.batch_size]
        device = next(module.parameters()).device
        return {name: tensor[rows].to(device) for name, tensor in self.tensors.items()}

    def position(self) -> int:
        """How many batches have been given."""
        return self._given

    def seek(self, position: int) -> None:
        """Go on as if so many batches had been given."""
        self._given = position


class PoolPair:
    """Batches of one pool beside batches of another, whose names begin with ``free_``."""

    most_batches: int | None = None

    def __init__(self, first: TargetPool, second: TargetPool) -> None:
        self.first = first
        self.second = second

    def batch(self, module: nn.Module, generator: torch.Generator) -> Batch:
        """Give a minibatch of each."""
        other = self.second.batch(module, generator)
        return self.first.batch(module, generator) | {f"free_{k}": v for k, v in other.items()}

    def position(self) -> int:
        """How many batches have been given."""
        return self.first.position()

    def seek(self, position: int) -> None:
        """Go on as if so many batches had been given."""
        self.first.seek(position)
        self.second.seek(position)


def collect(
    table: Table,
    make: Callable[[Table, int], Batch],
    *,
    held: Batch | None = None,
    save: Callable[[Batch], None] | None = None,
    deadline: float | None = None,
    progress: Any = None,
    most: int = 1024,
) -> Batch:
    """Make the targets of a table's rows, a chunk at a time.

    Parameters
    ----------
    table : Table
        Rows to make targets of, in an order that does not depend on the past.
    make : callable
        ``make(rows, chunk)`` gives tensors with one entry a row.
    held : dict of tensors, optional
        Targets of the first rows, made by an earlier run; all of them where they are more than
        the rows.
    save : callable, optional
        Told the tensors so far now and then, and when interrupted.
    deadline : float, optional
        ``time.monotonic()`` after which no further chunk is begun.
    progress : tqdm, optional
    most : int, default=1024
        Rows of a chunk at most. Each is a quarter of all before it, and so is what the deadline
        is missed by.

    Returns
    -------
    dict of tensors
        At least one chunk; all rows unless the deadline came first.
    """
    saved = time.monotonic()
    chunks = list(enumerate(chunk_ends(len(table), most)))
    done = 0 if held is None else len(next(iter(held.values())))
    if done < len(table):
        # the run that is taken up may have had another number of samples: whole chunks are kept
        done = max((end for _, (_, end) in chunks if end <= done), default=0)
    parts = [] if held is None else [{name: tensor[:done] for name, tensor in held.items()}]
    left = [(number, ends) for number, ends in chunks if ends[1] > done]

    def joined() -> Batch:
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    try:
        for number, (start, end) in left:
            if parts and deadline is not None and time.monotonic() > deadline:
                break
            parts.append(make(table.take(slice(start, end)), number))
            if progress is not None:
                progress.update(end - progress.n)
            if save is not None and time.monotonic() - saved > 30:
                save(joined())
                saved = time.monotonic()
    except KeyboardInterrupt:
        if save is not None and parts:
            save(joined())
        raise
    if save is not None:
        save(joined())
    return joined()


def chunk_ends(n_rows: int, most: int) -> Iterator[tuple[int, int]]:
    """First row of each chunk and the one after its last, each a quarter of all before it."""
    start = 0
    while start < n_rows:
        end = min(n_rows, start + min(max(start // _GROWTH, _FIRST), most))
        yield start, end
        start = end


def mix_rows(table: Table, n_rows: int, players: np.ndarray, rng: np.random.Generator) -> Table:
    """Draw rows near the data: some players' values come from another row.

    Parameters
    ----------
    table : Table
        Real rows.
    n_rows : int
        Rows to draw.
    players : int ndarray of shape (C,)
        The player of each column; columns of one player move together.
    rng : numpy.random.Generator

    Returns
    -------
    Table
        Each row is a real one with a tenth to three tenths of its players exchanged.
    """
    own = rng.integers(len(table), size=n_rows)
    other = rng.integers(len(table), size=n_rows)
    share = rng.uniform(0.1, 0.3, size=(n_rows, 1))
    swap = rng.random((n_rows, int(players.max()) + 1)) < share
    index = np.where(swap[:, players], other[:, None], own[:, None])
    return Table(table.stack(table.take(slice(0, 0))).gather(index))
