"""Coalitions as bits: an eighth of the memory of booleans."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

__all__ = ["pack_bits", "unpack_bits"]


def pack_bits(masks: np.ndarray) -> np.ndarray:
    """Write eight players into a byte.

    Parameters
    ----------
    masks : bool ndarray of shape (..., N)

    Returns
    -------
    uint8 ndarray of shape (..., ceil(N / 8))
        Bit ``i`` of byte ``b`` is player ``8 b + i``.
    """
    return np.packbits(masks, axis=-1, bitorder="little")


def unpack_bits(bits: torch.Tensor, n_players: int) -> torch.Tensor:
    """Read what ``pack_bits`` wrote.

    Parameters
    ----------
    bits : uint8 tensor of shape (..., ceil(N / 8))
    n_players : int
        N.

    Returns
    -------
    float32 tensor of shape (..., N)
        1 for players that are in the coalition, 0 for the others.
    """
    # a look-up takes no longer than turning booleans into numbers does
    rows = torch.nn.functional.embedding(bits.int(), _bytes_as_rows(bits.device))
    # products of numbers that lie together do not differ from those of booleans in the last digit
    return rows.flatten(-2)[..., :n_players].contiguous()


@lru_cache(maxsize=8)
def _bytes_as_rows(device: torch.device) -> torch.Tensor:
    """The eight bits of each byte, (256, 8)."""
    # to be trained with, whoever asks first
    with torch.inference_mode(False):
        byte = torch.arange(256, device=device)[:, None]
        return ((byte >> torch.arange(8, device=device)) & 1).float()
