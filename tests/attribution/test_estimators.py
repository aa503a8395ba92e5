"""Coalitions, weights by size, and the regression-adjusted estimator."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastexplain import TabularMasker
from fastexplain.attribution import (
    all_coalitions,
    attribution_targets,
    draw_coalitions,
    exact_attribution,
)
from fastexplain.attribution._estimators import empirical_rows, make_estimator
from fastexplain.attribution._groups import active_groups, expand_masks, scatter_players
from fastexplain.attribution._scores import prediction_scores
from fastexplain.attribution._targets import masks_needed
from fastexplain.attribution._weights import active_weights, neutral_weights, shapley_kernel
from fastexplain.masked_model import MaskedModel
from fastexplain.predictors import make_predictor
from fastexplain.tables import as_table


def make(model, X, **kwargs):
    masker = TabularMasker("zero").fit(X)
    return MaskedModel(make_predictor(model, X, output="regression"), masker, **kwargs)


def table_model(n_players, seed=0, n_outputs=1):
    values = np.random.default_rng(seed).random((2**n_players, n_outputs))
    return lambda rows: values[(rows != 0) @ (1 << np.arange(n_players))]


def additive(rows):
    slopes = np.linspace(0.1, 0.9, rows.shape[1])
    return np.column_stack([1 + rows @ slopes, 2 + rows @ slopes[::-1]])


# -- coalitions ------------------------------------------------------------------------------


def test_all_coalitions():
    masks = all_coalitions(4)
    assert len(np.unique(masks, axis=0)) == 16
    assert masks[-1].all()
    np.testing.assert_array_equal(all_coalitions(4, 3, 9), masks[3:9])
    assert all_coalitions(0).shape == (1, 0)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 200), st.integers(0, 999))
def test_draws_are_antithetic_and_distinct(n_players, n_masks, seed):
    masks = draw_coalitions(n_players, n_masks, np.random.default_rng(seed))
    if 2**n_players <= n_masks:
        np.testing.assert_array_equal(masks, all_coalitions(n_players))
        return
    half = len(masks) // 2
    assert len(masks) == n_masks + n_masks % 2
    np.testing.assert_array_equal(masks[:half], ~masks[half:])
    if n_players <= 18:
        assert len(np.unique(masks, axis=0)) == len(masks)


def test_draws_are_uniform():
    rng = np.random.default_rng(0)
    numbers = [draw_coalitions(4, 6, rng) @ (1 << np.arange(4)) for _ in range(4000)]
    counts = np.bincount(np.concatenate(numbers), minlength=16)
    assert abs(counts / 1500 - 1).max() < 0.1


# -- weights ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_active", "n_null"), [(3, 0), (2, 2), (0, 3), (1, 4), (4, 1)])
def test_null_players_are_summed_out(n_active, n_null):
    masks = all_coalitions(n_active + n_null)
    size = masks.sum(axis=1)
    inverse = np.divide(1.0, size, out=np.zeros(len(masks)), where=size > 0)
    own = masks[:, :n_active].sum(axis=1)
    got, neutral = active_weights(n_active, n_null), neutral_weights(n_active, n_null)
    for k in range(n_active + 1):
        np.testing.assert_allclose(got[k], inverse[own == k].mean())
        if n_null:
            null_part = (inverse * masks[:, -1])[own == k].mean()
            np.testing.assert_allclose(neutral[k], null_part)


@pytest.mark.parametrize(("n_active", "n_null"), [(5000, 0), (2500, 2500), (10, 4990), (0, 5000)])
def test_thousands_of_features_stay_finite(n_active, n_null):
    for weights in (active_weights(n_active, n_null), neutral_weights(n_active, n_null)):
        assert np.isfinite(weights).all()
        assert weights.shape == (n_active + 1,)
    if n_null:
        # 1 / (k + j) with j near half of the null players
        k = np.arange(n_active + 1)
        np.testing.assert_allclose(
            active_weights(n_active, n_null), 1 / (k + n_null / 2), rtol=1e-3
        )


def test_shapley_kernel():
    from math import comb

    for n in range(1, 8):
        np.testing.assert_allclose(shapley_kernel(n), [1 / (n * comb(n - 1, k)) for k in range(n)])
    assert shapley_kernel(0).shape == (0,)


# -- rows that share coalitions --------------------------------------------------------------


def test_groups_cover_every_row_once():
    null = np.random.default_rng(0).random((40, 5)) < 0.4
    seen = []
    for a, rows in active_groups(null, {a: a + 1 for a in range(6)}):
        assert len(rows) <= a + 1
        assert ((~null[rows]).sum(axis=1) == a).all()
        seen += rows.tolist()
    assert sorted(seen) == list(range(40))


def test_expand_and_scatter():
    null = np.array([[True, False, False], [False, True, False]])
    masks = all_coalitions(2)
    wide = expand_masks(masks, null)
    np.testing.assert_array_equal(wide[0][:, [1, 2]], masks)
    np.testing.assert_array_equal(wide[1][:, [0, 2]], masks)
    assert not wide[0][:, 0].any()
    assert not wide[1][:, 1].any()
    assert expand_masks(all_coalitions(3), np.zeros((2, 3), bool)).shape == (8, 3)
    active = np.arange(8.0).reshape(2, 2, 2)
    out = scatter_players(active, np.full((2, 2), -1.0), null)
    np.testing.assert_array_equal(out[0], [[-1, 0, 1], [-1, 2, 3]])
    np.testing.assert_array_equal(out[1], [[4, -1, 5], [6, -1, 7]])


# -- the estimator ---------------------------------------------------------------------------


@pytest.mark.parametrize("n_masks", [16, 17, 1000])
def test_exact_where_all_coalitions_are_asked(n_masks):
    X = np.ones((3, 4))
    X[1, 2] = 0.0
    masked = make(table_model(4, n_outputs=2), X)
    truth, neutral = exact_attribution(masked, as_table(X))
    before = masked.n_queries
    got = attribution_targets(masked, as_table(X), n_masks, np.random.default_rng(0))
    assert masked.n_queries - before == 16 + 8 + 16
    np.testing.assert_allclose(got.mean.numpy().transpose(0, 2, 1), truth, atol=1e-6)
    np.testing.assert_allclose(got.neutral, neutral, atol=1e-6)
    assert (got.variance == 0).all()


def test_regression_uses_the_row_itself():
    X = np.random.default_rng(0).normal(size=(4, 3)) + 3
    scale = torch.tensor([0.5, 0.7], dtype=torch.float64)
    masked = make(additive, X)
    truth, _ = exact_attribution(masked, as_table(X), scale=scale)
    before = masked.n_queries
    got = attribution_targets(masked, as_table(X), 8, np.random.default_rng(0), scale)
    assert masked.n_queries - before == 32
    np.testing.assert_allclose(got.mean.numpy().transpose(0, 2, 1), truth, atol=1e-6)
    sampled = attribution_targets(masked, as_table(X), 6, np.random.default_rng(0), scale)
    assert bool(torch.isfinite(sampled.mean).all())


def draws(model, X, n_masks, n_draws):
    masked = make(model, X)
    rng = np.random.default_rng(1)
    made = [attribution_targets(masked, as_table(X), n_masks, rng) for _ in range(n_draws)]
    truth = exact_attribution(masked, as_table(X))[0].transpose(0, 2, 1)
    mean = np.array([m.mean.numpy() for m in made], dtype=float)
    return mean, truth, made


def test_unbiased_and_calibrated():
    n_players = 7
    X = np.ones((1, n_players))
    mean, truth, made = draws(table_model(n_players, n_outputs=3), X, 40, 150)
    error = mean - truth
    standard = mean.std(axis=0) / np.sqrt(len(mean))
    # a ratio of estimates has a bias of second order, well below the error of one draw
    assert (abs(error.mean(axis=0)) < 4 * standard + 0.1 * mean.std(axis=0)).all()
    actual = (error**2).mean()
    claimed = np.mean([m.variance.numpy().mean() for m in made])
    assert 1 / 3 < claimed / actual < 3
    neutral = np.mean([m.neutral.numpy() for m in made], axis=0)
    expected = exact_attribution(make(table_model(n_players, n_outputs=3), X), as_table(X))[1]
    np.testing.assert_allclose(neutral, expected, atol=0.01)


def plain_average(model, X, masks):
    answers = np.stack([model(m[None] * X[0])[0] for m in masks])
    rows = empirical_rows(masks, X.shape[1])
    sums = rows @ answers / len(masks)
    return (sums[: X.shape[1]] / sums[-1]).T


def test_additive_games_are_nearly_exact():
    X = np.ones((1, 10))
    mean, truth, _ = draws(additive, X, 60, 20)
    error = np.sqrt(((mean - truth) ** 2).mean())
    rng = np.random.default_rng(0)
    plain = [plain_average(additive, X, draw_coalitions(10, 60, rng)) for _ in range(20)]
    plain_error = np.sqrt(((np.array(plain) - truth[0]) ** 2).mean())
    assert error < 0.05 * plain_error
    assert error < 1e-3


def test_estimator_of_many_features():
    rng = np.random.default_rng(0)
    estimator = make_estimator(draw_coalitions(300, 50, rng), 300, exact=False)
    assert estimator.weights.shape == (302, 50)
    assert np.isfinite(estimator.weights).all()
    assert estimator.noise_scale > 0
    # a constant game keeps every feature alike
    sums = estimator.weights @ np.ones(50)
    np.testing.assert_allclose(sums[:300], sums[0], rtol=1e-10)


def test_order_of_products_does_not_matter():
    rng = np.random.default_rng(0)
    masks = draw_coalitions(25, 24, rng)
    wide = make_estimator(masks, 25, exact=False)
    # the same system by its other form
    design = wide.design
    penalty = 1e-2 * 24 * 0.25
    other = np.linalg.solve(design.T @ design + penalty * np.eye(25), design.T)
    np.testing.assert_allclose(wide.regression, other, atol=1e-10)


@pytest.mark.parametrize("factor", [1e-200, 1e-30, 1.0, 1e30, 1e200])
@pytest.mark.parametrize("n_masks", [20, 1000])
def test_scale_of_f_does_not_matter(factor, n_masks):
    model = table_model(7)
    X = np.ones((2, 7))
    plain = attribution_targets(make(model, X), as_table(X), n_masks, np.random.default_rng(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaled = attribution_targets(
            make(lambda rows: factor * model(rows), X),
            as_table(X),
            n_masks,
            np.random.default_rng(0),
        )
    np.testing.assert_allclose(scaled.mean, plain.mean, rtol=1e-5)
    np.testing.assert_allclose(scaled.variance, plain.variance, rtol=1e-4)


def test_values_that_vanish():
    X = np.ones((2, 9))

    def single(rows):
        # zero on all but a few coalitions
        return np.column_stack([rows.sum(axis=1) == 1, rows.sum(axis=1) < -1]).astype(float)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(20):
            got = attribution_targets(make(single, X), as_table(X), 30, np.random.default_rng(seed))
            assert bool(((got.mean >= 0) & (got.mean <= 1)).all())
            assert bool(((got.variance >= 0) & (got.variance <= 0.25)).all())
            assert bool((got.mean[:, 1] == 0.5).all())


def test_queries_and_chunks():
    X = (np.random.default_rng(0).random((30, 8)) < 0.7).astype(float)
    sizes = []
    model = table_model(8)

    def spied(rows):
        sizes.append(len(rows))
        return model(rows)

    masked = make(spied, X, batch_size=11)
    sizes.clear()
    before = masked.n_queries
    attribution_targets(masked, as_table(X), 20, np.random.default_rng(0))
    assert max(sizes) <= 11
    null = masked.masker.null_players(as_table(X))
    assert masked.n_queries - before == masks_needed(null, 20).sum()


def test_broken_rows_keep_their_number():
    X = np.ones((5, 8))
    X[3, 2] = 77.0
    X[0, 0] = 0.0
    masked = make(lambda rows: np.where(rows[:, 2] == 77.0, np.nan, 1.0), np.ones((1, 8)))
    with pytest.raises(ValueError, match="row 3 "):
        attribution_targets(masked, as_table(X), 20, np.random.default_rng(0))


def test_prediction_scores():
    values = torch.tensor([[[1.0, 2.0], [3.0, 2.0]]])
    assert prediction_scores(values, values[:, 0], None) is values
    got = prediction_scores(values, values[:, 0], torch.tensor([2.0, 1.0]))
    np.testing.assert_allclose(got, [[[1.0, 1.0], [np.exp(-0.5), 1.0]]], rtol=1e-6)
