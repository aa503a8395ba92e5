"""Casts change no cell, checked against exact arithmetic; or what changes is told."""

import datetime as dt
import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fastexplain import ExactExplainer, TabularMasker
from fastexplain._casts import as_moments, cast, changed, common_dtype, tightened
from fastexplain.explainers._cast_checks import warn_if_cast
from fastexplain.masked_model import MaskedModel
from fastexplain.predictors import make_predictor
from fastexplain.tables import as_table

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


class Ids(nn.Module):
    """Looks a value up by an id's last digits, which a float of single precision changes."""

    def __init__(self) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.linspace(-1, 1, 97))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.values[x[:, 0].long() % 97] + x[:, 1].to(self.values.dtype)


RNG = np.random.default_rng(0)
IDS = RNG.integers(10**8, 5 * 10**8, 300)
FLOATS_BESIDE = RNG.normal(size=300)
AS_FLOATS = np.column_stack([IDS, FLOATS_BESIDE])
TABLES = {
    "floats": AS_FLOATS,
    "frame": pd.DataFrame({"x0": IDS, "v": FLOATS_BESIDE}),
    "nullable": pd.DataFrame({"x0": IDS, "v": FLOATS_BESIDE}).astype({"x0": "Int64"}),
    "polars": pl.DataFrame({"x0": IDS, "v": FLOATS_BESIDE}),
}


def told_of_casts(call: Callable[[], Any]) -> tuple[Any, list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call()
    return result, [w for w in caught if "lose digits" in str(w.message)]


def explainer_of(X: Any, module: nn.Module) -> Any:
    return ExactExplainer("shapley", output="regression").fit(X, module)


@pytest.mark.parametrize("name", TABLES)
def test_ids_that_change_on_the_way_to_a_module_are_told_and_double_is_the_cure(name):
    X = TABLES[name]
    explainer, said = told_of_casts(lambda: explainer_of(X, Ids()))
    assert len(said) == 1
    assert "['x0']" in str(said[0].message)
    assert "module.double()" in str(said[0].message)
    _, said = told_of_casts(lambda: explainer.explain(X))
    assert [w.filename for w in said] == [__file__]
    module = Ids().double()
    explainer, said = told_of_casts(lambda: explainer_of(X, module))
    (_, outputs), more = told_of_casts(lambda: explainer.explain(X, return_prediction=True))
    assert [*said, *more] == []
    wanted = module(torch.from_numpy(AS_FLOATS)).detach().numpy()
    np.testing.assert_allclose(outputs[:, 0], wanted, rtol=1e-12)


def test_ids_fitted_as_integers_and_explained_as_floats_are_told():
    X = np.column_stack([IDS, RNG.integers(0, 50, 300)])
    explainer, said = told_of_casts(lambda: explainer_of(X, Ids()))
    assert said == []
    assert told_of_casts(lambda: explainer.explain(X))[1] == []
    floats = X + [0.0, 0.5]
    assert len(told_of_casts(lambda: explainer.explain(floats))[1]) == 1
    # the fraction of one row does not make the column one of fractions
    floats[0, 0] += 0.5
    assert len(told_of_casts(lambda: explainer.explain(floats))[1]) == 1


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_ids_of_four_digits_change_in_half_precision(half):
    X = np.column_stack([RNG.integers(2049, 4000, 300), FLOATS_BESIDE])
    _, said = told_of_casts(lambda: explainer_of(X, Ids().to(half)))
    assert len(said) == 1


def test_ids_beyond_double_precision_are_not_sent_to_it():
    frame = pd.DataFrame({"x0": 2**53 + 1 + 2 * np.arange(300), "v": FLOATS_BESIDE})
    for module in (Ids(), Ids().double()):
        _, said = told_of_casts(lambda module=module: explainer_of(frame, module))
        assert len(said) == 1
        assert "Double precision does not hold them either" in str(said[0].message)
    frame["x0"] = pd.factorize(frame["x0"])[0]
    assert told_of_casts(lambda: explainer_of(frame, Ids()))[1] == []


@pytest.mark.parametrize(
    "column",
    [
        IDS.astype(np.float32),
        RNG.integers(0, 2**24, 300),
        RNG.integers(0, 2**24, 300).astype(float),
        2**20 * RNG.integers(0, 2**20, 300),
        np.where(np.arange(300) % 3, np.nan, RNG.integers(0, 2**24, 300)),
        np.where(np.arange(300) % 3, np.inf, 1.0),
        np.full(300, np.nan),
        RNG.normal(size=300) * 1e9,
        RNG.normal(size=300) * 1e19,
        RNG.random(300) < 0.5,
    ],
    ids=[
        "single precision",
        "integers",
        "floats",
        "even numbers",
        "NaN",
        "inf",
        "all NaN",
        "fractions",
        "large floats",
        "flags",
    ],
)
def test_numbers_that_a_module_gets_as_they_are_are_not_told(column):
    frame = pd.DataFrame({"a": column, "v": FLOATS_BESIDE.astype(np.float32)})
    masked = MaskedModel(
        make_predictor(nn.Linear(2, 1), AS_FLOATS, output="regression"),
        TabularMasker("zero" if column.dtype != bool else "median").fit(frame),
    )
    for training in (True, False):
        table = as_table(frame)
        assert told_of_casts(lambda t=training, x=table: warn_if_cast(masked, x, t))[1] == []


def test_numbers_that_torch_has_not_are_refused_and_the_cures_work():
    X = np.column_stack(
        [RNG.integers(2**63, 2**64 - 1, 300, np.uint64), RNG.integers(0, 5, 300, np.uint64)]
    )
    with pytest.raises(ValueError, match=r"uint64.*torch end at 9223372036854775807.*factorize"):
        explainer_of(X, Ids())
    # a single one, which the first look at the model may miss
    few = X.copy()
    few[:, 0] = 1
    few[7, 0] = 2**63
    with pytest.raises(ValueError, match="X holds 9223372036854775808"):
        explainer_of(few, Ids())
    few[7, 0] = 2**63 - 1
    explainer = explainer_of(few, Ids())
    with pytest.raises(ValueError, match="torch end at"):
        explainer.explain(X[:3])
    codes = np.column_stack([pd.factorize(X[:, 0])[0], X[:, 1].astype(int)])
    assert told_of_casts(lambda: explainer_of(codes, Ids()))[1] == []
    assert told_of_casts(lambda: explainer_of(X.astype(float), nn.Linear(2, 1)))[1] == []
