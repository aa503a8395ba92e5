"""output="margin": raw scores and log-odds of estimators and boosters."""

import warnings

import numpy as np
import pytest
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastexplain import ExactExplainer
from fastexplain.predictors import make_predictor
from fastexplain.predictors._meaning import CHOICES

pytestmark = pytest.mark.filterwarnings("error::UserWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3))
TWO = np.where(X[:, 0] + X[:, 1] > 0, "yes", "no")
THREE = np.digitize(X[:, 0], [-0.7, 0.7])


@pytest.mark.parametrize(
    "model", [LogisticRegression(), GradientBoostingClassifier(n_estimators=3)]
)
def test_decision_functions(model):
    for y, names in ((TWO, ["yes"]), (THREE, ["0", "1", "2"])):
        model.fit(X, y)
        predictor = make_predictor(model, X, output="margin")
        assert (predictor.kind, predictor.read_as) == ("regression", "margin")
        assert predictor.output_names == names
        assert "decision_function" in predictor.reason
        expected = model.decision_function(X).reshape(len(X), -1)
        np.testing.assert_array_equal(predictor(X), expected)


def test_log_odds_where_there_are_no_scores():
    model = GaussianNB().fit(X, TWO)
    p = np.clip(model.predict_proba(X)[:, 1], 1e-6, 1 - 1e-6)
    predictor = make_predictor(model, X, output="margin")
    np.testing.assert_allclose(predictor(X)[:, 0], np.log(p / (1 - p)))
    assert "log-odds" in predictor.reason
    # chances of 0 and 1 have finite ones
    forest = RandomForestClassifier(3, random_state=0).fit(X, THREE)
    found = make_predictor(forest, X, output="margin")(X)
    assert found.shape == (300, 3) and np.isfinite(found).all()
    assert np.abs(found).max() == pytest.approx(np.log(1e6), rel=1e-5)


def test_boosters():
    xgboost = pytest.importorskip("xgboost")
    lightgbm = pytest.importorskip("lightgbm")
    y2, y3 = (TWO == "yes").astype(int), THREE
    for y, columns in ((y2, 1), (y3, 3)):
        one = xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(X, y)
        two = lightgbm.LGBMClassifier(n_estimators=3, n_jobs=1, verbosity=-1).fit(X, y)
        raw = {
            one: one.predict(X, output_margin=True),
            two: two.predict(X, raw_score=True),
            one.get_booster(): one.predict(X, output_margin=True),
            two.booster_: two.predict(X, raw_score=True),
            make_pipeline("passthrough", two): two.predict(X, raw_score=True),
        }
        for model, expected in raw.items():
            predictor = make_predictor(model, X, output="margin")
            assert (predictor.read_as, predictor.n_outputs) == ("margin", columns)
            np.testing.assert_allclose(predictor(X), expected.reshape(len(X), -1), rtol=1e-6)
    search = GridSearchCV(two, {"max_depth": [2]}, cv=2).fit(X, y2)
    expected = search.best_estimator_.predict(X, raw_score=True)
    np.testing.assert_allclose(make_predictor(search, X, output="margin")(X)[:, 0], expected)


def test_logits_of_boosters_are_their_probabilities():
    lightgbm = pytest.importorskip("lightgbm")
    model = lightgbm.LGBMClassifier(n_estimators=3, n_jobs=1, verbosity=-1).fit(X, THREE)
    found = make_predictor(model, X, output="logits")(X)
    np.testing.assert_allclose(found, model.predict_proba(X), rtol=1e-6)


def test_a_function_as_objective_is_no_dead_end():
    lightgbm = pytest.importorskip("lightgbm")

    def objective(y, scores):
        p = 1 / (1 + np.exp(-scores))
        return p - y, p * (1 - p)

    y = (TWO == "yes").astype(int)
    model = lightgbm.LGBMClassifier(objective=objective, n_estimators=3, verbosity=-1).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LightGBM's own
        for output in ("auto", "regression"):
            with pytest.raises(ValueError, match="What fits its answers") as caught:
                make_predictor(model, X, output=output)
            cures = str(caught.value).partition("What fits its answers: ")[2]
            named = [choice for choice in CHOICES if f"output={choice!r}" in cures]
            assert {"logits", "margin"} <= set(named)
            for choice in named:  # what is named works
                make_predictor(model, X, output=choice)


def test_regressors_without_scores_say_what_fits():
    with pytest.raises(ValueError, match=r"LinearRegression lacks.*output='auto'.*'regression'"):
        make_predictor(LinearRegression().fit(X, X[:, 0]), X, output="margin")


def test_margins_are_explained_by_class():
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, THREE)
    explainer = ExactExplainer("shapley", output="margin").fit(X, model)
    everything = explainer.explain(X[:20], target="all")
    assert everything.shape == (20, 3, 3)
    predicted = explainer.explain(X[:20])
    np.testing.assert_array_equal(predicted.target, model.predict(X[:20]))
    total = model.decision_function(X[:20]) - explainer.base_values_
    np.testing.assert_allclose(everything.values.sum(axis=1), total, atol=1e-12)
    binary = ExactExplainer("shapley", output="margin").fit(X, LogisticRegression().fit(X, TWO))
    assert binary.output_names_ == ["yes"]
    np.testing.assert_array_equal(binary.explain(X[:5], "yes").values, binary.explain(X[:5]).values)
    with pytest.raises(ValueError, match="'no' is not among"):
        binary.explain(X[:5], "no")


def test_hist_gradient_boosting_and_its_search():
    model = HistGradientBoostingClassifier(max_iter=3, random_state=0).fit(X, TWO)
    found = make_predictor(model, X, output="margin")(X)[:, 0]
    np.testing.assert_allclose(1 / (1 + np.exp(-found)), model.predict_proba(X)[:, 1])
