"""Plain functions and other objects, and everything that cannot be a model."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from fastexplain.predictors import Predictor, make_predictor

X = np.random.default_rng(3).uniform(0.1, 0.9, size=(70, 3))
P3 = X / X.sum(axis=1, keepdims=True)
SOFTMAX = np.exp(X) / np.exp(X).sum(axis=1, keepdims=True)


def complement(p):
    return np.column_stack([1 - p, p])


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize(
    ("function", "output", "kind", "expected"),
    [
        (lambda X: X[:, 0], "probability", "classification", complement(X[:, 0])),
        (lambda X: X[:, :1], "probability", "classification", complement(X[:, 0])),
        (lambda X: X[:, 0] > 0.5, "probability", "classification", complement(X[:, 0] > 0.5)),
        (lambda X: 5 * X[:, 0], "auto", "regression", 5 * X[:, :1]),
        (lambda X: X[:, 0], "regression", "regression", X[:, :1]),
        (lambda X: (9 * X[:, 0]).astype(int), "auto", "regression", (9 * X[:, :1]).astype(int)),
        (lambda X: X / X.sum(1, keepdims=True), "auto", "classification", P3),
        (lambda X: X, "logits", "classification", SOFTMAX),
        (lambda X: X, "multilabel", "multilabel", X),
        (lambda X: X[:, :1], "multilabel", "multilabel", X[:, :1]),
        (lambda X: X[:, 0], "logits", "classification", complement(1 / (1 + np.exp(-X[:, 0])))),
        (lambda X: pd.DataFrame(X), "regression", "regression", X),
        (lambda X: pd.Series(X[:, 0], dtype="Float64"), "regression", "regression", X[:, :1]),
        (lambda X: torch.tensor(X), "regression", "regression", X),
        (lambda X: X.tolist(), "regression", "regression", X),
    ],
)
def test_function(function, output, kind, expected):
    predictor = make_predictor(function, X, output=output)
    outputs = predictor(X)
    assert isinstance(predictor, Predictor)
    assert (outputs.dtype, outputs.shape) == (np.float64, (70, predictor.n_outputs))
    np.testing.assert_allclose(outputs, expected, rtol=1e-12)
    assert predictor.kind == kind
    assert predictor(X[:0]).shape == (0, predictor.n_outputs)


def test_half_precision_is_widened():
    outputs = make_predictor(lambda X: 5 * X[:, 0].astype(np.float16), X)(X)
    assert outputs.dtype == np.float64
    np.testing.assert_array_equal(outputs[:, 0], 5 * X[:, 0].astype(np.float16))


def test_polars():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(X, schema=["a", "b", "c"])
    predictor = make_predictor(lambda table: table.select(pl.col("a") * 3), frame)
    np.testing.assert_array_equal(predictor(frame), 3 * X[:, :1])


def test_object_with_predict():
    class Model:
        def predict(self, X):
            return 4 * X[:, 0]

    predictor = make_predictor(Model(), X)
    assert predictor.kind == "regression"
    np.testing.assert_array_equal(predictor(X), 4 * X[:, :1])


def test_doubtful_answers():
    with pytest.warns(UserWarning, match="output='multilabel'"):
        predictor = make_predictor(lambda X: X, X)
    assert predictor.output_names == ["label_0", "label_1", "label_2"]
    with pytest.raises(ValueError, match=r"output='logits', output='margin', output='regr"):
        make_predictor(lambda X: X - 1, X)


def ragged(X):
    return [[0.0]] + [[0.0, 1.0]] * (len(X) - 1)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda X: X[1:], r"shape \(63, 3\) for 64 rows; wanted"),
        (lambda X: X[:, :, None], r"shape \(64, 3, 1\)"),
        (lambda X: 0.5, r"shape \(\)"),
        (lambda X: X[:, :0], "0 columns"),
        (lambda X: sparse.csr_matrix(X), "sparse csr_matrix"),
        (lambda X: torch.tensor(X).to_sparse(), "sparse Tensor"),
        (lambda X: X.astype(object), "object"),
        (lambda X: None, "NoneType"),
        (lambda X: X + 1j, "complex"),
        (lambda X: np.where(X[:, 0] > 0.5, "a", "b"), "Labels are not numbers"),
        (lambda X: pd.DataFrame({"a": ["x"] * len(X)}), "Labels are not numbers"),
        (ragged, "ragged list"),
        (lambda X: np.where(np.arange(len(X)) == 5, np.nan, 1), "NaN at row 5 of X"),
    ],
)
def test_answers_that_are_refused(function, message):
    with pytest.raises(ValueError, match=message):
        make_predictor(function, X)


def test_later_answers_keep_their_shape():
    columns = [3]
    predictor = make_predictor(lambda X: X[:, : columns[0]], X, output="regression")
    columns[0] = 2
    with pytest.raises(ValueError, match=r"2 columns for 70 rows.*\(rows, 3\)"):
        predictor(X)


def test_finiteness_of_declared_outputs_is_not_checked():
    predictor = make_predictor(lambda X: np.full(len(X), np.nan), X, output="probability")
    assert np.isnan(predictor(X)).all()


@pytest.mark.parametrize("output", ["probability", "multilabel"])
def test_declared_probabilities_must_be_some(output):
    with pytest.raises(ValueError, match=r"needs probabilities in \[0, 1\]"):
        make_predictor(lambda X: X + 1, X, output=output)


def test_errors_of_the_model_pass_unchanged():
    class Broken(Exception):
        pass

    def fail(X):
        raise Broken("own words")

    with pytest.raises(Broken, match="own words") as caught:
        make_predictor(fail, pd.DataFrame(X))
    assert caught.value.__notes__ == [
        "raised by the model while fastexplain asked it for 64 rows of type DataFrame"
    ]


def test_unfitted_model_in_a_function():
    with pytest.raises(NotFittedError, match="This LogisticRegression instance"):
        make_predictor(lambda X: LogisticRegression().predict_proba(X), X)


@pytest.mark.parametrize(
    "model",
    [None, "logistic", [0, 1], np.zeros(3), pd.Series([0, 1]), torch.zeros(3), 1.5, {"a": 1}],
)
def test_what_is_no_model(model):
    with pytest.raises(TypeError, match="second argument of fit is the model"):
        make_predictor(model, X)


def test_a_transformer_is_no_model():
    with pytest.raises(TypeError, match="got StandardScaler"):
        make_predictor(StandardScaler().fit(X), X)


@pytest.mark.parametrize("model", [LogisticRegression, torch.nn.Linear])
def test_a_class_is_no_model(model):
    with pytest.raises(TypeError, match=rf"class {model.__name__} itself.*fitted instance"):
        make_predictor(model, X)


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ([[1.0, 2.0]], TypeError, "got list"),
        (X[:0], ValueError, "no rows"),
        (X[0], ValueError, "rows and columns"),
    ],
)
def test_what_is_no_table(table, error, message):
    with pytest.raises(error, match=message):
        make_predictor(lambda X: X, table)


def test_unknown_output():
    with pytest.raises(ValueError, match="output must be one of auto, probability"):
        make_predictor(lambda X: X, X, output="proba")
