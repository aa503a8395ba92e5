"""A table's cells as numbers: codes of categories where they are declared, time in one unit."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fastexplain.networks import TabularEncoder
from fastexplain.networks._encoder import is_quantity, quantiles_of, quantities
from fastexplain.tables import as_table

DAY = 864e11


def test_declared_codes_are_categories():
    X = np.array([[3, 1.5], [7, 2.5], [7, 0.5], [np.nan, 0.0]])
    for table in (as_table(X), as_table(pd.DataFrame(X)), as_table(pl.DataFrame(X))):
        encoder = TabularEncoder.fit(table, 10, [0])
        assert [column.numeric for column in encoder.columns] == [False, True]
        # the most frequent one first; 0 is missing, 1 unknown
        codes = encoder.transform(table)[:, 0]
        assert codes[:3].tolist() == [3, 2, 2]
        assert codes[3] in (0, 1)
    table = as_table(X)
    encoder = TabularEncoder.fit(table, 10, [0])
    # numbers of another dtype are the same codes, and others are unknown
    other = as_table(np.array([[7, 0], [3, 0], [4, 0]], "int8"))
    assert encoder.transform(other)[:, 0].tolist() == [2, 3, 1]
    assert [c.numeric for c in TabularEncoder.fit(table, 10).columns] == [True, True]
    wide = as_table(np.ones((2, 100)))
    assert quantiles_of(wide, range(99)) > quantiles_of(wide)


@pytest.mark.parametrize("unit", ["D", "h", "s", "ms", "us", "ns"])
def test_one_unit_for_all_moments(unit):
    days = np.array(["1970-01-02", "1970-01-03", "NaT"], f"M8[{unit}]")
    wanted = [DAY, 2 * DAY, np.nan]
    np.testing.assert_array_equal(quantities(as_table(days[:, None]), 0), wanted)
    spans = np.array([1, 2, "NaT"], "m8[D]").astype(f"m8[{unit}]")
    np.testing.assert_array_equal(quantities(as_table(spans[:, None]), 0), wanted)
    if unit not in ("D", "h"):
        for column in (pd.Series(days), pd.Series(days).dt.tz_localize("UTC")):
            np.testing.assert_array_equal(quantities(as_table(column.to_frame()), 0), wanted)
    if unit in ("D", "ms", "us", "ns"):
        series = pl.Series(days) if unit != "D" else pl.Series(days).cast(pl.Date)
        np.testing.assert_array_equal(quantities(as_table(pl.DataFrame([series])), 0), wanted)


def test_times_far_away_do_not_overflow():
    far = np.array([["3000-01-01"], ["0900-01-01"]], "M8[s]")
    found = quantities(as_table(far), 0)
    assert found[0] > 3e19
    assert found[1] < -3e19
    years = quantities(as_table(np.array([["1971"]], "M8[Y]")), 0)
    assert years.tolist() == [365 * DAY]
    hour = pl.DataFrame({"a": [dt.time(1)], "b": [dt.timedelta(hours=1)]})
    assert [quantities(as_table(hour), j)[0] for j in (0, 1)] == [3.6e12, 3.6e12]


@pytest.mark.parametrize(
    ("cells", "quantity"),
    [
        (pd.array([1, None], dtype="Int64"), True),
        (pd.Series([1, 2.5, None], dtype=object), True),
        (pd.Series([True, None], dtype=object), False),
        (pd.Series([dt.date(2020, 1, 1)], dtype=object), False),
        (pd.Series([None, None], dtype=object), False),
        (pd.Categorical([1, 2]), False),
        (pd.Series(["a", 1], dtype=object), False),
        (pd.to_timedelta([1], unit="s"), True),
        (pd.period_range("2020", periods=2, freq="M"), False),
    ],
)
def test_what_is_a_quantity(cells, quantity):
    assert is_quantity(as_table(pd.DataFrame({"a": cells})), 0) is quantity


def test_frames_of_one_nullable_dtype():
    frame = pd.DataFrame({"a": [1, None, 3], "b": [4, 5, 6]}, dtype="Int64")
    table = as_table(frame)
    found = TabularEncoder.fit(table, 10).transform(table)
    assert np.isnan(found[1, 0])
    np.testing.assert_allclose(found[:, 1], [-np.sqrt(1.5), 0, np.sqrt(1.5)], rtol=1e-6)
