"""Inclusion, exclusion and log-odds against loops, and their intervals."""

import numpy as np
import pytest

from fastexplain import TabularMasker
from fastexplain.masked_model import MaskedModel
from fastexplain.metrics import delta_log_odds, inclusion_exclusion_auc, log_odds, perturbation_auc
from fastexplain.predictors import make_predictor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(9, 4))


def model(rows):
    scores = np.exp(np.column_stack([rows[:, 0], rows[:, 1] * 2, rows[:, 2] - rows[:, 3]]))
    return scores / scores.sum(axis=1, keepdims=True)


def masked_model(**kwargs):
    predictor = make_predictor(model, X, output="probability")
    return MaskedModel(predictor, TabularMasker("zero").fit(X), **kwargs)


def logit(p):
    return np.log(p) - np.log1p(-p)


SCORES = {
    "accuracy": lambda answer, y: float(np.argmax(answer) == y),
    "probability": lambda answer, y: answer[y],
    "log_odds": lambda answer, y: logit(answer[y]),
}


def naive(values, target, score):
    """Scores (n, 5) of each row as players are included, and as they are excluded."""
    curves = np.zeros((2, len(X), 5))
    for i, (x, phi, y) in enumerate(zip(X, values, target, strict=True)):
        order = np.argsort(-phi, kind="stable")
        for k in range(5):
            first = np.isin(np.arange(4), order[:k])
            for side, kept in enumerate((first, ~first)):
                curves[side, i, k] = score(model((x * kept)[None])[0], y)
    return curves


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("batch_size", [None, 7])
def test_against_loops(score, batch_size):
    values = RNG.normal(size=X.shape)
    target = np.arange(9) % 3
    got = inclusion_exclusion_auc(
        masked_model(batch_size=batch_size), X, values, target, score=score, n_bootstrap=5
    )
    included, excluded = naive(values, target, SCORES[score])
    np.testing.assert_allclose(got.inclusion_curve, included.mean(axis=0))
    np.testing.assert_allclose(got.exclusion_curve, excluded.mean(axis=0))
    assert got.inclusion == pytest.approx(np.trapezoid(got.inclusion_curve, got.shares))
    assert got.exclusion == pytest.approx(np.trapezoid(got.exclusion_curve, got.shares))


def test_they_are_the_perturbation_curves(ragged):
    args = (ragged.make(), ragged.texts, ragged.values, ragged.target)
    got = inclusion_exclusion_auc(*args, score="probability")
    twin = perturbation_auc(*args, "probability")
    np.testing.assert_allclose(got.exclusion_curve, twin.positive_curve)
    equal = inclusion_exclusion_auc(ragged.make(), ragged.texts[1::4], ragged.values[1::4])
    twin = perturbation_auc(ragged.make(), ragged.texts[1::4], ragged.values[1::4], None)
    np.testing.assert_allclose(equal.inclusion_curve, twin.negative_curve[::-1])


def test_accuracy_is_agreement_with_the_prediction():
    got = inclusion_exclusion_auc(masked_model(), X, X)
    assert got.inclusion_curve[-1] == got.exclusion_curve[0] == 1.0
    said = inclusion_exclusion_auc(masked_model(), X, X, model(X).argmax(axis=1))
    np.testing.assert_array_equal(got.exclusion_curve, said.exclusion_curve)


def test_few_steps():
    got = inclusion_exclusion_auc(masked_model(), X, X, n_steps=2, score="probability")
    fine = inclusion_exclusion_auc(masked_model(), X, X, score="probability")
    np.testing.assert_allclose(got.inclusion_curve, fine.inclusion_curve[::2])
    np.testing.assert_allclose(got.exclusion_curve, fine.exclusion_curve[::2])


def test_intervals():
    values = RNG.normal(size=X.shape)
    args = (masked_model(), X, values)
    got = inclusion_exclusion_auc(*args, score="probability", random_state=3)
    areas = np.trapezoid(naive(values, model(X).argmax(axis=1), SCORES["probability"]), dx=0.25)
    for mean, (low, high), own in zip(
        (got.inclusion, got.exclusion),
        (got.inclusion_interval, got.exclusion_interval),
        areas,
        strict=True,
    ):
        assert low < mean < high
        # near the normal interval of a mean
        half = 1.96 * own.std() / 3
        assert (high - low) / 2 == pytest.approx(half, rel=0.15)
    again = inclusion_exclusion_auc(*args, score="probability", random_state=3)
    assert again.inclusion_interval == got.inclusion_interval
    other = inclusion_exclusion_auc(*args, score="probability", random_state=4)
    assert other.inclusion_interval != got.inclusion_interval
    narrow = inclusion_exclusion_auc(*args, score="probability", random_state=3, confidence=0.5)
    assert np.ptp(narrow.inclusion_interval) < np.ptp(got.inclusion_interval)
    one = inclusion_exclusion_auc(masked_model(), X[:1], values[:1], score="probability")
    assert one.inclusion_interval == pytest.approx((one.inclusion, one.inclusion))


def test_delta_log_odds():
    values, target = RNG.normal(size=X.shape), np.arange(9) % 3
    got = delta_log_odds(masked_model(), X, values, target, random_state=1)
    whole = logit(model(X)[np.arange(9), target])[:, None]
    included, excluded = whole - naive(values, target, SCORES["log_odds"])
    np.testing.assert_allclose(got.inclusion_curve, included.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(got.exclusion_curve, excluded.mean(axis=0), atol=1e-12)
    assert got.exclusion == pytest.approx(np.trapezoid(excluded, dx=0.25).mean())
    assert got.inclusion_interval[0] < got.inclusion < got.inclusion_interval[1]
    # nothing is lost of the whole
    assert got.inclusion_curve[-1] == got.exclusion_curve[0] == 0.0


@pytest.mark.parametrize("share", [0.2, 0.25, 0.5, 1.0])
def test_log_odds(share):
    values, target = RNG.normal(size=X.shape), np.arange(9) % 3
    got = log_odds(masked_model(), X, values, target, share)
    excluded = naive(values, target, SCORES["log_odds"])[1]
    k = int(np.ceil(share * 4))
    np.testing.assert_allclose(got.per_sample, excluded[:, k] - excluded[:, 0])
    assert got.change == pytest.approx(got.per_sample.mean())
    assert got.interval[0] < got.change < got.interval[1]


def test_log_odds_of_unequal_numbers_of_players(ragged):
    got = log_odds(ragged.make(), ragged.texts, ragged.values, ragged.target, 0.3)
    expected = []
    for text, phi, y in zip(ragged.texts, ragged.values, ragged.target, strict=True):
        first = np.argsort(-phi[: len(text)])[: int(np.ceil(0.3 * len(text)))]
        # log-odds are the sum of the words
        expected.append(-text[first].sum() * (1 if y else -1))
    np.testing.assert_allclose(got.per_sample, expected, atol=1e-12)


def test_certain_models_have_finite_log_odds():
    rows = np.array([[1.0, 0.0], [1.0, 1.0]])
    predictor = make_predictor(lambda x: np.column_stack([1 - x[:, 0], x[:, 0]]), rows)
    masked = MaskedModel(predictor, TabularMasker("zero").fit(rows))
    got = log_odds(masked, rows, rows, [1, 1], 0.5)
    np.testing.assert_allclose(got.per_sample, 2 * logit(1e-6))


def test_bad_input():
    values = np.zeros_like(X)
    raw = make_predictor(lambda x: x * 3, X, output="regression")
    logits = MaskedModel(raw, TabularMasker("zero").fit(X))
    one = make_predictor(lambda x: x[:, :1] * 3, X)
    single = MaskedModel(one, TabularMasker("zero").fit(X))
    for measure in (log_odds, delta_log_odds):
        with pytest.raises(ValueError, match="need probabilities"):
            measure(logits, X, values)
        with pytest.raises(ValueError, match="confidence"):
            measure(masked_model(), X, values, confidence=1.0)
        with pytest.raises(ValueError, match="NaN"):
            measure(masked_model(), X, values * np.nan)
    with pytest.raises(ValueError, match="one output"):
        inclusion_exclusion_auc(single, X, values)
    with pytest.raises(ValueError, match="score must be"):
        inclusion_exclusion_auc(masked_model(), X, values, score="loss")
    with pytest.raises(ValueError, match="n_bootstrap"):
        inclusion_exclusion_auc(masked_model(), X, values, n_bootstrap=0)
    with pytest.raises(ValueError, match="do not fit"):
        inclusion_exclusion_auc(masked_model(), X, values[:, :3])
    for share in (0.0, 1.5, np.nan):
        with pytest.raises(ValueError, match="Shares"):
            log_odds(masked_model(), X, values, share=share)
