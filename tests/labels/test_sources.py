"""Label sources against enumeration, and the promises of their errors."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier

from fastexplain import TabularMasker
from fastexplain.attribution import exact_attribution
from fastexplain.labels import (
    ExactShapley,
    KernelShapley,
    LabelSource,
    PermutationShapley,
)
from fastexplain.masked_model import MaskedModel
from fastexplain.predictors import make_predictor
from fastexplain.tables import as_table


@pytest.fixture(scope="module")
def game():
    rng = np.random.default_rng(0)
    X = np.round(rng.normal(size=(600, 8)))
    y = (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(int) + (X[:, 3] > 1)
    model = GradientBoostingClassifier(n_estimators=20, random_state=0).fit(X, y)
    table = as_table(X[:40])
    masker = TabularMasker("zero").fit(X)
    predictor = make_predictor(model, X[:8])
    truth, _ = exact_attribution(MaskedModel(predictor, masker), table, "shapley")
    return predictor, masker, table, truth


def masked_model(game):
    return MaskedModel(game[0], game[1])


def label(game, source: LabelSource, seed=0):
    masked = masked_model(game)
    found = source.labels(masked, game[2], np.random.default_rng(seed))
    return found, masked


def test_enumeration_is_exact_and_counts_its_queries(game):
    found, masked = label(game, ExactShapley())
    np.testing.assert_array_equal(found.values, game[3])
    assert not found.variance.any()
    assert found.n_queries.sum() == masked.n_queries
    np.testing.assert_array_equal(found.full, masked.outputs(game[2]).numpy())


@pytest.mark.parametrize("source", [KernelShapley(40), PermutationShapley(40)])
def test_sampled_labels_add_up_keep_null_players_at_zero_and_know_their_error(game, source):
    found, masked = label(game, source)
    base = masked.empty_value().numpy()
    np.testing.assert_allclose(found.values.sum(axis=1), found.full - base, atol=1e-10)
    null = game[1].null_players(game[2])
    assert not found.values[null].any() and not found.variance[null].any()
    assert found.n_queries.sum() + 1 == masked.n_queries
    assert found.n_queries.max() <= 40
    error = found.values - game[3]
    assert np.isnan(found.variance).any()  # eight features and few draws
    more, _ = label(game, type(source)(126))
    assert (more.values - game[3]).std() < error.std()
    exact = 2.0 ** (~null).sum(axis=1) <= 40
    np.testing.assert_allclose(found.values[exact], game[3][exact], atol=1e-10)
    assert exact.any() and not exact.all()


@pytest.mark.parametrize("make", [KernelShapley, PermutationShapley])
def test_rounds_go_on_until_the_requested_error(game, make):
    wanted = 0.003
    loose, _ = label(game, make(24))
    tight, masked = label(game, make(24, standard_error=wanted, max_queries=5000))
    assert (tight.standard_error <= wanted).all()
    assert not (loose.standard_error <= wanted).all()
    assert tight.n_queries.sum() > loose.n_queries.sum()
    assert tight.n_queries.sum() == masked.n_queries
    error = np.abs(tight.values - game[3]).max(axis=(1, 2))
    assert np.sqrt((error**2).mean()) <= 1.5 * wanted and (error <= 8 * wanted).all()
    short, _ = label(game, make(24, standard_error=1e-9, max_queries=75))
    assert 24 < short.n_queries.max() <= 75


def test_known_null_players_are_left_out(game):
    null = game[1].null_players(game[2])
    null[:, 7] = True
    masked = masked_model(game)
    found = KernelShapley(40).labels(masked, game[2], np.random.default_rng(0), null)
    assert not found.values[:, 7].any()


@pytest.mark.parametrize(
    "change",
    [
        {"n_queries": 1},
        {"n_queries": 2.5},
        {"max_queries": True},
        {"max_queries": 20, "standard_error": 0.1},
        {"standard_error": 0.0},
    ],
)
def test_bad_parameters_are_named(game, change):
    with pytest.raises(ValueError, match=next(iter(change))):
        label(game, KernelShapley(**change))


@pytest.mark.parametrize("make", [KernelShapley, PermutationShapley])
def test_the_error_told_after_several_rounds_is_the_error(make):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(30, 6)) / 6.0
    X = np.tile(rng.normal(size=(1, 30)), (60, 1))

    def model(rows):
        return np.tanh(rows @ weights).prod(axis=1) * 50

    masked = MaskedModel(
        make_predictor(model, X[:4], output="regression"), TabularMasker("zero").fit(X)
    )
    # shared draws would make rows agree: each is labelled on its own
    found, told = [], []
    for row in range(60):
        one = make(24, standard_error=1e-9, max_queries=2000).labels(
            masked, as_table(X[:1]), np.random.default_rng(row)
        )
        found.append(one.values[0, :, 0])
        told.append(one.variance[0, :, 0])
    spread = np.std(found, axis=0)
    ratio = np.sqrt(np.mean(told, axis=0)) / spread
    assert 0.8 < np.median(ratio) < 1.5 and one.n_queries[0] <= 2000


def test_agreement_with_shap_on_the_same_game(game):
    shap = pytest.importorskip("shap")
    masked = masked_model(game)
    rows = game[2].native[:5]
    f = game[0]
    explainer = shap.KernelExplainer(lambda x: np.asarray(f(x))[:, 1], np.zeros((1, 8)))
    theirs = explainer.shap_values(rows, nsamples=5000, l1_reg=False, silent=True)
    found = ExactShapley().labels(masked, as_table(rows), np.random.default_rng(0))
    np.testing.assert_allclose(found.values[:, :, 1], theirs, atol=1e-8)


def test_the_most_queries_bind_only_where_a_standard_error_is_asked_for(game):
    found, _ = label(game, KernelShapley(60, max_queries=20))
    want, _ = label(game, KernelShapley(60))
    np.testing.assert_array_equal(found.values, want.values)


def test_agreement_with_shapiq_on_the_same_game(game):
    shapiq = pytest.importorskip("shapiq")
    rows = game[2].native[:4]
    exact, _ = label(game, ExactShapley())
    kernel, _ = label(game, KernelShapley(120))
    for row, ours, sampled in zip(rows, exact.values, kernel.values, strict=False):

        def play(masks, row=row):
            return game[0](np.where(masks, row, 0.0))[:, 1]

        theirs = shapiq.ExactComputer(n_players=8, game=play)("SV").get_n_order_values(1)
        np.testing.assert_allclose(ours[:, 1], theirs, atol=1e-9)
        approximate = shapiq.KernelSHAP(n=8, random_state=0).approximate(120, play)
        error = np.abs(approximate.get_n_order_values(1) - theirs).max()
        # null players left out, rows of few others enumerated: not worse than theirs
        assert np.abs(sampled[:, 1] - theirs).max() <= max(1.5 * error, 1e-9)
