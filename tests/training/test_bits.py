"""Coalitions as bits come back as they were."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from fastexplain.training import TargetPool, pack_bits, unpack_bits


@given(hn.arrays(bool, hn.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=20)))
def test_what_is_packed_comes_back(masks: np.ndarray) -> None:
    packed = pack_bits(masks)
    assert packed.shape == (*masks.shape[:-1], -(-masks.shape[-1] // 8))
    found = unpack_bits(torch.from_numpy(packed), masks.shape[-1])
    assert found.dtype == torch.float32 and found.is_contiguous()
    np.testing.assert_array_equal(found.numpy(), masks)


@given(st.integers(1, 300))
def test_a_single_player_is_one_bit(n_players: int) -> None:
    alone = np.eye(n_players, dtype=bool)
    assert np.unpackbits(pack_bits(alone), axis=1).sum() == n_players
    np.testing.assert_array_equal(unpack_bits(torch.from_numpy(pack_bits(alone)), n_players), alone)


def test_batches_hold_numbers() -> None:
    masks = np.random.default_rng(0).random((30, 4, 11)) < 0.5
    pool = {"row": torch.arange(30), "masks": torch.from_numpy(pack_bits(masks))}
    batch = TargetPool(pool, 8, 0, {"masks": 11}).batch(torch.nn.Linear(1, 1), torch.Generator())
    np.testing.assert_array_equal(batch["masks"].numpy(), masks[batch["row"]])
