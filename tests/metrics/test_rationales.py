"""ERASER's measures against loops that say the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from fastexplain.metrics import comprehensiveness, sufficiency, token_f1_curve


def naive(ragged, shares, target):
    model, lost = ragged.make(), ([], [])
    for text, phi, y in zip(ragged.texts, ragged.values, target, strict=True):
        whole = model.answer(text)[y]
        order = sorted(range(len(text)), key=lambda j: (-phi[j], j))
        drops = ([], [])
        for share in shares:
            k = int(np.ceil(share * len(text)))
            for side, kept in zip(drops, (order[k:], order[:k]), strict=True):
                side.append(whole - model.answer(text[kept])[y])
        for side, drop in zip(lost, drops, strict=True):
            side.append(np.mean(drop))
    return lost


@pytest.mark.parametrize("shares", [(0.01, 0.05, 0.1, 0.2, 0.5), (0.5,), (1.0, 0.3)])
@pytest.mark.parametrize("limit", [1, 1000])
def test_against_loops(ragged, shares, limit):
    removed, kept = naive(ragged, shares, ragged.target)
    args = (ragged.texts, ragged.values, ragged.target, shares)
    np.testing.assert_allclose(comprehensiveness(ragged.make(limit), *args), removed, atol=1e-12)
    np.testing.assert_allclose(sufficiency(ragged.make(limit), *args), kept, atol=1e-12)


def test_defaults(ragged):
    predicted = [int(np.sum(text) > 0) for text in ragged.texts]
    removed, kept = naive(ragged, (0.01, 0.05, 0.1, 0.2, 0.5), predicted)
    args = (ragged.make(), ragged.texts, ragged.values)
    np.testing.assert_allclose(comprehensiveness(*args), removed, atol=1e-12)
    np.testing.assert_allclose(sufficiency(*args), kept, atol=1e-12)


@pytest.mark.parametrize("measure", [comprehensiveness, sufficiency])
def test_bad_shares(ragged, measure):
    for shares in ([], [0.0], [1.1], 0.5, [np.nan]):
        with pytest.raises(ValueError, match="Shares"):
            measure(ragged.make(), ragged.texts, ragged.values, shares=shares)
    with pytest.raises(ValueError, match="do not fit"):
        measure(ragged.make(), ragged.texts, ragged.values[:3])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_token_f1_against_sklearn(seed):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 12, size=5)
    values = rng.integers(-3, 4, size=(5, 12)).astype(float)  # with ties
    rationales = [rng.random(length) < 0.4 for length in lengths]
    for marks in rationales:
        marks[rng.integers(len(marks))] = True
    counts = [1, 3, 10]
    expected = np.zeros(3)
    for row, marks in zip(values, rationales, strict=True):
        order = sorted(range(len(marks)), key=lambda j: (-row[j], j))
        for c, k in enumerate(counts):
            expected[c] += f1_score(marks, np.isin(np.arange(len(marks)), order[:k])) / 5
    got = token_f1_curve(values, rationales, counts)
    np.testing.assert_allclose(got.curve, expected)
    assert got.mean == pytest.approx(expected.mean())
    np.testing.assert_array_equal(got.counts, counts)


def test_token_f1_defaults():
    marks = np.arange(100) < 40
    got = token_f1_curve(-np.arange(100.0)[None], [marks.astype(int)])
    np.testing.assert_array_equal(got.counts, np.arange(10, 81, 10))
    assert got.curve[3] == 1.0  # the 40 marked ones are first


@pytest.mark.parametrize(
    ("values", "rationales", "counts", "match"),
    [
        (np.zeros((2, 3)), [[True]], [1], "2, 3"),
        (np.zeros(3), [[True]], [1], "do not fit"),
        (np.full((1, 3), np.nan), [[True]], [1], "NaN"),
        (np.zeros((1, 3)), [[True] * 4], [1], "at most 3"),
        (np.zeros((1, 3)), [[0.5, 1]], [1], "bool array"),
        (np.zeros((1, 3)), [[False] * 3], [1], "leave the text out"),
        (np.zeros((1, 3)), [[True]], [0], "counts"),
        (np.zeros((1, 3)), [[True]], [], "counts"),
        (np.zeros((1, 3)), [[True]], [1.5], "counts"),
    ],
)
def test_bad_token_f1(values, rationales, counts, match):
    with pytest.raises(ValueError, match=match):
        token_f1_curve(values, rationales, counts)
