"""Casts change no cell: checked against exact arithmetic."""

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastexplain._casts import as_moments, cast, changed, common_dtype, tightened

DTYPES = [
    np.dtype(d) for d in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
]
POWERS = [2**k + d for k in (0, 7, 8, 11, 16, 24, 31, 32, 53, 62, 63) for d in (-1, 0, 1)]
EDGES = sorted({*POWERS, *(-p for p in POWERS), 65504, 65520, 2**64 - 1, 2**64 - 2048, 2**63 - 512})
FLOATS = [0.0, -0.0, 0.1, 0.5, 1.5, 1e-8, 65504.0, 65520.0, 1e300, np.inf, -np.inf, np.nan]


def exact(value):
    """A number as a fraction; infinity and NaN as text."""
    value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return Fraction(value)


def cells(dtype):
    if dtype.kind == "b":
        return np.array([True, False])
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.array([*FLOATS, *map(float, EDGES)]).astype(dtype)
    info = np.iinfo(dtype)
    return np.array([v for v in EDGES if info.min <= v <= info.max], dtype=dtype)


def holds(value, dtype):
    """Whether a dtype has a number, by its definition."""
    number = exact(value)
    if dtype.kind == "b":
        return number in (0, 1)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return (
            not isinstance(number, str) and number == int(number) and info.min <= number <= info.max
        )
    with np.errstate(over="ignore"):
        return exact(np.array([value]).astype(dtype)[0]) == number


@pytest.mark.parametrize("source", DTYPES, ids=str)
def test_changed_agrees_with_exact_arithmetic(source):
    values = cells(source)
    for dtype in DTYPES:
        wanted = [not holds(value, dtype) for value in values]
        assert changed(values, dtype).tolist() == wanted, dtype


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.one_of(
            st.integers(-(2**66), 2**66),
            st.floats(allow_nan=False),
            st.fractions(max_denominator=8),
            st.decimals(-(10**6), 10**6, places=3),
        ),
        max_size=4,
    ),
    st.sampled_from([d for d in DTYPES if d.kind in "iuf" and d != np.dtype("f2")]),
)
def test_changed_objects(values, dtype):
    held = np.array([*values, None], dtype=object)[:-1]
    for value, lost in zip(held, changed(held, dtype), strict=True):
        if lost:
            continue
        kept = cast(np.array([value], dtype=object), dtype)[0].item()
        # decimals are held by the float that prints as they do
        printed = Decimal(str(np.dtype(dtype).type(kept))) if isinstance(value, Decimal) else kept
        assert printed == value or (isinstance(value, Decimal) and kept == value)


def test_missing_objects():
    held = np.array([None, pd.NA, np.nan, 1], dtype=object)
    assert changed(held, np.dtype("f8")).tolist() == [False] * 4
    assert changed(held, np.dtype("i8")).tolist() == [True, True, True, False]
    np.testing.assert_array_equal(cast(held, np.dtype("f4")), np.array([np.nan] * 3 + [1], "f4"))


@pytest.mark.parametrize(
    ("first", "second", "dtype"),
    [
        (np.array([1]), np.array([0.5]), "float64"),
        (np.array([2**53 + 1]), np.array([0.5]), None),
        (np.array([1], "i4"), np.array([2**40]), "int64"),
        (np.array([2**63], "u8"), np.array([-1]), "float64"),
        (np.array([2**63 + 1], "u8"), np.array([-1]), None),
        (np.array([0.1], "f4"), np.array([1], "i2"), "float32"),
        (np.array([True]), np.array([0.5]), "object"),
        (np.array(["a"], object), np.array([0.5]), "object"),
        (np.array(["2020"], "M8[s]"), np.array([5], "M8[ns]"), "datetime64[ns]"),
        (np.array(["3000-01-01"], "M8[s]"), np.array([5], "M8[ns]"), None),
        (np.array(["2020"], "M8[s]"), np.array([5], "m8[s]"), "object"),
    ],
)
def test_common_dtype(first, second, dtype):
    found = common_dtype(first, second)
    assert found == (None if dtype is None else np.dtype(dtype))
    assert common_dtype(second, first) == found


def test_tightened():
    def of(*values):
        return tightened(np.array([*values, None], dtype=object)[:-1])

    assert of(1, 2).dtype == np.int64
    assert of(2**63, 1).dtype == np.uint64
    assert of(1.0, 2).dtype == np.float64
    assert of(None, 2).dtype == np.float64
    assert of(Decimal("0.1"), None).tolist()[0] == 0.1
    assert of(2**53 + 1, 0.5).dtype == object
    assert of(2**70 + 1).dtype == object


def test_as_moments():
    def of(*values):
        return as_moments(np.array([*values, None], dtype=object))

    assert of(dt.date(2020, 5, 1)).dtype == "M8[D]"
    tick = pd.Timestamp("2020-01-01 00:00:00.000000001")
    found = of(tick, dt.datetime(2020, 1, 1, 3), np.datetime64("2020-01-02"))
    assert found.dtype == "M8[ns]"
    assert [pd.Timestamp(v) for v in found[:3]] == [
        tick,
        pd.Timestamp("2020-01-01 03:00"),
        pd.Timestamp("2020-01-02"),
    ]
    assert np.isnat(found[3])
    assert of(dt.timedelta(hours=1), pd.Timedelta(1, "ns")).dtype == "m8[ns]"
    assert of(pd.Timestamp("2020", tz="UTC")) is None
    assert of(dt.datetime(3000, 1, 1), np.datetime64(1, "ns")) is None
    assert np.isnat(of()).all()
