"""The CoRTX paper's measures against loops that say the same."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastexplain.metrics import additive_normalization, l2_error, rank_accuracy


def naive_rank_accuracy(values, truth):
    def order(row):
        # largest first; of equal values the later column first
        return sorted(range(len(row)), key=lambda i: (row[i], i), reverse=True)

    hits = [a == b for a, b in zip(order(values), order(truth), strict=True)]
    weights = [1 / j for j in range(1, len(hits) + 1)]
    return sum(w for w, hit in zip(weights, hits, strict=True) if hit) / sum(weights)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(1, 7), st.integers(0, 10_000))
def test_against_loops(n, n_players, seed):
    rng = np.random.default_rng(seed)
    values, truth = rng.integers(-2, 3, (2, n, n_players)) / 2.0
    expected = [naive_rank_accuracy(a, b) for a, b in zip(values, truth, strict=True)]
    np.testing.assert_allclose(rank_accuracy(values, truth), expected)
    distance = [math.dist(a, b) for a, b in zip(values, truth, strict=True)]
    np.testing.assert_allclose(l2_error(values, truth), distance)
    np.testing.assert_array_equal(rank_accuracy(truth, truth), 1.0)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(1, 7), st.integers(0, 10_000))
def test_normalisation_adds_up_keeps_null_players_and_is_the_nearest_point(n, n_players, seed):
    rng = np.random.default_rng(seed)
    values, null = rng.normal(size=(n, n_players)), rng.random((n, n_players)) < 0.3
    total = rng.normal(size=n)
    found, gap = additive_normalization(values, total, null)
    some = ~null.all(axis=1)
    np.testing.assert_allclose(found.sum(axis=1)[some], total[some], atol=1e-12)
    assert not found[null].any()
    np.testing.assert_allclose(gap, total - np.where(null, 0, values).sum(axis=1))
    # any other correction that adds up moves the values further
    shift = np.where(null, 0.0, rng.normal(size=values.shape))
    shift -= np.where(
        null,
        0.0,
        shift.sum(axis=1, keepdims=True) / np.maximum((~null).sum(axis=1, keepdims=True), 1),
    )
    kept = np.where(null, 0.0, values)
    moved = np.linalg.norm(found - kept, axis=1)
    assert (np.linalg.norm(found + shift - kept, axis=1)[some] >= moved[some] - 1e-12).all()


@pytest.mark.parametrize("metric", [l2_error, rank_accuracy])
def test_shapes_must_agree(metric):
    with pytest.raises(ValueError, match=r"shape \(n, N\)"):
        metric(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"shape \(n, N\)"):
        metric(np.zeros(3), np.zeros(3))
