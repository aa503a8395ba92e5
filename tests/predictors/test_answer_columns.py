"""Columns of answers: in the order of their names, and never rows in disguise."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from fastexplain import ExactExplainer
from fastexplain.predictors import make_predictor

pytestmark = pytest.mark.filterwarnings("error::UserWarning")

X = np.random.default_rng(0).normal(size=(40, 2))
CHANCE = 1 / (1 + np.exp(-X[:, 0]))
POSITIVE, NEGATIVE = X[CHANCE > 0.5], X[CHANCE < 0.5]


def by_score(rows):
    """Columns in the order of the first row's scores."""
    chances = 1 / (1 + np.exp(-rows[:, 0]))
    scores = [{"neg": 1 - p, "pos": p} for p in chances]
    return pd.DataFrame([dict(sorted(s.items(), key=lambda pair: -pair[1])) for s in scores])


def numbered(rows):
    return by_score(rows).rename(columns={"neg": 0, "pos": 1})


def of_polars(rows):
    return pytest.importorskip("polars").from_pandas(by_score(rows))


def squeezed(rows):
    return by_score(rows).squeeze() if len(rows) == 1 else by_score(rows)


@pytest.mark.parametrize("function", [by_score, numbered, of_polars, squeezed])
def test_columns_in_another_order_are_put_in_order(function):
    assert list(by_score(POSITIVE).columns) != list(by_score(NEGATIVE).columns)
    for fitted_on in (POSITIVE, NEGATIVE):
        predictor = pickle.loads(pickle.dumps(make_predictor(function, fitted_on)))
        order = [1, 0] if fitted_on is POSITIVE else [0, 1]
        for rows in (POSITIVE, NEGATIVE, POSITIVE[:1], NEGATIVE[:1]):
            p = 1 / (1 + np.exp(-rows[:, 0]))
            expected = np.column_stack([1 - p, p])[:, order]
            np.testing.assert_allclose(predictor(rows), expected)


def test_targets_mean_their_columns():
    explainer = ExactExplainer("shapley").fit(POSITIVE, by_score)
    found = explainer.explain(NEGATIVE, target="pos")
    base = explainer.base_values_[explainer.output_names_.index("pos")]
    expected = by_score(NEGATIVE)["pos"] - base
    np.testing.assert_allclose(found.values.sum(axis=1), expected, atol=1e-9)


@pytest.mark.parametrize("later", [["pos", "other"], ["neg", "neg"], [0, 1]])
def test_other_columns_are_refused(later):
    names = [["neg", "pos"]]
    f = lambda Z: pd.DataFrame(np.abs(Z[:, :2]), columns=names[0])  # noqa: E731
    predictor = make_predictor(f, X, output="regression")
    names[0] = later
    with pytest.raises(ValueError, match="the columns.*when it was fitted"):
        predictor(X)


def test_an_array_has_no_names_to_compare():
    kinds = [pd.DataFrame(np.abs(X), columns=["a", "b"])]
    predictor = make_predictor(lambda Z: kinds[0], X, output="regression")
    kinds[0] = np.abs(X)
    np.testing.assert_array_equal(predictor(X), np.abs(X))


class Named(LogisticRegression):
    """Answers a data frame whose columns are the classes, the last one first."""

    def predict_proba(self, rows):
        chances = super().predict_proba(rows)
        return pd.DataFrame(chances, columns=self.classes_).iloc[:, ::-1]


def test_classes_follow_the_names_of_the_columns():
    model = Named().fit(X, np.where(X[:, 0] > 0, "cat", "dog"))
    predictor = make_predictor(model, X)
    assert predictor.output_names == predictor.classes.tolist() == ["dog", "cat"]


def test_names_in_another_order_than_the_models_own_are_refused():
    model = LogisticRegression().fit(X, np.where(X[:, 0] > 0, "cat", "dog"))
    for names in (["dog", "cat"], ["feline", "cat"]):
        with pytest.raises(ValueError, match=r"its own names are \['cat', 'dog'\], in this order"):
            make_predictor(model, X, output_names=names)
    for names in (["cat", "dog"], ["feline", "canine"], ["cat", "other"]):
        assert make_predictor(model, X, output_names=names).output_names == names
    # a single score speaks for the second class
    with pytest.raises(ValueError, match="'cat' to the output that the model calls 'dog'"):
        make_predictor(model, X, output="margin", output_names=["cat"])
    assert make_predictor(model, X, output="margin", output_names=["dog"]).output_names == ["dog"]
    with pytest.raises(ValueError, match=r"its own names are \['pos', 'neg'\]"):
        make_predictor(by_score, POSITIVE, output_names=["neg", "pos"])
    # numbers that fastexplain itself makes up are nobody's names
    f = lambda Z: np.column_stack([1 - CHANCE[: len(Z)], CHANCE[: len(Z)]])  # noqa: E731
    assert make_predictor(f, X, output_names=["1", "0"]).output_names == ["1", "0"]


HEADS = {
    "list": lambda Z: [Z[:, 0], 2 * Z[:, 1]],
    "tables": lambda Z: [Z[:, :1], 2 * Z[:, 1:]],
}
LYING = {
    "numbers": lambda Z: [Z[:, 0].tolist(), (2 * Z[:, 1]).tolist()],
    "array": lambda Z: np.stack([Z[:, 0], 2 * Z[:, 1]]),
}


@pytest.mark.parametrize("name", HEADS)
def test_as_many_heads_as_rows_are_no_rows(name):
    f = HEADS[name]
    for count in (2, 3):
        with pytest.raises(ValueError, match="several parts.*select=0"):
            make_predictor(f, X[:count], output="regression")
    predictor = make_predictor(f, X[:2], output="regression", select=1)
    np.testing.assert_array_equal(predictor(X)[:, 0], 2 * X[:, 1])


@pytest.mark.parametrize("name", LYING)
def test_as_many_outputs_as_rows_must_not_lie_on_their_side(name):
    class Model:
        predict = staticmethod(LYING[name])

    for model in (LYING[name], Model()):
        with pytest.raises(ValueError, match=r"shape \(2, 1\) for 1 rows"):
            make_predictor(model, X[:2], output="regression")


def test_as_many_rows_as_columns_are_rows():
    for f in (lambda Z: list(3 * Z), lambda Z: 3 * Z, lambda Z: (3 * Z).tolist()):
        predictor = make_predictor(f, X[:2], output="regression")
        np.testing.assert_array_equal(predictor(X), 3 * X)
