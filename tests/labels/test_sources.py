"""Label sources against enumeration, and the promises of their errors and of the cache."""

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
    cached_labels,
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
    more, _ = label(game, type(source)(120))
    ratio = np.sqrt(((more.values - game[3]) ** 2).mean() / np.nanmean(more.variance))
    assert 0.5 < ratio < 2.0 and (more.values - game[3]).std() < error.std()
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
    [{"n_queries": 1}, {"n_queries": 2.5}, {"max_queries": True}, {"standard_error": 0.0}],
)
def test_bad_parameters_are_named(game, change):
    with pytest.raises(ValueError, match=next(iter(change))):
        label(game, KernelShapley(**change))


def test_cache_keeps_labels_by_content(game, tmp_path):
    table, source = game[2], KernelShapley(24)
    masked = masked_model(game)
    first = cached_labels(source, masked, table, 0, tmp_path)
    asked = masked.n_queries
    again = cached_labels(source, masked, table, 0, tmp_path)
    np.testing.assert_array_equal(first.values, again.values)
    # the rows are asked once, to know the model by its answers
    assert masked.n_queries - asked == len(table)
    assert len(list(tmp_path.iterdir())) == 1
    for other in (
        (KernelShapley(26), table, 0),
        (PermutationShapley(24), table, 0),
        (source, table.take(slice(0, 30)), 0),
        (source, table, 1),
    ):
        count = len(list(tmp_path.iterdir()))
        cached_labels(other[0], masked, other[1], other[2], tmp_path)
        assert len(list(tmp_path.iterdir())) == count + 1
    for file in tmp_path.iterdir():
        with np.load(file, allow_pickle=False) as held:
            assert set(held) == {"values", "variance", "full", "n_queries"}


def test_an_interrupted_run_keeps_its_chunks(game, tmp_path, monkeypatch):
    import fastexplain.labels._cache as cache

    monkeypatch.setattr(cache, "_CHUNK", 10)
    masked = masked_model(game)

    class Broken(KernelShapley):
        left = 2

        def labels(self, *args):
            if type(self).left == 0:
                raise KeyboardInterrupt
            type(self).left -= 1
            return super().labels(*args)

    broken = Broken(24)
    with pytest.raises(KeyboardInterrupt):
        cached_labels(broken, masked, game[2], 0, tmp_path)
    assert len(list(tmp_path.glob("*.npz"))) == 2
    Broken.left = 2
    found = cached_labels(broken, masked, game[2], 0, tmp_path)
    assert found.values.shape == game[3].shape


def test_agreement_with_shap_on_the_same_game(game):
    shap = pytest.importorskip("shap")
    masked = masked_model(game)
    rows = game[2].native[:5]
    f = game[0]
    explainer = shap.KernelExplainer(lambda x: np.asarray(f(x))[:, 1], np.zeros((1, 8)))
    theirs = explainer.shap_values(rows, nsamples=5000, l1_reg=False, silent=True)
    found = ExactShapley().labels(masked, as_table(rows), np.random.default_rng(0))
    np.testing.assert_allclose(found.values[:, :, 1], theirs, atol=1e-8)
