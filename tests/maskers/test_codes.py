"""Whole numbers that are codes: declared, told of, or given a baseline of their own."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.datasets import load_digits

from fastexplain import TabularMasker
from fastexplain.maskers._codes import rare_values
from fastexplain.tables import as_table

RNG = np.random.default_rng(0)
SHOP = RNG.choice(7, 2000, p=[0.4, 0.02, 0.02, 0.02, 0.02, 0.02, 0.5])
FRAME = pd.DataFrame({"shop": SHOP, "price": RNG.normal(size=2000)})


def told(X, **given):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        masker = TabularMasker(**given).fit(X)
    return masker, [str(warning.message) for warning in caught]


def shop_of(masker):
    return np.asarray(masker.background_.native)[0, 0]


@pytest.mark.parametrize(
    "X",
    [
        FRAME,
        FRAME.astype({"shop": "Int64"}),
        FRAME.astype({"shop": float}),
        FRAME.astype({"shop": object}),
        FRAME.to_numpy(),
        pl.DataFrame({"shop": SHOP, "price": FRAME["price"].to_numpy()}),
    ],
    ids=["int64", "Int64", "float", "object", "array", "polars"],
)
def test_a_mean_that_is_hardly_any_row_is_told_of(X):
    name = "x0" if isinstance(X, np.ndarray) else "shop"
    _, said = told(X)
    assert len(said) == 1
    # floats keep their mean; whole numbers take the next one
    floats = name == "x0" or (isinstance(X, pd.DataFrame) and X["shop"].dtype == float)
    value = f"{SHOP.mean():.6g} (in no row)" if floats else "3 (in 1.8% of the rows)"
    for part in (f"'{name}' by {value}", f"categorical=['{name}']", f"{{'{name}': ", "'median'"):
        assert part in said[0]
    for cure in (
        {"categorical": [name]},
        {"categorical": 0},
        {"categorical": [True, False]},
        {"baseline": {name: 6}},
    ):
        masker, said = told(X, **cure)
        assert said == []
        assert shop_of(masker) == 6
    _, said = told(X, baseline="marginal")
    assert said == []


def test_the_median_is_told_of_without_itself_as_the_cure():
    # two frequent codes far apart, and a rare one between them
    cells = np.array([1] * 999 + [5] * 2 + [9] * 999)
    _, said = told(cells[:, None], baseline="median")
    assert "The median" in said[0]
    assert "baseline='median'" not in said[0]


@pytest.mark.parametrize(
    "cells",
    [
        RNG.integers(18, 90, 2000),
        np.clip(RNG.normal(40, 12, 2000), 18, 90).astype(int),
        RNG.poisson(2.3, 2000),
        RNG.poisson(2.3, 2000).astype(float),
        RNG.poisson(0.2, 300),
        RNG.integers(1, 6, 500),
        RNG.choice([0, 1], 2000, p=[0.3, 0.7]),
        RNG.integers(0, 100, 60),
        RNG.integers(0, 10, 20),
        RNG.integers(0, 10**6, 2000),
        np.where(RNG.random(2000) < 0.1, 500 * RNG.integers(1, 60, 2000), 0),
        RNG.normal(size=2000),
        np.arange(5),
        np.full(50, 7),
    ],
    ids=lambda c: f"{c.dtype}-{len(c)}-{len(np.unique(c))}",
)
def test_quantities_are_not_told_of(cells):
    for X in (cells[:, None], pd.DataFrame({"a": cells})):
        assert told(X)[1] == []


POSTCODES = RNG.choice(RNG.integers(10_000, 99_999, 600), 2000)


@pytest.mark.parametrize(
    ("cells", "value"),
    [
        (np.repeat([1, 9], [900, 1100]), "5 (in no row)"),
        (np.repeat([1.0, 9.0], [900, 1100]), "5.4 (in no row)"),
        (np.repeat([1.0, 2.0], [900, 1100]), "1.55 (in no row)"),
        (np.append(np.tile(np.arange(1.0, 21), 100), 1.0), "10.4953 (in no row)"),
        (np.repeat(np.arange(12.0), [300, 90] * 6), "5.23077 (in no row)"),
        (POSTCODES, f"{round(POSTCODES.mean())} (in no row)"),
        (POSTCODES.astype(float), f"{POSTCODES.mean():.6g} (in no row)"),
    ],
    ids=["two", "two floats", "1 and 2", "as frequent", "up and down", "post", "post floats"],
)
def test_a_mean_that_no_row_has_is_told_with_its_true_value(cells, value):
    _, said = told(pd.DataFrame({"a": cells}))
    assert len(said) == 1
    assert f"'a' by {value}" in said[0]


def rounded(mean, sd, low, high, n=2000):
    return np.clip(RNG.normal(mean, sd, n), low, high).round()


@pytest.mark.parametrize(
    "cells",
    [
        rounded(39, 12, 17, 90),
        rounded(39, 12, 17, 90, n=300),
        rounded(5, 2, 1, 9),
        np.where(RNG.random(2000) < 0.3, 0.0, rounded(8, 3, 1, 20)),
        RNG.integers(20, 61, 2000).astype(float),
        RNG.geometric(0.3, 2000).astype(float),
        RNG.choice([0.0, 1.0], 2000),
        RNG.choice([0.0, 1.0, np.nan], 2000),
        1000 * RNG.integers(20, 900, 5000),
        (RNG.lognormal(13, 0.5, 5000) / 1000).astype(int) * 1000 - 1,
        RNG.integers(0, 1000, 5000),
        RNG.negative_binomial(1, 0.005, 5000),
    ],
    ids=[
        "ages",
        "few ages",
        "marks",
        "counts with many zeros",
        "ages as frequent",
        "counts",
        "flags",
        "flags and none",
        "rounded amounts",
        "prices",
        "whole range",
        "long tail",
    ],
)
def test_quantities_of_all_sorts_are_not_told_of(cells):
    assert told(pd.DataFrame({"a": cells}))[1] == []


@pytest.mark.parametrize("seed", range(20))
def test_few_rows_of_ordinary_quantities_are_not_told_of(seed):
    rng = np.random.default_rng(seed)
    for n in (20, 60, 200, 1000):
        columns = {
            "age": rng.normal(40, 12, n).round(),
            "children": rng.poisson(1.5, n).astype(float),
            "rooms": rng.normal(5, 1.5, n).round(),
            "weight": rng.normal(75, 12, n).astype(int),
        }
        assert told(pd.DataFrame(columns))[1] == []


def test_one_warning_for_all_columns():
    X = np.repeat(SHOP[:, None], 7, axis=1)
    _, said = told(X)
    assert len(said) == 1
    assert "'x4' by 3" in said[0]
    assert "and 2 more columns" in said[0]
    # what was named is not told of
    found = rare_values(as_table(X), TabularMasker({"x1": 6}).fit(X).background_, [0, 2])
    assert list(found) == [0, 2]
    assert found[0] == (3, np.mean(SHOP == 3))


def test_many_columns_of_one_range_are_readings_of_one_kind():
    assert told(np.repeat(SHOP[:, None], 8, axis=1))[1] == []
    assert told(load_digits().data)[1] == []


def test_categorical_by_name_position_and_group():
    masker = TabularMasker(categorical=["price", 0], groups={"all": ["shop", "price"]}).fit(FRAME)
    assert masker.categorical_ == [0, 1]
    assert TabularMasker(categorical="shop").fit(FRAME).categorical_ == [0]
    assert TabularMasker(categorical=pd.Index(["shop"])).fit(FRAME).categorical_ == [0]
    assert TabularMasker(categorical=np.array([False, True])).fit(FRAME).categorical_ == [1]
    assert TabularMasker().fit(FRAME, known_codes=[0]).categorical_ == [0]
    both = TabularMasker(categorical=[1])
    assert both.fit(FRAME, known_codes=[0]).categorical_ == [0, 1]
    assert both.categorical == [1]
    names = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)]))
    assert TabularMasker(categorical=("a", 2)).fit(names).categorical_ == [1]
    numbered = pd.DataFrame([[1, 2]], columns=[1, 0])
    assert TabularMasker(categorical=[1]).fit(numbered).categorical_ == [0]
    twins = pd.DataFrame([[1, 2]], columns=["a", "a"])
    assert TabularMasker(categorical=["a"]).fit(twins).categorical_ == [0, 1]


@pytest.mark.parametrize(
    ("categorical", "match"),
    [
        ("stall", r"categorical names column 'stall'.*\['shop', 'price'\].*positions from 0 to 1"),
        ([2], "column 2"),
        ([-1], "column -1"),
        ([True], "mask needs True or False for each of the 2 columns"),
        ([True, "shop"], "mask"),
        ([0.0], "column 0.0"),
    ],
)
def test_columns_that_are_not_there(categorical, match):
    with pytest.raises(ValueError, match=match):
        TabularMasker(categorical=categorical).fit(FRAME)


def test_codes_are_null_by_equality():
    masker = TabularMasker(categorical=["shop"]).fit(FRAME)
    rows = pd.DataFrame({"shop": [6, 5], "price": [0.0, masker.background_.native["price"].item()]})
    assert masker.null_players(as_table(rows)).tolist() == [[True, False], [False, True]]
    assert masker.schema_.quantity == [False, True]


@pytest.mark.parametrize(
    "baseline",
    [
        {"shop": 6},
        {0: 6},
        pd.Series({"shop": 6}),
        pd.DataFrame({"shop": [6]}),
        {"shop": np.int8(6)},
    ],
    ids=["name", "position", "Series", "frame", "int8"],
)
def test_a_baseline_for_single_columns(baseline):
    frame = FRAME.assign(town=["a", "a", "b", "a"] * 500)
    row = TabularMasker(baseline).fit(frame).background_.native
    assert row["shop"].item() == 6
    assert row["price"].item() == pytest.approx(frame["price"].mean())
    assert row["town"].item() == "a"
    pd.testing.assert_series_equal(row.dtypes, frame.dtypes)
    grouped = TabularMasker(baseline, groups={"both": ["shop", "price"]}).fit(frame)
    assert grouped.background_.native["shop"].item() == 6
    assert grouped.n_players == 2


def test_single_columns_of_a_polars_frame():
    frame = pl.DataFrame({"shop": SHOP, "day": pl.Series([1, 3] * 1000).cast(pl.Date)})
    row = TabularMasker({"shop": 6}).fit(frame).background_.native
    assert row.schema == frame.schema
    assert row["shop"][0] == 6
    assert str(row["day"][0]) == "1970-01-03"


@pytest.mark.parametrize(
    ("baseline", "match"),
    [
        ({"stall": 6}, r"baseline names column 'stall'.*\['shop', 'price'\]"),
        ({7: 6}, "column 7"),
        ({"shop": 6, 0: 5}, "once"),
        ({"shop": "six"}, "'six' does not fit column 'shop'"),
        ({"shop": 0.5}, "0.5 does not fit column 'shop'"),
    ],
)
def test_baselines_that_do_not_fit(baseline, match):
    with pytest.raises(ValueError, match=match):
        TabularMasker(baseline).fit(FRAME)


def test_a_full_row_is_used_as_it_is():
    _, said = told(FRAME, baseline={"price": 0.0, "shop": 3})
    assert said == []


def test_masked_values_in_a_row_are_missing():
    X = np.ones((3, 2))
    for row in ([1.0, np.ma.masked], np.ma.masked_array([1.0, 1e20], mask=[False, True])):
        np.testing.assert_array_equal(TabularMasker(row).fit(X).background_.native, [[1, np.nan]])
    with pytest.raises(ValueError, match="'x1'.*cannot hold a missing value"):
        TabularMasker([1, np.ma.masked]).fit(X.astype(int))
