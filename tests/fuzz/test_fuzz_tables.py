"""Any table, in any container and dtype: right values, or an error with its cause and cure.

A model that tells every cell from every other, and True from 1 and from "True", is explained; the
values must be those of the cells as the user wrote them, by the definition. The environment
variables ``FASTEXPLAIN_FUZZ_EXPLAIN`` and ``FASTEXPLAIN_FUZZ_FIT`` say how many tables are tried.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from functools import cache
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from table_forms import FORMS, POLARS, POOLS, D, made, matrix, meaning, plain, scores

from fastexplain import ExactExplainer, FEXExplainer

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

EXPLAIN = int(os.environ.get("FASTEXPLAIN_FUZZ_EXPLAIN", 300))
FIT = int(os.environ.get("FASTEXPLAIN_FUZZ_FIT", 100))
SMALL: dict[str, Any] = {
    "n_queries": 1000,
    "hidden_dim": 8,
    "n_blocks": 1,
    "max_steps": 5,
    "random_state": 0,
}
ROWS = 40
#: a cure tells what to do
CURE = re.compile(
    r"\b(pass|convert|give|use|make|fit (again|model)|drop|flatten|encode|bring|say|split|must|"
    r"should match)\b",
    re.IGNORECASE,
)
COUNTS: Counter[str] = Counter()
REASONS: Counter[str] = Counter()


def model(rows: Any) -> np.ndarray:
    return combined(scores(rows))


def combined(s: np.ndarray) -> np.ndarray:
    """One number a row, of which neighbours interact."""
    return s @ (1.0 + np.arange(s.shape[1])) + (s[:, :-1] * s[:, 1:]).sum(axis=1)


def by_definition(row: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Shapley values of scores, by the definition."""
    n = len(row)
    subsets = [s for size in range(n + 1) for s in combinations(range(n), size)]
    kept = np.array([np.isin(np.arange(n), s) for s in subsets])
    value = dict(zip(subsets, combined(np.where(kept, row, base)), strict=True))
    found = np.zeros(n)
    for s in subsets:
        weight = factorial(len(s)) * factorial(n - len(s) - 1) / factorial(n) if len(s) < n else 0
        for i in set(range(n)) - set(s):
            found[i] += weight * (value[tuple(sorted((*s, i)))] - value[s])
    return found


def told(error: Exception, column: bool) -> None:
    """Check that an error says what is wrong and what to do."""
    said = str(error)
    assert isinstance(error, TypeError | ValueError), repr(error)
    assert len(said) > 40, said
    assert CURE.search(said), said
    assert "Reshape your data" not in said, said
    if column:
        assert re.search(r"[Cc]olumn|row \d|Row \d|columns", said), said


# -- explainers, fitted once -------------------------------------------------------------------
def numbers(dtype: Any) -> np.ndarray:
    cells = np.random.default_rng(0).integers(0, 200, (ROWS, 4))
    return made_of(cells / 4 if np.dtype(dtype).kind == "f" else cells).astype(dtype)


def made_of(cells: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(cells)


def choices(pool: list[Any]) -> list[Any]:
    return [pool[i] for i in np.random.default_rng(1).integers(0, len(pool), ROWS)]


def mixed(words: Any = "str", whole: Any = "int64", flags: Any = "bool") -> pd.DataFrame:
    cells = np.random.default_rng(0).integers(0, 200, ROWS)
    return pd.DataFrame(
        {
            "n": pd.Series(cells).astype(whole),
            "x": (cells[::-1] / 4).astype("float32"),
            "on": pd.Series(choices([True, False])).astype(flags),
            "t": pd.Series(choices(["a", "b", "c"]), dtype=words),
            "k": pd.Categorical(choices(["a", "b"]), categories=["b", "a", "True"]),
            "d": pd.Series(choices([D, D + pd.Timedelta(2, "D")])).astype("datetime64[us]"),
        }
    )


def levels() -> pd.DataFrame:
    frame = mixed(object, "Int64", "boolean")
    frame["k"] = pd.Categorical(choices([0, 1, 7]))
    frame["d"] = pd.Series(choices([True, False, None]), dtype=object)
    return frame


def objects() -> np.ndarray:
    frame = mixed()
    return frame[["n", "t", "on", "x"]].astype(object).to_numpy()


FAMILIES = {
    "float64": ["number"] * 4,
    "int32": ["number"] * 4,
    "float32": ["number"] * 4,
    "decimals": ["number"] * 4,
    "bool": ["bool"] * 4,
    "objects": ["number", "text", "bool", "number"],
    "pandas": ["number", "number", "bool", "text", "text", "moment"],
    "levels": ["number", "number", "bool", "text", "number", "bool"],
    "polars": ["number", "number", "bool", "text", "text", "moment"],
}
LABELS: dict[str, dict[int, list[Any]]] = {
    "pandas": {4: ["b", "a", "True"]},
    "levels": {4: [0, 1, 7]},
    "polars": {4: ["b", "a", "True"]},
}


@cache
def training(name: str) -> Any:
    if name in ("float64", "int32", "float32"):
        return numbers(name)
    if name == "decimals":
        held = [made("decimals", list(column)) for column in numbers("float64").T]
        return np.stack(held, axis=1)
    if name == "bool":
        return numbers("int32") > 90
    if name == "objects":
        return objects()
    if name == "pandas":
        return mixed()
    if name == "levels":
        return levels()
    frame = mixed()
    enum = pl.Enum(["b", "a", "True"])
    columns = {c: pl.Series(frame[c].tolist()) for c in ("n", "on", "t")}
    columns["x"] = pl.Series(frame["x"].to_numpy())
    columns["k"] = pl.Series(frame["k"].tolist(), dtype=enum)
    columns["d"] = pl.Series(frame["d"].to_numpy())
    return pl.DataFrame({c: columns[c] for c in ("n", "x", "on", "t", "k", "d")})


@cache
def fitted(name: str, kind: str) -> Any:
    explainer: Any = ExactExplainer("shapley", output="regression")
    if kind == "FEX":
        explainer = FEXExplainer(**SMALL, output="regression")
    return explainer.fit(training(name), model)


# -- tables ------------------------------------------------------------------------------------
LAYOUTS = ["C", "Fortran", "reversed", "read-only", "list", "tuples", "tensor", "masked"]
MATRICES = [f for f, (family, _) in FORMS.items() if family in ("number", "bool", "text", "moment")]
MATRICES = [f for f in MATRICES if f[0].islower() and "[" not in f or f.startswith((">", "M8"))]


def column_of(draw: Any, family: str, n: int, polars: bool) -> Any:
    """A column of one of a family's forms, or, once in a while, of another's."""
    forms = POLARS if polars else FORMS
    of_family = [form for form, (own, _) in forms.items() if own == family]
    strange = draw(st.integers(0, 29)) == 0
    form = draw(st.sampled_from(list(forms) if strange else of_family))
    pool = POOLS[forms[form][0]]
    return made(form, draw(st.lists(st.sampled_from(pool), min_size=n, max_size=n)), polars)


@st.composite
def tables(draw: Any, families: list[str], names: list[str] | None, containers: list[str]) -> Any:
    """A table of some rows whose columns are, mostly, of these families."""
    n = draw(st.integers(1, 3))
    container = draw(st.sampled_from(containers))
    if container == "matrix":
        own = [form for form in MATRICES if FORMS[form][0] == families[0]]
        form = draw(st.sampled_from(own * 2 + MATRICES))
        pool = st.sampled_from(POOLS[FORMS[form][0]])
        cells = draw(st.lists(st.tuples(*[pool] * len(families)), min_size=n, max_size=n))
        return matrix(form, draw(st.sampled_from(LAYOUTS)), cells)
    polars = container == "polars"
    columns = [column_of(draw, family, n, polars) for family in families]
    if container in ("object rows", "lists"):
        held = np.empty((n, len(columns)), dtype=object)
        for j, column in enumerate(columns):
            held[:, j] = list(pd.Series(column).astype(object))
        return held if container == "object rows" else held.tolist()
    names = names or [f"c{j}" for j in range(len(columns))]
    if draw(st.integers(0, 19)) == 0:
        names = draw(st.sampled_from([names[::-1], [name.upper() for name in names]]))
    if polars:
        return pl.DataFrame([c.alias(name) for c, name in zip(columns, names, strict=True)])
    frame = pd.DataFrame({j: pd.Series(c) for j, c in enumerate(columns)})
    frame.columns = names
    return frame.set_axis([5] * n, axis=0) if draw(st.booleans()) else frame


def cells_of(X: Any) -> list[list[Any]]:
    """The cells as the user wrote them, row by row."""
    if isinstance(X, pd.DataFrame):
        return [
            list(row) for row in zip(*(X.iloc[:, j].array for j in range(X.shape[1])), strict=True)
        ]
    if isinstance(X, pl.DataFrame):
        return [list(row) for row in X.rows()]
    if isinstance(X, torch.Tensor):
        return X.tolist()
    if isinstance(X, np.ma.MaskedArray):
        return [[X[i, j] for j in range(X.shape[1])] for i in range(X.shape[0])]
    return [list(row) for row in X]


def meant(X: Any, name: str) -> np.ndarray | None:
    """Scores of what the cells mean; None where one means nothing, or the columns are others."""
    labels, base = LABELS.get(name, {}), training(name)
    if isinstance(X, pd.DataFrame | pl.DataFrame) and not isinstance(base, np.ndarray):
        if type(X) is not type(base) or list(X.columns) != list(base.columns):
            return None
    try:
        rows = [
            [meaning(cell, FAMILIES[name][j], labels.get(j)) for j, cell in enumerate(row)]
            for row in cells_of(X)
        ]
    except ValueError:
        return None
    return np.array([[float(v) for v in scores(np.array([row], dtype=object))[0]] for row in rows])


@pytest.mark.parametrize("name", list(FAMILIES))
@settings(
    max_examples=max(1, EXPLAIN // len(FAMILIES)),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_explain(name: str, data: Any) -> None:
    base = training(name)
    containers = ["matrix", "object rows", "lists"]
    containers += ["pandas", "polars"] * (2 if isinstance(base, np.ndarray) else 1)
    if not isinstance(base, np.ndarray):
        containers += ["pandas" if isinstance(base, pd.DataFrame) else "polars"] * 8
    names = None if isinstance(base, np.ndarray) else list(base.columns)
    X = data.draw(tables(FAMILIES[name], names, containers))
    wanted = meant(X, name)
    exact = fitted(name, "exact")
    try:
        found = exact.explain(X).values
    except Exception as error:  # whatever it is, it must be one of two kinds
        told(error, wanted is not None)
        if wanted is not None:
            REASONS[re.sub(r"[\d'\"].*?[ '\"]", "", str(error))[:90]] += 1
        COUNTS["refused" if wanted is None else "refused though it means something"] += 1
        with pytest.raises(type(error)):
            fitted(name, "FEX").explain(X)
        return
    COUNTS["answered"] += 1
    assert wanted is not None, f"silently wrong: {found}"
    baseline = scores(exact.masker_.background_.native)[0]
    np.testing.assert_allclose(found, [by_definition(row, baseline) for row in wanted], atol=1e-9)
    # the network reads the same cells as it does of the plainest table
    learned = fitted(name, "FEX")
    direct = learned.explain(exact._schema.conform(exact.masker_.wrap(X)).native).values
    np.testing.assert_allclose(learned.explain(X).values, direct, atol=1e-6)
    if FAMILIES[name] == ["number"] * 4:
        held = [[np.nan if plain(c) is None else float(plain(c)) for c in r] for r in cells_of(X)]
        np.testing.assert_allclose(
            learned.explain(X).values, learned.explain(held).values, atol=1e-6
        )


@settings(max_examples=FIT, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_fit(data: Any) -> None:
    families = data.draw(
        st.lists(
            st.sampled_from(["number", "number", "bool", "text", "moment"]), min_size=2, max_size=4
        )
    )
    X = data.draw(
        tables(families, None, ["matrix", "object rows", "lists", "pandas", "pandas", "polars"])
    )
    learn = data.draw(st.integers(0, 9)) == 0
    explainer: Any = ExactExplainer("shapley", output="regression")
    if learn:
        explainer = FEXExplainer(**SMALL, output="regression")
    try:
        explainer.fit(X, model)
    except Exception as error:
        told(error, False)
        COUNTS["fit refused"] += 1
        return
    COUNTS["fitted"] += 1
    base = explainer.masker_.background_.native
    np.testing.assert_allclose(explainer.base_values_, model(base), atol=1e-9)
    rows = cells_of(X)
    if isinstance(X, list | tuple) and np.asarray(X).dtype.kind in "iuf":
        rows = np.asarray(X).tolist()  # beside numbers, True is 1 to NumPy
    check_baseline(rows, base)
    if learn:
        assert np.isfinite(explainer.explain(X).values).all()
        return
    written = np.array([[scores(as_object(c))[0, 0] for c in row] for row in rows])
    wanted = [by_definition(row, scores(base)[0]) for row in written]
    np.testing.assert_allclose(explainer.explain(X).values, wanted, atol=1e-9)


def as_object(cell: Any) -> np.ndarray:
    out = np.empty((1, 1), dtype=object)
    out[0, 0] = cell
    return out


def check_baseline(rows: list[list[Any]], base: Any) -> None:
    """Means of numbers lie between the least and the largest; others are cells of their column."""
    for j, column in enumerate(zip(*rows, strict=True)):
        held = [plain(cell) for cell in column]
        present = [cell for cell in held if cell is not None]
        value = plain(cells_of(base)[0][j])
        if not present:
            assert value is None
            continue
        if all(isinstance(c, int | float) and not isinstance(c, bool) for c in present):
            finite = [c for c in present if np.isfinite(c)]
            if value is None:
                assert not finite
            elif isinstance(value, int | float) and finite:
                slack = 1 + 1e-3 * abs(value)
                assert min(finite) - slack <= value <= max(finite) + slack
            continue
        if all(isinstance(c, pd.Timestamp | pd.Timedelta) for c in present):
            assert min(present) <= value <= max(present)
            continue
        assert any(type(value) is type(c) and value == c for c in present)


def test_figures() -> None:
    """How many tables were answered and refused; shown by ``pytest -s``."""
    print(dict(COUNTS), *REASONS.most_common(20), sep="\n")
    assert COUNTS["answered"] >= 0.2 * (COUNTS["answered"] + COUNTS["refused"])
