"""Gains by size alone: fitted as told, harmless to Shapley values, and most of the noise."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastexplain.attribution import all_coalitions, kernel_coalitions, kernel_weights
from fastexplain.attribution._weights import shapley_rows
from fastexplain.networks._shapley import spread_gap
from fastexplain.objectives import (
    _size_curves,
    active_counts,
    coalition_loss,
    size_curves,
    take_size_curves,
)


def _pool(n, a, n_masks, n_outputs, seed, null_share=0.0):
    rng = np.random.default_rng(seed)
    null = rng.random((n, a)) < null_share
    null[:, :2] = False
    masks = np.zeros((n, n_masks, a), dtype=bool)
    for i in range(n):
        active = np.flatnonzero(~null[i])
        masks[i][:, active] = kernel_coalitions(1, len(active), n_masks, rng, True)[0]
    weights = kernel_weights(masks.sum(axis=2), (~null).sum(axis=1))
    total = rng.normal(size=(n, n_outputs)) * np.linspace(0.5, 3.0, n_outputs)
    made = (masks, null, total, weights)
    return [torch.from_numpy(x) for x in made]


def _curves(gains, masks, *rest):
    return size_curves(gains, masks.sum(dim=2), *rest)


def _reference(gains, masks, null, total, weights, few):
    """The same regression, a coalition at a time."""
    n, n_masks, n_outputs = gains.shape
    unit = np.sqrt(np.maximum((total**2).mean(axis=0), (gains**2).mean(axis=(0, 1))))
    fitted = np.zeros_like(gains)
    for k in range(n_outputs):
        rows, wanted, counts = [], [], []
        for i, t in itertools.product(range(n), range(n_masks)):
            share = masks[i, t].sum() / (~null[i]).sum()
            own = total[i] / unit if few else [total[i, k] / unit[k]]
            rows.append(
                [math.sin(math.pi * j * share) * z for j in range(1, 7) for z in (1.0, *own)]
            )
            wanted.append((gains[i, t, k] - share * total[i, k]) / unit[k])
            counts.append(weights[i, t])
        A, y, w = np.array(rows), np.array(wanted), np.array(counts)
        left = (A * w[:, None]).T @ A
        left += 1e-4 * np.trace(left) / len(left) * np.eye(len(left))
        fitted[..., k] = (A @ np.linalg.solve(left, A.T @ (w * y))).reshape(n, n_masks) * unit[k]
    return fitted


@pytest.mark.parametrize(("n_outputs", "joint"), [(1, True), (2, True), (3, False), (20, False)])
def test_curves_are_the_ridge_regression(n_outputs, joint, monkeypatch):
    # 1,000 coalitions, 50 for each number fitted: of (1 + K) waves of six, or of two
    masks, null, total, weights = _pool(100, 7, 10, n_outputs, 0, null_share=0.3)
    rng = np.random.default_rng(1)
    gains = torch.from_numpy(rng.normal(size=(100, 10, n_outputs)))
    given_ = [x.numpy() for x in (gains, masks, null, total, weights)]
    expected = _reference(*given_, joint)
    found = _curves(gains, masks, null, total, weights)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)
    # in parts of few rows, too
    monkeypatch.setattr(_size_curves, "_CHUNK", 400)
    parts = _curves(gains, masks, null, total, weights)
    np.testing.assert_allclose(parts.numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("rows", [100, 10])
def test_they_are_taken_out_in_place(rows):
    masks, null, total, weights = _pool(rows, 7, 10, 2, 0, null_share=0.3)
    gains = torch.rand(rows, 10, 2)
    rest = masks.sum(dim=2), null, total.float(), weights.float()
    expected = gains - size_curves(gains, *rest)
    given, place = gains, gains.data_ptr()
    take_size_curves(given, *rest)
    assert given.data_ptr() == place and torch.equal(given, expected)


def test_players_are_counted_in_parts(monkeypatch):
    null = torch.rand(50, 7) < 0.4
    monkeypatch.setattr(_size_curves, "_CHUNK", 20)
    assert torch.equal(active_counts(null), (~null).sum(dim=1))


def test_few_coalitions_have_no_curves():
    masks, null, total, weights = _pool(30, 7, 10, 2, 0)
    gains = torch.rand(30, 10, 2, dtype=torch.float64)
    assert not _curves(gains, masks, null, total, weights).any()


def test_curves_take_hardly_any_of_an_additive_game():
    masks, null, total, weights = _pool(400, 12, 8, 4, 0)
    rng = np.random.default_rng(2)
    values = torch.from_numpy(rng.normal(size=(400, 4, 12)))
    total = values.sum(dim=2)
    gains = torch.einsum("btn,bkn->btk", masks.double(), values)
    uneven = gains - masks.double().mean(dim=2)[:, :, None] * total[:, None]
    taken = _curves(gains, masks, null, total, weights)
    kept = (weights[:, :, None] * (uneven - taken) ** 2).mean()
    assert kept > 0.97 * (weights[:, :, None] * uneven**2).mean()


def test_an_s_shaped_game_is_nearly_all_curve():
    masks, null, total, weights = _pool(400, 30, 8, 2, 0)
    share = masks.double().mean(dim=2)
    even = share[:, :, None] * total[:, None]
    gains = (share**3)[:, :, None] * total[:, None]
    left = gains - _curves(gains, masks, null, total, weights) - even
    before = (weights[:, :, None] * (gains - even) ** 2).mean()
    assert (weights[:, :, None] * left**2).mean() < 0.01 * before


def test_an_output_that_never_moves_has_no_curve():
    masks, null, total, weights = _pool(400, 6, 4, 2, 0)
    total[:, 1] = 0.0
    gains = torch.rand(400, 4, 2, dtype=torch.float64)
    gains[..., 1] = 0.0
    found = _curves(gains.float(), masks, null, total.float(), weights.float())
    assert torch.isfinite(found).all()
    assert found[..., 1].abs().max() < 1e-6


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-20])
def test_an_output_may_gain_without_a_total(size):
    masks, null, total, weights = _pool(400, 6, 4, 2, 0)
    total[:, 1] *= size
    gains = torch.rand(400, 4, 2)
    found = _curves(gains, masks, null, total.float(), weights.float())
    assert torch.isfinite(found).all()
    assert found.abs().max() < 10.0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), a=st.integers(2, 6))
def test_shapley_values_are_the_optimum_with_even_sizes_and_without_curves(seed, a):
    rng = np.random.default_rng(seed)
    coalitions = all_coalitions(a)
    inside = coalitions[1:-1]
    game = torch.from_numpy(rng.normal(size=2**a))
    game = game - game[0]
    shapley = torch.from_numpy(shapley_rows(coalitions)) @ game
    sizes = inside.sum(axis=1)
    # each coalition as often as even sizes have it
    chance = np.array([1.0 / math.comb(a, int(k)) for k in sizes])
    weights = torch.from_numpy(kernel_weights(sizes[None], np.array([a])) * chance)
    masks = torch.from_numpy(inside)[None]
    none = torch.zeros(1, a, dtype=torch.bool)
    total = game[-1].reshape(1, 1)
    gains = game[1:-1][None, :, None]
    gains = gains - _curves(gains, masks, none, total, weights)
    free = torch.zeros(1, 1, a, dtype=torch.float64, requires_grad=True)
    values = spread_gap(shapley[None, None] + free, total, none)[0]
    loss = coalition_loss(values, masks, gains, torch.ones(1, dtype=torch.float64), weights)[0]
    (slope,) = torch.autograd.grad(loss, free)
    assert slope.abs().max() < 1e-10


@settings(max_examples=25, deadline=None)
@given(players=st.lists(st.integers(0, 60), min_size=1, max_size=4))
def test_weights_turn_even_sizes_into_the_kernels(players):
    most = max(players)
    sizes = np.broadcast_to(np.arange(most + 1), (len(players), most + 1))
    found = kernel_weights(sizes, np.array(players))
    for a, row in zip(players, found, strict=True):
        kernel = np.array([1.0 / (k * (a - k)) for k in range(1, a)])
        expected = kernel / kernel.mean() if len(kernel) else kernel
        np.testing.assert_allclose(row[1:a], expected)
        assert row[0] == 0.0 and not row[max(a, 1) :].any()


def test_even_sizes_come_equally_often_in_strata():
    masks = kernel_coalitions(2000, 9, 16, np.random.default_rng(0), even_sizes=True)
    sizes = masks[:, :8].sum(axis=2)
    np.testing.assert_array_equal(np.sort(sizes, axis=1), np.tile(np.arange(1, 9), (2000, 1)))
    np.testing.assert_allclose(masks.mean(axis=(0, 1)), 0.5, atol=1e-12)
