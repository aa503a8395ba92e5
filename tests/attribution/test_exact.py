"""Enumeration against a loop over all masks, and against the identities it must satisfy."""

from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastexplain import TabularMasker
from fastexplain.attribution import all_coalitions, exact_attribution
from fastexplain.masked_model import MaskedModel
from fastexplain.predictors import make_predictor
from fastexplain.tables import as_table

N = 4
RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, N))
X[1, 2] = X[2, 0] = X[2, 3] = 0.0  # null players under a baseline of zeros
X[3] = 0.0


def table_game(n_players, n_outputs, seed=0):
    """A model that looks up any value whatever by which cells are not zero."""
    values = np.random.default_rng(seed).random((2**n_players, n_outputs))

    def model(rows):
        present = np.asarray(rows, dtype=float) != 0
        return values[present @ (1 << np.arange(n_players))]

    return model


def smooth(rows):
    rows = np.asarray(rows, dtype=float)
    score = np.exp(np.column_stack([rows[:, 0] * rows[:, 1], rows[:, 2], np.sin(rows.sum(1))]))
    return score / score.sum(axis=1, keepdims=True)


def make(model, X, baseline="zero", groups=None, output="regression", **kwargs):
    masker = TabularMasker(baseline, groups).fit(X)
    predictor = make_predictor(model, as_table(X).native, output=output)
    return MaskedModel(predictor, masker, **kwargs)


def value(model, x, background, player, players):
    """v(S): the model asked for one row at a time."""
    kept = np.isin(player, list(players))
    return np.mean([model(np.where(kept, x, other)[None])[0] for other in background], axis=0)


def reference(model, X, background, player, kind, score=None):
    """Definition 1, normalised, or Shapley values, by the book."""
    n_players = player.max() + 1
    everyone = range(n_players)
    out = []
    for x in X:
        full = value(model, x, background, player, everyone)
        f = {}
        for size in range(n_players + 1):
            for players in combinations(everyone, size):
                f[players] = value(model, x, background, player, players)
                if score is not None:
                    f[players] = score(f[players], full)
        phi = np.zeros((n_players, len(full)))
        normaliser = np.zeros(len(full))
        for players, answer in f.items():
            if players:
                normaliser += answer / len(players)
            for i in everyone:
                if kind == "shapley":
                    if i in players:
                        continue
                    weight = factorial(len(players)) * factorial(n_players - len(players) - 1)
                    joined = f[tuple(sorted((*players, i)))]
                    phi[i] += weight / factorial(n_players) * (joined - answer)
                elif i in players:
                    phi[i] += answer / len(players)
        out.append(phi / normaliser if kind == "normalized" else phi)
    return np.array(out)


KINDS = ["empirical", "normalized", "shapley"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("groups", [None, {"g": ["x0", "x2"]}])
@pytest.mark.parametrize("n_background", [1, 3])
@pytest.mark.parametrize("batch_size", [None, 1, 5])
def test_against_the_loop(kind, groups, n_background, batch_size):
    background = RNG.normal(size=(n_background, N)) if n_background > 1 else np.zeros((1, N))
    sizes = []

    def spied(rows):
        sizes.append(len(rows))
        return smooth(rows)

    masked = make(spied, X, background, groups, batch_size=batch_size)
    sizes.clear()
    got, neutral = exact_attribution(masked, as_table(X), kind)
    player = masked.masker.player_of_column_
    np.testing.assert_allclose(got, reference(smooth, X, background, player, kind), atol=1e-12)
    assert got.shape == (5, player.max() + 1, 3)
    assert neutral.shape == (5, 3)
    assert max(sizes) <= (batch_size or np.inf)
    # each distinct coalition once
    active = (~masked.masker.null_players(as_table(X))).sum(axis=1)
    assert masked.n_queries == (2**active).sum() * n_background
    if n_background == 1 and groups is None:
        assert active.tolist() == [4, 3, 2, 0, 4]


@pytest.mark.parametrize("kind", KINDS)
def test_null_players_share_one_value(kind):
    masked = make(smooth, X)
    got, neutral = exact_attribution(masked, as_table(X), kind)
    null = masked.masker.null_players(as_table(X))
    for row, col in zip(*np.nonzero(null), strict=True):
        np.testing.assert_array_equal(got[row, col], neutral[row])
    if kind == "shapley":
        assert (got[null] == 0).all()


def test_neutral_value_is_what_a_feature_without_effect_gets():
    # a model that ignores its last feature, whose cell is not the baseline's
    def blind(rows):
        return smooth(np.column_stack([rows[:, :3], np.zeros(len(rows))]))

    rows = X[[0, 4]]
    got, neutral = exact_attribution(make(blind, X), as_table(rows))
    # with no null player in the row, the neutral value is the mean over i of what i would
    # get if it changed nothing
    expected = []
    for x in rows:
        per_feature = []
        for i in range(N):
            others = [j for j in range(N) if j != i]
            phi = sum(
                value(blind, x, np.zeros((1, N)), np.arange(N), s) / (len(s) + 1)
                for k in range(N)
                for s in combinations(others, k)
            )
            per_feature.append(phi)
        masks = all_coalitions(N)[1:]
        total = sum(
            value(blind, x, np.zeros((1, N)), np.arange(N), np.flatnonzero(m)) / m.sum()
            for m in masks
        )
        expected.append(np.mean(per_feature, axis=0) / total)
        np.testing.assert_allclose(per_feature[3] / total, got[len(expected) - 1, 3])
    np.testing.assert_allclose(neutral, expected)


@settings(max_examples=25, deadline=None)
@given(n_players=st.integers(1, 5), seed=st.integers(0, 2**20), data=st.data())
def test_identities(n_players, seed, data):
    rows = np.ones((1, n_players))
    masks = all_coalitions(n_players)
    f, g = (table_game(n_players, 2, seed + k) for k in range(2))
    frame = np.vstack([rows, 0 * rows])

    def attribution(model, kind, x=rows):
        return exact_attribution(make(model, frame), as_table(x), kind)[0][0]

    phi = attribution(f, "empirical")
    np.testing.assert_allclose(phi.sum(axis=0), f(masks[1:]).sum(axis=0))
    # linear in f
    mixed = attribution(lambda x: 0.3 * f(x) + 0.7 * g(x), "empirical")
    np.testing.assert_allclose(mixed, 0.3 * phi + 0.7 * attribution(g, "empirical"))
    # normalised: a probability of being kept
    share = attribution(f, "normalized")
    normaliser = (f(masks[1:]) / masks[1:].sum(axis=1, keepdims=True)).sum(axis=0)
    np.testing.assert_allclose(share, phi / normaliser)
    assert ((share >= 0) & (share <= 1)).all()
    np.testing.assert_allclose(attribution(lambda x: 9 * f(x), "normalized"), share)
    # equivariant under permutation of the features
    order = np.array(data.draw(st.permutations(range(n_players))))

    def permuted(x):
        back = np.empty_like(x)
        back[:, order] = x
        return f(back)

    for kind in KINDS:
        np.testing.assert_allclose(
            attribution(permuted, kind), attribution(f, kind)[order], atol=1e-12
        )
    # Shapley: efficiency and linearity
    shapley = attribution(f, "shapley")
    gap = f(rows)[0] - f(0 * rows)[0]
    np.testing.assert_allclose(shapley.sum(axis=0), gap, atol=1e-12)
    mixed = attribution(lambda x: f(x) - 2 * g(x), "shapley")
    np.testing.assert_allclose(mixed, shapley - 2 * attribution(g, "shapley"), atol=1e-12)


def test_shapley_symmetry_and_dummy():
    def model(rows):
        return np.exp(rows[:, 0] * rows[:, 1] + rows[:, 2])  # symmetric in 0, 1; blind to 3

    phi = exact_attribution(make(model, X), as_table(np.full((1, N), 1.5)), "shapley")[0][0, :, 0]
    assert phi[0] == pytest.approx(phi[1])
    assert phi[3] == pytest.approx(0.0, abs=1e-14)


def test_agrees_with_shap():
    shap = pytest.importorskip("shap")
    background = np.zeros((1, N))
    explainer = shap.explainers.Exact(smooth, shap.maskers.Independent(background))
    rows = X[[0, 1, 2, 4]]  # shap does not take a row that is all baseline
    got = exact_attribution(make(smooth, X), as_table(rows), "shapley")[0]
    np.testing.assert_allclose(got, explainer(rows).values, atol=1e-10)


def test_regression_scores():
    def model(rows):
        return np.column_stack([rows.sum(axis=1), rows[:, 0] * rows[:, 1]])

    scale = np.array([0.7, 1.3])
    masked = make(model, X)
    got, neutral = exact_attribution(masked, as_table(X), scale=torch.from_numpy(scale))
    expected = reference(
        model,
        X,
        np.zeros((1, N)),
        np.arange(N),
        "normalized",
        lambda v, full: np.exp(-0.5 * ((v - full) / scale) ** 2),
    )
    np.testing.assert_allclose(got, expected)
    # the row itself is one of the coalitions, and not asked for again
    assert masked.n_queries == 16 + 8 + 4 + 1 + 16
    small = make(model, X, batch_size=3)
    again = exact_attribution(small, as_table(X), scale=torch.from_numpy(scale))
    np.testing.assert_allclose(again[0], got)
    np.testing.assert_allclose(again[1], neutral)
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got[3], 0.5 * 16 / 15, atol=1e-1)


def test_torch_module():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(N, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    masked = make(module, X.astype(np.float32), output="logits")

    def plain(rows):
        with torch.no_grad():
            return module(torch.tensor(rows, dtype=torch.float32)).softmax(dim=1).numpy()

    for kind in KINDS:
        got = exact_attribution(masked, as_table(X), kind)[0]
        expected = reference(plain, X, np.zeros((1, N)), np.arange(N), kind)
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_pipeline_on_a_frame_of_strings():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = pd.DataFrame(
        {"a": list("xyxyz"), "b": list("uvvuv"), "c": pd.Categorical(list("pqpqp"))}
    )
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(frame, [0, 1, 0, 1, 1])
    masked = make(model, frame, "mean", output="auto")
    got, _ = exact_attribution(masked, as_table(frame), "shapley")
    base = masked.empty_value().numpy()
    np.testing.assert_allclose(got.sum(axis=1), model.predict_proba(frame) - base)


def test_workers_answer_alike():
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(random_state=0).fit(X, [0, 1, 2, 0, 1])
    alone = exact_attribution(make(tree, X, output="auto"), as_table(X))[0]
    pair = exact_attribution(make(tree, X, output="auto", n_jobs=2), as_table(X))[0]
    np.testing.assert_array_equal(alone, pair)


def test_batch_size_changes_nothing_but_rounding():
    for kind in KINDS:
        whole = exact_attribution(make(smooth, X), as_table(X), kind)[0]
        for size in (1, 3, 16):
            part = exact_attribution(make(smooth, X, batch_size=size), as_table(X), kind)[0]
            np.testing.assert_allclose(part, whole, atol=1e-14)


def test_no_answer_anywhere_is_uniform():
    got, neutral = exact_attribution(make(lambda rows: np.zeros(len(rows)), X), as_table(X))
    assert (got == 0.5).all()
    assert (neutral == 0.5).all()


def test_one_feature_and_no_rows():
    one = X[:, :1]
    got, _ = exact_attribution(make(lambda rows: np.exp(rows[:, 0]), one), as_table(one))
    np.testing.assert_allclose(got[0], 1.0)
    assert exact_attribution(make(smooth, X), as_table(X[:0]))[0].shape == (0, N, 3)


def test_broken_rows_keep_their_number():
    rows = X.copy()
    rows[4, 1] = 77.0

    def model(part):
        return np.where(part[:, 1] == 77.0, np.nan, 1.0)

    with pytest.raises(ValueError, match="row 4 "):
        exact_attribution(make(model, X), as_table(rows))


def test_too_many_active_features():
    wide = np.ones((2, 30))
    wide[0, :9] = 0.0
    wide[1, :12] = 0.0
    masked = make(lambda rows: rows.sum(axis=1), np.zeros((1, 30)))
    with pytest.raises(ValueError, match="21 features.*RISEExplainer"):
        exact_attribution(masked, as_table(wide))
    assert masked.n_queries == 0
    with pytest.raises(ValueError, match="kind"):
        exact_attribution(masked, as_table(wide), "banzhaf")
    # thousands of null players are summed out
    wide = np.zeros((2, 3000))
    wide[:, :3] = 1.0
    masked = make(lambda rows: rows.sum(axis=1), wide * 0)
    got, _ = exact_attribution(masked, as_table(wide))
    assert np.isfinite(got).all()
    assert masked.n_queries == 16


@pytest.mark.parametrize("kind", ["normalized", "empirical", "shapley"])
def test_players_without_effect_and_interchangeable_players_tie_exactly(kind):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 9)) + 3.0
    X[:, 5] = np.where(rng.random(40) < 0.5, 0.0, X[:, 5])
    weights = np.append(rng.normal(size=3) / 3.0, 0.0)
    weights[3] = weights[2]

    def model(rows):
        # irrational steps: sums in different orders would differ in the last digits
        on = rows[:, :4] > 0.5
        return np.exp(np.sin(sum(w * column for w, column in zip(weights, on.T, strict=True))))

    table = as_table(X)
    masked = MaskedModel(
        make_predictor(model, X[:4], output="regression"), TabularMasker("zero").fit(table)
    )
    values, neutral = exact_attribution(masked, table, kind)
    assert (values[:, 4:] == values[:, 4:5]).all()
    assert (values[:, 2] == values[:, 3]).all()
    null = X[:, 5] == 0.0
    assert (values[null, 4] == neutral[null]).all()
    if kind == "shapley":
        assert (values[:, 4:] == 0.0).all()
    assert (values[:, :3] != neutral[:, None]).all()
