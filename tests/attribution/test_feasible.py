"""Feasible sets against enumeration: games given by a table of values, tables and texts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastexplain import TabularMasker, TextMasker
from fastexplain.attribution import minimal_prefixes, minimum_sets
from fastexplain.masked_model import MaskedModel
from fastexplain.predictors import make_predictor
from fastexplain.tables import as_table

seeds = st.integers(0, 10_000)


def game(values):
    """A model of rows of zeros and ones with these 2**N values, rows counted in binary."""
    n = int(np.log2(len(values)))

    def model(rows):
        number = (np.asarray(rows) > 0.5) @ 2 ** np.arange(n)
        return np.column_stack([values[number], 1.0 - values[number]])

    masker = TabularMasker("zero").fit(np.ones((1, n)))
    return MaskedModel(make_predictor(model, np.ones((2, n)), output="regression"), masker)


def sets_of(n):
    return np.array(list(itertools.product([0, 1], repeat=n)), dtype=bool)[:, ::-1]


def drops_of(values, masks, present):
    """True drops of output 0 with these players of those present."""
    n = masks.shape[1]
    bits = 2 ** np.arange(n)
    return np.maximum(values[present @ bits] - values[(masks & present) @ bits], 0.0)


def naive_prefix(values, ranking, present, epsilon):
    """The fewest first players of the ranking that are feasible, one after the other."""
    order = [j for j in np.argsort(-ranking, kind="stable") if present[j]]
    for size in range(len(order)):
        mask = np.zeros((1, len(present)), dtype=bool)
        mask[0, order[:size]] = True
        if drops_of(values, mask, present[None])[0] < epsilon:
            return mask[0]
    return present


def naive_smallest(values, present, epsilon):
    masks = sets_of(len(present))
    masks = masks[(masks <= present).all(axis=1)]
    good = drops_of(values, masks, np.broadcast_to(present, masks.shape)) < epsilon
    good |= (masks == present).all(axis=1)
    return masks.sum(axis=1)[good].min()


def drawn_game(seed, n, n_samples, monotone=False):
    rng = np.random.default_rng(seed)
    values = rng.random(2**n)
    if monotone:
        bits = sets_of(n)
        values = np.array([values[(bits <= s).all(axis=1)].max() for s in bits])
    X = (rng.random((n_samples, n)) < 0.8).astype(float)
    ranking = np.round(rng.random((n_samples, n)), 1)  # with ties
    return values, X, ranking


@given(seeds, st.integers(1, 5), st.sampled_from([0.02, 0.2, 0.6]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_scan_finds_the_smallest_prefix(seed, n, epsilon, monotone):
    values, X, ranking = drawn_game(seed, n, 6, monotone)
    target = np.zeros(6, dtype=int)
    found = minimal_prefixes(game(values), as_table(X), ranking, target, epsilon, "scan")
    for i in range(6):
        expected = naive_prefix(values, ranking[i], X[i] > 0, epsilon)
        np.testing.assert_array_equal(found.masks[i], expected)
    np.testing.assert_array_equal(found.sizes, found.masks.sum(axis=1))
    np.testing.assert_allclose(found.drops, drops_of(values, found.masks, X > 0), atol=1e-12)


@given(seeds, st.integers(1, 5), st.sampled_from([0.02, 0.2, 0.6]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_bisection_is_feasible_and_its_predecessor_is_not(seed, n, epsilon, monotone):
    values, X, ranking = drawn_game(seed, n, 6, monotone)
    masked, target = game(values), np.zeros(6, dtype=int)
    found = minimal_prefixes(masked, as_table(X), ranking, target, epsilon)
    scan = minimal_prefixes(masked, as_table(X), ranking, target, epsilon, "scan")
    assert (found.drops < epsilon).all() and found.epsilon == epsilon
    assert (found.masks <= (X > 0)).all()  # cells at the baseline are no players
    np.testing.assert_allclose(found.drops, drops_of(values, found.masks, X > 0), atol=1e-12)
    assert (found.sizes >= scan.sizes).all()
    if monotone:
        np.testing.assert_array_equal(found.masks, scan.masks)
    order = np.argsort(-np.where(X > 0, ranking, -np.inf), axis=1, kind="stable")
    for i in np.flatnonzero(found.sizes):
        fewer = found.masks[i : i + 1].copy()
        fewer[0, order[i, found.sizes[i] - 1]] = False
        assert found.masks[i, order[i, : found.sizes[i]]].all()
        assert drops_of(values, fewer, X[i : i + 1] > 0)[0] >= epsilon


@given(seeds, st.integers(1, 5), st.sampled_from([0.02, 0.2, 0.6]))
@settings(max_examples=40, deadline=None)
def test_minimum_sets_against_enumeration(seed, n, epsilon):
    values, X, ranking = drawn_game(seed, n, 4)
    masked, target = game(values), np.zeros(4, dtype=int)
    best = minimum_sets(masked, as_table(X), target, epsilon)
    assert (best.drops < epsilon).all()
    np.testing.assert_allclose(best.drops, drops_of(values, best.masks, X > 0), atol=1e-12)
    expected = [naive_smallest(values, x > 0, epsilon) for x in X]
    np.testing.assert_array_equal(best.sizes, expected)
    for search in ("scan", "bisection"):
        found = minimal_prefixes(masked, as_table(X), ranking, target, epsilon, search)
        assert (found.sizes >= best.sizes).all()


@given(seeds, st.integers(1, 6), st.sampled_from([0.05, 0.3, 0.9]))
@settings(max_examples=30, deadline=None)
def test_prefixes_of_an_additive_game_ranked_by_its_weights_are_minimum_sets(seed, n, epsilon):
    weights = np.random.default_rng(seed).random(n)
    values, X = sets_of(n) @ weights, np.ones((3, n))
    masked, target = game(values), np.zeros(3, dtype=int)
    ranking = np.tile(weights, (3, 1))
    found = minimal_prefixes(masked, as_table(X), ranking, target, epsilon)
    best = minimum_sets(masked, as_table(X), target, epsilon)
    np.testing.assert_array_equal(found.sizes, best.sizes)


def test_of_several_smallest_sets_the_one_that_loses_least():
    values = sets_of(3) @ [0.5, 0.52, 0.01]
    best = minimum_sets(game(values), as_table(np.ones((1, 3))), np.zeros(1, int), 0.6)
    assert best.masks.tolist() == [[False, True, False]]
    assert best.drops[0] == pytest.approx(0.51)
    assert best.names(0) == ["x1"]


def test_a_gain_is_no_drop_and_each_sample_has_its_own_target():
    values = np.array([0.9, 0.9, 0.9, 0.1])
    X = np.ones((2, 2))
    found = minimal_prefixes(game(values), as_table(X), X, np.array([0, 1]), 0.05, "scan")
    assert found.sizes.tolist() == [0, 2]
    assert found.drops.tolist() == [0.0, 0.0]
    assert found.target.tolist() == [0, 1]


def test_bisection_asks_few_times():
    rng = np.random.default_rng(0)
    weights = rng.random(64)
    masker = TabularMasker("zero").fit(np.ones((1, 64)))
    predictor = make_predictor(lambda X: X @ weights, np.ones((2, 64)), output="regression")
    counts = {}
    for search in ("bisection", "scan"):
        masked = MaskedModel(predictor, masker)
        X = as_table(np.ones((10, 64)))
        found = minimal_prefixes(masked, X, np.tile(weights, (10, 1)), np.zeros(10, int), 3, search)
        counts[search] = (masked.n_queries / 10, found.sizes.tolist())
    assert counts["bisection"][1] == counts["scan"][1]
    # whole samples, nothing, log2(64) halvings, and the set that was found
    assert counts["bisection"][0] <= 9 < 64 <= counts["scan"][0]


def test_samples_do_not_depend_on_each_other_nor_on_the_size_of_calls():
    values, X, ranking = drawn_game(3, 5, 12)
    target = np.zeros(12, dtype=int)
    masked = game(values)
    together = minimal_prefixes(masked, as_table(X), ranking, target, 0.2)
    masked.batch_size = 2
    for search in ("bisection", "scan"):
        whole = minimal_prefixes(masked, as_table(X), ranking, target, 0.2, search)
        for i in range(12):
            own = as_table(X[i : i + 1]), ranking[i : i + 1], target[i : i + 1]
            alone = minimal_prefixes(masked, *own, 0.2, search)
            np.testing.assert_array_equal(alone.masks[0], whole.masks[i])
    np.testing.assert_array_equal(
        together.masks, minimal_prefixes(masked, as_table(X), ranking, target, 0.2).masks
    )


def test_a_model_that_ignores_its_input_needs_nothing():
    masked = game(np.full(8, 0.7))
    X, target = as_table(np.ones((4, 3))), np.zeros(4, dtype=int)
    for found in (
        minimal_prefixes(masked, X, np.zeros((4, 3)), target, 0.01),
        minimal_prefixes(masked, X, np.zeros((4, 3)), target, 0.01, "scan"),
        minimum_sets(masked, X, target, 0.01),
    ):
        assert not found.masks.any() and not found.sizes.any() and not found.drops.any()
        assert len(found) == 4 and found.names(0) == []


def test_a_row_at_the_baseline_has_no_player():
    masked = game(np.linspace(0, 1, 8))
    X, target = as_table(np.zeros((1, 3))), np.zeros(1, dtype=int)
    for search in ("bisection", "scan"):
        found = minimal_prefixes(masked, X, np.ones((1, 3)), target, 0.01, search)
        assert found.sizes.tolist() == [0]
    assert minimum_sets(masked, X, target, 0.01).sizes.tolist() == [0]


def test_a_model_whose_rounding_depends_on_the_batch_still_has_a_set():
    # with all players nothing is lost by definition, even if the model answers otherwise
    calls = []

    def model(rows):
        calls.append(len(rows))
        return np.full(len(rows), 0.5 - 0.1 * (len(calls) > 2))

    masker = TabularMasker("zero").fit(np.ones((1, 3)))
    masked = MaskedModel(make_predictor(model, np.ones((2, 3)), output="regression"), masker)
    X, target = as_table(np.ones((1, 3))), np.zeros(1, dtype=int)
    for search in ("bisection", "scan"):
        calls.clear()
        calls.append(1)
        found = minimal_prefixes(masked, X, np.ones((1, 3)), target, 0.01, search)
        assert found.sizes.tolist() == [3] and found.drops.tolist() == [0.0]


# -- texts -----------------------------------------------------------------------------------
WORDS = {"good": 0.4, "fine": 0.2, "film": 0.05, "a": 0.0, "bad": -0.3, "very": 0.1}


def mood(texts):
    score = np.array([0.3 + sum(WORDS.get(w, 0.0) for w in text.split()) for text in texts])
    return np.column_stack([1.0 - score, score])


def masked_texts(texts):
    masker = TextMasker()
    samples = masker.wrap(texts)
    masker.fit(samples)
    probe = np.array(texts, dtype=object)
    return MaskedModel(make_predictor(mood, probe, output="regression"), masker)


@pytest.mark.parametrize("search", ["bisection", "scan"])
def test_ragged_texts(search):
    texts = ["a good film", "good", "", "a very fine film", "bad"]
    masked = masked_texts(texts)
    samples = masked.masker.wrap(texts)
    ranking = np.zeros((5, 4))
    for i in range(5):
        ranking[i, : samples.sizes[i]] = [WORDS[w] for w in texts[i].split()]
    target = np.ones(5, dtype=int)
    found = minimal_prefixes(masked, samples, ranking, target, 0.11, search)
    kept = [[samples.tokens(i)[j] for j in np.flatnonzero(found.masks[i])] for i in range(5)]
    assert kept == [["good"], ["good"], [], ["very", "fine"], []]
    best = minimum_sets(masked, samples, target, 0.11)
    np.testing.assert_array_equal(best.sizes, found.sizes)
    null = masked.masker.null_players(samples)
    assert not found.masks[null].any() and not best.masks[null].any()
    np.testing.assert_allclose(found.drops, [0.05, 0.0, 0.0, 0.05, 0.0], atol=1e-12)


def test_texts_longer_than_those_of_fit():
    masked = masked_texts(["good film", "bad"])
    samples = masked.masker.wrap(["a very fine film", "good"])
    ranking = np.array([[0.0, 0.1, 0.2, 0.05], [0.4, 0.0, 0.0, 0.0]])
    target = np.ones(2, dtype=int)
    for found in (
        minimal_prefixes(masked, samples, ranking, target, 0.11),
        minimum_sets(masked, samples, target, 0.11),
    ):
        assert found.masks.shape == (2, 4)
        assert found.feature_names == ["token 0", "token 1", "token 2", "token 3"]
        assert found.names(0) == ["very", "fine"]
        assert found.names(1) == ["good"]


# -- errors ----------------------------------------------------------------------------------
@pytest.mark.parametrize("epsilon", [0.0, -1.0, np.nan])
def test_epsilon_must_be_above_zero(epsilon):
    masked, X, target = game(np.zeros(4)), as_table(np.ones((1, 2))), np.zeros(1, int)
    with pytest.raises(ValueError, match="epsilon must be a number above 0"):
        minimal_prefixes(masked, X, np.ones((1, 2)), target, epsilon)
    with pytest.raises(ValueError, match="epsilon must be a number above 0"):
        minimum_sets(masked, X, target, epsilon)


def test_unknown_search_and_too_many_players():
    masked, X, target = game(np.zeros(4)), as_table(np.ones((1, 2))), np.zeros(1, int)
    with pytest.raises(ValueError, match="search must be one of"):
        minimal_prefixes(masked, X, np.ones((1, 2)), target, 0.1, "greedy")
    wide = np.ones((2, 17))
    masker = TabularMasker("zero").fit(wide)
    predictor = make_predictor(lambda X: X.sum(axis=1), wide, output="regression")
    with pytest.raises(ValueError, match="stops at 16 players"):
        minimum_sets(MaskedModel(predictor, masker), as_table(wide), np.zeros(2, int), 0.1)


def test_columns_of_an_explainer_fitted_on_other_texts() -> None:
    masked = MaskedModel(
        make_predictor(
            lambda texts: np.array([("good" in text) * 1.0 for text in texts]),
            np.array(["a"], dtype=object),
            output="regression",
        ),
        TextMasker().fit(["a b c d e f"]),
    )
    texts = masked.masker.wrap(["good x", "x good y"])
    narrow = np.array([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0]])
    target = np.zeros(2, dtype=int)
    found = minimal_prefixes(masked, texts, narrow, target, 0.5)
    wide = np.pad(narrow, ((0, 0), (0, 7)), constant_values=9.0)
    assert found.sizes.tolist() == [1, 1]
    np.testing.assert_array_equal(
        found.masks, minimal_prefixes(masked, texts, wide, target, 0.5).masks
    )
    with pytest.raises(ValueError, match="do not fit 2 samples"):
        minimal_prefixes(masked, texts, narrow[:, :2], target, 0.5)
    with pytest.raises(ValueError, match="do not fit 2 samples"):
        minimal_prefixes(masked, texts, narrow[:1], target, 0.5)
