"""Methods of models: followed to their object, which says what they answer."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import nn

from fastexplain.predictors import make_predictor
from fastexplain.predictors._bound import bound_to

pytestmark = pytest.mark.filterwarnings("error::UserWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3))
SHARE = np.clip(0.4 + 0.1 * X[:, 0], 0, 1)
NAMES = np.where(X[:, 0] > 0, "yes", "no")
THREE = np.digitize(X[:, 0], [-0.7, 0.7])


def fitted(model, y):
    return model.fit(X, y)


@pytest.mark.parametrize(
    "model",
    [
        fitted(RandomForestRegressor(5, random_state=0), SHARE),
        fitted(make_pipeline(StandardScaler(), LinearRegression()), SHARE),
        fitted(GridSearchCV(LinearRegression(), {"fit_intercept": [True]}), SHARE),
    ],
)
def test_predict_of_a_regressor_is_a_regression_whatever_its_range(model):
    assert 0 < model.predict(X).min() and model.predict(X).max() < 1
    predictor = make_predictor(model.predict, X)
    assert (predictor.kind, predictor.read_as) == ("regression", "regression")
    assert type(model).__name__ in predictor.reason
    np.testing.assert_array_equal(predictor(X)[:, 0], model.predict(X))


def test_predict_of_a_classifier_is_refused():
    for y in (NAMES, THREE, (THREE > 1).astype(int)):
        model = LogisticRegression().fit(X, y)
        with pytest.raises(ValueError, match=r"labels.*pass model.predict_proba"):
            make_predictor(model.predict, X)
    with pytest.raises(ValueError, match="LinearSVC.predict answers labels.*the model itself"):
        make_predictor(LinearSVC().fit(X, NAMES).predict, X)
    # numeric labels that are said to be quantities are
    predictor = make_predictor(LogisticRegression().fit(X, THREE).predict, X, output="regression")
    np.testing.assert_array_equal(np.unique(predictor(X)), [0, 1, 2])


@pytest.mark.parametrize("wrap", [lambda method: method, partial, lambda m: partial(partial(m))])
def test_predict_proba_brings_the_names(wrap):
    model = make_pipeline(StandardScaler(), RandomForestClassifier(5)).fit(X, NAMES)
    predictor = make_predictor(wrap(model.predict_proba), X)
    assert predictor.output_names == ["no", "yes"]
    assert predictor.classes.tolist() == ["no", "yes"]
    assert predictor.reason == "Pipeline.predict_proba"
    np.testing.assert_array_equal(predictor(X), model.predict_proba(X))


def test_scores_are_explained_as_they_are():
    forest = IsolationForest(random_state=0).fit(X)
    for method in (forest.decision_function, forest.score_samples):
        predictor = make_predictor(method, X)
        assert predictor.kind == "regression"
        np.testing.assert_array_equal(predictor(X)[:, 0], method(X))
    binary = LogisticRegression().fit(X, NAMES)
    predictor = make_predictor(binary.decision_function, X)
    assert (predictor.read_as, predictor.output_names) == ("margin", ["yes"])
    several = LogisticRegression().fit(X, THREE)
    predictor = make_predictor(several.predict_log_proba, X)
    assert (predictor.read_as, predictor.output_names) == ("margin", ["0", "1", "2"])
    np.testing.assert_array_equal(predictor(X), several.predict_log_proba(X))


def test_labels_of_clusters_are_refused():
    with pytest.raises(ValueError, match="clusterer, whose predict answers labels"):
        make_predictor(KMeans(2, n_init=1).fit(X).predict, X)


def test_forward_of_a_module_is_the_module():
    module = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.9), nn.Softmax(1)).train()
    rows = X.astype(np.float32)
    found = make_predictor(module.forward, rows)
    assert found.torch_module
    np.testing.assert_array_equal(found(rows), make_predictor(module, rows)(rows))


def test_boosters_methods_are_the_booster():
    lightgbm = pytest.importorskip("lightgbm")
    data = lightgbm.Dataset(X, (X[:, 0] > 0).astype(int))
    booster = lightgbm.train({"objective": "binary", "verbosity": -1}, data, 3)
    predictor = make_predictor(booster.predict, X)
    assert (predictor.kind, predictor.n_outputs) == ("classification", 2)


def test_other_functions_have_no_object():
    assert bound_to(len) is None
    assert bound_to(np.mean) is None
    assert bound_to(lambda X: X) is None
    assert bound_to(LogisticRegression) is None
    assert bound_to(pd.DataFrame.from_dict) is None  # of a class
    bound = bound_to(partial(LinearRegression().predict, 3))
    assert (bound.name, bound.plain) == ("predict", False)


def test_a_partial_with_arguments_is_a_function():
    model = LogisticRegression().fit(X, THREE)
    with pytest.warns(UserWarning, match="one column"):
        predictor = make_predictor(partial(_share_of, model), X)
    assert predictor.kind == "regression"


def _share_of(model, rows):
    return model.predict_proba(rows)[:, 1]
