"""v(x, m) against one masked row at a time, and what it promises about calls and errors."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from fastexplain import TabularMasker
from fastexplain.masked_model import MaskedModel
from fastexplain.predictors import make_predictor
from fastexplain.tables import as_table

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4))
BACKGROUND = RNG.normal(size=(3, 4))


def curved(rows):
    rows = np.asarray(rows, dtype=float)
    a = np.tanh(rows[:, 0] * rows[:, 1] + rows[:, 2])
    b = np.sin(rows.sum(axis=1)) + rows[:, -1] ** 2
    return np.column_stack([a, b])


def make(model, X, baseline="mean", groups=None, output="regression", **kwargs):
    masker = TabularMasker(baseline, groups).fit(X)
    probe = as_table(X).native
    return MaskedModel(make_predictor(model, probe, output=output), masker, **kwargs)


def one_at_a_time(model, X, background, player, masks):
    """Every mask of every row, averaged over the background, one call for each."""
    out = np.zeros((*masks.shape[:2], 2))
    for b in range(len(masks)):
        for t in range(masks.shape[1]):
            kept = masks[b, t][player]
            answers = [model(np.where(kept, X[b], other)[None])[0] for other in background]
            out[b, t] = np.mean(answers, axis=0)
    return out


@pytest.mark.parametrize("groups", [None, {"g": ["x0", "x2"]}])
@pytest.mark.parametrize("background", [BACKGROUND[:1], BACKGROUND])
@pytest.mark.parametrize("batch_size", [None, 1, 2, 7, 1000])
def test_values(groups, background, batch_size):
    sizes = []

    def spied(rows):
        sizes.append(len(rows))
        return curved(rows)

    masked = make(spied, X, background, groups, batch_size=batch_size)
    sizes.clear()
    masks = RNG.random((6, 5, masked.masker.n_players)) < 0.5
    got = masked.values(as_table(X), masks)
    assert got.dtype == torch.float64
    player = masked.masker.player_of_column_
    np.testing.assert_allclose(got, one_at_a_time(curved, X, background, player, masks))
    assert masked.n_queries == sum(sizes) == 30 * len(background)
    assert max(sizes) <= (batch_size or np.inf)
    # one set of masks for all rows
    shared = masked.values(as_table(X), masks[0])
    expected = masked.values(as_table(X), np.repeat(masks[:1], 6, axis=0))
    np.testing.assert_array_equal(shared, expected)


def test_empty_value_and_outputs():
    sizes = []
    masked = make(lambda rows: sizes.append(len(rows)) or curved(rows), X, BACKGROUND, batch_size=2)
    sizes.clear()
    np.testing.assert_allclose(masked.empty_value(), curved(BACKGROUND).mean(axis=0))
    np.testing.assert_allclose(masked.outputs(as_table(X)), curved(X))
    assert max(sizes) == 2
    assert masked.outputs(as_table(X[:0])).shape == (0, 2)
    assert masked.outputs(as_table(X[:0])).dtype == torch.float64
    assert masked.values(as_table(X[:0]), np.ones((3, 4), bool)).shape == (0, 3, 2)
    assert masked.values(as_table(X), np.ones((0, 4), bool)).shape == (6, 0, 2)


def test_query_callback():
    told = []
    masked = make(curved, X, batch_size=4, on_queries=told.append)
    masked.values(as_table(X), np.ones((2, 4), bool))
    assert sum(told) == masked.n_queries == 12
    assert max(told) <= 4


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_frames_stay_frames(container):
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None], "c": [0.5, np.nan, 2.0]})
    frame["d"] = pd.Categorical(["u", "v", "u"], categories=["v", "u", "w"])
    rows = frame
    if container == "polars":
        cells = frame.astype(object).where(frame.notna(), None)
        kinds = {"d": pl.Enum(["v", "u", "w"])}
        rows = pl.DataFrame({n: cells[n].tolist() for n in cells}, schema_overrides=kinds)
    schema = rows.schema if container == "polars" else rows.dtypes

    def model(part):
        if container == "polars":
            assert part.schema == schema
            return (part["a"] + part["c"].fill_null(0.0).fill_nan(0.0)).to_numpy()
        pd.testing.assert_series_equal(part.dtypes, schema)
        assert part["d"].cat.categories.tolist() == ["v", "u", "w"]
        return (part["a"] + part["c"].fillna(0.0)).to_numpy()

    masked = make(model, rows, {"a": 10, "b": "x", "c": np.nan, "d": "w"})
    masks = np.array([[0, 0, 0, 0], [1, 0, 0, 1], [0, 1, 1, 0]], bool)
    got = masked.values(as_table(rows), masks)[:, :, 0]
    np.testing.assert_allclose(got, [[10, 1, 10.5], [10, 2, 10], [10, 3, 12]])


def test_torch_module():
    module = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2))
    masked = make(module, X.astype(np.float32), BACKGROUND, output="regression", batch_size=7)
    masks = RNG.random((6, 5, 4)) < 0.5
    got = masked.values(as_table(X), masks)
    assert got.dtype == torch.float32
    assert not got.requires_grad

    def plain(rows):
        with torch.no_grad():
            return module(torch.tensor(rows, dtype=torch.float32)).numpy()

    expected = one_at_a_time(plain, X, BACKGROUND, np.arange(4), masks)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_torch_module_takes_nullable_columns_and_names_others():
    module = torch.nn.Linear(2, 1)
    frame = pd.DataFrame({"a": pd.array([1, 2], dtype="Int64"), "b": [True, False]})
    masked = make(module, frame)
    assert masked.values(as_table(frame), np.ones((1, 2), bool)).shape == (2, 1, 1)
    with pytest.raises(TypeError, match="numeric columns.*'b'"):
        masked.values(as_table(frame.assign(b=["x", "y"])), np.ones((1, 2), bool))


def test_workers_answer_alike():
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(random_state=0).fit(X, [0, 1, 2, 0, 1, 2])
    masks = RNG.random((6, 5, 4)) < 0.5
    alone = make(tree, X, output="auto").values(as_table(X), masks)
    pair = make(tree, X, output="auto", n_jobs=2).values(as_table(X), masks)
    np.testing.assert_array_equal(alone, pair)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("batch_size", [None, 3])
def test_answers_that_are_no_numbers(bad, batch_size):
    def model(rows):
        answers = curved(rows)
        answers[rows[:, 3] == 77.0, 1] = bad
        return answers

    masked = make(model, X, batch_size=batch_size)
    rows = X.copy()
    rows[4, 3] = 77.0
    with pytest.raises(ValueError, match="row 4 .*baseline="):
        masked.outputs(as_table(rows))
    masks = np.array([[0, 0, 0, 0], [1, 1, 1, 1]], bool)
    with pytest.raises(ValueError, match="row 4 "):
        masked.values(as_table(rows), masks)
    # the caller may know the rows by other numbers
    with pytest.raises(ValueError, match="row 104 "):
        masked.values(as_table(rows), masks, np.arange(100, 106))


def test_large_answers_are_finite():
    masked = make(lambda rows: np.full((len(rows), 2), 1e308), X)
    assert bool((masked.outputs(as_table(X)) == 1e308).all())


def test_models_of_many_outputs_get_fewer_rows():
    wide = make(lambda rows: np.zeros((len(rows), 1000)), X)
    assert 64 <= wide.call_rows(4) <= 2**26 // 8000
    assert make(curved, X).call_rows(4) == 65536
    assert make(curved, X, batch_size=5).call_rows(4) == 5


def test_model_is_asked_in_its_own_dtype_of_object():
    X = np.array([["a", 1], ["b", 2]], dtype=object)
    frame = pd.DataFrame(X, columns=["p", "q"], dtype=object)

    def model(rows):
        assert [str(dtype) for dtype in rows.dtypes] == ["object"] * 2
        return np.zeros(len(rows))

    make(model, frame).values(as_table(frame), np.eye(2, dtype=bool))
