"""Round trips: a loaded explainer is the one that was saved, whatever it was fitted on."""

from __future__ import annotations

import datetime
import decimal
import fractions
import os
import uuid
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from folders import CASES, SMALL, case, fitted, of_numbers
from sklearn.linear_model import LinearRegression, LogisticRegression

import fastexplain
from fastexplain import FEXExplainer, TabularMasker

pytestmark = pytest.mark.filterwarnings(
    "ignore:The explainer agrees poorly",
    "ignore:These explanations tell nothing",
    "ignore:The model was asked for",
    "ignore:.*are held out",
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 4))
Y = np.digitize(X[:, 0] + X[:, 1], [-0.5, 0.5])


def quick(**given: Any) -> FEXExplainer:
    return FEXExplainer(**(SMALL | given))


def round_trip(explainer: Any, folder: Path, model: Any = None) -> Any:
    explainer.save(folder)
    assert sorted(os.listdir(folder)) == ["config.json", "weights.safetensors"]
    return fastexplain.load(folder, model=model)


def assert_same(one: Any, other: Any, samples: Any) -> None:
    """Explanations and all fitted attributes are equal, to the last digit."""
    explanations = [e.explain(samples, "all") for e in (one, other)]
    np.testing.assert_array_equal(explanations[1].values, explanations[0].values)
    assert explanations[1].feature_names == explanations[0].feature_names
    own = {k: v for k, v in vars(one).items() if k.endswith("_") and not k.startswith("_")}
    assert own.keys() == {k for k in vars(other) if k.endswith("_") and not k.startswith("_")}
    for name in own.keys() - {"masker_", "removal_"}:
        np.testing.assert_equal(getattr(other, name), own[name], err_msg=name)
    np.testing.assert_equal(other._unit, one._unit)
    assert getattr(one, "classes_", np.zeros(0)).dtype == getattr(other, "classes_", X[0][:0]).dtype
    assert list(other.get_feature_names_out()) == list(one.get_feature_names_out())
    if hasattr(one.masker_, "background_"):
        before, now = one.masker_.background_, other.masker_.background_
        assert before.fingerprint() == now.fingerprint() and before.dtypes() == now.dtypes()
        assert one.masker_.categorical_ == other.masker_.categorical_


@pytest.mark.parametrize("name", CASES)
def test_every_explainer_and_kind_of_samples(tmp_path: Path, name: str) -> None:
    explainer, one = fitted(name), case(name)
    loaded = round_trip(explainer, tmp_path / "saved", one.model)
    assert_same(explainer, loaded, one.samples)
    params, found = (e.get_params(deep=False) for e in (explainer, loaded))
    for name in ("masker", "removal"):
        # these come back as what was fitted
        given, kept = params.pop(name, None), found.pop(name, None)
        assert (given in (None, "baseline")) == (kept in (None, "baseline"))
    np.testing.assert_equal(found, params)
    # what is loaded is saved to the same bytes
    fastexplain.load(tmp_path / "saved").save(tmp_path / "again")
    for file in os.listdir(tmp_path / "saved"):
        content = [(tmp_path / folder / file).read_bytes() for folder in ("saved", "again")]
        assert content[0] == content[1]


# -- dtypes ------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [np.float32, np.int16, bool, object, ">f8"])
def test_arrays_of_other_dtypes(tmp_path: Path, dtype: Any) -> None:
    rows = (X * 3).astype(int).astype(dtype)
    explainer = quick().fit(rows, lambda X: of_numbers(np.asarray(X, float)))
    assert_same(explainer, round_trip(explainer, tmp_path / "saved"), rows)


def drawn(values: list[Any]) -> list[Any]:
    return [values[i] for i in RNG.integers(0, len(values), len(X))]


def frame_of_all_dtypes() -> pd.DataFrame:
    """Columns and categories of every type that a cell may have."""
    n, day = len(X), pd.Timestamp("2024-01-31")
    columns = {
        "real": X[:, 0].astype(np.float32),
        "whole": RNG.integers(0, 99, n).astype(np.uint8),
        "flag": X[:, 1] > 0,
        "town": drawn(["Århus", "Bonn", 'quo"ted']),
        "nullable": pd.array(drawn([1, 2, None]), dtype="Int64"),
        "text": pd.array(drawn(["x", "y", None]), dtype="string"),
        "zoned": pd.date_range("2024-03-28", periods=n, freq="h", tz="Europe/Paris"),
        "naive": pd.date_range("2024-01-01", periods=n).as_unit("s"),
        "wait": pd.to_timedelta(RNG.integers(0, 9, n), unit="h"),
        "interval": pd.cut(X[:, 0], 4),
        "period": pd.period_range("2020-01", periods=12, freq="M")[RNG.integers(0, 12, n)],
        "levels": pd.Categorical(drawn(["low", "high", None]), ordered=True),
        "sizes": pd.Categorical(drawn([1.5, 2.5])),
        "moments": pd.Categorical(drawn([day, day + pd.Timedelta("1D")])),
        "spans": pd.Categorical(drawn([pd.Timedelta("1h"), pd.Timedelta("2h")])),
    }
    cells = {
        "dates": [datetime.date(2024, 1, 1), datetime.date(2024, 1, 2), None],
        "decimals": [decimal.Decimal("1.25"), decimal.Decimal("2.50")],
        "fractions": [fractions.Fraction(1, 3), fractions.Fraction(2, 3)],
        "clocks": [datetime.time(9, 30), datetime.time(18)],
        "bytes": [b"a", b"\xff"],
        "ids": [uuid.UUID(int=1), uuid.UUID(int=2)],
        "pairs": [("a", 1), ("b", datetime.date(2024, 1, 1))],
        "mixed": ["a", None, "c"],
    }
    objects = {name: pd.Series(drawn(values), dtype=object) for name, values in cells.items()}
    return pd.DataFrame(columns | objects)


@pytest.mark.parametrize("name", frame_of_all_dtypes().columns)
def test_columns_of_every_dtype(tmp_path: Path, name: str) -> None:
    """Each beside numbers, with the model attached again, as whoever serves explanations has it."""
    frame = frame_of_all_dtypes()[[name]].assign(a=X[:, 0])

    def model(rows: pd.DataFrame) -> np.ndarray:
        assert list(rows.dtypes) == list(frame.dtypes)
        return of_numbers(rows[["a"]])

    explainer = quick(max_steps=5, n_queries=500).fit(frame, model)
    loaded = round_trip(explainer, tmp_path / "saved", model)
    assert_same(explainer, loaded, frame)
    np.testing.assert_array_equal(loaded.explain(frame).values, explainer.explain(frame).values)


@pytest.mark.parametrize(
    "columns",
    [
        ["a", "b", "a", "c"],
        [3, 1, 2, 0],
        [0.5, 1.5, 2.5, 3.5],
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1), ("b", 2)]),
    ],
)
def test_names_that_repeat_or_are_no_text(tmp_path: Path, columns: Any) -> None:
    frame = pd.DataFrame(X, columns=columns)
    explainer = quick().fit(frame, of_numbers)
    loaded = round_trip(explainer, tmp_path / "saved", of_numbers)
    assert_same(explainer, loaded, frame)
    assert loaded.masker_.background_.native.columns.equals(frame.columns)


# -- parameters --------------------------------------------------------------------------------
@pytest.mark.parametrize("given", [False, True])
def test_marginal_baseline(tmp_path: Path, given: bool) -> None:
    masker = TabularMasker("marginal", n_background=3)
    explainer = quick(masker=masker) if given else quick(baseline="marginal")
    explainer.fit(X, of_numbers)
    loaded = round_trip(explainer, tmp_path / "saved")
    assert_same(explainer, loaded, X)
    assert len(loaded.masker_.background_) == (3 if given else 20)
    if given:
        assert (loaded.masker.baseline, loaded.masker.n_background) == ("marginal", 3)


@pytest.mark.parametrize(
    "baseline",
    [
        "median",
        [0.5, -1.0, 0.0, np.nan],
        (0.5, -1.0, 0.0, 2.0),
        np.array([0.5, -1.0, 0.0, 2.0]),
        np.zeros((3, 4)),
        pd.Series([0.5, -1.0, 0.0, 2.0], index=["x0", "x1", "x2", "x3"]),
        {"x1": 1.0, "x0": 0.5, "x3": 2.0, "x2": np.float32(0.1)},
    ],
    ids=lambda baseline: type(baseline).__name__,
)
def test_baselines(tmp_path: Path, baseline: Any) -> None:
    explainer = quick(baseline=baseline).fit(X, of_numbers)
    loaded = round_trip(explainer, tmp_path / "saved")
    assert_same(explainer, loaded, X)
    assert type(loaded.baseline) is type(baseline)
    np.testing.assert_equal(np.asarray(loaded.baseline), np.asarray(baseline))


def test_groups_and_codes(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.round(X), columns=list("abcd")).astype(int)
    groups = {"pair": pd.Index(["a", "b"]), "other": "c"}
    explainer = quick(groups=groups).fit(frame, of_numbers)
    loaded = round_trip(explainer, tmp_path / "saved")
    assert_same(explainer, loaded, frame)
    assert loaded.groups == {"pair": ["a", "b"], "other": "c"}


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_regressors(tmp_path: Path, n_outputs: int) -> None:
    y = X[:, 0] if n_outputs == 1 else X[:, :2] * 1e-5
    model = LinearRegression().fit(X, y)
    explainer = quick().fit(X, model)
    loaded = round_trip(explainer, tmp_path / "saved", model)
    assert_same(explainer, loaded, X)
    assert not hasattr(loaded, "classes_")
    assert loaded.score(X) == explainer.score(X)


@pytest.mark.parametrize(
    "classes",
    [
        np.array(["no", "maybe", "yes"]),
        np.array(["no", "maybe", "yes"], dtype=object),
        np.array([10, 20, 30]),
        np.array([1.0, 2.0, 3.0]),
        np.array([True, False, True]),
    ],
    ids=lambda classes: str(classes.dtype),
)
def test_classes(tmp_path: Path, classes: Any) -> None:
    model = LogisticRegression().fit(X, classes[Y])
    explainer = quick().fit(X, model)
    loaded = round_trip(explainer, tmp_path / "saved", model)
    assert_same(explainer, loaded, X)
    for target in (classes[0], classes[Y], "predicted"):
        np.testing.assert_array_equal(
            loaded.explain(X, target).values, explainer.explain(X, target).values
        )


def test_outputs_that_are_told(tmp_path: Path) -> None:
    """Raw scores of two classes are one output; names are the user's."""
    model = LogisticRegression().fit(X, np.where(X[:, 0] > 0, "yes", "no"))
    explainer = quick(output="margin", output_names=["score"]).fit(X, model)
    explainer.best_scores_, explainer.caution_ = np.array([np.nan]), "it was told so"
    loaded = round_trip(explainer, tmp_path / "saved", model)
    assert loaded.output_names == ["score"] and loaded.output_ == "margin"
    assert loaded.caution_ == "it was told so" and np.isnan(loaded.best_scores_).all()
    assert_same(explainer, loaded, X)


def test_what_no_folder_holds_is_told(tmp_path: Path) -> None:
    state = np.random.RandomState(0)
    explainer = quick(random_state=state, select=lambda answer: answer["p"])
    explainer.fit(X, lambda rows: {"p": of_numbers(rows), "q": rows}).save(tmp_path / "saved")
    with pytest.warns(UserWarning) as caught:
        loaded = fastexplain.load(tmp_path / "saved")
    text = " ".join(str(warning.message) for warning in caught)
    assert "random_state= was RandomState" in text and "set_params(random_state=...)" in text
    assert "set_params(select=...)" in text and "attach_model(model)" in text
    assert loaded.random_state is None and loaded.select is None
    assert_same(explainer, loaded, X)


def test_warnings_that_are_errors_are_no_damage(tmp_path: Path) -> None:
    explainer = quick(random_state=np.random.RandomState(0)).fit(X, of_numbers)
    explainer.save(tmp_path / "saved")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match=r"random_state= was RandomState"):
            fastexplain.load(tmp_path / "saved")


def test_too_little_memory_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> Any:
        raise MemoryError("no room")

    quick().fit(X, of_numbers).save(tmp_path / "saved")
    monkeypatch.setattr(FEXExplainer, "_from_state", full)
    with pytest.raises(MemoryError, match="no room"):
        fastexplain.load(tmp_path / "saved")


@pytest.mark.parametrize("select", ["p", 0])
def test_parts_of_answers_are_told(tmp_path: Path, select: Any) -> None:
    def model(rows: Any) -> Any:
        parts = {"p": of_numbers(rows), "q": rows}
        return parts if select == "p" else tuple(parts.values())

    explainer = quick(select=select).fit(X, model)
    loaded = round_trip(explainer, tmp_path / "saved", model)
    assert loaded.select == select
    assert_same(explainer, loaded, X)


# -- the model ---------------------------------------------------------------------------------
def test_without_the_model(tmp_path: Path) -> None:
    model = LogisticRegression().fit(X, Y)
    explainer = quick().fit(X, model)
    loaded = round_trip(explainer, tmp_path / "saved")
    np.testing.assert_array_equal(loaded.explain(X, 1).values, explainer.explain(X, 1).values)
    with pytest.raises(ValueError, match=r"pass target=.*model="):
        loaded.explain(X)
    np.testing.assert_array_equal(
        loaded.attach_model(model).explain(X).values, explainer.explain(X).values
    )


def test_a_loaded_explainer_can_be_fitted_again(tmp_path: Path) -> None:
    model = LogisticRegression().fit(X, Y)
    explainer = quick().fit(X, model)
    loaded = round_trip(explainer, tmp_path / "saved").fit(X, model)
    np.testing.assert_array_equal(loaded.explain(X).values, explainer.explain(X).values)


def test_no_row_of_the_data_is_in_the_folder(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": X[:, 0], "secret": [f"person {i}" for i in range(80)]})
    explainer = quick().fit(frame, lambda F: of_numbers(F[["a"]]))
    explainer.save(tmp_path / "saved")
    text = (tmp_path / "saved" / "config.json").read_text()
    # names of categories are needed, cells of numbers beyond quantiles are not
    assert repr(float(X[17, 0])) not in text


def test_a_device_that_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    explainer = quick().fit(X, of_numbers).set_params(device="cuda:999")
    explainer.save(tmp_path / "saved")
    with pytest.warns(UserWarning, match="device='cuda:999', which is not here"):
        loaded = fastexplain.load(tmp_path / "saved")
    assert loaded.device == "auto"
    np.testing.assert_array_equal(loaded.explain(X, 1).values, explainer.explain(X, 1).values)
