"""Estimators of scikit-learn: what they answer is what they answered before."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC

from fastexplain.predictors import make_predictor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 3))
Y2 = np.where(X[:, 0] > 0, "yes", "no")
Y3 = np.digitize(X[:, 0] + 0.3 * X[:, 1], [-0.5, 0.5]) * 10
LABELS = (X + 0.3 * RNG.normal(size=X.shape) > 0.2).astype(int)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"]).assign(
    town=np.where(X[:, 1] > 0, "Rome", "Bonn"), gap=np.where(X[:, 2] > 1, np.nan, X[:, 2])
)


def frame_pipeline():
    columns = ColumnTransformer(
        [
            ("words", OneHotEncoder(sparse_output=False), ["town"]),
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["a", "gap"]),
        ]
    )
    return make_pipeline(columns, LogisticRegression())


CLASSIFIERS = {
    "logistic": (LogisticRegression(), X, Y2),
    "logistic, 3 classes": (LogisticRegression(), X, Y3),
    "forest": (RandomForestClassifier(3, random_state=0), X, Y3),
    "boosting": (HistGradientBoostingClassifier(max_iter=3), X, Y3),
    "search": (GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=2), X, Y3),
    "calibrated": (CalibratedClassifierCV(LinearSVC(), cv=2), X, Y2),
    "voting": (VotingClassifier([("a", LogisticRegression())], voting="soft"), X, Y2),
    "frame": (frame_pipeline(), FRAME, Y2),
    "frame, pandas inside": (frame_pipeline().set_output(transform="pandas"), FRAME, Y3),
    "one against rest": (OneVsRestClassifier(LogisticRegression()), X, Y3),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier_gives_its_own_probabilities(name):
    model, table, labels = CLASSIFIERS[name]
    model.fit(table, labels)
    predictor = make_predictor(model, table)
    outputs = predictor(table)
    assert outputs.dtype == np.float64
    np.testing.assert_array_equal(outputs, model.predict_proba(table))
    assert predictor.kind == "classification"
    np.testing.assert_array_equal(predictor.classes, np.unique(labels))
    assert predictor.output_names == [str(label) for label in np.unique(labels)]
    assert predictor.n_outputs == len(predictor.output_names)
    assert predictor.torch_module is False
    assert predictor.device is None
    again = pickle.loads(pickle.dumps(predictor))
    np.testing.assert_array_equal(again(table), outputs)


@pytest.mark.parametrize("model", [LinearRegression(), HistGradientBoostingRegressor(max_iter=3)])
def test_regressor(model):
    # targets within [0, 1] must not make a regressor a classifier
    model.fit(X, (Y3 > 0).astype(float))
    predictor = make_predictor(model, X)
    assert (predictor.kind, predictor.classes) == ("regression", None)
    assert predictor.output_names == ["output"]
    np.testing.assert_array_equal(predictor(X), model.predict(X)[:, None])


def test_regressor_with_several_outputs():
    model = LinearRegression().fit(X, X[:, :2] * 3)
    predictor = make_predictor(model, X)
    assert predictor.output_names == ["output_0", "output_1"]
    np.testing.assert_array_equal(predictor(X[:5]), model.predict(X[:5]))


def test_regressor_of_probabilities_may_be_declared_one():
    model = LinearRegression().fit(X, np.full(len(X), 0.3))
    outputs = make_predictor(model, X, output="probability")(X)
    np.testing.assert_allclose(outputs, np.tile([0.7, 0.3], (len(X), 1)))


@pytest.mark.parametrize(
    "model",
    [RandomForestClassifier(3, random_state=0), MultiOutputClassifier(LogisticRegression())],
)
def test_multilabel_list_gives_the_second_class(model):
    names = np.array([["out", "in"], ["f", "t"], ["0", "1"]])
    model.fit(X, np.column_stack([names[j][LABELS[:, j]] for j in range(3)]))
    predictor = make_predictor(model, X)
    assert (predictor.kind, predictor.classes) == ("multilabel", None)
    assert predictor.output_names == ["label_0", "label_1", "label_2"]
    for j, part in enumerate(model.predict_proba(X)):
        positive = list(model.classes_[j]).index(sorted(names[j])[1])
        np.testing.assert_array_equal(predictor(X)[:, j], part[:, positive])
    np.testing.assert_array_equal(make_predictor(model, X, output="multilabel")(X), predictor(X))
    with pytest.raises(ValueError, match="output='multilabel'"):
        make_predictor(model, X, output="probability")
    pickle.loads(pickle.dumps(predictor))(X[:2])


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize(
    "model",
    [
        OneVsRestClassifier(LogisticRegression()),
        ClassifierChain(LogisticRegression()),
        make_pipeline(
            StandardScaler(), MLPClassifier((4,), solver="lbfgs", tol=0.1, random_state=0)
        ),
    ],
)
def test_multilabel_matrix(model):
    model.fit(X, LABELS)
    predictor = make_predictor(model, X)
    assert predictor.kind == "multilabel"
    np.testing.assert_array_equal(predictor(X), model.predict_proba(X))


@pytest.mark.parametrize(("third", "what"), [(np.zeros(90, int), "a single class"), (Y3, "3 cl")])
def test_labels_that_are_not_binary_are_refused(third, what):
    model = RandomForestClassifier(3).fit(X, np.column_stack([LABELS[:, :2], third]))
    with pytest.raises(ValueError, match=f"label 2 .*{what}.*must have two"):
        make_predictor(model, X)


def test_classifier_without_probabilities():
    model = LinearSVC().fit(X, Y2)
    with pytest.raises(ValueError, match=r"CalibratedClassifierCV.*output='logits'"):
        make_predictor(model, X)
    predictor = make_predictor(model, X, output="logits")
    decision = model.decision_function(X)
    assert predictor.output_names == ["no", "yes"]
    np.testing.assert_allclose(predictor(X)[:, 1], 1 / (1 + np.exp(-decision)))
    np.testing.assert_allclose(predictor(X).sum(axis=1), 1)


def test_decisions_of_several_classes_go_through_softmax():
    model = RidgeClassifier().fit(X, Y3)
    with pytest.raises(ValueError, match="RidgeClassifier is a classifier without predict_proba"):
        make_predictor(model, X)
    scores = np.exp(model.decision_function(X))
    outputs = make_predictor(model, X, output="logits")(X)
    np.testing.assert_allclose(outputs, scores / scores.sum(axis=1, keepdims=True))


def test_logits_of_a_logistic_regression_are_its_probabilities():
    model = LogisticRegression().fit(X, Y2)
    outputs = make_predictor(model, X, output="logits")(X)
    np.testing.assert_allclose(outputs, model.predict_proba(X))


def test_decisions_that_are_not_classes_are_refused():
    with pytest.raises(ValueError, match="independent labels"):
        make_predictor(RidgeClassifier().fit(X, LABELS), X, output="logits")
    labels4 = np.digitize(X[:, 0], [-0.5, 0, 0.5])
    pairs = SVC(decision_function_shape="ovo").fit(X, labels4)
    with pytest.raises(ValueError, match=r"the 6 columns.*decision_function_shape='ovr'"):
        make_predictor(pairs, X, output="logits")
    with pytest.raises(ValueError, match="needs raw scores.*'probability'.*'margin'"):
        make_predictor(RandomForestClassifier(2).fit(X, Y2), X, output="logits")


def test_regression_output_of_a_classifier_is_refused():
    with pytest.raises(ValueError, match="does not fit the classifier LogisticRegression"):
        make_predictor(LogisticRegression().fit(X, Y2), X, output="regression")


def test_single_class_is_refused():
    model = DummyClassifier().fit(X, np.full(len(X), "same"))
    with pytest.raises(ValueError, match="single class 'same'"):
        make_predictor(model, X)


@pytest.mark.parametrize("model", [KMeans(2, n_init=1), IsolationForest(n_estimators=3)])
def test_models_of_labels_without_classes_are_refused(model):
    model.fit(X)
    with pytest.raises(ValueError, match="whose predict answers labels"):
        make_predictor(model, X)


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        LinearSVC(),
        LinearRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        GridSearchCV(LogisticRegression(), {"C": [1]}),
        StackingClassifier([("a", LogisticRegression())]),
    ],
)
def test_unfitted_model(model):
    with pytest.raises(NotFittedError, match=f"{type(model).__name__} must be fitted before"):
        make_predictor(model, X)


def test_only_64_rows_are_asked_and_the_container_stays():
    seen = []
    model = make_pipeline(
        FunctionTransformer(lambda table: seen.append(table) or table), frame_pipeline()
    )
    model.fit(FRAME, Y2)
    seen.clear()
    predictor = make_predictor(model, FRAME)
    assert [len(table) for table in seen] == [64]
    predictor(FRAME)
    assert seen[-1] is FRAME


class Custom(BaseEstimator, ClassifierMixin):
    """A fitted classifier without any attribute that scikit-learn would see as fitted."""

    def __init__(self, answer=None):
        self.answer = answer

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.zeros(len(X))

    def predict_proba(self, X):
        return self.answer(X)


def test_custom_classifier_with_one_column():
    model = Custom(lambda X: 1 / (1 + np.exp(-X[:, 0])))
    predictor = make_predictor(model, X)
    np.testing.assert_array_equal(predictor.classes, [0, 1])
    np.testing.assert_array_equal(predictor(X)[:, 1], model.predict_proba(X))


def test_custom_classifier_with_rows_as_lists():
    model = Custom(lambda X: [[0.25, 0.75] for _ in X])
    np.testing.assert_array_equal(make_predictor(model, X)(X[:2]), [[0.25, 0.75]] * 2)


def test_probabilities_that_do_not_sum_to_one_warn():
    model = Custom(lambda X: np.full((len(X), 3), 0.5))
    with pytest.warns(UserWarning, match="do not sum to one"):
        predictor = make_predictor(model, X)
    assert predictor.kind == "multilabel"
    with pytest.raises(ValueError, match=r"rows that sum to .*1\.5"):
        make_predictor(model, X, output="probability")


def test_probabilities_that_are_not_finite():
    model = Custom(lambda X: np.where(np.arange(len(X))[:, None] == 7, np.nan, [[0.5, 0.5]]))
    with pytest.raises(ValueError, match="NaN at row 7 of X"):
        make_predictor(model, X)
