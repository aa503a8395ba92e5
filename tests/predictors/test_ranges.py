"""What a model's answers mean: probed across X, kept to later, and never guessed silently."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fastexplain.predictors import make_predictor
from fastexplain.predictors._matrix import spread_positions

X = np.random.default_rng(0).normal(size=(400, 3))
SORTED = X[np.argsort(X[:, 0])]


@given(st.integers(1, 500), st.integers(1, 80))
def test_probes_are_spread_over_all_rows(n, limit):
    positions = spread_positions(n, limit)
    assert len(positions) == min(n, limit)
    assert (np.diff(positions) > 0).all()
    assert positions[0] == 0 and (limit == 1 or positions[-1] == n - 1)
    assert np.ptp(np.diff(positions)) <= 1 if len(positions) > 1 else True


def test_sorted_rows_show_their_whole_range():
    predictor = None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # values beyond 1 leave no doubt
        predictor = make_predictor(lambda Z: np.where(Z[:, 0] > 0.5, 500.0, 0.02), SORTED)
    assert predictor.kind == "regression"
    assert "from 0.02 to 500" in predictor.reason


def test_one_column_in_the_unit_interval_is_no_probability_unless_declared():
    with pytest.warns(UserWarning, match="output='probability'") as caught:
        predictor = make_predictor(lambda Z: 0.5 + 0.01 * Z[:, 0], X)
    assert caught[0].filename == __file__
    np.testing.assert_allclose(predictor(X)[:, 0], 0.5 + 0.01 * X[:, 0])
    declared = make_predictor(lambda Z: 0.5 + 0.01 * Z[:, 0], X, output="probability")
    assert declared.n_outputs == 2


@pytest.mark.parametrize("output", ["probability", "multilabel"])
def test_later_answers_beyond_the_range_raise(output):
    scale = [1.0]

    def f(Z):
        p = scale[0] / (1 + np.exp(-Z[:, 0]))
        return np.column_stack([p, scale[0] - p])

    predictor = make_predictor(f, X, output=output)
    scale[0] = 3.0
    with pytest.raises(ValueError, match="read as probabilities.*output='regression'"):
        predictor(X)
    scale[0] = -1.0
    with pytest.raises(ValueError, match="read as probabilities"):
        predictor(X)


def test_later_rows_that_do_not_sum_to_one_raise():
    extra = [0.0]
    f = lambda Z: np.column_stack([np.full(len(Z), 0.4), np.full(len(Z), 0.6 - extra[0])])  # noqa: E731
    predictor = make_predictor(f, X)
    extra[0] = 0.2
    with pytest.raises(ValueError, match="sums to 0.8"):
        predictor(X)
    # NaN is refused elsewhere, with its row
    extra[0] = np.nan
    assert np.isnan(predictor(X)).any()


def test_half_precision_keeps_to_the_range_as_far_as_it_can():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 60), nn.Softmax(1)).to(torch.bfloat16)
    make_predictor(module, X)(np.random.default_rng(1).normal(size=(5000, 3)))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda p: pd.DataFrame({"no": 1 - p, "yes": p}),
        lambda p: __import__("polars").DataFrame({"no": 1 - p, "yes": p}),
    ],
)
def test_data_frames_name_the_outputs(wrap):
    predictor = make_predictor(lambda Z: wrap(1 / (1 + np.exp(-Z[:, 0]))), X)
    assert predictor.output_names == ["no", "yes"]
    assert predictor.kind == "classification"
    series = make_predictor(lambda Z: pd.Series(9 * Z[:, 0], name="risk"), X)
    assert series.output_names == ["risk"]
    numbered = make_predictor(lambda Z: pd.DataFrame(np.abs(Z)), X, output="regression")
    assert numbered.output_names == ["output_0", "output_1", "output_2"]


def test_given_names():
    f = lambda Z: np.column_stack([1 / (1 + np.exp(-Z[:, 0])), 1 / (1 + np.exp(Z[:, 0]))])  # noqa: E731
    predictor = make_predictor(f, X, output_names=["up", "down"])
    assert predictor.output_names == ["up", "down"]
    for names, error in ((["a"], ValueError), (["a", "a"], ValueError), ("up", TypeError)):
        with pytest.raises(error, match="output_names"):
            make_predictor(f, X, output_names=names)


def test_masked_answers_are_missing():
    def f(Z):
        return np.ma.masked_array(3 * Z[:, 0], mask=Z[:, 0] > 1)

    predictor = make_predictor(f, X, output="regression")
    np.testing.assert_array_equal(np.isnan(predictor(X)[:, 0]), X[:, 0] > 1)


@pytest.mark.parametrize(
    ("select", "expected"),
    [("score", 0), (1, 1), (lambda answer: answer["score"], 0)],
)
def test_parts_of_a_functions_answer(select, expected):
    def f(Z):
        parts = {"score": 3 * Z[:, 0], "other": 5 * Z[:, 1]}
        return tuple(parts.values()) if isinstance(select, int) else parts

    with pytest.raises(ValueError, match="several parts.*select="):
        make_predictor(f, X, output="regression")
    predictor = make_predictor(f, X, output="regression", select=select)
    wanted = 3 * X[:, 0] if expected == 0 else 5 * X[:, 1]
    np.testing.assert_allclose(predictor(X)[:, 0], wanted)
    # one row has as many entries as any: the choice of fit stays
    np.testing.assert_allclose(predictor(X[:1])[:, 0], wanted[:1])


def test_one_part_with_rows_needs_no_choice():
    f = lambda Z: {"p": 3 * Z[:, 0], "weights": np.ones(7), "note": "text"}  # noqa: E731
    predictor = make_predictor(f, X, output="regression")
    np.testing.assert_allclose(predictor(X[:7])[:, 0], 3 * X[:7, 0])
    with pytest.raises(ValueError, match="select='q' is not in"):
        make_predictor(f, X, output="regression", select="q")
    with pytest.raises(TypeError, match="a key, a position or a function"):
        make_predictor(f, X, select=1.5)


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 2), nn.Linear(3, 1)

    def forward(self, x):
        return {"class": self.a(x), "value": self.b(x)}


def test_heads_of_a_module_are_chosen():
    module, rows = Heads().eval(), X.astype(np.float32)
    with pytest.raises(ValueError, match=r"'class' of shape \(64, 2\), 'value' of shape \(64, 1\)"):
        make_predictor(module, rows)
    predictor = make_predictor(module, rows, output="regression", select="value")
    expected = module.b(torch.tensor(rows)).detach().numpy()
    np.testing.assert_allclose(predictor(rows).numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(predictor(rows[:1]).numpy(), expected[:1], rtol=1e-5)
