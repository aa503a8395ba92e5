"""Arrays, lists, tensors and polars frames where columns of any other dtype were fitted."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from columns import Kind, expected, same

from fastexplain import TabularMasker
from fastexplain.tables import as_table

D1, D2 = pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-02")
TENTH = Decimal("0.1")
HALF = pd.Timestamp("2020-01-01 00:00:00.5")
HOURS = [pd.Timedelta(i, "h") for i in (1, 2, 3)]


def column(*cells, dtype=object):
    out = np.empty((len(cells), 1), dtype=dtype)
    out[:, 0] = cells
    return out


ARRAYS = {
    "int64": (column(1, 0, 1, dtype=int), Kind("number", [1, 0, 1])),
    "uint64": (column(1, 0, 2**63, dtype="u8"), Kind("number", [1, 0, 2**63])),
    "big-endian": (column(1, 0, 2, dtype=">i4"), Kind("number", [1, 0, 2])),
    "float64": (column(1.5, 0.1, 2, dtype=float), Kind("number", [1.5, 0.1, 2])),
    "float32": (column(1.5, 0.25, 2, dtype="f4"), Kind("number", [1.5, 0.25, 2])),
    "float16": (column(1.5, 0.25, 2, dtype="f2"), Kind("number", [1.5, 0.25, 2])),
    "longdouble": (column(1.5, 0.25, 2, dtype="g"), Kind("number", [1.5, 0.25, 2])),
    "gaps": (column(1, np.nan, 0, dtype=float), Kind("number", [1, None, 0])),
    "masked": (
        np.ma.masked_array([[1], [0], [7]], mask=[[0], [0], [1]]),
        Kind("number", [1, 0, None]),
    ),
    "masked flags": (
        np.ma.masked_array([[True], [False], [True]], mask=[[0], [0], [1]]),
        Kind("bool", [True, False, None]),
    ),
    "masked words": (
        np.ma.masked_array(column("a", "b", "junk"), mask=[[0], [0], [1]]),
        Kind("text", ["a", "b", None]),
    ),
    "list": ([[1], [0], [1.5]], Kind("number", [1, 0, 1.5])),
    "tensor": (torch.tensor([[1.5], [0.0], [2.0]]), Kind("number", [1.5, 0, 2])),
    "bfloat16": (
        torch.tensor([[1.5], [0.0], [2.0]], dtype=torch.bfloat16),
        Kind("number", [1.5, 0, 2]),
    ),
    "bool": (column(True, False, True, dtype=bool), Kind("bool", [True, False, True])),
    "flags": (column(True, None, False), Kind("bool", [True, None, False])),
    "numbers": (column(1, 2.5, pd.NA), Kind("number", [1, 2.5, None])),
    "decimals": (column(TENTH, Decimal(1), None), Kind("number", [TENTH, 1, None])),
    "text": (column("a", "b", None), Kind("text", ["a", "b", None])),
    "U": (np.array([["a"], ["b"], ["a"]]), Kind("text", ["a", "b", "a"])),
    "yes and no": (column("True", "false", None), Kind("text", ["True", "false", None])),
    "seconds": (column(D1, D2, None).astype("M8[s]"), Kind("moment", [D1, D2, None])),
    "nanoseconds": (
        np.array([["2020-01-01T00:00:00.5"], ["2020-01-02"], ["NaT"]], "M8[ns]"),
        Kind("moment", [HALF, D2, None]),
    ),
    "hours": (np.array([[1], [2], [3]], "m8[h]"), Kind("span", HOURS)),
    "None": (column(None, None, None), Kind("nothing", [None] * 3)),
}


def series(cells, dtype):
    return pl.DataFrame({"x0": pl.Series(cells, dtype=dtype)})


FRAMES = {
    "Int64": (series([1, 0, None], pl.Int64), Kind("number", [1, 0, None])),
    "Int8": (series([1, 0, 1], pl.Int8), Kind("number", [1, 0, 1])),
    "Float64": (series([1.5, float("nan"), None], pl.Float64), Kind("number", [1.5, None, None])),
    "Float32": (series([1.5, 0.25, None], pl.Float32), Kind("number", [1.5, 0.25, None])),
    "Decimal": (
        series([Decimal("1.5"), Decimal("0.25"), None], pl.Decimal(10, 2)),
        Kind("number", [Decimal("1.5"), Decimal("0.25"), None]),
    ),
    "Boolean": (series([True, False, None], pl.Boolean), Kind("bool", [True, False, None])),
    "String": (series(["a", "b", None], pl.String), Kind("text", ["a", "b", None])),
    "Categorical": (series(["a", "b", None], pl.Categorical), Kind("text", ["a", "b", None])),
    "Enum": (
        series(["a", "b", None], pl.Enum(["b", "a", "c"])),
        Kind("text", ["a", "b", None], ["a", "b", "c"]),
    ),
    "Datetime": (series([D1, D2, None], pl.Datetime("us")), Kind("moment", [D1, D2, None])),
    "Duration": (series(HOURS, pl.Duration("us")), Kind("span", HOURS)),
    "Time": (
        series([dt.time(1), dt.time(2), None], pl.Time),
        Kind("time", [dt.time(1), dt.time(2), None]),
    ),
}
NULL = {"Null": (series([None] * 3, pl.Null), Kind("nothing", [None] * 3))}


def cells(rows):
    return rows[:, 0].tolist() if isinstance(rows, np.ndarray) else rows.to_series().to_list()


def check(fitted, given):
    X, kind = fitted
    rows, other = given
    masker = TabularMasker().fit(as_table(X))
    wanted = expected(kind, other)
    if isinstance(wanted, type):
        with pytest.raises(wanted, match="'x0'.*when the explainer was fitted"):
            masker.conform(as_table(rows))
        return
    table = masker.conform(as_table(rows))
    found = [table.native[i, 0] for i in range(3)]
    assert same(found, wanted), (rows, found, wanted)
    stack = masker.source(table).gather(np.array([[0], [3]]))
    assert same([stack[0, 0]], wanted[:1])
    assert same([stack[1, 0]], [masker.background_.native[0, 0]])
    assert masker.null_players(table).shape == (3, 1)


@pytest.mark.parametrize("given", list(ARRAYS | FRAMES | NULL))
@pytest.mark.parametrize("fitted", [name for name in ARRAYS if name != "None"])
def test_arrays(fitted, given):
    every = ARRAYS | FRAMES | NULL
    if fitted == "uint64" and given != "longdouble" and _odd(every[given][1]):
        # fractions, gaps or negative numbers beside the mean of 2**63, which no float holds
        with pytest.raises(ValueError, match="'x0' had dtype uint64"):
            check(ARRAYS[fitted], every[given])
        return
    check(ARRAYS[fitted], every[given])


def _odd(kind):
    """Whether a column has cells that a whole number cannot be."""
    numbers = kind.family in ("number", "bool")
    gaps = any(cell is None for cell in kind.cells) and (numbers or kind.family == "nothing")
    return gaps or (numbers and any(cell != int(cell) for cell in kind.cells))


@pytest.mark.parametrize("given", list(ARRAYS | FRAMES | NULL))
@pytest.mark.parametrize("fitted", list(FRAMES))
def test_polars(fitted, given):
    check(FRAMES[fitted], (ARRAYS | FRAMES | NULL)[given])


def test_missing_stays_what_it_was_to_polars():
    masker = TabularMasker().fit(series([1.5, 2.5], pl.Float64))
    found = masker.conform(as_table(series([float("nan"), None], pl.Float32))).native["x0"]
    assert found.is_nan().to_list() == [True, None]
    whole = TabularMasker().fit(series([1, 2], pl.Int64))
    assert whole.conform(as_table(series([float("nan")], pl.Float64))).native["x0"].to_list() == [
        None
    ]


def test_dtypes_of_arrays():
    masker = TabularMasker().fit(np.array([[1, 2], [3, 4]], "int32"))
    for rows, dtype in (
        (np.ones((1, 2)), "int32"),
        (np.ones((1, 2), "u1"), "int32"),
        (np.full((1, 2), 2**40), "int64"),
        (np.full((1, 2), 0.5, "f4"), "float64"),
        ([[0.5, 1]], "float64"),
        ([[True, None]], "float64"),
    ):
        assert masker.conform(as_table(rows)).native.dtype == dtype
    floats = TabularMasker().fit(np.ones((2, 2), "f4"))
    assert floats.conform(as_table(np.array([[0.1, 0.5]]))).native.dtype == "float64"
    # one column of whole numbers beyond 2**53 beside one of fractions
    rows = pd.DataFrame({"a": [2**53 + 1], "b": [0.5]})
    with pytest.raises(ValueError, match=f"'x0'.*{2**53 + 1} in row 0"):
        masker.conform(as_table(rows))
    with pytest.raises(ValueError, match=f"'x1' had dtype float32.*{2**53 + 1} in row 1"):
        floats.conform(as_table(np.array([[1, 2], [3, 2**53 + 1]])))


def test_columns_of_a_frame_do_not_change_each_other():
    # pandas would make one float array of them
    masker = TabularMasker().fit(np.array([[1, 2], [2**60 + 1, 4]]))
    rows = pd.DataFrame({"a": [2**60 + 1], "b": [4.0]})
    assert masker.conform(as_table(rows)).native.tolist() == [[2**60 + 1, 4]]


def test_arrays_for_frames():
    frame = pd.DataFrame({"n": [1, 2], "t": ["a", "b"], "k": pd.Categorical(["u", "v"])})
    masker = TabularMasker().fit(frame)
    rows = np.array([[2.0, "a", None], [1, "c", "v"]], dtype=object)
    found = masker.conform(as_table(rows)).native
    assert found.dtypes.tolist() == frame.dtypes.tolist()
    assert found["n"].tolist() == [2, 1]
    assert found["k"].isna().tolist() == [True, False]
    polars = pl.DataFrame({"n": [1, 2], "t": ["a", "b"]})
    assert TabularMasker().fit(polars).conform(as_table(rows[:, :2])).native.schema == polars.schema


@pytest.mark.parametrize(
    ("fitted", "given", "match"),
    [
        (pd.DataFrame({"a": [1]}), pl.DataFrame({"a": [1]}), r"pandas data.*X\.to_pandas\(\)"),
        (pl.DataFrame({"a": [1]}), pd.DataFrame({"a": [1]}), r"polars data.*polars\.from_pandas"),
        (np.ones((1, 2)), np.ones((1, 3)), "3 columns.*fitted on 2"),
        (pd.DataFrame({"a": [1], "b": [2]}), pd.DataFrame({"b": [1], "a": [2]}), "same order"),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"z": [1]}), r"columns \['z'\].*\['a'\]"),
        (pl.DataFrame({"a": [1]}), pl.DataFrame({"z": [1]}), r"columns \['z'\].*\['a'\]"),
    ],
)
def test_other_columns(fitted, given, match):
    with pytest.raises(ValueError, match=match):
        TabularMasker().fit(fitted).conform(as_table(given))
