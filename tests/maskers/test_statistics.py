"""Means, medians and modes against exact arithmetic, in every dtype of numbers."""

import datetime as dt
import statistics
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastexplain.maskers._statistics import statistic
from fastexplain.tables import as_table


def of(X, how="mean", categorical=False):
    return statistic(as_table(X), 0, how, categorical)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(["i1", "i4", "i8", "u1", "u4", "u8"]).flatmap(
        lambda d: st.tuples(
            st.just(d),
            st.lists(
                st.integers(int(np.iinfo(d).min), int(np.iinfo(d).max)), min_size=1, max_size=9
            ),
        )
    )
)
def test_whole_numbers_are_exact(drawn):
    dtype, values = drawn
    mean = round(Fraction(sum(values), len(values)))
    median = round(Fraction(statistics.median(map(Fraction, values))))
    array = np.array(values, dtype=dtype)[:, None]
    frame = pd.DataFrame({"a": array[:, 0]})
    for X in (array, frame, frame.astype(object), pl.DataFrame({"a": array[:, 0]})):
        assert of(X) == mean
        assert of(X, "median") == median


def test_floats_do_not_overflow():
    large = np.full((10, 1), 60000, dtype="float16")
    for X in (large, pd.DataFrame(large), pl.DataFrame({"a": large[:, 0].astype("f4")})):
        assert of(X) == 60000
    huge = np.full((10, 1), 1.5e308)
    assert of(huge) == pytest.approx(1.5e308)
    assert of(pd.DataFrame(huge)) == pytest.approx(1.5e308)
    assert of(np.array([[np.nan], [np.inf], [2.0]])) == 2.0
    wide = np.array([[np.longdouble(1) / 3]])
    assert of(wide) == wide[0, 0]


def test_decimals_stay_decimals():
    cells = [Decimal("0.10"), Decimal("0.25"), None, Decimal("0.40")]
    for X in (pd.DataFrame({"a": pd.Series(cells, dtype=object)}), np.array([[c] for c in cells])):
        assert of(X) == Decimal("0.25")
        assert isinstance(of(X, "median"), Decimal)
        assert of(X, "zero") == 0
        assert isinstance(of(X, "zero"), Decimal)
    mixed = np.array([[Decimal("0.5")], [1.5]], dtype=object)
    assert of(mixed) == 1.0


def test_gaps_count_for_nothing():
    for X in (
        np.array([[1], [None], [pd.NA], [4]], dtype=object),
        pd.DataFrame({"a": pd.array([1, None, 4], dtype="Int64")}),
        np.ma.masked_array([[1], [90], [4]], mask=[[0], [1], [0]]),
        pl.DataFrame({"a": [1, None, 4]}),
    ):
        assert of(X) in (2, 2.5)
    assert of(pd.DataFrame({"a": pd.array([None], dtype="Int64")})) is pd.NA
    assert of(pl.DataFrame({"a": pl.Series([None], dtype=pl.Int64)})) is None


def test_codes_have_a_mode():
    cells = [6, 0, 0, 6, 3]
    for X in (
        np.array(cells)[:, None],
        np.array([*cells, np.nan])[:, None],
        np.array([*cells, None], dtype=object)[:, None],
        pd.DataFrame({"a": pd.array([*cells, None], dtype="Int64")}),
        pl.DataFrame({"a": [*cells, None]}),
    ):
        # the smaller of two as frequent ones, whatever the order
        assert of(X, categorical=True) == 0
        assert of(X, "median", categorical=True) == 0
        assert of(X) == 3
    assert np.isnan(of(np.array([[np.nan]]), categorical=True))


def test_moments_are_exact():
    days = np.array([["2020-01-01"], ["2020-01-03"], ["NaT"]], "M8[ns]")
    assert of(days) == np.datetime64("2020-01-02")
    assert of(np.array([["3000-01-01"], ["3000-01-03"]], "M8[D]")) == np.datetime64("3000-01-02")
    frame = pl.DataFrame({"a": [dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 2), None]})
    assert of(frame) == dt.datetime(2020, 1, 1, 12)


@pytest.mark.parametrize("X", [np.array([["a"]]), pd.DataFrame({"a": pd.to_datetime(["2020"])})])
def test_nothing_is_the_zero_of_all(X):
    with pytest.raises(ValueError, match="zero.*use baseline='mean'"):
        of(X, "zero")
