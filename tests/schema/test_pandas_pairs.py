"""pandas columns of every dtype where a column of any other was fitted: exact, or refused."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from columns import Kind, expected, same

from fastexplain import TabularMasker
from fastexplain.tables import as_table

D1, D2 = pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-02")
TENTH = Decimal("0.1")
YES = [True, False, True]
TICK = pd.Timestamp("2020-01-01 00:00:00.000000001")
U1, U2 = D1.tz_localize("UTC"), D2.tz_localize("UTC")
HOURS = [pd.Timedelta(i, "h") for i in (1, 2, 3)]
MONTHS = list(pd.period_range("2020-01", periods=3, freq="M"))
CUTS = list(pd.cut(pd.Series([1.0, 2.0, 3.0]), 2))


def objects(*cells):
    return pd.Series(cells, dtype=object)


# column, family, cells; labels of category dtypes
COLUMNS = {
    "int64": (np.array([1, 0, 1]), Kind("number", [1, 0, 1])),
    "uint8": (np.array([1, 0, 200], "uint8"), Kind("number", [1, 0, 200])),
    "whole floats": (np.array([1.0, 0.0, 1.0]), Kind("number", [1, 0, 1])),
    "float64": (np.array([1.5, 0.1, 2.0]), Kind("number", [1.5, 0.1, 2.0])),
    "float32": (np.array([1.5, 0.25, 2.0], "float32"), Kind("number", [1.5, 0.25, 2.0])),
    "float16": (np.array([1.5, 0.25, 2.0], "float16"), Kind("number", [1.5, 0.25, 2.0])),
    "longdouble": (np.array([1.5, 0.25, 2.0], np.longdouble), Kind("number", [1.5, 0.25, 2.0])),
    "gaps": (np.array([1.0, np.nan, 0.0]), Kind("number", [1, None, 0])),
    "Int64": (pd.array([1, None, 0], dtype="Int64"), Kind("number", [1, None, 0])),
    "UInt8": (pd.array([1, 2, 0], dtype="UInt8"), Kind("number", [1, 2, 0])),
    "Float32": (pd.array([1.5, 0.25, None], dtype="Float32"), Kind("number", [1.5, 0.25, None])),
    "sparse": (pd.arrays.SparseArray([1.0, 0.0, 2.0]), Kind("number", [1, 0, 2])),
    "decimals": (objects(TENTH, Decimal(1), None), Kind("number", [TENTH, 1, None])),
    "numbers": (objects(1, 2.5, None), Kind("number", [1, 2.5, None])),
    "bool": (np.array([True, False, True]), Kind("bool", [True, False, True])),
    "flags": (objects(True, None, False), Kind("bool", [True, None, False])),
    "boolean": (pd.array([True, None, False], dtype="boolean"), Kind("bool", [True, None, False])),
    "str": (pd.Series(["a", "b", "a"], dtype="str"), Kind("text", ["a", "b", "a"])),
    "words": (objects("a", "b", None), Kind("text", ["a", "b", None])),
    "string": (pd.array(["a", None, "b"], dtype="string"), Kind("text", ["a", None, "b"])),
    "yes and no": (objects("True", "false", None), Kind("text", ["True", "false", None])),
    "digits": (objects("1", "0", "3.5"), Kind("text", ["1", "0", "3.5"])),
    "dates as text": (objects("2020-01-01", None, None), Kind("text", ["2020-01-01", None, None])),
    "letters": (pd.Categorical(["a", "b", "a"]), Kind("text", ["a", "b", "a"], ["a", "b"])),
    "levels": (pd.Categorical([1, 0, None]), Kind("number", [1, 0, None], [0, 1])),
    "halves": (pd.Categorical([1.5, 0.5, 1.5]), Kind("number", [1.5, 0.5, 1.5], [0.5, 1.5])),
    "switch": (pd.Categorical(YES), Kind("bool", YES, [True, False])),
    "days": (pd.Categorical([D1, D2, D1]), Kind("moment", [D1, D2, D1], [D1, D2])),
    "cuts": (pd.Categorical(CUTS), Kind("Interval", CUTS, CUTS)),
    "stamps": (pd.Series([D1, D2, None]).astype("datetime64[us]"), Kind("moment", [D1, D2, None])),
    "ticks": (pd.Series([TICK, D2, None], dtype="M8[ns]"), Kind("moment", [TICK, D2, None])),
    "zoned": (pd.Series([U1, U2, None]), Kind("zoned", [U1, U2, None])),
    "loose stamps": (objects(D1, D2.to_pydatetime(), None), Kind("loose", [D1, D2, None])),
    "spans": (pd.Series(HOURS), Kind("span", HOURS)),
    "months": (pd.Series(MONTHS), Kind("Period", MONTHS)),
    "bytes": (objects(b"a", b"b", b"a"), Kind("bytes", [b"a", b"b", b"a"])),
    "None": (objects(None, None, None), Kind("nothing", [None] * 3)),
    "NaN": (np.full(3, np.nan), Kind("number", [None] * 3)),
}


def frame_of(name):
    # a column beside it keeps the frame mixed
    return pd.DataFrame({"c": COLUMNS[name][0], "other": "k"})


@pytest.mark.parametrize("fitted", [name for name in COLUMNS if name != "None"])
def test_each_pair(fitted):
    masker = TabularMasker().fit(frame_of(fitted))
    dtype = frame_of(fitted)["c"].dtype
    for given in COLUMNS:
        wanted, rows = expected(COLUMNS[fitted][1], COLUMNS[given][1]), frame_of(given)
        if isinstance(wanted, type):
            with pytest.raises(wanted, match="'c'.*when the explainer was fitted"):
                masker.conform(as_table(rows))
            continue
        table = masker.conform(as_table(rows))
        column = table.native["c"]
        assert same(column.to_list(), wanted), (given, column.to_list(), wanted)
        # in the fitted dtype, or in a wider one of numbers or dates, or with gaps among flags
        if column.dtype != dtype:
            widened = column.dtype.kind in "iufM" and dtype.kind in "iufM"
            assert widened or (str(dtype) == "bool" and column.isna().any()), (given, column.dtype)
        # whatever came out stands beside the baseline's cell
        stack = masker.source(table).gather(np.array([[0, 0], [3, 3]]))["c"]
        assert same(stack.to_list()[:1], wanted[:1])
        assert same(stack.to_list()[1:], masker.background_.native["c"].to_list())
        assert masker.null_players(table).shape == (3, 2)


def test_what_is_refused_names_the_cell_and_the_cure():
    masker = TabularMasker().fit(pd.DataFrame({"age": [30, 40], "day": [D1, D2], "on": [True] * 2}))
    good = pd.DataFrame({"age": [1], "day": [D1], "on": [True]})
    for column, value, told in (
        ("age", "34", r"'age' held numbers \(int64\).*'34' in row 0.*to_numeric"),
        ("age", D1, "'age' held numbers.*2020.*as was done for fit"),
        ("day", "2020-01-01", r"'day' held dates.*'2020-01-01' in row 0.*pandas\.to_datetime"),
        ("day", 3, "'day' held dates.*3 in row 0"),
        ("on", "maybe", "'on' held categories.*'maybe' in row 0.*True and False"),
        ("on", 2, "'on' held categories.*2 in row 0.*True and False"),
    ):
        with pytest.raises(TypeError, match=told):
            masker.conform(as_table(good.assign(**{column: [value]})))


def test_digits_are_not_lost():
    big = 2**53 + 1
    masker = TabularMasker().fit(pd.DataFrame({"id": [0.5, 1.5]}))
    with pytest.raises(ValueError, match=f"'id' had dtype float64.*{big} in row 1.*convert"):
        masker.conform(as_table(pd.DataFrame({"id": [1, big]})))
    # nor those of the baseline, which would stand beside a fraction
    masker = TabularMasker({"id": big}).fit(pd.DataFrame({"id": [1, 2, big]}))
    assert masker.background_.native["id"].item() == big
    with pytest.raises(ValueError, match="0.5 in row 0"):
        masker.conform(as_table(pd.DataFrame({"id": [0.5]})))
    whole = masker.conform(as_table(pd.DataFrame({"id": [float(2**60)]})))
    assert whole.native["id"].tolist() == [2**60]
    # a float64 that a float32 would round stays one
    masker = TabularMasker().fit(pd.DataFrame({"a": np.array([0.5, 1.5], "float32")}))
    assert masker.conform(as_table(pd.DataFrame({"a": [0.1]}))).native["a"].tolist() == [0.1]
    assert masker.conform(as_table(pd.DataFrame({"a": [0.5]}))).native["a"].dtype == "float32"


def test_unknown_labels_and_mixed_cells():
    frame = pd.DataFrame({"kind": pd.Categorical(["u", "v"]), "any": objects("a", 1)})
    masker = TabularMasker().fit(frame)
    with pytest.raises(ValueError, match="'kind'.*no place for 'w' in row 0"):
        masker.conform(as_table(frame.assign(kind=["w", "u"])))
    with pytest.raises(TypeError, match="'any'.*True in row 1"):
        masker.conform(as_table(frame.assign(any=objects("a", True))))
    assert masker.conform(as_table(frame)).native is frame


def test_dates_without_a_time_are_not_stamps():
    days = objects(dt.date(2020, 1, 1), dt.date(2020, 1, 2))
    masker = TabularMasker().fit(pd.DataFrame({"day": days}))
    with pytest.raises(TypeError, match="'day'"):
        masker.conform(as_table(pd.DataFrame({"day": [D1, D2]})))
    # a column of stamps takes them for midnight
    masker = TabularMasker().fit(pd.DataFrame({"day": [D1, D2]}))
    table = masker.conform(as_table(pd.DataFrame({"day": days})))
    assert table.native["day"].tolist() == [D1, D2]


def test_finer_stamps_and_other_zones():
    coarse = pd.DataFrame({"day": pd.Series([D1, D2]).astype("datetime64[s]")})
    masker = TabularMasker().fit(coarse)
    table = masker.conform(as_table(pd.DataFrame({"day": pd.Series([TICK])})))
    assert table.native["day"].tolist() == [TICK]
    masker = TabularMasker().fit(pd.DataFrame({"day": [U1, U2]}))
    there = pd.DataFrame({"day": pd.Series([U1]).dt.tz_convert("Asia/Tokyo")})
    found = masker.conform(as_table(there)).native["day"]
    assert found.tolist() == [U1]
    assert str(found.dtype.tz) == "UTC"
    loose = pd.DataFrame({"day": objects(U1.tz_convert("Asia/Tokyo"), None)})
    assert masker.conform(as_table(loose)).native["day"].tolist() == [U1, pd.NaT]
    with pytest.raises(ValueError, match="'day'.*UTC"):
        masker.conform(as_table(pd.DataFrame({"day": objects(U1, D1)})))


def test_the_index_stays():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}, index=[7, 7])
    masker = TabularMasker().fit(frame)
    table = masker.conform(as_table(frame.astype({"a": "int64"})))
    assert table.native.index.tolist() == [7, 7]
    pd.testing.assert_frame_equal(table.native, frame)


def test_columns_of_arrow():
    pytest.importorskip("pyarrow")
    days = pd.Series([D1.date(), None, D2.date()], dtype="date32[pyarrow]")
    masker = TabularMasker().fit(pd.DataFrame({"d": days, "z": "k"}))
    for given in (pd.Series([D1, None]), objects(D1.date(), None)):
        found = masker.conform(as_table(pd.DataFrame({"d": given, "z": "k"}))).native["d"]
        assert found.dtype == days.dtype
        assert found.tolist() == [D1.date(), pd.NA]
    with pytest.raises(ValueError, match="'d'.*03:00:00.* in row 1"):
        late = pd.Series([D1, D1 + pd.Timedelta(3, "h")])
        masker.conform(as_table(pd.DataFrame({"d": late, "z": "k"})))
    numbers = pd.Series([1, None, 3], dtype="int64[pyarrow]")
    masker = TabularMasker().fit(pd.DataFrame({"n": numbers, "z": "k"}))
    for given, dtype in (([1.0, np.nan], "int64[pyarrow]"), ([0.5, 2], "double[pyarrow]")):
        found = masker.conform(as_table(pd.DataFrame({"n": given, "z": "k"}))).native["n"]
        assert str(found.dtype) == dtype
        assert same(found.to_list(), given)
    with pytest.raises(ValueError, match="0.5 in row 1"):
        rows = pd.DataFrame({"n": objects(2**53 + 1, 0.5), "z": "k"})
        masker.conform(as_table(rows))
