"""Labels are no quantities, and scores of something else than the classes are not named so."""

from functools import partial

import numpy as np
import pytest
from sklearn.cluster import AffinityPropagation, KMeans
from sklearn.ensemble import IsolationForest, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from fastexplain.predictors import make_predictor

pytestmark = pytest.mark.filterwarnings("error::UserWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 4))
THREE = np.argmax(X[:, :3], axis=1)
NAMES = np.array(["ant", "bee", "cat"])[THREE]
LABELS = (X[:, :2] > 0).astype(int)


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: make_pipeline(StandardScaler(), m)])
def test_scores_of_pairs_are_not_named_after_classes(wrap):
    model = wrap(SVC(decision_function_shape="ovo")).fit(X, NAMES)
    for given, output in (
        (model, "margin"),
        (model.decision_function, "auto"),
        (model.decision_function, "margin"),
    ):
        predictor = make_predictor(given, X, output=output)
        assert (predictor.kind, predictor.classes) == ("regression", None)
        assert predictor.output_names == ["output_0", "output_1", "output_2"]
        assert "not one for each class" in predictor.reason
        np.testing.assert_array_equal(predictor(X), model.decision_function(X))
    for given in (model, model.decision_function):
        with pytest.raises(ValueError, match=r"decision_function_shape='ovr'.*output='margin'"):
            make_predictor(given, X, output="logits")


def test_the_cure_for_scores_of_pairs_works():
    model = SVC(decision_function_shape="ovo").fit(X, NAMES)
    model.decision_function_shape = "ovr"
    assert make_predictor(model, X, output="logits").output_names == ["ant", "bee", "cat"]
    assert make_predictor(model, X, output="margin").output_names == ["ant", "bee", "cat"]
    found = make_predictor(model.decision_function, X, output="logits")
    assert found.classes.tolist() == ["ant", "bee", "cat"]


def _alike(model):
    """Rows at which the column of the largest score is the place of the predicted class."""
    return model.classes_[model.decision_function(X).argmax(axis=1)] == model.predict(X)


def test_the_parameter_tells_of_pairs_where_no_row_does():
    model = SVC(decision_function_shape="ovo").fit(X, NAMES)
    predictor = make_predictor(model, X[_alike(model)], output="margin")
    assert predictor.output_names == ["output_0", "output_1", "output_2"]


def test_pairs_are_seen_where_no_parameter_tells():
    class Hidden:
        """A machine of pairs whose settings are its own affair."""

        def __init__(self):
            self.inside = SVC(decision_function_shape="ovo").fit(X, NAMES)
            self.classes_ = self.inside.classes_

        def predict(self, rows):
            return self.inside.predict(rows)

        def decision_function(self, rows):
            return self.inside.decision_function(rows)

    # on some rows the largest of the pairs and the class agree by chance, here on most
    alike = _alike(Hidden())
    most = np.concatenate([X[alike][:30], X[~alike][:10]])
    for rows in (X, most):
        predictor = make_predictor(Hidden(), rows, output="margin")
        assert predictor.output_names == ["output_0", "output_1", "output_2"]
    with pytest.raises(ValueError, match="pairs of classes: output='margin' explains"):
        make_predictor(Hidden(), X, output="logits")


def test_votes_that_no_class_wins_leave_the_names():
    # labels at random have many circles of pairs, which predict and the scores decide otherwise
    model = SVC(C=100).fit(X, RNG.permutation(NAMES))
    scores = model.decision_function(X)
    assert (model.classes_[scores.argmax(axis=1)] != model.predict(X)).any()
    assert make_predictor(model, X, output="margin").output_names == ["ant", "bee", "cat"]


MODELS = {
    "classifier": LogisticRegression().fit(X, THREE),
    "machine": LinearSVC().fit(X, THREE),
    "mixture": GaussianMixture(3, random_state=0).fit(X),
    "clusters": KMeans(2, n_init=1, random_state=0).fit(X),
    "outliers": IsolationForest(n_estimators=3, random_state=0).fit(X),
    "affinity": AffinityPropagation(random_state=0).fit(X),
}


@pytest.mark.parametrize("name", MODELS)
def test_labels_are_quantities_only_where_that_is_said(name):
    model = MODELS[name]
    for output in ("auto", "probability", "logits", "margin", "multilabel", "multilabel_logits"):
        with pytest.raises(ValueError, match=r"labels.*no quantity.*output='regression'"):
            make_predictor(model.predict, X, output=output)
    predictor = make_predictor(model.predict, X, output="regression")
    np.testing.assert_array_equal(predictor(X)[:, 0], model.predict(X))


@pytest.mark.parametrize("name", ["clusters", "affinity"])
@pytest.mark.parametrize("output", ["probability", "multilabel"])
def test_clusters_are_no_probabilities(name, output):
    with pytest.raises(ValueError, match="clusterer, whose predict answers labels"):
        make_predictor(MODELS[name], X, output=output)


def test_what_is_named_instead_of_labels_works():
    with pytest.raises(ValueError, match="pass model.predict_proba or model.score_samples;"):
        make_predictor(MODELS["mixture"].predict, X)
    assert make_predictor(MODELS["mixture"].predict_proba, X).n_outputs == 3
    assert make_predictor(MODELS["mixture"].score_samples, X).kind == "regression"
    with pytest.raises(ValueError, match="pass model.transform with output='regression';"):
        make_predictor(MODELS["clusters"], X)
    assert make_predictor(MODELS["clusters"].transform, X, output="regression").n_outputs == 2
    with pytest.raises(ValueError, match="LinearSVC.*pass model.decision_function, or the model"):
        make_predictor(MODELS["machine"].predict, X)
    assert make_predictor(MODELS["machine"].decision_function, X).read_as == "margin"


def test_a_classifier_of_votes_is_not_told_to_be_calibrated():
    model = VotingClassifier([("a", LogisticRegression()), ("b", LinearSVC())]).fit(X, THREE)
    for given in (model, model.predict):
        with pytest.raises(ValueError, match="voting='soft'.*output='regression'") as caught:
            make_predictor(given, X)
        assert "Calibrated" not in str(caught.value)
        assert "the model itself" not in str(caught.value)
    assert make_predictor(model.predict, X, output="regression").kind == "regression"
    soft = VotingClassifier([("a", LogisticRegression())], voting="soft").fit(X, THREE)
    assert make_predictor(soft, X).n_outputs == 3


def test_partials_of_predict_are_labels_too():
    xgboost = pytest.importorskip("xgboost")
    model = xgboost.XGBClassifier(n_estimators=4, n_jobs=1).fit(X, THREE)
    few = partial(model.predict, iteration_range=(0, 2))
    with pytest.raises(ValueError, match="XGBClassifier.predict answers labels"):
        make_predictor(few, X)
    with pytest.raises(ValueError, match="XGBClassifier.predict answers labels"):
        make_predictor(partial(few, output_margin=False), X)
    raw = partial(few, output_margin=True)
    predictor = make_predictor(raw, X, output="margin")
    np.testing.assert_allclose(predictor(X), raw(X))


@pytest.mark.parametrize(
    ("model", "y", "columns"),
    [
        (MultiOutputClassifier(LogisticRegression()), LABELS, 2),
        (RandomForestClassifier(3, random_state=0), (X[:, :3] > 0).astype(int), 3),
        (MLPClassifier((4,), solver="lbfgs", tol=0.1, random_state=0), LABELS, 2),
    ],
)
def test_log_odds_of_every_label(model, y, columns):
    model.fit(X, y)
    answer = model.predict_proba(X)
    chances = answer if isinstance(answer, np.ndarray) else np.stack([p[:, 1] for p in answer], 1)
    chances = np.clip(chances, 1e-6, 1 - 1e-6)
    predictor = make_predictor(model, X, output="margin")
    assert (predictor.kind, predictor.classes) == ("regression", None)
    assert predictor.output_names == [f"label_{k}" for k in range(columns)]
    np.testing.assert_allclose(predictor(X), np.log(chances / (1 - chances)), rtol=1e-6)


def test_log_odds_of_labels_of_three_classes_are_refused():
    model = RandomForestClassifier(3).fit(X, np.column_stack([LABELS[:, 0], THREE]))
    with pytest.raises(ValueError, match="label 1 .*3 classes.*must have two"):
        make_predictor(model, X, output="margin")


def test_a_choice_of_parts_asks_the_same_method():
    model = LogisticRegression().fit(X, NAMES)
    for given in (model, model.predict_proba):
        predictor = make_predictor(given, X, select=lambda answer: answer)
        assert predictor.output_names == ["ant", "bee", "cat"]
        np.testing.assert_array_equal(predictor(X), model.predict_proba(X))
    # turned round, the columns are not the classes in their order any more
    turned = make_predictor(model, X, select=lambda answer: answer[:, ::-1])
    assert turned.output_names == ["0", "1", "2"]
    np.testing.assert_array_equal(turned(X), model.predict_proba(X)[:, ::-1])
    raw = make_predictor(model, X, output="margin", select=lambda answer: answer)
    assert raw.output_names == ["ant", "bee", "cat"]
    np.testing.assert_array_equal(raw(X), model.decision_function(X))
    for given in (MODELS["clusters"], model.predict):
        with pytest.raises(ValueError, match="labels"):
            make_predictor(given, X, select=lambda answer: answer)
    line = LinearRegression().fit(X, X[:, :2])
    second = make_predictor(line, X, select=lambda answer: answer[:, 1])
    assert second.kind == "regression"
    np.testing.assert_array_equal(second(X)[:, 0], line.predict(X)[:, 1])


def test_a_label_is_chosen_by_its_place():
    words = np.array([["no", "yes"], ["out", "in"]])
    y = np.column_stack([words[k][LABELS[:, k]] for k in range(2)])
    model = MultiOutputClassifier(LogisticRegression()).fit(X, y)
    for given in (model, model.predict_proba):
        predictor = make_predictor(given, X, select=1)
        assert (predictor.kind, predictor.output_names) == ("classification", ["in", "out"])
        np.testing.assert_array_equal(predictor(X), model.predict_proba(X)[1])
    with pytest.raises(ValueError, match="select=0 is not in.*a function of the answer"):
        make_predictor(LogisticRegression().fit(X, THREE), X, select=0)
