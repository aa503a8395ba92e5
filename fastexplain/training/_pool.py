"""A pool of targets that the model was asked for once and the network sees many times."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from fastexplain.tables import Table
from fastexplain.training._bits import unpack_bits

__all__ = ["PoolPair", "TargetPool", "chunk_ends", "collect"]

Batch = dict[str, torch.Tensor]

# rows of a batch, where steps are slow
_FEWEST = 8
# rows whose targets are made before the first look at the clock and the disk
_FIRST = 4
_GROWTH = 4
# seconds between two looks at the disk
_SAVED_EVERY = 30.0
# bytes of a file, about
_PIECE = 2**26


class TargetPool:
    """Batches drawn from stored tensors, every row once before any row twice.

    Parameters
    ----------
    tensors : dict of tensors with n rows each
    batch_size : int
    seed : int
        Each epoch's order follows from it and the epoch's number alone.
    bits : mapping of name to int, optional
        Tensors that ``pack_bits`` wrote, and how many players their last axis holds. Batches
        have them as numbers.
    """

    most_batches: int | None = None

    def __init__(
        self,
        tensors: Batch,
        batch_size: int,
        seed: int,
        bits: Mapping[str, int] | None = None,
    ) -> None:
        self.tensors = tensors
        self.bits = {} if bits is None else dict(bits)
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
        batch = {name: tensor[rows].to(device) for name, tensor in self.tensors.items()}
        return batch | {name: unpack_bits(batch[name], n) for name, n in self.bits.items()}

    def position(self) -> int:
        """How many batches have been given."""
        return self._given

    def seek(self, position: int) -> None:
        """Go on as if so many batches had been given."""
        self._given = position

    def shrink(self, share: float) -> None:
        """Give batches of a share of their size from now on, of a few rows at least."""
        self.batch_size = min(self.batch_size, max(int(share * self.batch_size), _FEWEST))


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

    def shrink(self, share: float) -> None:
        """Give batches of a share of their size from now on."""
        self.first.shrink(share)
        self.second.shrink(share)


def collect(
    table: Table,
    make: Callable[[Table, int], Batch],
    *,
    held: Batch | None = None,
    save: Callable[[Batch, int], bool] | None = None,
    deadline: float | None = None,
    progress: Any = None,
    most: int = 1024,
    first: int = _FIRST,
) -> Batch:
    """Make the targets of a table's rows, a chunk at a time.

    What is returned is allocated once, and filled as rows are made.

    Parameters
    ----------
    table : Table
        Rows to make targets of, in an order that does not depend on the past.
    make : callable
        ``make(rows, chunk)`` gives tensors with one entry a row.
    held : dict of tensors, optional
        Targets of the first rows, made by an earlier run; all of them where they are more than
        the rows. Emptied as it is copied.
    save : callable, optional
        ``save(rows, start)`` is told the rows from ``start`` on that it was not told before, and
        says whether it kept them: now and then, at the end, and when anything stops it.
    deadline : float, optional
        ``time.monotonic()`` after which no further chunk is begun.
    progress : tqdm, optional
    most : int, default=1024
        Rows of a chunk at most. Each is a quarter of all before it, and so is what the deadline
        is missed by.
    first : int, default=4
        Rows of the first chunk, and of those after it until a quarter is more.

    Returns
    -------
    dict of tensors
        At least one chunk; all rows unless the deadline came first.
    """
    n_held = 0 if held is None else len(next(iter(held.values())))
    if held is not None and n_held >= len(table):
        return held
    chunks = list(enumerate(chunk_ends(len(table), most, first)))
    # the run that is taken up may have had another number of samples: whole chunks are kept
    done = max((end for _, (_, end) in chunks if end <= n_held), default=0)
    told = done if done == n_held else 0
    filled: Batch = {}
    if held is not None:
        for name in list(held):
            _put(filled, name, held.pop(name)[:done], 0, len(table))

    def tell() -> None:
        nonlocal told
        rows = max(1, _PIECE // _row_bytes(filled))
        while save is not None and told < done:
            end = min(told + rows, done)
            # in memory of their own: of a part torch would save the whole
            if not save({name: held[told:end].clone() for name, held in filled.items()}, told):
                return
            told = end

    last = time.monotonic()
    try:
        for number, (start, end) in chunks:
            if end <= done:
                continue
            if done and deadline is not None and time.monotonic() > deadline:
                break
            for name, tensor in make(table.take(slice(start, end)), number).items():
                _put(filled, name, tensor, start, len(table))
            done = end
            if progress is not None:
                progress.update(end - progress.n)
            if time.monotonic() - last > _SAVED_EVERY:
                tell()
                last = time.monotonic()
    finally:
        # Ctrl-C too, or a model that fails after an hour of answers
        tell()
    return {name: tensor[:done] for name, tensor in filled.items()}


def _put(filled: Batch, name: str, rows: torch.Tensor, start: int, n_rows: int) -> None:
    """Write some rows of a tensor that is to have ``n_rows``."""
    if name not in filled:
        filled[name] = rows.new_empty((n_rows, *rows.shape[1:]))
    known = filled[name]
    if rows.dtype != known.dtype or rows.shape[1:] != known.shape[1:]:
        raise ValueError(
            f"{name!r} has rows of {tuple(rows.shape[1:])} {rows.dtype} in one chunk, and of "
            f"{tuple(known.shape[1:])} {known.dtype} in those before."
        )
    filled[name][start : start + len(rows)] = rows


def _row_bytes(filled: Batch) -> int:
    return sum(t.element_size() * math.prod(t.shape[1:]) for t in filled.values()) or 1


def chunk_ends(n_rows: int, most: int, first: int = _FIRST) -> Iterator[tuple[int, int]]:
    """First row of each chunk and the one after its last, each a quarter of all before it."""
    start = 0
    while start < n_rows:
        end = min(n_rows, start + min(max(start // _GROWTH, first), most))
        yield start, end
        start = end
