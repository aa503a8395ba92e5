"""Values that a model does not tell from the baseline are null players."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.tree import DecisionTreeClassifier

from fastexplain import ExactExplainer, FEXExplainer
from fastexplain.explainers._fex_training import choose_resolution
from fastexplain.masked_model import MaskedModel
from fastexplain.maskers import TabularMasker
from fastexplain.networks import MaskPolicy, TabularEncoder
from fastexplain.predictors import make_predictor
from fastexplain.readers._inert import InertValues, find_inert_values
from fastexplain.tables import as_table


def search(X, model, *, baseline="mean", groups=None, max_queries=10**7, seed=0):
    table = as_table(X)
    masker = TabularMasker(baseline, groups).fit(table)
    predictor = make_predictor(model, X[:8], output="regression")
    masked = MaskedModel(predictor, masker)
    encoder = TabularEncoder.fit(table, 16)
    rng = np.random.default_rng(seed)
    found = find_inert_values(masked, table, encoder, max_queries, rng)
    x = encoder.transform(table)
    return found, found.mark(masker.baseline_cells(table), x), masked


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_marks_the_cells_between_the_splits_next_to_the_baseline(seed, discrete):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(400, 3))
    if discrete:
        X = np.round(2 * X)
    cuts = np.sort(rng.normal(size=(3, 2)), axis=1) * 1.5
    weights = rng.uniform(0.5, 2.0, size=(3, 3))

    def model(rows):
        places = [np.searchsorted(cuts[j], rows[:, j]) for j in range(3)]
        return sum(weights[j][places[j]] * (1.0 + 0.1 * j) for j in range(3))

    _, cells, masked = search(X, model)
    base = masked.masker.background_.native[0]
    same = [
        np.searchsorted(cuts[j], X[:, j]) == np.searchsorted(cuts[j], base[j]) for j in range(3)
    ]
    same = np.stack(same, axis=1)
    # never a cell beyond a split; of those within, all but what lies outside the values tried
    assert not (cells & ~same).any()
    if discrete:
        assert np.array_equal(cells, same)
    else:
        assert cells.sum() >= 0.8 * same.sum() - 10


def test_nothing_is_inert_for_a_smooth_model():
    X = np.random.default_rng(0).normal(size=(300, 4))
    found, cells, _ = search(X, lambda rows: np.tanh(rows).sum(axis=1))
    assert not cells.any()
    assert found.state() == InertValues.none(4).state()


def test_an_interval_ends_where_a_value_in_between_matters():
    X = np.arange(40.0)[:, None].repeat(2, axis=1)
    X = np.vstack([X] * 4)
    # 25 and 26 matter; beyond them the model answers as it does for the baseline
    _, cells, _ = search(X, lambda rows: ((rows == 25) | (rows == 26)).sum(axis=1) * 1.0)
    assert np.array_equal(cells, X < 25)


def test_categories_and_missing_cells():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "kind": rng.choice(["a", "b", "c", "d"], 300, p=[0.4, 0.2, 0.2, 0.2]),
            "size": np.where(rng.random(300) < 0.2, np.nan, rng.normal(size=300)),
        }
    )

    def model(rows):
        odd = rows["kind"].isin(["c", "d"]).to_numpy()
        size = rows["size"].fillna(0.0).to_numpy()
        return odd * 2.0 + (size > 1.0)

    _, cells, _ = search(X, model)
    assert np.array_equal(cells[:, 0], X["kind"].isin(["a", "b"]))
    assert cells[X["size"].isna(), 1].all()
    assert not cells[X["size"] > 1.0, 1].any()


@pytest.mark.parametrize("change", [{"baseline": "marginal"}, {"max_queries": 5000}])
def test_none_with_several_baselines_or_too_small_a_budget(change):
    X = np.round(np.random.default_rng(0).normal(size=(200, 2)))
    _, cells, masked = search(X, lambda rows: (rows > 0).sum(axis=1) * 1.0, **change)
    assert np.array_equal(cells, masked.masker.baseline_cells(as_table(X)))
    assert masked.n_queries == 0


def test_the_search_keeps_to_a_share_of_the_budget():
    X = np.random.default_rng(0).normal(size=(2000, 5))
    budget = 200_000
    _, _, masked = search(X, lambda rows: np.zeros(len(rows)), max_queries=budget)
    assert 0 < masked.n_queries <= 0.05 * budget + 1


@pytest.mark.parametrize("seed", range(5))
def test_an_effect_that_needs_two_rare_values_is_seen_on_real_rows(seed):
    X = np.random.default_rng(seed).normal(size=(4000, 10))
    X[:, 1] = X[:, 0]  # rare each, but together

    def model(rows):
        return 0.5 * ((rows[:, 0] > 2) & (rows[:, 1] > 2)) + 0.3 * (rows[:, 2] > 0)

    _, cells, masked = search(X, model, seed=seed)
    assert not cells[X[:, 0] > 2.0][:, :2].all(axis=1).any()
    assert cells[:, 3:].all()
    # a wrong verdict would be told by the score, whose reference does not know of it
    table = as_table(X)
    assert masked.masker.null_players(table).sum() == 0


@pytest.mark.parametrize("seed", range(4))
def test_codes_that_matter_between_those_tried_are_seen_on_real_rows(seed):
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.integers(0, 400, 6000), rng.normal(size=6000)]).astype(float)
    hot = rng.choice(400, 4, replace=False)

    def model(rows):
        return np.isin(rows[:, 0], hot) * 1.0 + rows[:, 1]

    _, cells, _ = search(X, model, seed=seed)
    assert not cells[np.isin(X[:, 0], hot), 0].any()


@pytest.mark.slow
def test_a_wrong_verdict_shows_in_the_score(monkeypatch):
    import fastexplain.readers._tabular as tabular

    X = np.random.default_rng(0).normal(size=(400, 4))
    model = DecisionTreeClassifier(max_depth=4, random_state=0).fit(X, X[:, 0] + X[:, 1] > 0)
    settings = {"max_steps": 300, "n_queries": 100_000, "random_state": 0}
    good = FEXExplainer(**settings).fit(X, model)
    everything = InertValues(
        np.full(4, -np.inf), np.full(4, np.inf), np.ones(4, dtype=bool), [[]] * 4
    )
    monkeypatch.setattr(tabular, "find_inert_values", lambda *a, **k: everything)
    with pytest.warns(UserWarning, match="agrees poorly"):
        bad = FEXExplainer(**settings).fit(X, model)
    assert bad.best_score_ < 0.5 < good.best_score_


def test_a_group_is_null_once_all_its_columns_are():
    X = np.round(np.random.default_rng(0).normal(size=(300, 3)))
    table = as_table(X)
    _, cells, masked = search(X, lambda rows: (rows > 0.4) @ [1.0, 2.0, 4.0], groups={"g": [0, 1]})
    players = masked.masker.all_of_player(cells)
    assert np.array_equal(players[:, 0], (X[:, :2] <= 0.4).all(axis=1))
    assert np.array_equal(players[:, 1], X[:, 2] <= 0.4)
    assert masked.masker.null_players(table).sum() < players.sum()


def test_state_survives_a_round_trip():
    X = np.round(np.random.default_rng(0).normal(size=(300, 3)))
    found, cells, masked = search(X, lambda rows: (rows > 0.4).sum(axis=1) * 1.0)
    again = InertValues.from_state(found.state())
    x = TabularEncoder.fit(as_table(X), 16).transform(as_table(X))
    assert np.array_equal(again.mark(masked.masker.baseline_cells(as_table(X)), x), cells)


def test_explanations_of_a_tree_tie_what_no_split_tells_apart():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 8, size=(600, 5)).astype(float)
    tree = DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, X[:, 0] + X[:, 1] > 7)
    fex = FEXExplainer(max_steps=200, n_queries=300_000, random_state=0).fit(X, tree)
    found = fex.explain(X[:50])
    exact = ExactExplainer().fit(X, tree).explain(X[:50])
    # column 4 is not in the tree, nor are 2 and 3
    without = exact.values == exact.values[:, 4:]
    assert without[:, 2:].all()
    assert (found.values == found.neutral_values[:, None])[:, 2:].all()
    fex_nulls = found.values == found.neutral_values[:, None]
    assert (without | ~fex_nulls)[:, :2].mean() > 0.95


def test_resolution_is_chosen_on_held_out_rows_and_ties_what_lies_below():
    import torch

    class Body(torch.nn.Module):
        def forward(self, x, null):
            return x

    policy = MaskPolicy(Body(), 1, 4, "linear").eval()
    x = torch.tensor([[0.1, -0.2, 3.0, -3.0, 0.0]])
    null = torch.zeros(1, 4, dtype=torch.bool)

    def validate(module):
        deviation, _ = module.deviations(x, null)
        return -float((deviation[0, 0] != torch.tensor([0.0, 0.0, 3.0, -3.0])).sum())

    assert choose_resolution(policy, validate, validate(policy)) == 0.0
    assert float(policy.resolution) == 0.25
    assert policy.deviations(x, null)[0].tolist() == [[[0.0, 0.0, 3.0, -3.0]]]
    assert choose_resolution(policy, lambda module: 0.0, 1.0) == 1.0
    assert float(policy.resolution) == 0.0
