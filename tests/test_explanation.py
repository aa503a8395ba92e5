"""Explanations: construction, slices, conversions."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastexplain._extras
from fastexplain._extras import optional_import
from fastexplain.explanation import Explanation

FEATURES = ["age", "sex", "fare", "deck"]
OUTPUTS = ["died", "survived", "lost"]


def to_polars(frame):
    """Without pyarrow, which pl.from_pandas needs for text and categories."""
    cells = frame.astype(object).where(frame.notna(), None)
    return pl.DataFrame({str(name): cells[name].tolist() for name in cells})


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def mixed_frame(n: int = 6) -> pd.DataFrame:
    """Numbers with NaN, text with None, integers, an ordered category."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "age": rng.normal(size=n),
            "sex": rng.choice(["m", "f"], n),
            "fare": rng.integers(0, 9, n),
            "deck": pd.Categorical(rng.choice(["low", "mid", "high"], n), ["low", "mid", "high"]),
        },
        index=[f"row {i}" for i in range(n)],
    )
    frame.loc[frame.index[1], "age"] = np.nan
    frame.loc[frame.index[2], "sex"] = None
    frame.loc[frame.index[3], "deck"] = np.nan
    return frame


def full(n: int = 6, **kwargs) -> Explanation:
    """All outputs of n rows; every number differs."""
    values = np.arange(n * 4 * 3, dtype=float).reshape(n, 4, 3)
    given = {
        "base_values": 1000 + np.arange(n * 3.0).reshape(n, 3),
        "neutral_values": 0.25 + np.arange(n * 3.0).reshape(n, 3),
        "efficiency_gap": 0.5 * np.arange(n * 3.0).reshape(n, 3),
        "data": mixed_frame(n),
        "output_names": OUTPUTS,
        "method": "FEX (forward_kl)",
    }
    return Explanation(values, **(given | kwargs))


def per_row(n: int = 6, **kwargs) -> Explanation:
    """One target a row."""
    values = np.random.default_rng(0).normal(size=(n, 4))
    given = {
        "base_values": 0.1 * np.arange(n),
        "data": mixed_frame(n),
        "output_names": OUTPUTS,
        "target": np.arange(n) % 3,
        "method": "Shapley",
    }
    return Explanation(values, **(given | kwargs))


# ---------------------------------------------------------------- construction


def test_attributes():
    explanation = full()
    assert explanation.shape == (6, 4, 3) and explanation.dims == ("row", "feature", "output")
    assert len(explanation) == 6 and explanation.ndim == 3
    assert explanation.feature_names == FEATURES  # from the data
    assert explanation.target is None and not explanation.additive
    assert per_row().additive
    assert explanation.base_values.shape == (6, 3)
    assert Explanation(np.zeros((2, 3)), base_values=0).feature_names[2] == "feature 2"


def test_array_protocol():
    explanation = per_row()
    assert np.asarray(explanation) is not None
    assert np.array_equal(np.asarray(explanation), explanation.values)
    assert np.asarray(explanation, dtype=np.float32).dtype == np.float32
    copied = np.array(explanation, copy=True)
    copied[:] = 0
    assert explanation.values.any()
    assert np.shares_memory(np.asarray(explanation, copy=False), explanation.values)


def test_precision_is_kept():
    assert Explanation(np.zeros((2, 2), np.float32), base_values=0).values.dtype == np.float32
    assert Explanation([[1, 2]], base_values=0).values.dtype == float


def test_single_row_and_number_for_all():
    explanation = Explanation([0.1, 0.2], base_values=0.5, target=1, data=["x", 3])
    assert explanation.shape == (2,) and explanation.base_values.shape == ()
    assert int(explanation.target) == 1
    assert list(explanation.data) == ["x", "3"]
    assert Explanation(np.zeros((3, 2)), base_values=0.5).base_values.tolist() == [0.5] * 3


@pytest.mark.parametrize(
    ("values", "kwargs", "message"),
    [
        (np.zeros(()), {}, "values must have shape"),
        (np.zeros((2, 2, 2, 2)), {}, "values must have shape"),
        (np.zeros((2, 3)), {"base_values": None}, "base_values must be given"),
        (np.zeros((2, 3)), {"base_values": [0.0] * 3}, r"base_values must have shape \(2,\)"),
        (np.zeros((3, 2, 3)), {"base_values": [0.0] * 3}, r"shape \(3, 3\)"),
        (np.zeros((2, 3)), {"neutral_values": np.zeros((2, 3))}, "neutral_values must"),
        (np.zeros((2, 3)), {"efficiency_gap": np.zeros(5)}, "efficiency_gap must"),
        (np.zeros((2, 3)), {"feature_names": ["a"]}, "feature_names must hold 3 names"),
        (np.zeros((2, 3)), {"feature_names": "abc"}, "must be a list of names"),
        (np.zeros((2, 3)), {"output_names": ["a", "b"]}, "target must say"),
        (np.zeros((2, 3)), {"output_names": ["a", "b"], "target": 2}, "2 is no position of the 2"),
        (np.zeros((2, 3)), {"target": -1}, "-1 is no position"),
        (np.zeros((2, 3)), {"target": [0.0, 1.0]}, "2 ints"),
        (np.zeros((2, 3)), {"target": [0, 1, 0]}, "2 ints"),
        (np.zeros((2, 3, 2)), {"target": 0}, "target must be None"),
        (np.zeros((2, 3, 2)), {"output_names": ["a"]}, "output_names must hold 2"),
        (np.zeros((2, 3)), {"data": np.zeros((3, 3))}, "3 rows for 2"),
        (np.zeros((2, 3)), {"data": np.zeros(2)}, "rows and columns"),
        (np.zeros((2, 3)), {"display_data": np.zeros((2, 2))}, "display_data must have shape"),
    ],
)
def test_wrong_shapes_are_named(values, kwargs, message):
    with pytest.raises(ValueError, match=message):
        Explanation(values, **({"base_values": 0.0} | kwargs))


# ---------------------------------------------------------------- slices


def _axis_index(length: int):
    position = st.integers(-length, length - 1)
    return st.one_of(
        position,
        position.map(np.int64),
        st.slices(length),
        st.lists(position, max_size=4),
        st.lists(position, max_size=4).map(lambda items: np.array(items, dtype=int)),
        st.lists(st.booleans(), min_size=length, max_size=length).map(np.array),
        st.lists(st.booleans(), min_size=length, max_size=length),
    )


def _oracle(array: np.ndarray, key: tuple) -> np.ndarray:
    """Index one axis after another, from the last, so that dropped axes move no others."""
    for axis in reversed(range(len(key))):
        entry = key[axis]
        if isinstance(entry, list):
            entry = np.array(entry, dtype=bool if entry and type(entry[0]) is bool else int)
        array = array[(slice(None),) * axis + (entry,)]
    return array


@settings(max_examples=200, deadline=None)
@given(
    rows=_axis_index(6), features=_axis_index(4), outputs=_axis_index(3), count=st.integers(1, 3)
)
def test_slices_are_numpys_axis_by_axis(rows, features, outputs, count):
    explanation = full(data=np.arange(24).reshape(6, 4), feature_names=FEATURES)
    whole = (slice(None),) * 3
    key = ((rows, features, outputs)[:count] + whole)[:3]
    part = explanation[(rows, features, outputs)[:count]]
    assert np.array_equal(part.values, _oracle(explanation.values, key))
    assert part.shape == part.values.shape == tuple(np.shape(part))
    for name in ("base_values", "neutral_values", "efficiency_gap"):
        expected = _oracle(getattr(explanation, name), (key[0], key[2]))
        assert np.array_equal(getattr(part, name), expected), name
    assert np.array_equal(part.data, _oracle(np.arange(24).reshape(6, 4), key[:2]))
    chosen = np.atleast_1d(_oracle(np.array(FEATURES), (key[1],))).tolist()
    assert part.feature_names == chosen
    if isinstance(outputs, (int, np.integer)) and count == 3:
        assert part.output_names == OUTPUTS and np.all(part.target == outputs % 3)
    else:
        assert part.target is None
        assert part.output_names == np.atleast_1d(_oracle(np.array(OUTPUTS), (key[2],))).tolist()
    assert np.array_equal(part.centered.values, _oracle(explanation.centered.values, key))


def test_names_and_ellipsis():
    explanation = full()
    values = explanation.values
    for key, expected in [
        (np.s_[:, "age"], values[:, 0]),
        (np.s_[:, ["fare", "age"]], values[:, [2, 0]]),
        (np.s_[:, np.array(["fare", "age"])], values[:, [2, 0]]),
        (np.s_[:, pd.Index(["fare", "age"])], values[:, [2, 0]]),
        (np.s_[:, ["fare", 1]], values[:, [2, 1]]),
        (np.s_[..., "survived"], values[..., 1]),
        (np.s_[:, :, "survived"], values[..., 1]),
        (np.s_[..., ["lost", "died"]], values[..., [2, 0]]),
        (np.s_[2, "sex", "lost"], values[2, 1, 2]),
        (np.s_[1:3, ..., 0], values[1:3, :, 0]),
        (np.s_[...], values),
        (np.s_[:10], values[:10]),
        (np.s_[[0, 2], ["age", "deck"]], values[[0, 2]][:, [0, 3]]),  # a block, no pairs
    ]:
        assert np.array_equal(explanation[key].values, expected), key


def test_selected_output_becomes_the_target():
    part = full()[..., "survived"]
    assert part.shape == (6, 4) and part.target.tolist() == [1] * 6
    assert part.output_names == OUTPUTS and part.base_values.shape == (6,)
    again = full()[..., ["lost", "survived"]][..., "survived"]
    assert again.target.tolist() == [1] * 6 and again.output_names == ["lost", "survived"]
    assert np.array_equal(again.values, part.values)


def test_single_row_is_indexed_by_feature():
    row = full()[3]
    assert row.shape == (4, 3) and row.dims == ("feature", "output")
    assert np.array_equal(row["fare"].values, full().values[3, 2])
    assert np.array_equal(row["fare", "died"].values, full().values[3, 2, 0])
    assert [part.shape for part in row] == [(3,)] * 4
    with pytest.raises(TypeError, match="no length"):
        len(row["fare", "died"])


def test_iteration_is_over_rows():
    explanation = per_row()
    rows = list(explanation)
    assert len(rows) == 6
    assert np.array_equal([row.values for row in rows], explanation.values)
    assert [int(row.target) for row in rows] == explanation.target.tolist()


@pytest.mark.parametrize("to", [lambda f: f, lambda f: to_polars(f.astype({"deck": str}))])
def test_tables_stay_tables(to):
    table = to(mixed_frame())
    explanation = per_row(data=table)
    part = explanation[[4, 1], ["deck", "age"]]
    assert type(part.data) is type(table)
    assert list(part.data.columns) == ["deck", "age"] and len(part.data) == 2
    assert np.array_equal(np.asarray(part.data["age"], float)[0], np.asarray(table["age"])[4])
    assert len(explanation[2].data) == 1  # a table of one row keeps the columns' dtypes
    assert len(explanation[::-2].data) == 3
    assert len(explanation[np.asarray(table["fare"]) >= 0].data) == 6


def test_groups_of_columns_keep_all_their_columns():
    shown = np.array([["x=1, y=2", "z=3"]] * 5, dtype=object)
    explanation = Explanation(
        np.ones((5, 2)), base_values=0.0, data=np.zeros((5, 3)), display_data=shown
    )
    assert explanation[:, 0].data.shape == (5, 3)
    assert explanation[:, [1]].display_data.tolist() == [["z=3"]] * 5
    assert explanation[1].display_data.tolist() == ["x=1, y=2", "z=3"]
    # four features of groups, cut down to as many as there are columns
    other = Explanation(np.ones((5, 4)), base_values=0.0, data=np.zeros((5, 3)))[:, :3]
    assert other.display_data is None and other.to_shap().data is None


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        ("age", KeyError, r"explanation\[:, 'age'\]"),
        ("survived", KeyError, r"explanation\[..., 'survived'\]"),
        ("nonsense", KeyError, "rows have no names"),
        (["age", "sex"], KeyError, r"explanation\[:, \['age', 'sex'\]\]"),
        (np.s_[:, "aeg"], KeyError, "close matches: 'age'"),
        (np.s_[:, "zzzz"], KeyError, "known features: 'age', 'sex'"),
        (np.s_[..., "age"], KeyError, r"explanation\[:, 'age'\]"),
        (np.s_[:, "survived"], KeyError, r"explanation\[..., 'survived'\]"),
        (np.s_[:, ["age", "survived"]], KeyError, "no feature is named 'survived'"),
        (6, IndexError, "row 6 is out of range"),
        ([0, -7], IndexError, "row -7 is out of range"),
        (np.s_[:, 4], IndexError, "feature 4 is out of range"),
        (np.s_[0, 0, 0, 0], IndexError, "too many indices"),
        (np.s_[..., ...], IndexError, "only one ellipsis"),
        (True, IndexError, "cannot index"),
        (None, IndexError, "cannot index"),
        (1.0, IndexError, "1-d arrays"),
        ([0.0, 1.0], IndexError, "cannot index the rows"),
        ([True, 2], IndexError, "cannot index the rows"),
        ([True, False], IndexError, "mask has 2 entries for 6 rows"),
        (np.zeros((2, 2), int), IndexError, "not 2-d"),
        (np.s_["age":"sex"], TypeError, "takes positions, not names"),
        (np.s_[:, "age":], TypeError, "takes positions, not names"),
    ],
)
def test_wrong_indices(key, error, message):
    with pytest.raises(error, match=message):
        full()[key]


def test_outputs_of_one_target_a_row():
    with pytest.raises(KeyError, match='explain with target="all"'):
        per_row()[..., "survived"]
    with pytest.raises(IndexError, match='target="all"'):
        per_row()[:, :, "survived"]


def test_ambiguous_and_unnamed():
    twice = Explanation(np.zeros((2, 3)), base_values=0, feature_names=["a", "b", "a"])
    with pytest.raises(KeyError, match=r"occurs 2 times, at \[0, 2\]"):
        twice[:, "a"]
    assert twice[:, "b"].shape == (2,)
    with pytest.raises(KeyError, match="outputs have no names"):
        full(output_names=None)[..., "died"]
    numbered = full(output_names=[1, 2, 0])
    assert np.array_equal(numbered[..., "0"].values, numbered[..., 2].values)


def test_mask_with_other_labels():
    frame = mixed_frame()
    explanation = per_row(data=frame)
    mask = frame["fare"] > 3
    assert len(explanation[mask]) == mask.sum()
    with pytest.raises(IndexError, match="not the index of the data"):
        explanation[mask.sort_values()[::-1].iloc[[3, 1, 0, 2, 5, 4]]]


def test_a_part_of_the_features_adds_up_to_nothing():
    explanation = per_row()
    assert explanation[:, ::-1].additive and explanation[2:].additive
    assert not explanation[:, :3].additive and not explanation[:, [0, 1, 2, 3, 3]].additive


# ---------------------------------------------------------------- centred, concat, copies


def test_centered():
    explanation = full()
    centered = explanation.centered
    assert np.allclose(centered.values, explanation.values - explanation.neutral_values[:, None])
    assert centered.neutral_values is None and explanation.neutral_values is not None
    assert not centered.additive  # the values still do not sum up
    assert np.array_equal(per_row().centered.values, per_row().values)


@pytest.mark.parametrize("make", [full, per_row])
@pytest.mark.parametrize("to", [lambda f: f, to_polars, np.asarray, lambda f: None])
def test_concat_undoes_row_slices(make, to):
    explanation = make(data=to(mixed_frame()), feature_names=FEATURES)
    joined = Explanation.concat([explanation[:2], explanation[2], explanation[3:]])
    assert joined.dims == explanation.dims and joined.method == explanation.method
    for name in ("values", "base_values", "neutral_values", "efficiency_gap", "target"):
        before, after = getattr(explanation, name), getattr(joined, name)
        assert (before is None) == (after is None)
        assert before is None or np.array_equal(before, after), name
    if explanation.data is not None:
        assert type(joined.data) is type(explanation.data)
        assert str(joined.data) == str(explanation.data)


def test_concat_of_different_things():
    one = per_row()
    for other, message in [
        (per_row(method="other"), "method"),
        (per_row(feature_names=list("abcd")), "feature_names"),
        (per_row(output_names=list("abc")), "output_names"),
        (per_row(data=np.zeros((6, 4)), feature_names=FEATURES), "different kinds"),
        (per_row(data=None, feature_names=FEATURES), "a column a feature"),
        (full(method="Shapley"), "axes"),
        (one[:, 0], "feature_names"),
    ]:
        with pytest.raises(ValueError, match=message):
            Explanation.concat([one, other])
    with pytest.raises(ValueError, match="no explanation"):
        Explanation.concat([])
    mixed = Explanation.concat([one, per_row(neutral_values=0.5, efficiency_gap=0.0)])
    assert mixed.neutral_values.tolist() == [0.0] * 6 + [0.5] * 6 and not mixed.additive
    assert np.isnan(mixed.efficiency_gap[:6]).all() and not mixed.efficiency_gap[6:].any()


def test_pickle():
    for explanation in (full(), per_row()[2]):
        copy = pickle.loads(pickle.dumps(explanation))
        assert repr(copy) == repr(explanation)
        assert np.array_equal(copy.values, explanation.values)
        assert copy.data.equals(explanation.data)


# ---------------------------------------------------------------- text


def test_repr():
    assert repr(per_row()) == "Explanation(6 rows x 4 features, target per row; Shapley)"
    assert repr(full()) == "Explanation(6 rows x 4 features x 3 outputs; FEX (forward_kl))"
    assert 'target "survived"' in repr(full()[..., 1])
    assert repr(per_row()[:1, "age"]).startswith('Explanation(1 row x feature "age", target "died"')
    assert repr(Explanation([1.0], base_values=0)) == "Explanation(single row x 1 feature)"


def test_html_is_escaped_and_short():
    evil = "<script>alert('x')</script>"
    explanation = full(feature_names=[evil, "b", "c", "d"], output_names=[evil, "o", "p"])
    explanation.method = evil
    assert "<script" not in explanation._repr_html_()
    part = explanation[..., 0]
    part._data.iloc[0, 1] = evil
    html = part._repr_html_()
    assert "<script" not in html and "&lt;script&gt;" in html
    assert "1 more rows" in html
    wide = Explanation(np.full((1000, 500), np.nan), base_values=0)._repr_html_()
    assert len(wide) < 10_000 and "&hellip;" in wide
    for odd in (full()[0], full()[0, 0, 0], full()[:0], full()[:, []], per_row()[:, "age"]):
        assert odd._repr_html_().endswith("</div>")


# ---------------------------------------------------------------- frames


def test_to_frame():
    frame = per_row().to_frame()
    assert list(frame.columns) == FEATURES and list(frame.index) == list(mixed_frame().index)
    assert np.array_equal(frame.to_numpy(), per_row().values)
    plain = per_row(data=None, feature_names=["a", "a", "b", "c"]).to_frame()
    assert list(plain.columns) == ["a", "a", "b", "c"] and isinstance(plain.index, pd.RangeIndex)
    assert per_row()[2].to_frame().shape == (1, 4)


def test_to_frame_of_all_outputs():
    frame = full().to_frame()
    assert frame.shape == (6, 12) and frame.columns.names == ["output", "feature"]
    assert np.array_equal(frame["survived"].to_numpy(), full().values[..., 1])
    assert np.array_equal(frame[("lost", "sex")], full().values[:, 1, 2])


# ---------------------------------------------------------------- shap


def test_to_shap_centers():
    explanation = full()
    converted = explanation.to_shap()
    assert np.allclose(converted.values, explanation.centered.values)
    assert np.array_equal(explanation.to_shap(center=False).values, explanation.values)
    assert np.array_equal(converted.base_values, explanation.base_values)
    assert list(converted.feature_names) == FEATURES
    assert list(converted.output_names) == OUTPUTS
    part = converted[..., 1]
    assert np.allclose(part.values, explanation.centered.values[..., 1])
    assert np.array_equal(part.base_values, explanation.base_values[:, 1])
    assert part.data.shape == (6, 4)


def test_to_shap_encodes_categories():
    converted = per_row().to_shap()
    frame = mixed_frame()
    assert converted.data.dtype == float
    deck = frame["deck"].cat.codes.to_numpy(float)
    assert np.array_equal(converted.data[:, 3], np.where(deck < 0, deck.max() + 1, deck))
    assert set(converted.data[:, 1]) == {0.0, 1.0, 2.0} and converted.data[2, 1] == 2
    assert np.isnan(converted.data[1, 0])
    assert converted.display_data[2, 1] == "missing" and converted.display_data[0, 1] in "mf"
    numbers = per_row(data=np.ones((6, 4), int), feature_names=FEATURES).to_shap()
    assert numbers.display_data is None and numbers.data.dtype == float


@pytest.mark.parametrize(
    ("column", "codes"),
    [
        (np.array([1, "b", None, 2.5], object), [0, 2, 3, 1]),
        (np.array([1, None, True, 2.5], object), [1, np.nan, 1, 2.5]),
        (np.array([True, False, True, True]), [1, 0, 1, 1]),
        (np.array(["b", "a", "b", "c"]), [1, 0, 1, 2]),
        (pd.array([1, None, 3, 4], dtype="Int64"), [1, np.nan, 3, 4]),
        (pd.array(["b", None, "a", "b"], dtype="string"), [1, 2, 0, 1]),
        (pd.Categorical([3, 1, None, 2], [3, 2, 1]), [0, 2, 3, 1]),
        (pd.to_datetime(["2020-01-01", None, "2020-01-02", "2020-01-01"]), None),
    ],
)
def test_columns_of_many_kinds(column, codes):
    frame = pd.DataFrame({"x": column})
    converted = Explanation(np.ones((4, 1)), base_values=0, data=frame).to_shap()
    if codes is None:
        dates = converted.data[:, 0]
        assert dates[0] == dates[3] == dates[2] - 1 == dates[1] - 2 == 18_262
    else:
        assert np.array_equal(converted.data[:, 0], codes, equal_nan=True)


def test_polars_columns():
    frame = pl.DataFrame(
        {"n": [1, None, 2], "s": ["b", None, "a"], "e": ["lo", "hi", "lo"]},
        schema_overrides={"e": pl.Enum(["lo", "hi"])},
    )
    converted = Explanation(np.ones((3, 3)), base_values=0, data=frame).to_shap()
    expected = [[1, 1, 0], [np.nan, 2, 1], [2, 0, 0]]
    assert np.array_equal(converted.data, expected, equal_nan=True)
    assert converted.display_data[1, 1] == "missing"


def test_to_shap_of_dropped_axes():
    explanation = per_row()
    row, feature, number = explanation[3], explanation[:, "sex"], explanation[3, "sex"]
    assert row.to_shap().values.shape == (4,) and row.to_shap()[:2].abs.shape == (2,)
    assert float(row.to_shap().base_values) == pytest.approx(0.3)
    assert feature.to_shap().feature_names == "sex" and feature.to_shap().shape == (6,)
    assert number.to_shap().values == explanation.values[3, 1]
    regressor = Explanation(np.ones((3, 2, 1)), base_values=np.zeros((3, 1)))
    assert regressor.to_shap().shape == (3, 2) and regressor.to_shap().base_values.shape == (3,)


def shap_inputs():
    """What the plots must take: mixed data, one output of all, numbers alone, none."""
    frame = mixed_frame(40)
    many = full(40)
    values = np.random.default_rng(0).normal(size=(40, 4, 3))
    many = Explanation(
        values, base_values=np.tile([0.1, 0.2, 0.3], (40, 1)), data=frame, output_names=OUTPUTS
    )
    one = per_row(40, base_values=0.5)
    numbers = per_row(40, base_values=0.5, data=np.arange(160.0).reshape(40, 4))
    return {
        "mixed": one.to_shap(),
        "sliced by shap": many.to_shap()[..., 1],
        "sliced by us": many[..., "lost"].to_shap(),
        "numbers": numbers.to_shap(),
        "no data": per_row(40, base_values=0.5, data=None).to_shap(),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", list(shap_inputs()))
def test_every_plot_of_shap(case):
    import shap

    np.random.seed(0)
    converted = shap_inputs()[case]
    shap.plots.bar(converted, show=False)
    shap.plots.bar(converted[0], show=False)
    shap.plots.beeswarm(converted, show=False)
    for row in (0, 1, 2, 3):  # 1 to 3 have missing values
        plt.figure()
        shap.plots.waterfall(converted[row], show=False)
    plt.figure()
    shap.plots.heatmap(converted, show=False)
    plt.figure()
    shap.plots.violin(converted, show=False)
    assert "<div" in shap.plots.force(converted[1]).html()
    shap.plots.force(converted[0], matplotlib=True, show=False)
    assert "<div" in shap.plots.force(converted).html()
    plt.figure()
    shown = converted.display_data if converted.display_data is not None else converted.data
    shap.plots.decision(
        float(converted.base_values[0]),
        converted.values,
        features=shown,
        feature_names=list(converted.feature_names),
        show=False,
    )
    if converted.data is not None:
        for position in range(4):
            for color in ("#123456", converted)[: 2 if position == 1 else 1]:
                ax = shap.plots.scatter(converted[:, position], color=color, show=False)
                ax.figure.canvas.draw()
                # a label at NaN would leave the plot blank
                assert np.isfinite(ax.get_xlim()).all() and np.isfinite(ax.get_xticks()).all()
            plt.close("all")


# ---------------------------------------------------------------- imports


def test_import_is_light():
    # without the package's own __init__, which brings the explainers
    root = str(Path(fastexplain._extras.__file__).parent)
    code = (
        "import sys, types; package = types.ModuleType('fastexplain');"
        f"package.__path__ = [{root!r}]; sys.modules['fastexplain'] = package;"
        "import fastexplain.explanation, fastexplain.plots;"
        "heavy = {'torch', 'matplotlib', 'pandas', 'shap', 'polars'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("module", "extra", "call"),
    [
        ("shap", "shap", lambda e: e.to_shap()),
        ("pandas", "pandas", lambda e: e.to_frame()),
        ("matplotlib", "plots", lambda e: e.plot.bar(backend="own")),
    ],
)
def test_missing_packages_name_the_extra(monkeypatch, module, extra, call):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    explanation = per_row(data=None)
    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(ImportError, match=rf"pip install fastexplain\[{extra}\]"):
        call(explanation)


def test_broken_packages_keep_their_own_message(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'numba'", name="numba")

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(ModuleNotFoundError, match="numba"):
        optional_import("shap", "shap", "this")
