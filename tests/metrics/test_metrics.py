"""Rank correlation and perturbation curves against slow references."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from fastexplain import TabularMasker
from fastexplain.masked_model import MaskedModel
from fastexplain.metrics import faithfulness, perturbation_auc, rank_correlation, throughput
from fastexplain.predictors import make_predictor
from fastexplain.tables import as_table

RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 4))


def model(rows):
    scores = np.exp(np.column_stack([rows[:, 0], rows[:, 1] * 2, rows[:, 2] - rows[:, 3]]))
    return scores / scores.sum(axis=1, keepdims=True)


def masked_model(**kwargs):
    return MaskedModel(
        make_predictor(model, X, output="probability"), TabularMasker("zero").fit(X), **kwargs
    )


def reference(values, target, kind, sign):
    curve = np.zeros(5)
    for x, phi, y in zip(X, values, target, strict=True):
        order = sorted(range(4), key=lambda i: (-phi[i], i))[::sign]
        row = x.copy()
        for removed in range(5):
            if removed:
                row[order[removed - 1]] = 0.0
            answer = model(row[None])[0]
            curve[removed] += answer[y] if kind == "probability" else answer.argmax() == y
    return curve / len(X)


@pytest.mark.parametrize("kind", ["accuracy", "probability"])
@pytest.mark.parametrize("batch_size", [None, 1, 12])
def test_perturbation(kind, batch_size):
    values = RNG.normal(size=(7, 4))
    values[0] = 0.0  # ties
    target = model(X).argmax(axis=1)
    got = perturbation_auc(masked_model(batch_size=batch_size), X, values, target, kind)
    np.testing.assert_allclose(got.positive_curve, reference(values, target, kind, 1))
    np.testing.assert_allclose(got.negative_curve, reference(values, target, kind, -1))
    curve = got.positive_curve
    assert got.positive == pytest.approx(((curve[1:] + curve[:-1]) / 2).mean())
    table = perturbation_auc(masked_model(), as_table(X), values, target.tolist(), kind)
    assert table.negative == pytest.approx(got.negative)


@pytest.mark.parametrize(
    ("values", "target", "kind", "match"),
    [
        (np.zeros((7, 3)), np.zeros(7, int), "accuracy", "do not fit"),
        (np.zeros((7, 4)), np.zeros(6, int), "accuracy", "do not fit"),
        (np.zeros((7, 4)), np.zeros(7, int), "loss", "kind"),
        (np.full((7, 4), np.nan), np.zeros(7, int), "accuracy", "NaN"),
        (np.zeros((7, 4)), np.full(7, 3), "probability", "positions"),
    ],
)
def test_bad_perturbation(values, target, kind, match):
    with pytest.raises(ValueError, match=match):
        perturbation_auc(masked_model(), X, values, target, kind)


def test_no_rows_to_perturb():
    with pytest.raises(ValueError, match="no rows"):
        perturbation_auc(masked_model(), X[:0], np.zeros((0, 4)), np.zeros(0, int))


def test_rank_correlation():
    a = RNG.integers(0, 4, size=(30, 6)).astype(float)
    b = RNG.integers(0, 4, size=(30, 6)).astype(float)
    expected = [spearmanr(p, q).statistic for p, q in zip(a, b, strict=True)]
    np.testing.assert_allclose(rank_correlation(a, b), np.nan_to_num(expected), atol=1e-12)
    np.testing.assert_allclose(rank_correlation(a, a), 1.0)
    flat = np.ones((1, 6))
    assert rank_correlation(flat, flat + 1) == 1.0
    assert rank_correlation(flat, a[:1]) == 0.0
    with pytest.raises(ValueError, match="different shapes"):
        rank_correlation(a, b[:, :3])
    with pytest.raises(ValueError, match="NaN"):
        rank_correlation(a, np.full_like(a, np.nan))


def slow_faithfulness(values, target):
    found = []
    for x, phi, y in zip(X, values, target, strict=True):
        drops = []
        for j in range(4):
            row = x.copy()
            row[j] = 0.0
            drops.append(model(x[None])[0][y] - model(row[None])[0][y])
        found.append(np.corrcoef(phi, drops)[0, 1])
    return np.array(found)


@pytest.mark.parametrize("batch_size", [None, 7])
def test_faithfulness(batch_size):
    values = RNG.normal(size=(7, 4))
    target = np.arange(7) % 3
    masked = masked_model(batch_size=batch_size)
    got = faithfulness(masked, X, values, target)
    np.testing.assert_allclose(got, slow_faithfulness(values, target))
    # neither an attribution's size nor its level is judged
    np.testing.assert_allclose(faithfulness(masked, X, 3 * values - 1, target), got)
    np.testing.assert_allclose(faithfulness(masked, X, -values, target), -got)
    with pytest.raises(ValueError, match="do not fit"):
        faithfulness(masked, X, values[:, :3], target)


def test_faithfulness_of_constants():
    masked = masked_model()
    rows = np.vstack([np.zeros(4), X[0]])
    values = np.vstack([np.full(4, 0.1), np.full(4, 0.1)])
    # the first row loses nothing whatever is removed
    np.testing.assert_array_equal(faithfulness(masked, rows, values, [0, 0]), [1.0, 0.0])


def test_throughput():
    now = iter([0.0, 1.0, 5.0, 5.5, 7.0, 10.0])
    calls = []
    found = throughput(calls.append, X, n_repeats=3, clock=lambda: next(now))
    assert found == pytest.approx(7 / 1.0)  # the median of 1, 0.5 and 3 seconds
    assert len(calls) == 4
    with pytest.raises(ValueError, match="n_repeats"):
        throughput(calls.append, X, n_repeats=0)
