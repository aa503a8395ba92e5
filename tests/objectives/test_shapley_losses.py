"""The losses of Shapley learners against loops, and their optimum against enumeration."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastexplain.attribution import all_coalitions, kernel_coalitions
from fastexplain.attribution._weights import shapley_rows
from fastexplain.metrics import additive_normalization
from fastexplain.networks import ShapleyNetwork
from fastexplain.networks._shapley import spread_gap
from fastexplain.objectives import coalition_loss, info_nce_loss, label_loss


def test_label_loss_is_half_the_square_or_the_root_of_it():
    g = torch.Generator().manual_seed(0)
    values, labels = torch.randn(4, 2, 4, generator=g), torch.randn(4, 2, 4, generator=g)
    variance = torch.rand(4, 2, 4, generator=g)
    variance[0, 0, 1] = -1.0
    # exact for one output, and for both; and a row of null players alone
    variance[1, 0], variance[2] = 0.0, 0.0
    scale, null = torch.tensor([0.5, 2.0]), torch.rand(4, 4, generator=g) < 0.3
    null[3] = True
    total = 0.0
    for b in range(4):
        for k in range(2):
            square = float(scale[k]) ** 2
            players = [i for i in range(4) if not null[b, i]]
            noise = [float(variance[b, k, i]) for i in players]
            error = [float(values[b, k, i] - labels[b, k, i]) ** 2 for i in players]
            weight = [square + (square if n < 0 else n) for n in noise]
            m = sum(e / w for e, w in zip(error, weight, strict=True)) / max(len(players), 1)
            if any(n != 0 for n in noise):
                total += m / 2
            else:
                total += 0.03 * (math.sqrt(m + 0.03**2) - 0.03)
    loss, parts = label_loss(values, labels, variance, scale, null)
    assert loss.item() == pytest.approx(total / 8, rel=1e-5)
    assert parts["labels"].item() == loss.item()


def test_small_errors_of_exact_labels_cost_half_their_square():
    labels, null = torch.zeros(1, 1, 3), torch.zeros(1, 3, dtype=torch.bool)
    values = torch.full((1, 1, 3), 1e-3)
    loss, _ = label_loss(values, labels, torch.zeros(1, 1, 3), torch.ones(1), null)
    assert loss.item() == pytest.approx(0.5e-6, rel=1e-2)


def test_coalition_loss_is_the_mean_over_coalitions():
    g = torch.Generator().manual_seed(0)
    values, gains = torch.randn(2, 2, 3, generator=g), torch.randn(2, 5, 2, generator=g)
    masks, scale = torch.rand(2, 5, 3, generator=g) < 0.5, torch.tensor([0.5, 2.0])
    terms = []
    for b in range(2):
        for t in range(5):
            for k in range(2):
                predicted = sum(values[b, k, i] for i in range(3) if masks[b, t, i])
                terms.append(((gains[b, t, k] - predicted) / scale[k]) ** 2)
    found = coalition_loss(values, masks, gains, scale)[0]
    assert found.item() == pytest.approx(float(sum(terms)) / len(terms), rel=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), a=st.integers(2, 5))
def test_shapley_values_are_the_optimum_of_the_coalition_loss(seed, a):
    rng = np.random.default_rng(seed)
    coalitions = all_coalitions(a)
    game = torch.from_numpy(rng.normal(size=2**a))
    game = game - game[0]
    shapley = torch.from_numpy(shapley_rows(coalitions)) @ game
    # every coalition as often as the kernel has it, in common multiples
    sizes = coalitions.sum(axis=1)
    common = math.lcm(*(math.comb(a, int(k)) * int(k) * (a - int(k)) for k in range(1, a)))
    counts = [
        0 if k in (0, a) else common // (math.comb(a, int(k)) * int(k) * (a - int(k)))
        for k in sizes
    ]
    drawn = np.repeat(np.arange(2**a), counts)
    masks = torch.from_numpy(coalitions[drawn])[None]
    free = torch.zeros(1, 1, a, dtype=torch.float64, requires_grad=True)
    none = torch.zeros(1, a, dtype=torch.bool)
    values = spread_gap(shapley[None, None] + free, game[-1].reshape(1, 1), none)[0]
    gains = game[drawn][None, :, None]
    loss = coalition_loss(values, masks, gains, torch.ones(1, dtype=torch.float64))[0]
    (slope,) = torch.autograd.grad(loss, free)
    assert slope.abs().max() < 1e-10


def test_info_nce_contrasts_each_positive_with_the_other_anchors():
    g = torch.Generator().manual_seed(0)
    h, plus, tau = torch.randn(4, 3, generator=g), torch.randn(4, 3, generator=g), 0.3
    h = h / h.norm(dim=1, keepdim=True)
    plus = plus / plus.norm(dim=1, keepdim=True)
    total = 0.0
    for i in range(4):
        own = math.exp(float(h[i] @ plus[i]) / tau)
        others = sum(math.exp(float(h[i] @ h[j]) / tau) for j in range(4) if j != i)
        total -= math.log(own / (own + others))
    # lengths do not matter
    assert info_nce_loss(3 * h, 0.5 * plus, tau)[0].item() == pytest.approx(total / 4, rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(1, 4), a=st.integers(0, 6))
def test_spread_gap_agrees_with_the_metric_and_closes_the_gap(seed, n, a):
    rng = np.random.default_rng(seed)
    values, total = rng.normal(size=(n, a)), rng.normal(size=n)
    null = rng.random((n, a)) < 0.4
    expected, missing = additive_normalization(values, total, null)
    found, gap = spread_gap(
        torch.from_numpy(values)[:, None], torch.from_numpy(total)[:, None], torch.from_numpy(null)
    )
    np.testing.assert_allclose(found[:, 0].numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(gap[:, 0].numpy(), missing, atol=1e-12)
    told = (~null).any(axis=1)
    np.testing.assert_allclose(found[:, 0].numpy().sum(axis=1)[told], total[told], atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(a=st.integers(2, 9), n_masks=st.integers(1, 33), seed=st.integers(0, 1000))
def test_kernel_coalitions_come_in_pairs_and_are_neither_empty_nor_full(a, n_masks, seed):
    masks = kernel_coalitions(3, a, n_masks, np.random.default_rng(seed))
    pairs = (n_masks + 1) // 2
    assert masks.shape == (3, 2 * pairs, a)
    np.testing.assert_array_equal(masks[:, pairs:], ~masks[:, :pairs])
    assert masks.any(axis=2).all() and not masks.all(axis=2).any()


def test_kernel_coalitions_have_the_kernels_sizes_and_favour_no_player():
    masks = kernel_coalitions(4000, 6, 20, np.random.default_rng(0))
    share = np.bincount(masks.sum(axis=2).ravel(), minlength=7)[1:6] / masks[..., 0].size
    kernel = np.array([1 / (k * (6 - k)) for k in range(1, 6)])
    np.testing.assert_allclose(share, kernel / kernel.sum(), atol=0.005)
    np.testing.assert_allclose(masks.mean(axis=(0, 1)), 0.5, atol=1e-12)
    small = masks[masks.sum(axis=2) == 1]
    np.testing.assert_allclose(small.mean(axis=0), 1 / 6, atol=0.01)
    # stratified: each row's share of the smallest sizes is its due, within one pair
    ones = (masks[:, :10].sum(axis=2) == 1).sum(axis=1)
    assert ones.max() - ones.min() <= 1


def test_the_network_gives_null_players_nothing():
    body = torch.nn.Module()
    body.forward = lambda x, null: torch.ones(len(x), 6)  # type: ignore[method-assign]
    network = ShapleyNetwork(body, 2, 3)
    network.scale.copy_(torch.tensor([2.0, 3.0]))
    null = torch.tensor([[False, True, False]])
    found = network(torch.zeros(1, 1), null)
    assert found.tolist() == [[[2.0, 0.0, 2.0], [3.0, 0.0, 3.0]]]
