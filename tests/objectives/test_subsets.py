"""Relaxed choices of k features against loops, and their limits."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastexplain.objectives import relaxed_subset, top_subset


def test_a_draw_is_the_largest_of_k_relaxed_ones():
    rng = np.random.default_rng(0)
    logits, uniform = rng.normal(size=(3, 4)), rng.random((3, 2, 4))
    found = relaxed_subset(torch.from_numpy(logits), torch.from_numpy(uniform), 0.7).numpy()
    for b in range(3):
        p = np.exp(logits[b]) / np.exp(logits[b]).sum()
        draws = []
        for j in range(2):
            e = np.exp((np.log(p) - np.log(-np.log(uniform[b, j]))) / 0.7)
            draws.append(e / e.sum())
        np.testing.assert_allclose(found[b], np.max(draws, axis=0))


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 4))
def test_cold_draws_are_subsets(seed, n_players, k):
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=(5, n_players)))
    drawn = relaxed_subset(logits, torch.from_numpy(rng.random((5, k, n_players))), 1e-6)
    assert ((drawn < 1e-3) | (drawn > 1 - 1e-3)).all()
    sizes = drawn.round().sum(dim=1)
    assert (sizes >= 1).all() and (sizes <= k).all()


def test_chances_are_those_of_the_logits():
    logits = torch.tensor([[0.0, 1.0, 2.0]]).repeat(20_000, 1)
    uniform = torch.rand((20_000, 1, 3), generator=torch.Generator().manual_seed(0))
    share = relaxed_subset(logits, uniform, 1e-4).mean(dim=0)
    torch.testing.assert_close(share, logits[0].softmax(dim=0), atol=0.01, rtol=0)


def test_extreme_noise_is_finite():
    uniform = torch.tensor([[[0.0, 1.0 - 6e-8, 0.5]]])
    logits = torch.zeros(1, 3, requires_grad=True)
    drawn = relaxed_subset(logits, uniform, 0.1)
    drawn.sum().backward()
    assert torch.isfinite(drawn).all() and torch.isfinite(logits.grad).all()


def test_top_subset():
    logits = torch.tensor([[0.1, 3.0, 2.0], [5.0, -1.0, 0.0]])
    assert top_subset(logits, 2).tolist() == [[False, True, True], [True, False, True]]
    assert top_subset(logits, 9).all()
