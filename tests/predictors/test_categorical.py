"""Columns of numbers that boosters and forests read as categories."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from fastexplain.predictors._categorical import categorical_columns

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "shop": RNG.integers(0, 7, 300),
        "price": RNG.normal(size=300),
        "my town": RNG.integers(3, 9, 300),
    }
)
NAMES = list(FRAME.columns)
Y = FRAME["shop"].to_numpy() % 3 + RNG.normal(size=300)


def forest(**given):
    return HistGradientBoostingRegressor(max_iter=2, **given)


def test_lightgbm():
    lightgbm = pytest.importorskip("lightgbm")
    model = lightgbm.LGBMRegressor(n_estimators=2, verbose=-1, n_jobs=1)
    model.fit(FRAME, Y, categorical_feature=["shop", "my town"])
    # the booster calls the last one my_town
    for part in (model, model.booster_, model.predict, model.booster_.predict):
        assert categorical_columns(part, NAMES) == [0, 2]
    assert categorical_columns(model, ["a", "b", "c"]) == []
    assert categorical_columns(model, NAMES[:2]) == []
    # an array's columns have no names to compare
    assert categorical_columns(model, ["x0", "x1", "x2"]) == [0, 2]
    on_array = lightgbm.LGBMRegressor(n_estimators=2, verbose=-1, n_jobs=1)
    on_array.fit(FRAME.to_numpy(), Y, categorical_feature=[0])
    assert categorical_columns(on_array, NAMES) == [0]
    by_dtype = lightgbm.LGBMRegressor(n_estimators=2, verbose=-1, n_jobs=1)
    by_dtype.fit(FRAME.astype({"shop": "category"}), Y)
    assert categorical_columns(by_dtype, NAMES) == [0]
    plain = lightgbm.LGBMRegressor(n_estimators=2, verbose=-1, n_jobs=1).fit(FRAME, Y)
    assert categorical_columns(plain, NAMES) == []
    assert categorical_columns(lightgbm.LGBMRegressor(), NAMES) == []


def test_xgboost():
    xgboost = pytest.importorskip("xgboost")
    model = xgboost.XGBRegressor(n_estimators=2, n_jobs=1, enable_categorical=True)
    model.fit(FRAME.astype({"shop": "category"}), Y)
    for part in (model, model.get_booster(), model.predict):
        assert categorical_columns(part, NAMES) == [0]
    types = xgboost.XGBRegressor(n_estimators=2, feature_types=["q", "q", "c"])
    types.set_params(enable_categorical=True, n_jobs=1).fit(FRAME.to_numpy(), Y)
    assert categorical_columns(types, ["x0", "x1", "x2"]) == [2]
    assert categorical_columns(xgboost.XGBRegressor(), NAMES) == []
    plain = xgboost.XGBRegressor(n_estimators=2, n_jobs=1).fit(FRAME, Y)
    assert categorical_columns(plain, NAMES) == []


class LikeCatBoost:
    """What a CatBoost model tells of itself."""

    def __init__(self, names, indices, fitted=True):
        self.feature_names_, self.indices, self.fitted = names, indices, fitted

    def get_cat_feature_indices(self):
        if not self.fitted:
            raise RuntimeError("not fitted")
        return self.indices

    def predict(self, X):
        return np.zeros(len(X))


def test_catboost():
    assert categorical_columns(LikeCatBoost(NAMES, [0, 2]), NAMES) == [0, 2]
    assert categorical_columns(LikeCatBoost(NAMES, [0, 2]).predict, NAMES) == [0, 2]
    assert categorical_columns(LikeCatBoost(["0", "1", "2"], [1]), NAMES) == [1]
    assert categorical_columns(LikeCatBoost(["a", "b", "c"], [1]), NAMES) == []
    assert categorical_columns(LikeCatBoost(NAMES[:1], [0]), NAMES) == []
    assert categorical_columns(LikeCatBoost(NAMES, [0], fitted=False), NAMES) == []


def test_the_real_catboost():
    catboost = pytest.importorskip("catboost")
    model = catboost.CatBoostRegressor(iterations=2, verbose=0, allow_writing_files=False)
    model.fit(FRAME, Y, cat_features=["my town"])
    assert categorical_columns(model, NAMES) == [2]


def test_histogram_gradient_boosting():
    model = forest(categorical_features=["my town"]).fit(FRAME, Y)
    assert categorical_columns(model, NAMES) == [2]
    assert categorical_columns(model.predict, NAMES) == [2]
    mask = forest(categorical_features=[True, False, False]).fit(FRAME.to_numpy(), Y)
    assert categorical_columns(mask, ["x0", "x1", "x2"]) == [0]
    # scikit-learn puts such columns first inside, and numbers them as they came
    by_dtype = forest(categorical_features="from_dtype")
    by_dtype.fit(FRAME.astype({"my town": "category"}), Y)
    assert categorical_columns(by_dtype, NAMES) == [2]
    assert categorical_columns(forest().fit(FRAME, Y), NAMES) == []
    assert categorical_columns(forest(categorical_features=[0]), NAMES) == []


def test_what_hands_on_the_columns():
    inner = forest(categorical_features=[2]).fit(FRAME, Y)
    passing = Pipeline([("a", "passthrough"), ("b", None), ("c", inner)])
    search = GridSearchCV(forest(categorical_features=[2]), {"max_iter": [1]}, cv=2).fit(FRAME, Y)
    target = TransformedTargetRegressor(forest(categorical_features=[2])).fit(FRAME, Y)
    judged = CalibratedClassifierCV(
        HistGradientBoostingClassifier(max_iter=2, categorical_features=[2]), cv=2
    ).fit(FRAME, Y > 1)
    nested = Pipeline([("a", "passthrough"), ("b", search)])
    for model in (passing, search, target, judged, FrozenEstimator(inner), nested, nested.predict):
        assert categorical_columns(model, NAMES) == [2]


def test_what_changes_the_columns_first_knows_nothing():
    scaled = make_pipeline(StandardScaler(), forest(categorical_features=[2])).fit(FRAME, Y)
    assert categorical_columns(scaled, NAMES) == []


@pytest.mark.parametrize("model", [lambda X: X, LinearRegression(), None, len, object(), "model"])
def test_models_that_do_not_say(model):
    assert categorical_columns(model, NAMES) == []


def test_no_library_is_imported(monkeypatch):
    for name in ("lightgbm", "xgboost", "catboost"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert categorical_columns(forest(categorical_features=[0]).fit(FRAME, Y), NAMES) == [0]
    assert not {"lightgbm", "xgboost", "catboost"} & sys.modules.keys()
