"""Values, cells and tables as JSON: what comes back is what was given, and nothing runs."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastexplain.labels import KernelShapley
from fastexplain.persistence import decode_table, decode_value, encode_table, encode_value
from fastexplain.tables import Table

PARIS = ZoneInfo("Europe/Paris")


def there_and_back(value: Any) -> Any:
    return decode_value(json.loads(json.dumps(encode_value(value), allow_nan=False)))


def assert_comes_back(value: Any) -> None:
    back = there_and_back(value)
    assert type(back) is type(value)
    assert repr(back) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        7,
        10**40,
        0.1,
        -0.0,
        5e-324,
        float("inf"),
        float("nan"),
        "text",
        "half of a pair \ud800",
        b"\x00\xff",
        dt.date(2024, 1, 31),
        dt.datetime(2024, 10, 27, 2, 30, 0, 5, tzinfo=PARIS, fold=1),
        dt.datetime(1, 1, 1),
        dt.time(23, 59, tzinfo=dt.timezone(dt.timedelta(hours=-3, seconds=1))),
        dt.timedelta(-1, 5, 7),
        Decimal("1.250"),
        Decimal("-Infinity"),
        Decimal("NaN"),
        Fraction(-1, 3),
        uuid.UUID(int=5),
        (1, ("a", 2.5, dt.date(2024, 1, 1))),
        [1, [2.5, None]],
        {"a": [1, 2], ("b", 1): {"c": None}, 3: (4,)},
        {"float": "not ours"},
        frozenset({1}),
        {2},
        np.float32(0.1),
        np.float64("nan"),
        np.int8(3),
        np.bool_(True),
        np.str_("ab"),
        np.bytes_(b"ab"),
        np.longdouble("0.1") / 3,
        np.datetime64("2024-01-01"),
        np.datetime64("2024-01-01", "25s"),
        np.datetime64("NaT", "ns"),
        np.datetime64("NaT"),
        np.timedelta64(5, "h"),
        pd.NA,
        pd.NaT,
        pd.Timestamp("2024-10-27 00:30", tz="UTC").tz_convert(PARIS),
        pd.Timestamp("1500-01-01").as_unit("s"),
        pd.Timedelta("3h"),
        pd.Period("2024-01", "M"),
        pd.Period("2024-01-05", "W-WED"),
        pd.Interval(0, 1.5),
        pd.Interval(pd.Timestamp("2024"), pd.Timestamp("2025"), "both"),
        np.arange(6.0).reshape(2, 3),
        np.array(["a", None, 1.5, dt.date(2024, 1, 1)], dtype=object),
        np.array(["a", "bcd"]),
        np.array([b"x"]),
        np.array(["2024", "NaT"], "M8[D]"),
        np.array([True, False]),
        np.array([0.5, np.inf], dtype=np.float16),
        np.zeros((0, 4)),
        np.array(3),
        KernelShapley(32),
    ],
    ids=lambda value: f"{type(value).__name__}-{value}"[:40],
)
def test_values_come_back(value: Any) -> None:
    assert_comes_back(value)


PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.dates(),
    st.datetimes(timezones=st.none() | st.just(dt.UTC) | st.just(PARIS)),
    st.times(),
    st.timedeltas(),
    st.decimals(),
    st.fractions(),
    st.uuids(),
)


@given(st.recursive(PLAIN, lambda inner: st.lists(inner) | st.tuples(inner, inner), max_leaves=8))
@settings(max_examples=200, deadline=None)
def test_any_values_come_back(value: Any) -> None:
    assert_comes_back(value)


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(["Y", "D", "s", "ms", "us", "ns", "as"]))
@settings(max_examples=100, deadline=None)
def test_moments_of_any_unit_come_back(count: int, unit: str) -> None:
    for make in (np.datetime64, np.timedelta64):
        back = there_and_back(make(count, unit))
        assert back.dtype == make(count, unit).dtype
        assert back.astype(np.int64) == count


class Own(str):
    """A text of the user's own type."""


@pytest.mark.parametrize(
    "value",
    [1j, object(), len, Own("a"), np.complex64(1), 10**5000, np.zeros(2, dtype="i4,f4"), print],
    ids=lambda value: type(value).__name__,
)
def test_values_of_other_types_are_refused(value: Any) -> None:
    for inside in (value, [value], (1, value), {"a": value}):
        with pytest.raises(TypeError):
            encode_value(inside)


def test_values_within_themselves_are_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(TypeError, match="deep"):
        encode_value(value)


# -- columns -----------------------------------------------------------------------------------
def columns() -> dict[str, Any]:
    spans = pd.arrays.IntervalArray.from_tuples([(0, 1), (1, 2)], closed="left")
    days = pd.interval_range(pd.Timestamp("2024", tz=PARIS), periods=3)
    cells = [Decimal(1), None, np.nan, pd.NaT, pd.NA, "x", (1, 2), pd.Timestamp("2024"), True]
    mask = np.array([False, False, True])
    return {
        "float32": pd.Series([0.1, np.nan], dtype="float32"),
        "uint8": pd.Series([1, 2], dtype="uint8"),
        "bool": pd.Series([True, False]),
        "object": pd.Series(cells, dtype=object),
        "nullable": pd.array([1, None, 3], dtype="Int16"),
        "nullable float with NaN": pd.arrays.FloatingArray(np.array([1.0, np.nan, 3.0]), mask),
        "nullable bool": pd.array([True, None], dtype="boolean"),
        "str": pd.array(["a", None], dtype="str"),
        "string": pd.array(["a", None], dtype="string"),
        "sparse": pd.array([0, 0, 1.5], dtype=pd.SparseDtype(float, 0.0)),
        "naive": pd.date_range("2024", periods=3).as_unit("s"),
        "zoned": pd.date_range("2024-10-27", periods=5, freq="h", tz=PARIS),
        "offset": pd.date_range("2024", periods=3, tz="UTC+01:00"),
        "far": pd.Series(["3001-01-01", "1500-01-01"]).astype("datetime64[s]"),
        "span": pd.to_timedelta([1, None], unit="h"),
        "period": pd.period_range("2020-01", periods=12, freq="M"),
        "period with NaT": pd.PeriodIndex(["2024-01-01", "NaT"], freq="D"),
        "interval": pd.cut(np.arange(12.0), 4),
        "interval of dates": days,
        "interval closed left": spans,
        "interval with NaN": pd.arrays.IntervalArray.from_tuples([(0, 1), np.nan]),
        "categories of text": pd.Categorical(["a", None, "b"], ordered=True),
        "categories of numbers": pd.Categorical([1.5, 2.5]),
        "categories of dates": pd.Categorical([dt.date(2024, 1, 1), dt.date(2024, 1, 2)]),
        "categories of timestamps": pd.Categorical(pd.date_range("2024", periods=3)),
        "categories of periods": pd.Categorical(pd.period_range("2020", periods=3, freq="Q")),
        "categories of decimals": pd.Categorical([Decimal("1.5"), Decimal(2)]),
        "categories of tuples": pd.Series([(1, 2), (3, 4)]).astype("category"),
        "no categories": pd.Categorical([None, None]),
    }


@pytest.mark.parametrize("name", columns())
def test_columns_of_pandas_come_back(name: str) -> None:
    series = pd.Series(columns()[name], name="x")
    for rows in (slice(None), slice(0, 1), slice(0, 0)):
        frame = pd.DataFrame({"x": series[rows], "y": series[rows]})
        back = decode_table(json.loads(json.dumps(encode_table(Table(frame))))).native
        pd.testing.assert_frame_equal(back, frame, check_freq=False)
        assert list(back.dtypes) == list(frame.dtypes)
        assert type(back["x"].array) is type(frame["x"].array)
        assert [type(cell) for cell in back["x"]] == [type(cell) for cell in frame["x"]]


def test_columns_of_pyarrow_come_back() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    days = pd.Series(pd.date_range("2024", periods=2, tz="UTC"))
    frame = pd.DataFrame(
        {
            "number": pd.Series([1, None], dtype="int64[pyarrow]"),
            "text": pd.Series(["a", None], dtype=pd.ArrowDtype(pyarrow.string())),
            "day": pd.Series([dt.date(2024, 1, 1)] * 2, dtype=pd.ArrowDtype(pyarrow.date32())),
            "moment": days.astype("timestamp[us, tz=UTC][pyarrow]"),
            "decimal": pd.Series(
                [Decimal("1.25"), None], dtype=pd.ArrowDtype(pyarrow.decimal128(5, 2))
            ),
        }
    )
    back = there_and_back(frame)
    pd.testing.assert_frame_equal(back, frame)
    assert list(back.dtypes) == list(frame.dtypes)


@pytest.mark.parametrize(
    "index",
    [
        pd.Index([3, 1]),
        pd.Index([0.5, 1.5]),
        pd.RangeIndex(2),
        pd.Index(["a", "a"]),
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["x", None]),
        pd.date_range("2024", periods=2),
        pd.CategoricalIndex(["a", "b"], name="q"),
        pd.Index([("a", 1), "b"], tupleize_cols=False),
    ],
    ids=lambda index: type(index).__name__ + str(index.dtype),
)
def test_names_of_columns_come_back(index: Any) -> None:
    frame = pd.DataFrame(np.zeros((1, 2)), columns=index)
    back = decode_table(json.loads(json.dumps(encode_table(Table(frame))))).native
    assert back.columns.equals(index) and back.columns.names == index.names
    assert back.columns.dtype == index.dtype
    series = pd.Series([1.0, 2.0], index=index)
    pd.testing.assert_series_equal(there_and_back(series), series, check_freq=False)


def test_frames_of_polars_come_back() -> None:
    pl = pytest.importorskip("polars")
    moment = dt.datetime(2024, 1, 1, 3)
    frame = pl.DataFrame(
        {
            "float": [1.0, None, float("nan")],
            "float32": pl.Series([0.1, 0.2, 0.3], dtype=pl.Float32),
            "small": pl.Series([1, 2, None], dtype=pl.Int16),
            "large": pl.Series([1, 2**100, 3], dtype=pl.Int128),
            "text": ["x", None, "z"],
            "bytes": [b"a", b"b", None],
            "flag": [True, None, False],
            "nothing": [None, None, None],
            "category": pl.Series(["a", "b", "a"], dtype=pl.Categorical),
            "enum": pl.Series(["a", "b", "a"], dtype=pl.Enum(["b", "a"])),
            "day": [dt.date(2024, 1, 1)] * 3,
            "moment": pl.Series([moment] * 3, dtype=pl.Datetime("ns", "Europe/Paris")),
            "span": pl.Series([dt.timedelta(1)] * 3, dtype=pl.Duration("ms")),
            "time": [dt.time(1, 2, 3)] * 3,
            "decimal": pl.Series([Decimal("1.25")] * 3, dtype=pl.Decimal(10, 2)),
        }
    )
    # nanoseconds, which Python's datetimes have not
    frame = frame.with_columns((pl.col("moment").to_physical() + 7).cast(frame.schema["moment"]))
    for rows in (frame, frame[:1], frame[:0]):
        back = decode_table(json.loads(json.dumps(encode_table(Table(rows))))).native
        assert back.schema == rows.schema
        assert back.equals(rows)
    for other in (pl.Series("a", [[1]]), pl.Series("a", [{"b": 1}])):
        with pytest.raises(TypeError, match="column 'a'"):
            encode_table(Table(pl.DataFrame([other])))


def test_categories_of_polars_with_names_come_back() -> None:
    pl = pytest.importorskip("polars")
    if not hasattr(pl, "Categories"):
        pytest.skip("polars has no named categories")
    dtype = pl.Categorical(pl.Categories("towns", physical=pl.UInt8))
    assert there_and_back(pl.Series("a", ["x", "y"], dtype=dtype)).dtype == dtype


def test_a_column_that_cannot_be_saved_is_named() -> None:
    for table in (
        pd.DataFrame({"a": [1.0], "b": pd.Series([1j], dtype=object)}),
        np.array([[1.0, 1j]], dtype=object),
    ):
        with pytest.raises(TypeError, match=r"column '(b|x1)' holds a value of type .*complex"):
            encode_table(Table(table))


# -- what is not as it was written -------------------------------------------------------------
BOMB = {"dtype": "<U1000000", "shape": [2000], "cells": [""] * 2000}


@pytest.mark.parametrize(
    "content",
    [
        [1],
        {},
        {"a": 1, "b": 2},
        {"unknown": 1},
        {"float": "1e5"},
        {"float": 1},
        {"bytes": "***"},
        {"bytes": 3},
        {"date": "tomorrow"},
        {"date": 5},
        {"datetime": ["2024-01-01", 7, None]},
        {"datetime": ["2024-01-01", 0, ["zoneinfo", "../../etc/passwd"]]},
        {"datetime": ["2024-01-01", 0, ["zoneinfo", "Mars/Crater"]]},
        {"datetime": ["2024-01-01", 0, ["offset", 10**12]]},
        {"datetime": ["2024-01-01", 0, "UTC"]},
        {"decimal": "1e999999999999"},
        {"decimal": 1.5},
        {"fraction": [1, 0]},
        {"fraction": ["1e999999999", 1]},
        {"timedelta": [10**12, 0, 0]},
        {"uuid": "no"},
        {"list": {"a": 1}},
        {"map": [[1, 2], [1, 3]]},
        {"map": [[{"list": []}, 1]]},
        {"set": [{"list": []}]},
        {"scalar": ["O", 1]},
        {"scalar": ["<c16", 1]},
        {"scalar": ["<i1", 1000]},
        {"scalar": ["<f8", "1"]},
        {"scalar": ["V1000000000", ""]},
        {"array": {"dtype": "<f8", "shape": [2], "cells": [1.0]}},
        {"array": {"dtype": "<f8", "shape": [-1], "cells": [1.0]}},
        {"array": {"dtype": "<f8", "shape": [10**18], "cells": []}},
        {"array": {"dtype": "<U1000000000", "shape": [1], "cells": ["a"]}},
        {"array": {"dtype": "V1000000000", "shape": [1], "cells": ["a"]}},
        {"array": BOMB},
        {"array": {"dtype": "<f8", "shape": [1], "cells": ["1e5"]}},
        {"array": {"dtype": "<i8", "shape": [1], "cells": [2**70]}},
        {"array": {"dtype": "|b1", "shape": [1], "cells": [1]}},
        {"timestamp": [10**30, "ns", None]},
        {"timestamp": [0, "fortnight", None]},
        {"period": [0, "os.system"]},
        {"interval": [2, 1, "left"]},
        {"missing": "gone"},
        {"source": ["os.system", {"command": "ls"}]},
        {"source": ["KernelShapley", {"n_queries": -5}]},
        {"frame": {"columns": [], "names": {}, "rows": 1}},
        {"polars_frame": [{"name": "a", "dtype": ["Object"], "cells": [1]}]},
        {"polars_frame": [{"name": "a", "dtype": ["Int8"], "cells": [1000]}]},
        {"polars_frame": [{"name": "a", "dtype": ["Int8"], "cells": [1]}] * 2},
    ],
    ids=lambda content: str(content)[:50],
)
def test_what_is_not_as_it_was_written_is_refused(content: Any) -> None:
    with pytest.raises(ValueError):
        decode_value(content)


@pytest.mark.parametrize(
    "column",
    [
        {"kind": "os.system", "cells": []},
        {"kind": "numpy", "dtype": "category", "cells": []},
        {"kind": "numpy", "dtype": "<f8", "cells": [1.0], "more": 1},
        {"kind": "nullable", "dtype": "Int1000000000", "cells": [1]},
        {"kind": "zoned", "unit": "ns", "zone": ["zoneinfo", "x"], "cells": [0]},
        {"kind": "period", "dtype": "period[os]", "cells": [0]},
        {"kind": "text", "storage": "disk", "missing": "NA", "cells": []},
        {
            "kind": "category",
            "categories": {"kind": "numpy", "dtype": "<i8", "cells": [1]},
            "ordered": False,
            "cells": [7],
        },
    ],
    ids=lambda column: column["kind"],
)
def test_columns_that_are_none_are_refused(column: dict[str, Any]) -> None:
    names = encode_value(pd.Index(["a"]))["index"]
    n = len(column["cells"])
    with pytest.raises(ValueError):
        decode_value({"frame": {"columns": [column], "names": names, "rows": n}})


def test_depth_is_bounded() -> None:
    content: Any = 1
    for _ in range(30):
        content = {"list": [content]}
    with pytest.raises(ValueError, match="deep"):
        decode_value(content)
