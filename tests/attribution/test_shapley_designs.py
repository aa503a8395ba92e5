"""Shapley designs against the definition, and the identities every one of them satisfies."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastexplain.attribution import all_coalitions
from fastexplain.attribution._shapley import exact_design, kernel_design, permutation_design


def brute_force(game):
    """Mean marginal contribution over all orders, of a game given by coalition number."""
    n = int(np.log2(len(game)))
    out = np.zeros(n)
    orders = list(permutations(range(n)))
    for order in orders:
        number = 0
        for player in order:
            out[player] += game[number | 1 << player] - game[number]
            number |= 1 << player
    return out / len(orders)


def answers_of(design, game):
    numbers = design.masks @ (1 << np.arange(design.masks.shape[1]))
    return game[numbers][None, :, None]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(0, 1000))
def test_exact_design_is_the_mean_over_orders(n, seed):
    game = np.random.default_rng(seed).normal(size=2**n)
    design = exact_design(n)
    found = design.values(answers_of(design, game))
    np.testing.assert_allclose(found[0, 0], brute_force(game), atol=1e-12)
    assert not design.variance(answers_of(design, game), found).any()


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([kernel_design, permutation_design]),
    st.integers(2, 9),
    st.integers(4, 200),
    st.integers(0, 1000),
)
def test_sampled_designs_add_up_and_answer_additive_games(make, n, n_queries, seed):
    rng = np.random.default_rng(seed)
    design = make(n, n_queries, rng)
    assert not design.masks[0].any() and design.masks[-1].all()
    assert len(design.masks) <= max(n_queries, 2 * n + 2)
    game = rng.normal(size=2**n)
    found = design.values(answers_of(design, game))
    np.testing.assert_allclose(found.sum(), game[-1] - game[0], atol=1e-8)
    effects = rng.normal(size=n)
    additive = 3.0 + all_coalitions(n) @ effects
    values = design.values(answers_of(design, additive))
    if make is permutation_design or np.linalg.matrix_rank(design.masks[1:-1]) == n:
        np.testing.assert_allclose(values[0, 0], effects, atol=1e-8)


@pytest.mark.parametrize("make", [kernel_design, permutation_design])
@pytest.mark.parametrize("n", [4, 7, 8])
def test_sampled_designs_find_the_shapley_values_and_their_own_error(make, n):
    rng = np.random.default_rng(0)
    game = rng.normal(size=2**n)
    exact = exact_design(n)
    truth = exact.values(answers_of(exact, game))
    found, variance = [], []
    n_queries = {4: 62, 7: 122, 8: 170}[n] if make is permutation_design else 2 ** (n - 1)
    for _ in range(400):
        design = make(n, n_queries, rng)
        answers = answers_of(design, game)
        found.append(design.values(answers))
        variance.append(design.variance(answers, found[-1]))
    found = np.stack(found)
    spread = found.std(axis=0)
    error = np.abs(found.mean(axis=0) - truth)
    # least squares with random weights is biased by some of its own spread; orders are not
    allowed = 5 * spread / 20 + (0.35 * spread if make is kernel_design else 0.0)
    assert (error <= allowed + 1e-12).all()
    assert np.isfinite(variance[0]).all() == (make is permutation_design or n > 4)
    if n > 4:
        told = np.sqrt(np.mean(variance, axis=0))
        assert (told > 0.5 * spread).all() and (told < 2.0 * spread).all()


def test_a_large_budget_enumerates_and_more_queries_are_more_accurate():
    rng = np.random.default_rng(1)
    game = rng.normal(size=2**8)
    exact = exact_design(8)
    truth = exact.values(answers_of(exact, game))
    whole = kernel_design(8, 256, rng)
    np.testing.assert_allclose(whole.values(answers_of(whole, game)), truth, atol=1e-10)
    for make in (kernel_design, permutation_design):
        errors = []
        for n_queries in (32, 128):
            runs = [make(8, n_queries, rng) for _ in range(100)]
            errors.append(np.mean([(d.values(answers_of(d, game)) - truth) ** 2 for d in runs]))
        assert errors[1] < 0.5 * errors[0]


def test_kernel_design_reaches_many_players():
    design = kernel_design(95, 400, np.random.default_rng(0))
    assert design.masks.shape == (400, 95)
    assert np.isfinite(design.weights).all()


def test_a_player_whose_draws_agree_is_not_taken_for_exact():
    # player 0 counts with players 1, 2 and 3 together alone, which few orders show
    rng = np.random.default_rng(0)
    design = permutation_design(8, 150, rng)
    masks = design.masks
    value = (masks[:, :4].all(axis=1) + masks[:, 4] * masks[:, 5]).astype(float)[None, :, None]
    spread = design.variance(value, design.values(value))[0, 0]
    assert (spread > 0).all()
    additive = (masks @ np.arange(8.0))[None, :, None]
    assert np.allclose(design.variance(additive, design.values(additive)), 0.0, atol=1e-20)
