"""Sets near a ranking, and least squares of what they gain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastexplain.objectives import log_odds_of, near_set_loss, near_sets, relative_gains


def _drawn(values: torch.Tensor, null: torch.Tensor, n_sets: int = 4, **params: float):
    return near_sets(values, null, n_sets, torch.Generator().manual_seed(0), **params)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 9), st.integers(1, 5), st.floats(0.0, 3.0))
def test_sets_are_of_one_size_and_leave_the_others(
    seed: int, n_players: int, n_sets: int, noise: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn((6, n_players), generator=generator)
    null = torch.rand((6, n_players), generator=generator) < 0.3
    null[:, :2] = False
    kept, left = near_sets(values, null, n_sets, generator, noise).chunk(2, dim=1)
    active = ~null[:, None].expand_as(kept)
    assert torch.equal(kept ^ left, active)
    assert not (kept & left).any()
    size = kept.sum(dim=2)
    assert (size == size[:, :1]).all()
    assert (size >= 1).all() and (left.sum(dim=2) >= 1).all()


def test_without_noise_sets_are_prefixes_and_with_more_they_differ_more() -> None:
    values = torch.randn((300, 12), generator=torch.Generator().manual_seed(1))
    null = torch.zeros_like(values, dtype=torch.bool)
    place = (-values).argsort(dim=1).argsort(dim=1)

    def strangers(noise: float) -> float:
        kept = _drawn(values, null, noise=noise)[:, :4]
        prefix = place[:, None] < kept.sum(dim=2, keepdim=True)
        return float((kept != prefix).float().mean())

    assert strangers(0.0) == 0.0
    assert 0.0 < strangers(0.1) < strangers(0.5) < strangers(3.0)
    # noise is in units of the values' own spread
    same = near_sets(100 * values - 7, null, 4, torch.Generator().manual_seed(0))
    assert torch.equal(same, _drawn(values, null))
    # small sets are drawn more often, all sizes some time
    size = _drawn(values, null)[:, 0].sum(dim=1)
    assert set(size.tolist()) == set(range(1, 12))
    assert size.float().mean() < 5


def test_values_of_one_player_or_all_alike_give_sets() -> None:
    null = torch.tensor([[False, True, True], [False, False, False], [True, True, True]])
    for level in (0.0, 0.001, 5.0):
        many = _drawn(torch.full((50, 12), level), torch.zeros((50, 12), dtype=torch.bool))
        assert any(len(sets[:4].unique(dim=0)) > 1 for sets in many)
    drawn = _drawn(torch.zeros((3, 3)), null)
    assert drawn[0, :4].sum() == 4 and drawn[0, 4:].sum() == 0
    assert not drawn[2].any()


def _naive(
    values: np.ndarray,
    masks: np.ndarray,
    gains: np.ndarray,
    total: np.ndarray,
    scale: np.ndarray,
    kept: float,
    gap: float,
) -> float:
    """One sample, one half, one set after the other."""
    lost = 0.0
    rows, n_sets = len(values), masks.shape[1] // 2
    for b in range(rows):
        for weight, half in ((kept, slice(0, n_sets)), (1 - kept, slice(n_sets, None))):
            inside, own = masks[b, half].astype(float), gains[b, half]
            for t in range(n_sets):
                told = (inside[t] - inside.mean(axis=0)) @ values[b]
                error = (own[t] - own.mean() - told) / scale[b]
                lost += weight * error**2 / n_sets
        lost += gap * ((total[b] - values[b].sum()) / values.shape[1] / scale[b]) ** 2
    return lost / rows


@pytest.mark.parametrize(("kept", "gap"), [(0.65, 0.1), (0.2, 0.0), (0.9, 2.0)])
def test_loss_is_that_of_the_naive_sum(kept: float, gap: float) -> None:
    rng = np.random.default_rng(0)
    values, scale = rng.normal(size=(5, 7)), rng.uniform(0.5, 2, size=5)
    null = torch.zeros((5, 7), dtype=torch.bool)
    masks = _drawn(torch.from_numpy(values), null, noise=1.0).numpy()
    gains, total = rng.normal(size=(5, 8)), rng.normal(size=5)
    given = (torch.from_numpy(a) for a in (values, masks, gains, total))
    values_, masks_, gains_, total_ = given
    found, parts = near_set_loss(
        values_, masks_, relative_gains(gains_), total_, null, torch.from_numpy(scale), kept, gap
    )
    assert float(found) == pytest.approx(_naive(values, masks, gains, total, scale, kept, gap))
    assert set(parts) == {"kept", "left"}


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 8))
def test_values_of_an_additive_game_cost_nothing_and_are_found(seed: int, n_players: int) -> None:
    rng = np.random.default_rng(seed)
    true = torch.from_numpy(rng.normal(size=(1, n_players)))
    null = torch.zeros((1, n_players), dtype=torch.bool)
    generator = torch.Generator().manual_seed(seed)
    # around any ranking, not only the right one
    around = torch.from_numpy(rng.normal(size=(1, n_players)))
    drawn = [near_sets(around, null, 8, generator, 2.0) for _ in range(12)]
    total, one = true.sum(dim=1), torch.ones(1, dtype=torch.float64)

    def cost(values: torch.Tensor) -> torch.Tensor:
        lost = torch.zeros((), dtype=torch.float64)
        for masks in drawn:
            # what a size alone gains is no player's
            gains = torch.einsum("btn,bn->bt", masks.double(), true) + masks.sum(dim=2) ** 2
            given = masks, relative_gains(gains), total, null, one
            lost = lost + near_set_loss(values, *given, 0.65, 0.1)[0]
        return lost

    assert float(cost(true)) == pytest.approx(0.0, abs=1e-18)
    guess = torch.zeros_like(true, requires_grad=True)
    optimizer = torch.optim.LBFGS([guess], max_iter=200, tolerance_grad=1e-12)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        lost = cost(guess)
        lost.backward()
        return lost

    for _ in range(5):
        optimizer.step(closure)
    np.testing.assert_allclose(guess.detach().numpy(), true.numpy(), atol=1e-3)


def test_optimum_is_the_least_squares_with_a_level_for_each_half() -> None:
    rng = np.random.default_rng(3)
    n, players = 400, 5
    masks = np.concatenate([rng.permuted(np.tile([1, 1, 0, 0, 0], (n, 1)), axis=1)])
    both = torch.from_numpy(np.concatenate([masks, 1 - masks])[None]).bool()
    gains = rng.normal(size=(1, 2 * n)) + (both[0].numpy() @ np.arange(players))[None]
    levels = np.repeat(np.eye(2), n, axis=0)
    weight = np.repeat([0.65, 0.35], n)[:, None] ** 0.5
    # the common shift is free: it is left out of both
    design = np.concatenate([both[0].numpy() - 1 / players, levels], axis=1)
    expected = np.linalg.lstsq(weight * design, weight[:, 0] * gains[0], rcond=None)[0][:players]
    values = torch.from_numpy(expected - expected.mean())[None].requires_grad_()
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    null = torch.zeros((1, players), dtype=torch.bool)
    given = both, relative_gains(torch.from_numpy(gains)), zero, null, one
    near_set_loss(values, *given, 0.65, 0.0)[0].backward()
    np.testing.assert_allclose(values.grad, 0.0, atol=1e-10)


def test_log_odds_are_bounded() -> None:
    chance = torch.tensor([0.0, 0.5, 0.9, 1.0], dtype=torch.float64)
    expected = np.log([0.001 / 0.999, 1.0, 9.0, 999.0])
    np.testing.assert_allclose(log_odds_of(chance), expected, rtol=1e-12)
