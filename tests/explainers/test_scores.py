"""Scores of each output, and explainers that learned nothing."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import fastexplain
from fastexplain import (
    ConceptSetExplainer,
    ExactExplainer,
    FastSHAPExplainer,
    FEXExplainer,
    L2XExplainer,
    SupervisedExplainer,
)
from fastexplain.explainers._base import agreement
from fastexplain.explainers._validators import Validator, poor_outputs
from fastexplain.metrics import rank_correlation

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 4))
MODEL = LogisticRegression().fit(X, np.digitize(X[:, 0] + 0.5 * X[:, 1], [-1, 1]))
SMALL = {"hidden_dim": 16, "n_blocks": 1, "n_queries": 20_000, "random_state": 0}


def quietly(explainer, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return explainer.fit(*args)


@pytest.mark.parametrize(
    "make",
    [
        lambda: FEXExplainer(**SMALL, max_steps=150),
        lambda: FastSHAPExplainer(**SMALL, max_steps=150),
        lambda: SupervisedExplainer(**SMALL, max_steps=150, task="ranking"),
        lambda: L2XExplainer(**SMALL, max_steps=150),
        lambda: ConceptSetExplainer(**SMALL, max_steps=50),
    ],
)
def test_every_learned_explainer_has_a_score_an_output(make, tmp_path):
    explainer = quietly(make(), X, MODEL)
    assert explainer.best_scores_.shape == (3,)
    assert np.isfinite(explainer.best_scores_).all()
    # the score that training went by is their mean, or one of the same squares
    low, high = explainer.best_scores_.min(), explainer.best_scores_.max()
    assert low - 1e-6 <= explainer.best_score_ <= high + 1e-6
    explainer.save(tmp_path / "e")
    loaded = fastexplain.load(tmp_path / "e")
    np.testing.assert_array_equal(loaded.best_scores_, explainer.best_scores_)
    assert loaded.caution_ is None


def test_score_of_each_output_is_that_of_its_values():
    explainer = quietly(FEXExplainer(**SMALL, max_steps=100), X, MODEL)
    exact = ExactExplainer().fit(X, MODEL).explain(X[:50], "all").values
    found = explainer.explain(X[:50], "all").values
    expected = [rank_correlation(found[:, :, k], exact[:, :, k]).mean() for k in range(3)]
    np.testing.assert_allclose(explainer.score(X[:50], per_output=True), expected, atol=1e-6)
    shap = quietly(FastSHAPExplainer(**SMALL, max_steps=100), X, MODEL)
    assert shap.score(X[:50], per_output=True).shape == (3,)


def test_agreement_of_chosen_outputs():
    found, expected = RNG.normal(size=(2, 9, 3, 5))
    chosen = RNG.integers(0, 3, 9)
    wanted = np.mean(
        [rank_correlation(found[i, k][None], expected[i, k][None])[0] for i, k in enumerate(chosen)]
    )
    assert agreement(found, expected, chosen, False) == pytest.approx(wanted)


def test_a_rare_output_that_is_learned_badly_is_named():
    def f(Z):
        # two outputs by one simple rule, and one by the parity of all signs, which few steps miss
        p = 0.8 / (1 + np.exp(-3 * Z[:, 0]))
        odd = 0.1 + 0.1 * (np.sign(Z[:, 1:]).prod(axis=1) > 0)
        rest = 1 - odd
        return np.column_stack([p * rest, (1 - p) * rest, odd])

    explainer = FastSHAPExplainer(**SMALL, max_steps=60, output_names=["up", "down", "odd"])
    with pytest.warns(UserWarning, match=r"outputs 'odd' \(.*see best_scores_.*average") as caught:
        explainer.fit(X, f)
    assert [w.filename for w in caught if "'odd'" in str(w.message)] == [__file__]
    assert explainer.best_score_ > 0.5 > explainer.best_scores_[2]


def test_poor_outputs_in_words():
    names = [f"n{k}" for k in range(9)]
    scores = np.linspace(-0.4, 0.4, 9)
    assert poor_outputs(scores, names, -1.0) == ""
    assert poor_outputs(scores, names, 0.0).startswith("'n0' (-0.40), 'n1' (-0.30)")
    assert poor_outputs(scores, names, 1.0).endswith("and 4 more")


def test_a_validator_without_outputs_to_judge():
    assert Validator(lambda module: np.full(3, np.nan))(None) == 1.0
    assert Validator(lambda module: np.array([0.5, np.nan, 1.0]))(None) == 0.75
    assert Validator(lambda module: np.zeros(2), lambda module: 0.25)(None) == 0.25


# -- nothing learned -------------------------------------------------------------------------
def test_an_explainer_without_a_step_says_so(tmp_path):
    import time

    def slow(Z):
        time.sleep(0.3)
        p = 1 / (1 + np.exp(-Z[:, 0]))
        return np.column_stack([1 - p, p])

    explainer = quietly(FEXExplainer(**SMALL, max_time=0.5), X, slow)
    assert explainer.n_iter_ == 0
    assert "no training step" in explainer.caution_
    explainer.save(tmp_path / "e")
    for one in (explainer, fastexplain.load(tmp_path / "e", model=slow)):
        with pytest.warns(UserWarning, match="tell nothing: no training step") as caught:
            explanation = one.explain(X[:3])
        assert caught[0].filename == __file__
        assert "no training step" in explanation.caution
        assert "no training step" in explanation._repr_html_()


@pytest.mark.parametrize("cls", [FastSHAPExplainer, FEXExplainer])
def test_transform_and_score_say_so_too(cls):
    explainer = quietly(cls(**SMALL, max_steps=1), X, MODEL)
    explainer.caution_ = "no training step was made"
    for call in (
        lambda: explainer.transform(X[:3]),
        lambda: explainer.score(X[:3]),
        lambda: explainer.score(X[:3], per_output=True),
        lambda: explainer(X[:3]),
    ):
        with pytest.warns(UserWarning, match="tell nothing: no training step") as caught:
            call()
        assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("cls", [FastSHAPExplainer, FEXExplainer])
def test_an_explainer_no_better_than_chance_says_so(cls):
    # steps too small to leave the weights as drawn
    explainer = quietly(cls(**SMALL, max_steps=3, learning_rate=1e-12), X, MODEL)
    assert explainer.n_iter_ == 3
    with pytest.warns(UserWarning, match="no better than chance"):
        explainer.explain(X[:3])


@pytest.mark.filterwarnings("error")
def test_one_that_learned_says_nothing():
    explainer = FEXExplainer(**SMALL, max_steps=200).fit(X, MODEL)
    explanation = explainer.explain(X[:3])
    assert explainer.caution_ is None and explanation.caution is None
    assert explanation.score == explainer.best_score_
    assert "rank correlation" in explanation.score_name
