"""XGBoost and LightGBM: estimators by their methods, boosters by their objective."""

import pickle
import subprocess
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest

from fastexplain.predictors import make_predictor

RNG = np.random.default_rng(1)
X = RNG.normal(size=(90, 3))
FRAME = pd.DataFrame(X, columns=["a", "b", "c"]).assign(
    town=pd.Categorical(np.where(X[:, 1] > 0, "Rome", "Bonn"))
)
Y2 = (X[:, 0] > 0).astype(int)
Y3 = np.digitize(X[:, 0], [-0.5, 0.5])
TARGET = 3 * X[:, 0] + X[:, 1]


@pytest.fixture
def xgb():
    return pytest.importorskip("xgboost")


@pytest.fixture
def lgb():
    return pytest.importorskip("lightgbm")


def complement(p):
    return np.column_stack([1 - p, p])


@pytest.mark.parametrize("labels", [Y2, Y3])
def test_xgb_classifier(xgb, labels):
    model = xgb.XGBClassifier(n_estimators=3, n_jobs=1, enable_categorical=True)
    model.fit(FRAME, labels)
    predictor = make_predictor(model, FRAME)
    assert predictor.n_outputs == len(np.unique(labels))
    np.testing.assert_array_equal(predictor(FRAME), model.predict_proba(FRAME).astype(float))


def test_xgb_classifier_of_several_labels(xgb):
    model = xgb.XGBClassifier(n_estimators=3, n_jobs=1).fit(X, (X > 0).astype(int))
    predictor = make_predictor(model, X)
    assert predictor.kind == "multilabel"
    np.testing.assert_array_equal(predictor(X), model.predict_proba(X).astype(float))


def test_xgb_regressor(xgb):
    model = xgb.XGBRegressor(n_estimators=3, n_jobs=1).fit(X, TARGET)
    predictor = make_predictor(model, X)
    assert predictor.kind == "regression"
    np.testing.assert_array_equal(predictor(X)[:, 0], model.predict(X).astype(float))


def xgb_train(xgb, objective, labels, **extra):
    data = xgb.DMatrix(FRAME, labels, enable_categorical=True)
    params = {"objective": objective, "nthread": 1, **extra}
    booster = xgb.train(params, data, num_boost_round=3)
    return booster, booster.predict(data).astype(float)


@pytest.mark.parametrize(
    ("objective", "labels", "extra", "kind", "link"),
    [
        ("binary:logistic", Y2, {}, "classification", complement),
        ("multi:softprob", Y3, {"num_class": 3}, "classification", lambda p: p),
        ("binary:logitraw", Y2, {}, "classification", lambda d: complement(1 / (1 + np.exp(-d)))),
        ("reg:squarederror", Y2, {}, "regression", lambda v: v[:, None]),
        ("count:poisson", Y2, {}, "regression", lambda v: v[:, None]),
    ],
)
def test_xgb_booster(xgb, objective, labels, extra, kind, link):
    booster, answers = xgb_train(xgb, objective, labels, **extra)
    predictor = make_predictor(booster, FRAME)
    assert predictor.kind == kind
    np.testing.assert_allclose(predictor(FRAME), link(answers), atol=1e-12)
    again = pickle.loads(pickle.dumps(predictor))
    np.testing.assert_array_equal(again(FRAME), predictor(FRAME))


@pytest.mark.parametrize(
    ("objective", "cure"),
    [("multi:softmax", "multi:softprob"), ("binary:hinge", "binary:logistic")],
)
def test_xgb_booster_of_labels(xgb, objective, cure):
    extra = {"num_class": 3} if objective == "multi:softmax" else {}
    booster, _ = xgb_train(xgb, objective, Y2, **extra)
    for output in ("auto", "probability"):
        with pytest.raises(ValueError, match=f"train it with '{cure}'.*'margin'.*'logits'"):
            make_predictor(booster, FRAME, output=output)
    data = xgb.DMatrix(FRAME, enable_categorical=True)
    raw = booster.predict(data, output_margin=True).astype(float).reshape(len(FRAME), -1)
    margin = make_predictor(booster, FRAME, output="margin")
    assert margin.read_as == "margin"
    np.testing.assert_array_equal(margin(FRAME), raw)
    chances = make_predictor(booster, FRAME, output="logits")
    assert chances.kind == "classification"
    if objective == "multi:softmax":
        powers = np.exp(raw)
        np.testing.assert_allclose(chances(FRAME), powers / powers.sum(axis=1, keepdims=True))


def test_partials_of_an_xgb_booster_keep_their_arguments(xgb):
    booster, _ = xgb_train(xgb, "binary:logistic", Y2)
    data = xgb.DMatrix(FRAME, enable_categorical=True)
    raw = make_predictor(partial(booster.predict, output_margin=True), FRAME)
    assert (raw.read_as, raw.n_outputs) == ("margin", 1)
    np.testing.assert_array_equal(raw(FRAME)[:, 0], booster.predict(data, output_margin=True))
    first = booster.predict(data, iteration_range=(0, 1)).astype(float)
    assert not np.allclose(first, booster.predict(data))
    few = make_predictor(partial(booster.predict, iteration_range=(0, 1)), FRAME)
    np.testing.assert_array_equal(few(FRAME), complement(first))
    with pytest.raises(ValueError, match="does not fit raw scores.*output='margin'"):
        make_predictor(partial(booster.predict, output_margin=True), FRAME, output="probability")
    with pytest.raises(ValueError, match="asks for pred_leaf.*lambda X: booster.predict"):
        make_predictor(partial(booster.predict, pred_leaf=True), FRAME)
    labels, _ = xgb_train(xgb, "multi:softmax", Y3, num_class=3)
    scores = make_predictor(partial(labels.predict, output_margin=True), FRAME)
    assert (scores.read_as, scores.n_outputs) == ("margin", 3)


def test_a_part_of_a_boosters_answer(xgb, lgb):
    for train, objective in ((xgb_train, "multi:softprob"), (lgb_train, "multiclass")):
        booster, answers = train(xgb if train is xgb_train else lgb, objective, Y3, num_class=3)
        with pytest.warns(UserWarning, match="explained as it is"):
            predictor = make_predictor(booster, FRAME, select=lambda answer: answer[:, 1])
        assert predictor.kind == "regression"
        np.testing.assert_array_equal(predictor(FRAME)[:, 0], answers[:, 1])


def test_xgb_booster_with_declared_output(xgb):
    booster, answers = xgb_train(xgb, "binary:logistic", Y2)
    with pytest.raises(ValueError, match="already gives probabilities"):
        make_predictor(booster, FRAME, output="logits")
    plain = make_predictor(booster, FRAME, output="regression")
    np.testing.assert_array_equal(plain(FRAME)[:, 0], answers)


@pytest.mark.parametrize("labels", [Y2, Y3])
def test_lgbm_classifier(lgb, labels):
    model = lgb.LGBMClassifier(n_estimators=3, n_jobs=1, verbosity=-1).fit(FRAME, labels)
    predictor = make_predictor(model, FRAME)
    assert predictor.n_outputs == len(np.unique(labels))
    np.testing.assert_array_equal(predictor(FRAME), model.predict_proba(FRAME))


def lgb_train(lgb, objective, labels, **extra):
    params = {"objective": objective, "num_threads": 1, "verbosity": -1, **extra}
    booster = lgb.train(params, lgb.Dataset(FRAME, labels), 3)
    return booster, booster.predict(FRAME)


@pytest.mark.parametrize(
    ("objective", "labels", "extra", "kind", "link"),
    [
        ("binary", Y2, {}, "classification", complement),
        ("cross_entropy", Y2, {}, "classification", complement),
        ("multiclass", Y3, {"num_class": 3}, "classification", lambda p: p),
        ("regression", TARGET, {}, "regression", lambda v: v[:, None]),
        ("poisson", Y2, {}, "regression", lambda v: v[:, None]),
    ],
)
def test_lgb_booster(lgb, objective, labels, extra, kind, link):
    booster, answers = lgb_train(lgb, objective, labels, **extra)
    predictor = make_predictor(booster, FRAME)
    assert predictor.kind == kind
    np.testing.assert_array_equal(predictor(FRAME), link(answers))
    again = pickle.loads(pickle.dumps(predictor))
    np.testing.assert_array_equal(again(FRAME), predictor(FRAME))


def test_lgb_booster_one_against_all_warns(lgb):
    booster, answers = lgb_train(lgb, "multiclassova", Y3, num_class=3)
    with pytest.warns(UserWarning, match="do not sum to one"):
        predictor = make_predictor(booster, FRAME)
    np.testing.assert_array_equal(predictor(FRAME), answers)


def test_lgb_booster_with_a_function_as_objective(lgb):
    def objective(scores, data):
        p = 1 / (1 + np.exp(-scores))
        return p - data.get_label(), p * (1 - p)

    booster, answers = lgb_train(lgb, objective, Y2)
    with pytest.warns(UserWarning, match="explained as they are.*output='logits'"):
        plain = make_predictor(booster, FRAME)
    np.testing.assert_array_equal(plain(FRAME)[:, 0], answers)
    predictor = make_predictor(booster, FRAME, output="logits")
    np.testing.assert_allclose(predictor(FRAME), complement(1 / (1 + np.exp(-answers))))


def test_boosters_are_not_imported():
    code = (
        "import sys, numpy as np; from fastexplain.predictors import make_predictor;"
        "make_predictor(lambda X: X[:, 0] + 2, np.eye(3));"
        "assert not {'xgboost', 'lightgbm', 'polars'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
