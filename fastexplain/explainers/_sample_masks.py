"""Random masks of each sample's own, drawn from its content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastexplain.tables import Table

__all__ = ["MASKS_AT_ONCE", "SampleMasks", "content_numbers"]

#: masks of a sample that are drawn from one stream, and held at a time
MASKS_AT_ONCE = 1024


@dataclass(frozen=True)
class SampleMasks:
    """Masks that keep each player with a probability, other ones for each sample.

    What is drawn depends on the seed and on the sample's content alone: not on the samples
    beside it, their order, or the batch. A player's draws do not depend on how many follow.

    Attributes
    ----------
    seed : int
    n_masks : int
        Masks of each sample.
    keep : float
        Probability that a player is kept.
    """

    seed: int
    n_masks: int
    keep: float

    def blocks(self) -> range:
        """Numbers of the blocks that the masks come in."""
        return range(-(-self.n_masks // MASKS_AT_ONCE))

    def draw(self, numbers: Sequence[int], block: int, n_players: int) -> np.ndarray:
        """Masks of one block, bool of shape (B, T, N).

        Parameters
        ----------
        numbers : sequence of B int
            What tells samples from each other, of ``content_numbers``.
        block : int
        n_players : int
        """
        n = min(MASKS_AT_ONCE, self.n_masks - block * MASKS_AT_ONCE)
        masks = np.empty((len(numbers), n, n_players), dtype=bool)
        for i, number in enumerate(numbers):
            rng = np.random.default_rng([self.seed, block, number])
            masks[i] = (rng.random((n_players, n), dtype=np.float32) < self.keep).T
        return masks


def content_numbers(samples: Any) -> list[int]:
    """A number for the content of each sample, the same in every process.

    Parameters
    ----------
    samples : Table, Images or Texts of n samples

    Returns
    -------
    list of n int
        Equal for equal samples; of others they differ but for one in 2**64.
    """
    if isinstance(samples, Table):
        return _of_rows(samples)
    if samples.kind == "texts":
        return [_digest(text.encode("utf-8", "surrogatepass")) for text in samples.native]
    wide = np.float64 if samples.native.dtype.kind == "f" else np.int64
    return [_digest((image.astype(wide) + wide(0)).tobytes()) for image in samples.native]


def _digest(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _of_rows(table: Table) -> list[int]:
    native = table.native
    if table.kind == "pandas":
        from pandas.util import hash_pandas_object

        return hash_pandas_object(native, index=False).tolist()
    if table.kind == "polars":
        import polars as pl

        # codes of categories differ from process to process
        named = [
            pl.col(name).cast(pl.String)
            for name, dtype in native.schema.items()
            if dtype in (pl.Categorical, pl.Enum)
        ]
        return native.with_columns(named).hash_rows(seed=0).to_list()
    if native.dtype.kind in "biuf":
        # one zero, one NaN, and one type: whole numbers equal their floats
        cells = native.astype(np.float64) + 0.0
        cells[np.isnan(cells)] = np.nan
        return [_digest(row.tobytes()) for row in cells]
    return [
        _digest("\x1f".join(map(str, row)).encode("utf-8", "surrogatepass"))
        for row in native.tolist()
    ]
