"""Rows of another dtype than fit's: the same answers, by every method that takes rows."""

from __future__ import annotations

from decimal import Decimal
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from fastexplain import (
    ConceptSetExplainer,
    ExactExplainer,
    FastSHAPExplainer,
    FEXExplainer,
    RISEExplainer,
    SurrogateRemoval,
    TabularMasker,
)
from fastexplain.metrics import perturbation_auc

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SMALL: dict[str, Any] = {
    "n_queries": 4000,
    "hidden_dim": 8,
    "n_blocks": 1,
    "max_steps": 10,
    "random_state": 0,
}
X, Y = load_iris(return_X_y=True)
WHOLE = X[::30].astype(int)
FORMS = {
    "int64": WHOLE,
    "int8": WHOLE.astype("i1"),
    "uint64": WHOLE.astype("u8"),
    "float32": WHOLE.astype("f4"),
    "float16": WHOLE.astype("f2"),
    "longdouble": WHOLE.astype("g"),
    "big-endian": WHOLE.astype(">f8"),
    "reversed": WHOLE[::-1, ::-1].astype(float)[::-1, ::-1],
    "Fortran": np.asfortranarray(WHOLE.astype(float)),
    "list": WHOLE.tolist(),
    "objects": WHOLE.astype(object),
    "decimals": np.array([[Decimal(int(v)) for v in row] for row in WHOLE], dtype=object),
    "masked array": np.ma.masked_array(WHOLE),
    "tensor": torch.from_numpy(WHOLE),
    "bfloat16": torch.from_numpy(WHOLE).to(torch.bfloat16),
    "pandas": pd.DataFrame(WHOLE),
    "nullable": pd.DataFrame(WHOLE).astype("Int64"),
    "polars": pl.DataFrame(WHOLE),
}


@pytest.fixture(scope="module")
def model() -> Any:
    return LogisticRegression(max_iter=500).fit(X, Y)


@pytest.fixture(scope="module")
def fitted(model: Any) -> dict[str, Any]:
    kinds = {
        "exact": ExactExplainer("shapley"),
        "RISE": RISEExplainer(20, random_state=0),
        "FEX": FEXExplainer(**SMALL),
        "FastSHAP": FastSHAPExplainer(**SMALL),
        "concepts": ConceptSetExplainer(**SMALL, n_sets=4),
    }
    return {name: kind.fit(X, model) for name, kind in kinds.items()}


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("kind", ["exact", "RISE", "FEX", "FastSHAP", "concepts"])
def test_the_same_values(fitted: dict[str, Any], kind: str, form: str) -> None:
    explainer, rows, plain = fitted[kind], FORMS[form], WHOLE.astype(float)
    np.testing.assert_array_equal(
        explainer.explain(rows, "all").values, explainer.explain(plain, "all").values
    )
    np.testing.assert_array_equal(explainer.transform(rows), explainer.transform(plain))
    assert explainer.score(rows) == explainer.score(plain)


@pytest.mark.parametrize("form", list(FORMS))
def test_sets_and_metrics(fitted: dict[str, Any], form: str) -> None:
    rows, plain = FORMS[form], WHOLE.astype(float)
    sets = [fitted["concepts"].minimal_sets(part, epsilon=0.1).masks for part in (rows, plain)]
    np.testing.assert_array_equal(*sets)
    masked = fitted["exact"].masked_model_
    values = fitted["exact"].explain(plain).values
    target = np.zeros(len(values), dtype=int)
    found = perturbation_auc(masked, rows, values, target, "probability")
    wanted = perturbation_auc(masked, plain, values, target, "probability")
    assert (found.positive, found.negative) == (wanted.positive, wanted.negative)


def test_the_model_gets_the_dtype_of_fit_or_a_wider_one() -> None:
    seen = set()

    def model(Z: np.ndarray) -> np.ndarray:
        seen.add(Z.dtype.str)
        return np.asarray(Z, float) @ [1.0, 2.0]

    rows = np.array([[1, 2], [3, 5], [4, 4]], dtype="i4")
    explainer = ExactExplainer("shapley", output="regression").fit(rows, model)
    assert seen == {"<i4"}
    explainer.explain(rows.astype(float))
    assert seen == {"<i4"}
    found = explainer.explain([[0.5, 1]]).values
    assert seen == {"<i4", "<f8"}
    np.testing.assert_allclose(found, [[0.5 - 3, 2 * (1 - 4)]])


@pytest.mark.parametrize("kind", [ExactExplainer, lambda **k: FEXExplainer(**SMALL, **k)])
def test_masked_cells_are_missing(kind: Any) -> None:
    rows = np.random.default_rng(0).normal(size=(100, 3))

    def model(Z: np.ndarray) -> np.ndarray:
        return np.nan_to_num(np.asarray(Z, float), nan=0.3).clip(-5, 5).sum(axis=1)

    explainer = kind(output="regression").fit(rows, model)
    masked = np.ma.masked_array([[1e20, 0.1, 0.2]], mask=[[True, False, False]])
    missing = np.array([[np.nan, 0.1, 0.2]])
    wanted = explainer.explain(missing).values
    np.testing.assert_array_equal(explainer.explain(masked).values, wanted)
    np.testing.assert_array_equal(explainer.explain([masked[0]]).values, wanted)
    # at fit, in a baseline, in a background, and to a metric
    some = np.ma.masked_array(rows, mask=rows > 1.5)
    junk = np.ma.masked_array(np.where(rows > 1.5, 1e20, rows), mask=rows > 1.5)
    bases = [kind(output="regression").fit(part, model).base_values_ for part in (some, junk)]
    assert bases[0] == bases[1]
    for baseline in (masked, masked[0], np.ma.concatenate([masked, masked])):
        row = TabularMasker(baseline).fit(rows).background_.native[0]
        np.testing.assert_array_equal(row, missing[0])
    explainer = ExactExplainer("shapley", output="regression").fit(rows, model)
    order = explainer.explain(missing).values
    found = perturbation_auc(explainer.masked_model_, masked, order, [0], "probability")
    wanted = perturbation_auc(explainer.masked_model_, missing, order, [0], "probability")
    assert (found.positive, found.negative) == (wanted.positive, wanted.negative)


def test_flags_written_as_text() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=200), "member": rng.random(200) < 0.5})

    def model(rows: pd.DataFrame) -> np.ndarray:
        assert rows["member"].dtype == bool
        score = rows["a"].to_numpy() + 3 * (rows["member"] == True).to_numpy(float)  # noqa: E712
        p = 1 / (1 + np.exp(1.5 - score))
        return np.column_stack([1 - p, p])

    for explainer in (ExactExplainer("shapley"), FEXExplainer(**SMALL)):
        explainer.fit(frame, model)
        wanted = explainer.explain(frame[:5], 1).values
        for member in (
            frame["member"].astype(str),
            frame["member"].astype(str).str.lower(),
            frame["member"].astype(int),
            frame["member"].astype(float),
            frame["member"].astype(object),
            frame["member"].astype("boolean"),
            frame["member"].astype("category"),
        ):
            found = explainer.explain(frame[:5].assign(member=member[:5]), 1).values
            np.testing.assert_array_equal(found, wanted)
        for member in ("yes", 2, 0.5, ""):
            with pytest.raises(TypeError, match="'member'.*in row 0.*True and False"):
                explainer.explain(frame[:5].assign(member=member), 1)


def shapley(f: Any, row: np.ndarray, base: np.ndarray) -> np.ndarray:
    """By the definition."""
    n = len(row)
    value = {
        s: f(np.where(np.isin(np.arange(n), s), row, base)[None])[0]
        for r in range(n + 1)
        for s in combinations(range(n), r)
    }
    found = np.zeros(n)
    for s in value:
        for i in set(range(n)) - set(s):
            weight = factorial(len(s)) * factorial(n - len(s) - 1) / factorial(n)
            found[i] += weight * (value[tuple(sorted((*s, i)))] - value[s])
    return found


def test_decimals_of_fit_reach_the_model_as_decimals() -> None:
    rng = np.random.default_rng(0)
    plain = rng.integers(0, 400, (50, 3)) / 8

    def model(Z: np.ndarray) -> np.ndarray:
        # the arithmetic of decimals knows no floats
        return np.array([float(a * b + c * Decimal("0.5")) for a, b, c in Z])

    def by_definition(Z: np.ndarray) -> np.ndarray:
        return Z[:, 0] * Z[:, 1] + Z[:, 2] / 2

    rows = np.array([[Decimal(str(v)) for v in row] for row in plain], dtype=object)
    explainer = ExactExplainer("shapley", output="regression").fit(rows, model)
    wanted = [shapley(by_definition, row, plain.mean(axis=0)) for row in plain[:3]]
    for given in (rows[:3], plain[:3], plain[:3].astype("f4"), plain[:3].tolist()):
        np.testing.assert_allclose(explainer.explain(given).values, wanted, rtol=1e-12)
    learned = FEXExplainer(**SMALL, output="regression").fit(rows, model)
    assert np.isfinite(learned.explain(plain[:3]).values).all()


def test_ids_do_not_lose_digits() -> None:
    ids = np.array([[2**60 + k] for k in range(20)])
    explainer = ExactExplainer("shapley", output="regression").fit(
        ids, lambda Z: (np.asarray(Z)[:, 0] % 7).astype(float)
    )
    base = explainer.masker_.background_.native
    assert base.dtype == np.int64
    wanted = (ids % 7 - base % 7).astype(float)
    np.testing.assert_array_equal(explainer.explain(ids).values, wanted)
    np.testing.assert_array_equal(explainer.explain(ids.tolist()).values, wanted)
    with pytest.raises(ValueError, match="'x0'.*0.5 in row 0.*convert"):
        explainer.explain([[0.5]])


def test_codes_declared_to_the_masker() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"shop": rng.choice(7, 300), "price": rng.normal(size=300)})
    effect = np.array([0.0, 5, -5, 9, -9, 5, 0.2])

    def model(rows: pd.DataFrame) -> np.ndarray:
        return effect[rows["shop"].to_numpy(int)] + rows["price"].to_numpy()

    masker = TabularMasker(categorical=["shop"])
    learned = FEXExplainer(**SMALL, masker=masker, output="regression").fit(frame, model)
    assert [c.numeric for c in learned._encoder.columns] == [False, True]
    mode = frame["shop"].mode().min()
    assert learned.masker_.background_.native["shop"].item() == mode
    removal = SurrogateRemoval(max_steps=5, hidden_dim=8, n_blocks=1)
    surrogate = ExactExplainer(masker=masker, removal=removal, output="regression")
    surrogate.fit(frame, model)
    assert [c.numeric for c in surrogate.removal_._encoder.columns] == [False, True]
