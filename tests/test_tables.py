"""Rows of any container keep their dtypes, names and missing values when cells are mixed."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy.sparse import csr_matrix

from fastexplain.tables import as_table


def pandas_frame():
    return pd.DataFrame(
        {
            "whole": np.array([1, 2, 3], dtype="int8"),
            "real": np.array([0.5, np.nan, -1.0], dtype="float32"),
            "flag": [True, False, True],
            "text": pd.Series(["a", None, "c"], dtype="str"),
            "object": pd.Series(["a", 1, None], dtype=object),
            "words": pd.Series(["a", "b", "c"], dtype=object),
            "kind": pd.Categorical(["u", "v", None], categories=["v", "u", "w"], ordered=True),
            "day": pd.to_datetime(["2020-01-01", "2020-01-02", None]),
            "there": pd.to_datetime(["2020-01-01", "2020-01-02", None]).tz_localize("Asia/Tokyo"),
            "span": pd.to_timedelta([1, 2, 3], unit="h"),
            "nullable": pd.array([1, None, 3], dtype="Int64"),
            "maybe": pd.array([True, None, False], dtype="boolean"),
            "string": pd.array(["x", None, "z"], dtype="string"),
            "empty": [np.nan] * 3,
            "period": pd.period_range("2020-01", periods=3, freq="M"),
        }
    )


def polars_frame():
    return pl.DataFrame(
        {
            "whole": pl.Series([1, 2, None], dtype=pl.Int16),
            "real": [0.5, float("nan"), None],
            "flag": [True, None, False],
            "text": ["a", "b", None],
            "nothing": pl.Series([None] * 3, dtype=pl.Null),
            "kind": pl.Series(["x", "y", None], dtype=pl.Categorical),
            "choice": pl.Series(["x", "y", None], dtype=pl.Enum(["z", "y", "x"])),
            "day": pl.Series(["2020-01-01", "2020-01-03", None]).str.to_date(),
            "moment": pl.Series(["2020-01-01 10:00", "2020-01-03 12:00", None]).str.to_datetime(
                "%Y-%m-%d %H:%M", time_unit="ns", time_zone="UTC"
            ),
        }
    )


FRAMES = [
    pandas_frame(),
    pandas_frame()[["words", "object"]],
    pandas_frame()[["real", "empty"]].astype(float),
    polars_frame(),
    np.arange(12.0).reshape(3, 4),
    np.array([["a", 1], ["b", None], ["c", 2.5]], dtype=object),
    np.array([[True, False]] * 3),
]


def same(a, b):
    if isinstance(a, pd.DataFrame):
        pd.testing.assert_frame_equal(a, b, check_exact=True)
    elif isinstance(a, pl.DataFrame):
        assert a.schema == b.schema
        assert a.equals(b)
    else:
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("frame", FRAMES, ids=lambda f: type(f).__module__ + str(f.shape[1]))
def test_gather_of_own_cells_is_the_frame(frame):
    table = as_table(frame)
    source = table.stack(table.take(slice(1, 2)))
    index = np.repeat(np.arange(3)[:, None], table.n_columns, axis=1)
    same(frame, source.gather(index))
    # the second table is found behind the first
    last = source.gather(np.full((1, table.n_columns), 3))
    same(table.take(slice(1, 2)).native, as_table(last).native) if table.kind != "pandas" else same(
        table.take(slice(1, 2)).native.reset_index(drop=True), last
    )
    assert len(table) == 3  # nothing was appended to the user's own frame


@pytest.mark.parametrize("frame", FRAMES, ids=lambda f: type(f).__module__ + str(f.shape[1]))
def test_masked_agrees_with_gather(frame):
    rng = np.random.default_rng(0)
    table = as_table(frame)
    source = table.stack(table.take(np.array([2, 0])))
    keep = rng.random((2, 5, table.n_columns)) < 0.5
    index = np.where(keep[:, :, None], np.arange(1, 3)[:, None, None, None], [[3], [4]])
    got = source.masked(keep, slice(1, 3))
    same(source.gather(index.reshape(-1, table.n_columns)), got)
    shared = source.masked(keep[:1], slice(1, 3))
    same(source.masked(np.repeat(keep[:1], 2, axis=0), slice(1, 3)), shared)


@pytest.mark.parametrize(
    "columns",
    [
        ["a", "a"],
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["p", "q"]),
        [3, 1],
        pd.Index(["u", "v"], name="names"),
    ],
)
@pytest.mark.parametrize("mixed", [False, True])
def test_names_of_columns_survive(columns, mixed):
    frame = pd.DataFrame({0: [1.0, 2.0], 1: ["x", "y"] if mixed else [3.0, 4.0]})
    frame.columns = columns
    table = as_table(frame)
    same(frame, table.stack(table).gather(np.array([[0, 0], [3, 3]])))
    assert table.names == [str(name) for name in frame.columns]


def test_take_keeps_the_container():
    frame = pandas_frame().set_index(np.array([5, 5, 7]))
    assert as_table(frame).take(slice(1, 3)).native.index.tolist() == [5, 7]
    assert len(as_table(polars_frame()).take(np.array([2, 0, 0]))) == 3
    assert as_table(polars_frame()).dtypes()[0] == "Int16"
    assert as_table(np.zeros((2, 3))).dtypes() == ["float64"] * 3


def test_matrix_only_where_dtypes_agree():
    assert as_table(pandas_frame()).matrix() is None
    assert as_table(polars_frame()).matrix() is None
    assert as_table(pandas_frame()[["nullable"]]).matrix() is None
    assert as_table(pandas_frame()[["real"]]).matrix().dtype == np.float32


def test_rows_of_lists_and_tensors():
    assert as_table([[1, 2], [3, 4]]).native.dtype.kind == "i"
    mixed = as_table([["a", 1], ["b", 2.5]])
    assert mixed.native.dtype == object
    assert mixed.native[1, 1] == 2.5
    assert as_table(torch.ones(2, 3, requires_grad=True)).native.shape == (2, 3)
    assert as_table(np.array([["a", "b"]])).native.dtype == object


def test_masked_cells_are_missing():
    junk = 1e20
    floats = np.ma.masked_array([[junk, 0.5]], mask=[[True, False]])
    np.testing.assert_array_equal(as_table(floats).native, [[np.nan, 0.5]])
    whole = as_table(np.ma.masked_array([[1, 2]], mask=[[True, False]], dtype="int8")).native
    assert whole.dtype == np.float64
    np.testing.assert_array_equal(whole, [[np.nan, 2]])
    assert as_table(np.ma.masked_array([[1, 2]], dtype="int8")).native.dtype == np.int8
    small = np.ma.masked_array(np.ones((1, 2), "f2"), mask=[[True, False]])
    assert as_table(small).native.dtype == np.float16
    for cells in ([[True, False]], np.array([["a", "b"]], dtype=object), np.array([["a", "b"]])):
        found = as_table(np.ma.masked_array(cells, mask=[[False, True]])).native
        assert found.dtype == object
        assert found[0].tolist() == [np.asarray(cells)[0, 0], None]
    days = np.ma.masked_array(np.array([["2020", "2021"]], "M8[s]"), mask=[[True, False]])
    assert np.isnat(as_table(days).native).tolist() == [[True, False]]
    # digits that a float lacks stay, as objects
    ids = np.ma.masked_array([[2**53 + 1, 2]], mask=[[False, True]])
    assert as_table(ids).native.tolist() == [[2**53 + 1, None]]
    rows = [np.ma.masked_array([junk, 1.0], mask=[True, False]), np.array([2.0, 3.0])]
    np.testing.assert_array_equal(as_table(rows).native, [[np.nan, 1.0], [2.0, 3.0]])


def test_byte_order_is_this_machines():
    X = np.arange(6).reshape(2, 3)
    for dtype in (">f8", ">i4", ">u2", ">M8[s]"):
        found = as_table(X.astype(dtype)).native
        assert found.dtype == np.dtype(dtype).newbyteorder("=")
        assert found.dtype.isnative
        np.testing.assert_array_equal(found, X.astype(dtype))
    frame = pd.DataFrame(X.astype(">f8"), columns=["a", "b", "a"], index=[5, 5])
    found = as_table(frame).native
    pd.testing.assert_frame_equal(found, frame.astype("f8"))
    native = pd.DataFrame(X)
    assert as_table(native).native is native


def test_tensors_of_all_kinds():
    X = torch.tensor([[1.5, 2.0]])
    assert as_table(X.to(torch.bfloat16)).native.dtype == np.float32
    assert as_table(X.to(torch.bfloat16)).native.tolist() == [[1.5, 2.0]]
    for dtype in (torch.float16, torch.float64, torch.int8, torch.int64, torch.bool):
        assert as_table(X.to(dtype)).native.tolist() == X.to(dtype).tolist()
    assert as_table(X.T.flip(0)).native.tolist() == [[2.0], [1.5]]


def test_lists_do_not_lose_digits():
    big = 2**53 + 1
    assert as_table([[big, 1]]).native.tolist() == [[big, 1]]
    assert as_table([[2**53, 0.5]]).native.dtype == np.float64
    for rows in ([[1, 0.5], [big, 2]], [[1, np.nan], [big, 2]]):
        with pytest.raises(ValueError, match=f"Row 1 of X holds {big} in column 0.*DataFrame"):
            as_table(rows)
    # NumPy keeps them as objects beside None
    assert as_table([[big, None]]).native.tolist() == [[big, None]]


def test_text_dtypes_become_objects():
    for X in (np.array([["a", "b"]]), np.array([["a", "b"]], dtype=np.dtypes.StringDType())):
        found = as_table(X).native
        assert found.dtype == object
        assert found.tolist() == [["a", "b"]]
    assert as_table(np.array([[b"a"]])).native.tolist() == [[b"a"]]


@pytest.mark.parametrize("kind", ["numpy", "pandas", "polars"])
@pytest.mark.parametrize(
    ("own", "other", "wanted"),
    [
        ([1, 2], [0.5], float),
        ([0.5, 2.0], [1], float),
        ([1, 2], [2**40], int),
        ([2**53 + 1, 2], [0.5], None),
    ],
)
def test_stacks_of_two_dtypes(kind, own, other, wanted):
    def table(cells):
        if kind == "numpy":
            return as_table(np.array(cells)[:, None])
        return as_table((pd if kind == "pandas" else pl).DataFrame({"a": cells}))

    if wanted is None:
        with pytest.raises(ValueError, match="in common"):
            table(own).stack(table(other))
        return
    first, second = table(own), table(other)
    if kind == "polars" and wanted is float and isinstance(own[0], int):
        # rows to be explained come in the dtype that holds both
        first = table([float(cell) for cell in own])
    found = as_table(first.stack(second).gather(np.array([[0], [1], [2]])))
    assert list(found.column(0)) == [*own, *other]


def test_stacks_of_objects_and_flags():
    own = pd.DataFrame({"a": pd.Series([True, None], dtype=object)})
    stack = as_table(own).stack(as_table(pd.DataFrame({"a": [False]})))
    assert stack.gather(np.array([[0], [1], [2]]))["a"].tolist() == [True, None, False]
    nullable = as_table(pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}))
    stack = nullable.stack(as_table(pd.DataFrame({"a": [0.5]})))
    assert stack.gather(np.array([[0], [2]]))["a"].tolist() == [1, 0.5]
    ids = as_table(pd.DataFrame({"a": pd.array([2**53 + 1, None], dtype="Int64")}))
    with pytest.raises(ValueError, match="in common"):
        ids.stack(as_table(pd.DataFrame({"a": [0.5]})))


@pytest.mark.parametrize(
    ("X", "error", "match"),
    [
        (csr_matrix(np.eye(2)), TypeError, "toarray"),
        (np.zeros(3), ValueError, "reshape"),
        (np.zeros((2, 2, 2)), ValueError, "flatten it"),
        (np.zeros((2, 2), dtype=complex), ValueError, "Complex"),
        (pd.DataFrame({"z": [1j]}), ValueError, "Complex.*'z'.*imaginary"),
        (pl.DataFrame({"a": [1]}).lazy(), TypeError, "collect"),
        (np.array([[(1, 2.0)]], dtype=[("a", int), ("b", float)]), TypeError, "records.*DataFrame"),
        (np.array([[b"ab"]]).view("V2"), TypeError, "records"),
        (3.0, ValueError, "single number"),
        ([[1, 2], [3]], ValueError, "row 1 has 1"),
    ],
)
def test_bad_rows(X, error, match):
    with pytest.raises(error, match=match):
        as_table(X)


@pytest.mark.parametrize("kind", ["numpy", "object", "pandas", "polars"])
def test_fingerprints_follow_content_alone(kind):
    def make(last):
        if kind == "numpy":
            return np.array([[1.0, np.nan], [2.0, last]])
        if kind == "object":
            return np.array([["a", 1.0], [None, last]], dtype=object)
        columns = {"a": ["x", None], "b": [1.0, float(last)]}
        if kind == "pandas":
            return pd.DataFrame(columns | {"c": pd.Categorical(["u", "v"])})
        return pytest.importorskip("polars").DataFrame(columns)

    first = as_table(make(3.0))
    assert first.fingerprint() == as_table(make(3.0)).fingerprint()
    assert first.fingerprint() == first.take(np.array([0, 1])).fingerprint()
    assert first.fingerprint() != as_table(make(4.0)).fingerprint()
    assert first.fingerprint() != first.take(np.array([1, 0])).fingerprint()


@pytest.mark.parametrize("kind", ["numpy", "pandas"])
def test_copies_share_nothing(kind):
    X = np.zeros((2, 2)) if kind == "numpy" else pd.DataFrame({"a": [0.0], "b": [0.0]})
    copied = as_table(X).copied()
    if kind == "numpy":
        copied += 1.0
    else:
        copied.iloc[0, 0] = 1.0
    assert not np.asarray(X).any()
