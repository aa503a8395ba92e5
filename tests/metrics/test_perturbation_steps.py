"""Perturbation at shares of the players: unequal numbers of players, few steps of many."""

import numpy as np
import pytest

from fastexplain import TabularMasker
from fastexplain.masked_model import MaskedModel
from fastexplain.metrics import faithfulness, perturbation_auc
from fastexplain.metrics._curves import share_sizes, step_sizes
from fastexplain.predictors import make_predictor

RNG = np.random.default_rng(0)


def naive_curve(ragged, kind, sign, n_steps):
    model, curve = ragged.make(), np.zeros(n_steps + 1)
    for text, phi, y in zip(ragged.texts, ragged.values, ragged.target, strict=True):
        order = sorted(range(len(text)), key=lambda j: (-phi[j], j))[::sign]
        for step in range(n_steps + 1):
            removed = int(np.floor(step / n_steps * len(text) + 0.5))
            kept = [weight for j, weight in enumerate(text) if j not in order[:removed]]
            answer = model.answer(kept)
            curve[step] += answer[y] if kind == "probability" else np.argmax(answer) == y
    return curve / len(ragged.texts)


@pytest.mark.parametrize("kind", ["accuracy", "probability"])
@pytest.mark.parametrize("n_steps", [1, 5, 12, 30])
def test_unequal_numbers_of_players(ragged, kind, n_steps):
    args = (ragged.texts, ragged.values, ragged.target, kind, n_steps)
    got = perturbation_auc(ragged.make(), *args)
    np.testing.assert_allclose(got.positive_curve, naive_curve(ragged, kind, 1, n_steps))
    np.testing.assert_allclose(got.negative_curve, naive_curve(ragged, kind, -1, n_steps))
    np.testing.assert_allclose(got.shares, np.linspace(0, 1, n_steps + 1))
    assert got.positive == pytest.approx(np.trapezoid(got.positive_curve, got.shares))
    assert got.negative == pytest.approx(np.trapezoid(got.negative_curve, got.shares))
    # the size of a call is not seen
    small = ragged.make(limit=1)
    np.testing.assert_allclose(perturbation_auc(small, *args).positive_curve, got.positive_curve)


def test_default_steps_are_those_of_the_longest_text(ragged):
    got = perturbation_auc(ragged.make(), ragged.texts, ragged.values, ragged.target)
    assert len(got.shares) == 13  # 12 words, though values have 14 columns
    np.testing.assert_allclose(got.positive_curve, naive_curve(ragged, "accuracy", 1, 12))


def test_columns_past_a_text_are_not_looked_at(ragged):
    args = (ragged.target, "probability")
    got = perturbation_auc(ragged.make(), ragged.texts, ragged.values, *args)
    other = np.where(ragged.values == 0, 1e6, ragged.values)
    again = perturbation_auc(ragged.make(), ragged.texts, other, *args)
    np.testing.assert_array_equal(got.positive_curve, again.positive_curve)
    narrow = perturbation_auc(ragged.make(), ragged.texts, ragged.values[:, :12], *args)
    np.testing.assert_array_equal(got.negative_curve, narrow.negative_curve)


def test_each_size_is_asked_for_once_and_calls_stay_small(ragged):
    model = ragged.make()
    perturbation_auc(
        model, ragged.texts[:1] * 50, ragged.values[:1].repeat(50, 0), [1] * 50, n_steps=40
    )
    assert model.asked == 2 * 50 * 4  # three words make four masks, whatever the steps
    assert model.largest <= model.chunk_rows(4)


def many_players(n=4, n_players=196):
    X = RNG.normal(size=(n, n_players))
    model = make_predictor(lambda x: x @ np.linspace(-1, 1, n_players), X)
    return MaskedModel(model, TabularMasker("zero").fit(X)), X


def test_many_players_take_fifty_steps():
    masked, X = many_players()
    values = X * np.linspace(-1, 1, 196)
    got = perturbation_auc(masked, X, values, [0] * 4, "probability")
    assert len(got.shares) == 51
    assert masked.n_queries == 2 * 4 * 51
    # a linear model: removing the k best leaves the sum of the others
    left = np.cumsum(np.sort(values, axis=1), axis=1)
    left = np.hstack([np.zeros((4, 1)), left])
    sizes = np.floor(np.arange(51) / 50 * 196 + 0.5).astype(int)
    np.testing.assert_allclose(got.positive_curve, left[:, 196 - sizes].mean(axis=0))
    fine = perturbation_auc(masked, X, values, [0] * 4, "probability", n_steps=196)
    np.testing.assert_allclose(fine.positive_curve, left[:, ::-1].mean(axis=0), atol=1e-9)
    assert got.positive == pytest.approx(fine.positive, rel=0.01)


def test_target_is_the_prediction_by_default(ragged):
    predicted = [int(np.sum(text) > 0) for text in ragged.texts]
    args = (ragged.texts, ragged.values)
    got = perturbation_auc(ragged.make(limit=8), *args, None, "probability")
    said = perturbation_auc(ragged.make(), *args, predicted, "probability")
    np.testing.assert_allclose(got.positive_curve, said.positive_curve)


def test_sizes():
    _, sizes = step_sizes(np.array([4, 1, 0]), None)
    np.testing.assert_array_equal(sizes, [[0, 1, 2, 3, 4], [0, 0, 1, 1, 1], [0] * 5])
    assert step_sizes(np.array([64]), None)[1].shape == (1, 65)
    assert step_sizes(np.array([65]), None)[1].shape == (1, 51)
    shares, sizes = step_sizes(np.array([0]), None)
    np.testing.assert_array_equal(shares, [0.0, 1.0])
    # 0.1 * 30 is above 3 in floating point
    np.testing.assert_array_equal(share_sizes(np.array([30, 31, 0]), [0.1]), [[3], [4], [0]])


@pytest.mark.parametrize("n_steps", [0, -1, 2.5, "many"])
def test_bad_steps(ragged, n_steps):
    with pytest.raises(ValueError, match="n_steps"):
        perturbation_auc(ragged.make(), ragged.texts, ragged.values, ragged.target, n_steps=n_steps)


def test_bad_widths(ragged):
    with pytest.raises(ValueError, match="up to 12 players"):
        perturbation_auc(ragged.make(), ragged.texts, ragged.values[:, :11], ragged.target)
    masked, X = many_players()
    with pytest.raises(ValueError, match="196 players"):
        perturbation_auc(masked, X, np.zeros((4, 197)), [0] * 4)
    with pytest.raises(ValueError, match="integer positions"):
        perturbation_auc(masked, X, X, [0.0] * 4)


def test_faithfulness_of_unequal_numbers_of_players(ragged):
    model, expected = ragged.make(), []
    for text, phi, y in zip(ragged.texts, ragged.values, ragged.target, strict=True):
        whole = model.answer(text)[y]
        drops = [whole - model.answer(np.delete(text, j))[y] for j in range(len(text))]
        # fewer than two words go with anything
        expected.append(np.corrcoef(phi[: len(text)], drops)[0, 1] if len(text) > 1 else 1.0)
    for limit in (1, 60, 1000):
        got = faithfulness(ragged.make(limit), ragged.texts, ragged.values, ragged.target)
        np.testing.assert_allclose(got, expected)
