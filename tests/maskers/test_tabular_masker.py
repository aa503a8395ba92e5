"""Baselines in each column's own dtype, groups as players, null players, and errors."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from fastexplain import TabularMasker
from fastexplain.maskers._baselines import first_cell
from fastexplain.tables import as_table


def background(X, baseline="mean", **kwargs):
    return TabularMasker(baseline, **kwargs).fit(X).background_


COLUMNS = [
    # cells, mean, median
    (np.array([1, 2, 9], dtype="int8"), 4, 2),
    (np.array([0.5, np.nan, 1.0, np.inf]), 0.75, 0.75),
    (np.array([1.0, 2.0, 9.0], dtype="float32"), 4.0, 2.0),
    (np.array([True, False, True]), True, True),
    (pd.Series(["b", "a", "b", "a", None], dtype="str"), "a", "a"),
    (pd.Series(["b", "a", "b", 1], dtype=object), "b", "b"),
    (pd.Series([1, 2, 9, None], dtype=object), 4, 2),
    (pd.Categorical(["u", None, "v", "v"], categories=["v", "w", "u"]), "v", "v"),
    (pd.Categorical([3, 3, 1]), 3, 3),
    (pd.array([1, None, 2], dtype="Int64"), 2, 2),
    (pd.array([1.5, None, 2.5, 8.0], dtype="Float32"), 4.0, 2.5),
    (pd.array([True, None, True, False], dtype="boolean"), True, True),
    (pd.array(["x", None, "x", "a"], dtype="string"), "x", "x"),
    (
        pd.to_datetime(["2020-01-01", "2020-01-03", None]),
        pd.Timestamp("2020-01-02"),
        pd.Timestamp("2020-01-02"),
    ),
    (
        pd.to_datetime(["2020-01-01", "2020-01-03"]).tz_localize("Asia/Tokyo"),
        pd.Timestamp("2020-01-02", tz="Asia/Tokyo"),
        pd.Timestamp("2020-01-02", tz="Asia/Tokyo"),
    ),
    (pd.to_timedelta([1, 2, 9], unit="h"), pd.Timedelta(4, "h"), pd.Timedelta(2, "h")),
    (pd.PeriodIndex(["2020-01", "2020-02", "2020-02"], freq="M"), pd.Period("2020-02"), None),
]


@pytest.mark.parametrize(("cells", "mean", "median"), COLUMNS, ids=lambda c: str(type(c).__name__))
def test_pandas_baseline(cells, mean, median):
    # a column beside it keeps the frame mixed
    frame = pd.DataFrame({"c": cells, "other": np.arange(len(cells)) / 7})
    for how, value in (("mean", mean), ("median", mean if median is None else median)):
        row = background(frame, how)
        assert first_cell(row, 0) == value
        pd.testing.assert_series_equal(row.native.dtypes, frame.dtypes)


@pytest.mark.parametrize(
    ("cells", "mean"),
    [
        (pl.Series([1, 2, 5, None], dtype=pl.Int16), 3),
        (pl.Series([1.0, float("nan"), 2.0]), 1.5),
        (pl.Series([True, None, True]), True),
        (pl.Series(["b", "a", "b", None]), "b"),
        (pl.Series([None, None], dtype=pl.Null), None),
        (pl.Series([None, None], dtype=pl.Float64), None),
        (pl.Series(["y", "x", "y"], dtype=pl.Categorical), "y"),
        (pl.Series(["y", "x", "y"], dtype=pl.Enum(["x", "y"])), "y"),
        (pl.Series([dt.date(2020, 1, 1), dt.date(2020, 1, 3)]), dt.date(2020, 1, 2)),
        (
            pl.Series([dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 2)]),
            dt.datetime(2020, 1, 1, 12),
        ),
        (pl.Series([dt.timedelta(1), dt.timedelta(3)]), dt.timedelta(2)),
        (pl.Series([dt.time(1), dt.time(3)]), dt.time(2)),
        (pl.Series([Decimal("1.00"), Decimal("2.00")]), Decimal("1.50")),
    ],
    ids=lambda c: str(getattr(c, "dtype", "")),
)
def test_polars_baseline(cells, mean):
    frame = pl.DataFrame({"c": cells, "other": range(len(cells))})
    row = background(frame)
    assert row.native.schema == frame.schema
    assert first_cell(row, 0) == mean
    assert background(frame, "median").native.schema == frame.schema
    masker = TabularMasker("mean").fit(frame)
    table = as_table(frame)
    assert masker.source(table).gather(np.zeros((2, 2), int)).schema == frame.schema
    assert masker.null_players(masker.background_).all()


def test_polars_zoned_nanoseconds():
    cells = pl.Series([1, 5]).cast(pl.Datetime("ns", "Europe/Paris"))
    assert background(pl.DataFrame({"c": cells})).native.schema["c"] == cells.dtype


@pytest.mark.parametrize(
    ("array", "mean"),
    [
        (np.array([[1, 0], [2, 0], [6, 0]], dtype="int16"), [3, 0]),
        (np.array([[True, False], [True, True], [True, False]]), [True, False]),
        (np.array([[1.0, np.nan], [3.0, np.nan]]), [2.0, np.nan]),
        (np.array([["a", 1], ["b", 2.5], ["b", None]], dtype=object), ["b", 1.75]),
        (np.array([["2020-01-01"], ["2020-01-03"], ["NaT"]], "datetime64[ns]"), ["2020-01-02"]),
        (np.array([["NaT"]], "datetime64[s]"), ["NaT"]),
    ],
)
def test_numpy_baseline(array, mean):
    row = background(array).native
    assert row.dtype == array.dtype
    np.testing.assert_array_equal(row, np.array([mean], dtype=array.dtype))


def test_missing_columns():
    frame = pd.DataFrame(
        {
            "real": [np.nan, np.nan],
            "day": pd.to_datetime([None, None]),
            "kind": pd.Categorical([None, None], categories=["a"]),
            "whole": pd.array([None, None], dtype="Int64"),
            "object": pd.Series([None, None], dtype=object),
        }
    )
    row = background(frame).native
    assert row.isna().all(axis=None)
    pd.testing.assert_series_equal(row.dtypes, frame.dtypes)
    assert TabularMasker().fit(frame).null_players(as_table(frame)).all()


def test_zero():
    frame = pd.DataFrame({"a": [1, 2], "b": [True, True], "c": pd.array([1.5, None], "Float64")})
    row = background(frame, "zero").native
    assert row.iloc[0].tolist() == [0, False, 0.0]
    pd.testing.assert_series_equal(row.dtypes, frame.dtypes)
    assert background(pl.DataFrame({"a": [1.5], "b": [True]}), "zero").native.row(0) == (0.0, False)
    for X in (
        pd.DataFrame({"a": [1], "town": ["x"]}),
        pd.DataFrame({"a": [1], "town": pd.Categorical([1])}),
        pl.DataFrame({"a": [1], "town": ["x"]}),
    ):
        with pytest.raises(ValueError, match="'town'.*'mean'"):
            background(X, "zero")
    with pytest.raises(ValueError, match="'x0'.*'mean'"):
        background(np.array([["a"]], dtype=object), "zero")


FRAME = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5], "c": pd.Categorical(["u", "v"])})


@pytest.mark.parametrize(
    "row",
    [
        {"c": "v", "a": 1, "b": np.nan},
        [1, np.nan, "v"],
        (1, None, "v"),
        pd.Series({"c": "v", "b": np.nan, "a": 1}),
        pd.Series([1, np.nan, "v"], index=["a", "b", "c"]),
        pd.DataFrame({"a": [1], "b": [np.nan], "c": ["v"]}),
        pd.DataFrame({"b": [np.nan], "c": ["v"], "a": [1]}),
        pl.DataFrame({"a": [1], "b": [None], "c": ["v"]}),
        np.array([[1, np.nan, "v"]], dtype=object),
        [1, pd.NA, "v"],
    ],
)
def test_row_as_baseline(row):
    got = background(FRAME, row).native
    pd.testing.assert_series_equal(got.dtypes, FRAME.dtypes)
    assert got["a"].item() == 1
    assert np.isnan(got["b"].item())
    assert got["c"].item() == "v"


def test_series_under_shared_names():
    frame = pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], columns=["a", "a"])
    assert background(frame, frame.iloc[0]).native.iloc[0].tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="once"):
        background(frame, {"a": 1.0})


def test_tensor_and_array_rows():
    X = np.arange(6.0).reshape(2, 3)
    for row in (
        torch.tensor([1.0, 2.0, 3.0]),
        torch.tensor([[1.0, 2.0, 3.0]]),
        np.array([1, 2, 3]),
    ):
        np.testing.assert_array_equal(background(X, row).native, [[1.0, 2.0, 3.0]])


@pytest.mark.parametrize(
    ("X", "row", "match"),
    [
        (FRAME, [1, 2.0], "3 columns"),
        (FRAME, 0.0, "one row of 3 values"),
        (FRAME, {"a": 1, "b": 2.0, "c": "u", "d": 1}, r"'d'.*does not have.*'a', 'b', 'c'"),
        (FRAME, [1, 2.0, "w"], "'c' of dtype category.*categories"),
        (FRAME, [0.5, 2.0, "u"], "0.5 does not fit column 'a' of dtype int64"),
        (FRAME, [np.nan, 2.0, "u"], "column 'a'.*missing"),
        (FRAME, [1, "x", "u"], "'x' does not fit column 'b'"),
        (FRAME, FRAME.iloc[:0], "0 rows"),
        (np.ones((2, 2), int), [1, 0.5], "'x1' of dtype int64"),
        (np.ones((2, 2), int), [1, np.nan], "'x1' of dtype int64"),
        (np.ones((2, 2), "uint8"), [1, -1], "'x1' of dtype uint8"),
        (np.ones((2, 2), bool), [True, 2], "'x1' of dtype bool"),
        (np.ones((2, 2)), [1.0, "no"], "'x1' of dtype float64"),
        (pd.DataFrame({"f": [True]}), ["no"], "'f' of dtype bool"),
        (pd.DataFrame({"f": np.array([1], "int8")}), [300], "'f' of dtype int8"),
        (pl.DataFrame({"f": [1]}), [0.5], "'f' of dtype Int64"),
        (pl.DataFrame({"f": [1]}), ["x"], "'f' of dtype Int64"),
        (pl.DataFrame({"f": pl.Series(["a"], dtype=pl.Enum(["a"]))}), ["q"], "'f' of dtype Enum"),
        (FRAME, "middle", "'median'"),
    ],
)
def test_rows_that_do_not_fit(X, row, match):
    with pytest.raises(ValueError, match=match):
        background(X, row)


def test_background_rows():
    rows = pd.DataFrame({"a": [3.0, 4.0], "b": [1, 2], "c": ["u", "v"]})
    got = background(FRAME, rows).native
    pd.testing.assert_series_equal(got.dtypes, FRAME.dtypes)
    assert got["a"].tolist() == [3, 4]
    # the same categories in another order are another dtype
    other = FRAME.assign(c=pd.Categorical(["u", "v"], categories=["v", "u"]))
    pd.testing.assert_series_equal(background(FRAME, other).native.dtypes, FRAME.dtypes)
    assert len(background(FRAME, np.array([[1, 2.0, "u"], [2, 3.0, "v"]], dtype=object))) == 2
    assert background(np.ones((2, 2)), np.array([[1, 2], [3, 4]])).native.dtype == float
    with pytest.raises(ValueError, match="same columns"):
        background(FRAME, rows.rename(columns={"a": "z"}))
    with pytest.raises(ValueError, match="'w'.*'c'"):
        background(FRAME, rows.assign(c=["u", "w"]))


def test_marginal():
    X = np.arange(40.0).reshape(20, 2)
    rng = np.random.default_rng(3)
    first = TabularMasker("marginal", n_background=5).fit(X, rng).background_.native
    assert first.shape == (5, 2)
    assert all((row == X).all(axis=1).any() for row in first)
    again = TabularMasker("marginal", n_background=5).fit(X, np.random.default_rng(3))
    np.testing.assert_array_equal(first, again.background_.native)
    assert len(TabularMasker("marginal").fit(X[:3]).background_) == 3
    with pytest.raises(ValueError, match="n_background"):
        TabularMasker("marginal", n_background=0).fit(X)
    # null only where every background row agrees
    masker = TabularMasker(np.array([[0.0, 1.0], [0.0, 2.0]])).fit(X)
    null = masker.null_players(as_table(np.array([[0.0, 1.0], [1.0, 2.0]])))
    np.testing.assert_array_equal(null, [[True, False], [False, False]])


def null_of(frame, row):
    return TabularMasker(row).fit(frame).null_players(as_table(frame))


@pytest.mark.parametrize(
    ("cells", "value", "null"),
    [
        (np.array([0.0, -0.0, np.nan, 1.0]), 0.0, [1, 1, 0, 0]),
        (np.array([0.0, -0.0, np.nan, 1.0]), np.nan, [0, 0, 1, 0]),
        (np.array([1, 2, 3]), 2, [0, 1, 0]),
        (pd.to_datetime(["2020-01-01", None]), pd.Timestamp("2020-01-01"), [1, 0]),
        (pd.to_datetime(["2020-01-01", None]), pd.NaT, [0, 1]),
        (
            pd.to_datetime(["2020-01-01", None]).tz_localize("UTC"),
            pd.Timestamp("2020-01-01", tz="UTC"),
            [1, 0],
        ),
        (pd.Categorical(["a", None, "b"]), "a", [1, 0, 0]),
        (pd.Categorical(["a", None, "b"]), None, [0, 1, 0]),
        (pd.array([1, None, 2], dtype="Int64"), pd.NA, [0, 1, 0]),
        (pd.array([1, None, 2], dtype="Int64"), 1, [1, 0, 0]),
        (pd.array(["a", None], dtype="string"), "a", [1, 0]),
        (pd.Series(["a", None], dtype="str"), "a", [1, 0]),
        (pd.Series(["a", 1, None, np.nan, pd.NA], dtype=object), None, [0, 0, 1, 1, 1]),
        (pd.Series(["a", 1, (1, 2), pd.NA], dtype=object), 1, [0, 1, 0, 0]),
        (pd.Series([True, False]), False, [0, 1]),
    ],
)
@pytest.mark.parametrize("mixed", [False, True])
def test_null_players(cells, value, null, mixed):
    frame = pd.DataFrame({"c": cells})
    row = [value]
    if mixed:
        frame["z"], row = "text", [value, "text"]
    got = null_of(frame, row)
    np.testing.assert_array_equal(got[:, 0], np.array(null, bool))
    assert got[:, 1:].all()


@pytest.mark.parametrize(
    ("cells", "value", "null"),
    [
        (pl.Series([0.0, -0.0, float("nan"), None]), 0.0, [1, 1, 0, 0]),
        (pl.Series([0.0, -0.0, float("nan"), None]), None, [0, 0, 0, 1]),
        (pl.Series([0.0, -0.0, float("nan"), None]), float("nan"), [0, 0, 1, 0]),
        (pl.Series(["a", None]), "a", [1, 0]),
        (pl.Series(["a", None], dtype=pl.Categorical), "a", [1, 0]),
        (pl.Series([True, None]), None, [0, 1]),
        (pl.Series([dt.date(2020, 1, 1), None]), dt.date(2020, 1, 1), [1, 0]),
        (pl.Series([None, None], dtype=pl.Null), None, [1, 1]),
    ],
)
def test_null_players_of_polars(cells, value, null):
    got = null_of(pl.DataFrame({"c": cells}), [value])
    np.testing.assert_array_equal(got[:, 0], np.array(null, bool))


def test_null_players_of_object_arrays():
    X = np.array([["a", 1.0], ["b", np.nan], [None, None]], dtype=object)
    np.testing.assert_array_equal(null_of(X, ["a", None]), [[1, 0], [0, 1], [0, 1]])


@pytest.mark.parametrize(
    "X",
    [
        pd.DataFrame({"a": [1, 2], "bad": [[1], [2]]}),
        pd.DataFrame({"a": [1, 2], "bad": [{}, {}]}),
        pl.DataFrame({"a": [1, 2], "bad": [[1], [2]]}),
        pl.DataFrame({"a": [1], "bad": pl.Series([object()], dtype=pl.Object)}),
    ],
)
@pytest.mark.parametrize("baseline", ["mean", "marginal"])
def test_cells_that_cannot_be_hashed(X, baseline):
    with pytest.raises(TypeError, match="'bad'.*drop it"):
        TabularMasker(baseline).fit(X)


# -- groups ----------------------------------------------------------------------------------


def test_groups():
    X = pd.DataFrame(np.arange(10.0).reshape(2, 5), columns=list("abcde"))
    masker = TabularMasker(groups={"pair": ["d", "b"], "one": "e"}).fit(X)
    assert masker.feature_names_ == ["a", "pair", "c", "one"]
    assert masker.player_of_column_.tolist() == [0, 1, 2, 1, 3]
    row = X.iloc[:1].copy()
    row["a"], row["b"] = X["a"].mean(), X["b"].mean()
    # a group is null only where all its columns are
    assert masker.null_players(as_table(row)).tolist() == [[True, False, False, False]]
    by_number = TabularMasker(groups={"g": [0, np.int64(2)]}).fit(X.to_numpy())
    assert by_number.feature_names_ == ["g", "x1", "x3", "x4"]
    assert TabularMasker(groups={"g": {"a", "b"}}).fit(X).n_players == 4
    assert TabularMasker(groups={"g": X.columns[:2]}).fit(X).n_players == 4


def test_groups_by_unusual_names():
    X = pd.DataFrame(
        np.ones((2, 3)), columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)])
    )
    assert TabularMasker(groups={"g": [("a", 1), ("b", 1)]}).fit(X).n_players == 2
    assert TabularMasker(groups={"g": ("a", 1)}).fit(X).n_players == 3
    twins = pd.DataFrame(np.ones((2, 3)), columns=["a", "a", "b"])
    assert TabularMasker(groups={"g": ["a"]}).fit(twins).player_of_column_.tolist() == [0, 0, 1]
    numbers = pd.DataFrame(np.ones((2, 3)), columns=[7, 8, 9])
    assert TabularMasker(groups={"g": [8, 9]}).fit(numbers).player_of_column_.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("groups", "error", "match"),
    [
        ({"g": ["a", "z"]}, ValueError, "'z'"),
        ({"g": []}, ValueError, "'g' is empty"),
        ({"g": ["a"], "h": ["a", "b"]}, ValueError, "'a'.*twice"),
        ({"g": ["a", "a"]}, ValueError, "'a'.*twice"),
        ({"b": ["a", "c"]}, ValueError, "'b'.*another name"),
        ([["a", "b"]], TypeError, "groups must map"),
        ({"g": [17]}, ValueError, "17"),
        ({"g": [-1]}, ValueError, "-1"),
    ],
)
def test_bad_groups(groups, error, match):
    X = pd.DataFrame(np.ones((2, 3)), columns=list("abc"))
    with pytest.raises(error, match=match):
        TabularMasker(groups=groups).fit(X)


def test_arrays_need_no_pandas():
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "import numpy as np\n"
        "from fastexplain.maskers import TabularMasker\n"
        "from fastexplain.tables import as_table\n"
        "X = np.array([['a', 1], ['b', None]], dtype=object)\n"
        "for X in (X, np.ones((2, 2)), np.ones((2, 2), bool)):\n"
        "    TabularMasker().fit(X).null_players(as_table(X))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
