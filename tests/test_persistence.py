"""Saved explainers: folders of JSON and safetensors that hold all and run nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression

import fastexplain
from fastexplain import FEXExplainer, TabularMasker
from fastexplain import persistence as persistence_module
from fastexplain._table_json import decode_table, encode_table
from fastexplain.persistence import decode_value, encode_value
from fastexplain.tables import Table

pytestmark = pytest.mark.filterwarnings("ignore:The explainer agrees poorly")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def quick(**params: Any) -> FEXExplainer:
    settings: dict[str, Any] = {
        "n_queries": 4000,
        "n_masks": 32,
        "hidden_dim": 8,
        "n_blocks": 1,
        "max_steps": 20,
        "random_state": 0,
    }
    return FEXExplainer(**(settings | params))


X = np.random.default_rng(0).normal(size=(80, 4))
Y = np.digitize(X[:, 0] + X[:, 1], [-0.5, 0.5])


def of_numbers(frame: Any) -> np.ndarray:
    """Two probabilities from the columns of numbers of a pandas frame."""
    cells = frame.select_dtypes("number").to_numpy(float, na_value=0.0)
    score = 1.0 / (1.0 + np.exp(-np.nan_to_num(cells / 50).sum(axis=1)))
    return np.column_stack([1.0 - score, score])


def mixed_frame(n: int = 80) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    levels = pd.CategoricalDtype(["low", "mid", "high"], ordered=True)
    sizes = pd.CategoricalDtype([1.5, 2.5, 10.0])
    days = pd.date_range("2024-03-28", periods=n, freq="h", tz="Europe/Paris")
    frame = pd.DataFrame(
        {
            "whole": rng.integers(0, 99, n),
            "small": rng.integers(0, 99, n).astype(np.uint8),
            "real": rng.normal(size=n).astype(np.float32),
            "gaps": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
            "town": rng.choice(["Århus", "Bonn", 'quo"ted'], n),
            "thing": pd.Series(rng.choice(["a", None, "c"], n), dtype=object),
            "level": pd.Series(rng.choice(["low", "mid", "high"], n), dtype=levels),
            "size": pd.Series(rng.choice([1.5, 2.5, 10.0], n), dtype=sizes),
            "flag": rng.random(n) < 0.5,
            "count": pd.array(rng.integers(0, 9, n), dtype="Int64"),
            "ratio": pd.array(rng.random(n), dtype="Float64"),
            "maybe": pd.array(rng.random(n) < 0.5, dtype="boolean"),
            "text": pd.array(rng.choice(["x", "y"], n), dtype="string"),
            "day": days,
            "naive": pd.date_range("2024-01-01", periods=n).as_unit("s"),
            "wait": pd.to_timedelta(rng.integers(0, 9, n), unit="h"),
        }
    )
    frame.loc[::9, ["thing", "level", "count", "maybe", "text", "day"]] = None
    return frame


def round_trip(explainer: FEXExplainer, folder: Path, model: Any = None) -> FEXExplainer:
    explainer.save(folder)
    assert sorted(os.listdir(folder)) == ["config.json", "weights.safetensors"]
    return fastexplain.load(folder, model=model)


def assert_same(one: FEXExplainer, other: FEXExplainer, rows: Any) -> None:
    np.testing.assert_array_equal(
        other.explain(rows, "all").values, one.explain(rows, "all").values
    )
    np.testing.assert_array_equal(other.base_values_, one.base_values_)
    assert other.output_names_ == one.output_names_
    assert other.kind_ == one.kind_
    assert other.history_ == one.history_
    assert other.n_model_queries_ == one.n_model_queries_
    assert other.best_score_ == one.best_score_
    assert other.n_features_in_ == one.n_features_in_
    assert hasattr(other, "feature_names_in_") == hasattr(one, "feature_names_in_")
    assert list(other.get_feature_names_out()) == list(one.get_feature_names_out())
    assert other.explain(rows, "all").feature_names == one.explain(rows, "all").feature_names


# -- round trips -------------------------------------------------------------------------------
@pytest.mark.parametrize("objective", ["forward_kl", "reverse_kl", "ppo"])
def test_numpy(tmp_path: Path, objective: str) -> None:
    model = LogisticRegression().fit(X, Y)
    explainer = quick(objective=objective).fit(X, model)
    loaded = round_trip(explainer, tmp_path / "saved", model)
    assert loaded.get_params() == explainer.get_params()
    assert_same(explainer, loaded, X)
    np.testing.assert_array_equal(loaded.explain(X).values, explainer.explain(X).values)
    assert loaded.score(X) == explainer.score(X)
    assert loaded.classes_.dtype == explainer.classes_.dtype


@pytest.mark.parametrize("dtype", [np.float32, np.int16, bool, object])
def test_numpy_dtypes(tmp_path: Path, dtype: Any) -> None:
    rows = (X * 3).astype(int).astype(dtype)
    explainer = quick().fit(rows, lambda X: of_numbers(pd.DataFrame(X.astype(float))))
    loaded = round_trip(explainer, tmp_path / "saved")
    assert_same(explainer, loaded, rows)
    assert loaded.masker_.background_.native.dtype == explainer.masker_.background_.native.dtype


def test_a_frame_of_all_dtypes(tmp_path: Path) -> None:
    frame = mixed_frame()
    explainer = quick().fit(frame, of_numbers)
    loaded = round_trip(explainer, tmp_path / "saved", of_numbers)
    assert_same(explainer, loaded, frame)
    pd.testing.assert_frame_equal(
        loaded.masker_.background_.native, explainer.masker_.background_.native
    )
    np.testing.assert_array_equal(loaded.explain(frame).values, explainer.explain(frame).values)


def test_repeated_names(tmp_path: Path) -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "a", "c"])
    explainer = quick().fit(frame, of_numbers)
    assert_same(explainer, round_trip(explainer, tmp_path / "saved"), frame)


@pytest.mark.parametrize(
    "columns",
    [
        [3, 1, 2, 0],
        [0.5, 1.5, 2.5, 3.5],
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1), ("b", 2)]),
    ],
)
def test_names_that_are_no_text(tmp_path: Path, columns: Any) -> None:
    frame = pd.DataFrame(X, columns=columns)
    explainer = quick().fit(frame, of_numbers)
    loaded = round_trip(explainer, tmp_path / "saved", of_numbers)
    assert_same(explainer, loaded, frame)
    assert loaded.masker_.background_.native.columns.equals(frame.columns)


def test_polars(tmp_path: Path) -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(
        {
            "a": X[:, 0],
            "b": (X[:, 1] * 9).astype(np.int32),
            "town": np.where(X[:, 2] > 0, "Rome", "Bonn").tolist(),
            "level": pl.Series(["lo", "hi"] * 40, dtype=pl.Enum(["lo", "hi"])),
            "day": pd.date_range("2024-01-01", periods=80).to_list(),
            "flag": (X[:, 3] > 0).tolist(),
        }
    ).with_columns(pl.col("day").cast(pl.Date))

    def model(rows: Any) -> np.ndarray:
        assert rows.schema == frame.schema
        score = 1.0 / (1.0 + np.exp(-rows["a"].to_numpy() - rows["b"].to_numpy() / 9))
        return np.column_stack([1.0 - score, score])

    explainer = quick().fit(frame, model)
    loaded = round_trip(explainer, tmp_path / "saved", model)
    assert_same(explainer, loaded, frame)
    assert loaded.masker_.background_.native.equals(explainer.masker_.background_.native)


@pytest.mark.parametrize("given", [False, True])
def test_marginal_baseline(tmp_path: Path, given: bool) -> None:
    frame = mixed_frame()
    masker = TabularMasker("marginal", n_background=3)
    explainer = quick(masker=masker) if given else quick(baseline="marginal")
    explainer.fit(frame, of_numbers)
    loaded = round_trip(explainer, tmp_path / "saved")
    assert_same(explainer, loaded, frame)
    assert len(loaded.masker_.background_) == (3 if given else 20)
    if given:
        assert loaded.masker.baseline == "marginal"
        assert loaded.masker.n_background == 3


@pytest.mark.parametrize(
    "baseline",
    [
        "median",
        [0.5, -1.0, 0.0, np.nan],
        (0.5, -1.0, 0.0, 2.0),
        np.array([0.5, -1.0, 0.0, 2.0]),
        np.zeros((3, 4)),
    ],
)
def test_baselines(tmp_path: Path, baseline: Any) -> None:
    explainer = quick(baseline=baseline).fit(X, lambda X: of_numbers(pd.DataFrame(X)))
    loaded = round_trip(explainer, tmp_path / "saved")
    assert_same(explainer, loaded, X)
    np.testing.assert_array_equal(
        loaded.masker_.background_.native, explainer.masker_.background_.native
    )


def test_groups(tmp_path: Path) -> None:
    frame = mixed_frame()
    groups = {"time": ["day", "naive", "wait"], "numbers": ["whole", "real"]}
    explainer = quick(groups=groups).fit(frame, of_numbers)
    loaded = round_trip(explainer, tmp_path / "saved")
    assert_same(explainer, loaded, frame)
    assert loaded.groups == groups


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
)
def test_classes(tmp_path: Path, classes: Any) -> None:
    model = LogisticRegression().fit(X, classes[Y])
    explainer = quick().fit(X, model)
    loaded = round_trip(explainer, tmp_path / "saved", model)
    assert loaded.classes_.tolist() == explainer.classes_.tolist()
    assert loaded.classes_.dtype == explainer.classes_.dtype
    for target in (classes[0], classes[Y], "predicted"):
        np.testing.assert_array_equal(
            loaded.explain(X, target).values, explainer.explain(X, target).values
        )


def test_saved_twice_is_the_same(tmp_path: Path) -> None:
    explainer = quick().fit(mixed_frame(), of_numbers)
    explainer.save(tmp_path / "one")
    fastexplain.load(tmp_path / "one").save(tmp_path / "two")
    for name in os.listdir(tmp_path / "one"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_loaded_explainer_can_be_fitted_again(tmp_path: Path) -> None:
    model = LogisticRegression().fit(X, Y)
    explainer = quick().fit(X, model)
    loaded = round_trip(explainer, tmp_path / "saved").fit(X, model)
    np.testing.assert_array_equal(loaded.explain(X).values, explainer.explain(X).values)


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


def test_another_model_warns(tmp_path: Path) -> None:
    quick().fit(X, LogisticRegression().fit(X, Y)).save(tmp_path / "saved")
    with pytest.warns(UserWarning, match="not the one that was explained.*fit again"):
        fastexplain.load(tmp_path / "saved", model=LogisticRegression(C=1e-3).fit(X, Y))
    with pytest.raises(ValueError, match="has outputs"):
        fastexplain.load(tmp_path / "saved", model=LogisticRegression().fit(X, Y > 0))


def test_another_regressor_of_small_outputs_warns(tmp_path: Path) -> None:
    quick().fit(X, LinearRegression().fit(X, X[:, 0] * 1e-6)).save(tmp_path / "saved")
    with pytest.warns(UserWarning, match="not the one that was explained"):
        fastexplain.load(tmp_path / "saved", model=LinearRegression().fit(X, X[:, 1] * 1e-6))


def test_no_row_of_the_data_is_in_the_folder(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": X[:, 0], "secret": [f"person {i}" for i in range(80)]})
    explainer = quick().fit(frame, lambda F: of_numbers(F[["a"]]))
    explainer.save(tmp_path / "saved")
    text = (tmp_path / "saved" / "config.json").read_text()
    assert "LogisticRegression" not in text
    # names of categories are needed, cells of numbers beyond quantiles are not
    assert text.count(float(X[17, 0]).hex()) == 0


# -- files that are wrong ------------------------------------------------------------------------
@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A saved explainer to be damaged."""
    quick().fit(X, LogisticRegression().fit(X, Y)).save(tmp_path / "saved")
    return tmp_path / "saved"


def edit(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_missing_files(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"no saved explainer .*{name} is missing"):
        fastexplain.load(saved)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no saved explainer"):
        fastexplain.load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[1, 2]"])
def test_corrupted_files(saved: Path, name: str, content: bytes) -> None:
    (saved / name).write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        fastexplain.load(saved)


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_truncated_files(saved: Path, name: str) -> None:
    data = (saved / name).read_bytes()
    (saved / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="damaged"):
        fastexplain.load(saved)


def test_newer_format(saved: Path) -> None:
    edit(saved, format=99, fastexplain="7.0")
    with pytest.raises(ValueError, match="format 99 by fastexplain 7.0.*reads format 2"):
        fastexplain.load(saved)


def test_unknown_explainer(saved: Path) -> None:
    for name in ("subprocess.Popen", "ExactExplainer", ["FEXExplainer"], None):
        edit(saved, explainer=name)
        with pytest.raises(ValueError, match="not known here"):
            fastexplain.load(saved)


@pytest.mark.parametrize(
    "key", ["params", "masker", "schema", "reader", "outputs", "fit", "explainer"]
)
@pytest.mark.parametrize("value", [None, [], {}, 5, "text"])
def test_nonsense_in_the_configuration(saved: Path, key: str, value: Any) -> None:
    edit(saved, **{key: value})
    with pytest.raises(ValueError, match="damaged|not known|do not belong"):
        fastexplain.load(saved)


def test_weights_of_another_explainer(saved: Path, tmp_path: Path) -> None:
    other = quick(hidden_dim=16).fit(X, LogisticRegression().fit(X, Y))
    other.save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "weights.safetensors", saved)
    with pytest.raises(ValueError, match="do not belong to the configuration"):
        fastexplain.load(saved)


# -- writing -----------------------------------------------------------------------------------
def test_there_is_no_pickle_in_the_folder(saved: Path) -> None:
    assert sorted(os.listdir(saved)) == ["config.json", "weights.safetensors"]
    json.loads((saved / "config.json").read_text(encoding="utf-8"))
    weights = (saved / "weights.safetensors").read_bytes()
    header = int.from_bytes(weights[:8], "little")
    json.loads(weights[8 : 8 + header])
    assert b"sklearn" not in weights


def test_saving_over_a_saved_explainer(saved: Path) -> None:
    other = quick(random_state=1).fit(X, LogisticRegression().fit(X, Y))
    other.save(saved)
    assert_same(other, fastexplain.load(saved), X)
    assert os.listdir(saved.parent) == ["saved"]


def test_saving_into_new_and_empty_folders(saved: Path, tmp_path: Path) -> None:
    explainer = fastexplain.load(saved)
    (tmp_path / "empty").mkdir()
    explainer.save(tmp_path / "empty")
    explainer.save(str(tmp_path / "a" / "b" / "c"))
    assert_same(explainer, fastexplain.load(tmp_path / "a" / "b" / "c"), X)


@pytest.mark.parametrize(
    "files",
    [
        {"thesis.tex": "mine"},
        {"config.json": '{"model_type": "bert"}', "model.safetensors": "mine"},
        {"config.json": "{}"},
        {"config.json": "[]", "weights.safetensors": "mine"},
    ],
)
def test_folders_of_others_are_left_alone(saved: Path, tmp_path: Path, files: dict) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name, text in files.items():
        (other / name).write_text(text)
    with pytest.raises(FileExistsError, match="would be lost"):
        fastexplain.load(saved).save(other)
    assert {name: (other / name).read_text() for name in os.listdir(other)} == files


def test_files_added_to_a_saved_explainer_are_left_alone(saved: Path) -> None:
    (saved / "notes.md").write_text("mine")
    with pytest.raises(FileExistsError, match="would be lost"):
        fastexplain.load(saved).save(saved)
    assert (saved / "notes.md").read_text() == "mine"


def test_a_file_in_the_way(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="would be lost"):
        fastexplain.load(saved).save(tmp_path / "file")


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("step", ["weights", "first move", "second move"])
def test_an_interrupted_save_leaves_the_old_one(
    saved: Path, step: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: (saved / name).read_bytes() for name in os.listdir(saved)}
    explainer = fastexplain.load(saved)
    calls = 0
    replace = os.replace

    def failing(*args: Any, **kwargs: Any) -> None:
        nonlocal calls
        calls += 1
        if step == "weights" or calls == {"first move": 1, "second move": 2}[step]:
            raise error("interrupted")
        replace(*args, **kwargs)

    with monkeypatch.context() as patched:
        if step == "weights":
            patched.setattr("safetensors.torch.save_file", failing)
        else:
            patched.setattr(persistence_module.os, "replace", failing)
        with pytest.raises(error):
            explainer.save(saved)
    assert {name: (saved / name).read_bytes() for name in os.listdir(saved)} == before
    assert os.listdir(saved.parent) == ["saved"]


def test_cells_that_json_cannot_hold(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": X[:, 0], "b": [complex(i % 3) for i in range(80)]}, dtype=object)
    frame["a"] = frame["a"].astype(float)
    explainer = quick().fit(frame, lambda F: of_numbers(F[["a"]]))
    with pytest.raises(TypeError, match="pickle"):
        explainer.save(tmp_path / "saved")
    assert not any(tmp_path.iterdir())


def test_random_states_are_not_saved(tmp_path: Path) -> None:
    explainer = quick(random_state=np.random.RandomState(0))
    explainer.fit(X, LogisticRegression().fit(X, Y)).save(tmp_path / "saved")
    with pytest.warns(UserWarning, match="could not be saved.*RandomState"):
        loaded = fastexplain.load(tmp_path / "saved")
    assert loaded.random_state is None
    assert_same(explainer, loaded, X)


# -- hostile files -------------------------------------------------------------------------------
class Trap:
    """Says so when it is made from a file."""

    def __reduce__(self) -> Any:
        return (os.mkdir, (os.environ["FASTEXPLAIN_TEST_TRAP"],))


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_pickles_are_not_opened(
    saved: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle

    monkeypatch.setenv("FASTEXPLAIN_TEST_TRAP", str(tmp_path / "sprung"))
    (saved / name).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="damaged"):
        fastexplain.load(saved)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("params", {"objective": "__import__('os').mkdir('sprung')"}),
        ("params", {"device": "cpu; import os"}),
        ("params", {"__class__": "os.system"}),
        ("params", {"random_state": {"__reduce__": ["os.mkdir", "sprung"]}}),
        ("params", {"baseline": {"__table__": {"kind": "os.system", "cells": []}}}),
        ("params", {"checkpoint": "sprung"}),
        ("masker", {"background": {"kind": "numpy", "dtype": "O", "cells": [["x"]], "width": 1}}),
        (
            "masker",
            {
                "background": {
                    "kind": "pandas",
                    "names": ["a"],
                    "columns": [{"dtype": "os.system", "cells": ["ls"], "nan": [False]}],
                }
            },
        ),
        ("masker", {"background": {"kind": "polars", "ipc": "gASVAAAA"}}),
        ("outputs", {"classes_dtype": "os.system"}),
    ],
)
@pytest.mark.filterwarnings("ignore:A parameter could not be saved")
def test_hostile_json_runs_nothing(
    saved: Path, tmp_path: Path, section: str, change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = json.loads((saved / "config.json").read_text())
    config[section] |= change
    (saved / "config.json").write_text(json.dumps(config))
    try:
        loaded = fastexplain.load(saved)
        loaded.explain(X[:2], 0)
    except ValueError as error:
        assert str(error)
    assert os.listdir(tmp_path) == ["saved"]


# -- the encodings -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        7,
        0.1,
        float("inf"),
        "text",
        [1, [2.5, None]],
        (1, ("a", 2.5)),
        {"a": [1, 2], ("b", 1): {"c": None}, 3: (4,)},
        {"__float__": "not ours"},
    ],
)
def test_values_come_back(value: Any) -> None:
    back = decode_value(json.loads(json.dumps(encode_value(value))))
    assert back == value
    assert type(back) is type(value)


def test_tables_come_back() -> None:
    frame = mixed_frame()
    frame["far"] = pd.Series(["3001-01-01", "1500-01-01"] * 40).astype("datetime64[s]")
    frame["tick"] = np.array(["NaT", "2024-01-01"] * 40, dtype="datetime64[ns]")
    frame["zone"] = pd.date_range("2024-01-01", periods=80, tz="UTC+01:00")
    for table in (frame, frame.iloc[:0], frame.iloc[3:4].reset_index(drop=True)):
        back = decode_table(json.loads(json.dumps(encode_table(Table(table))))).native
        pd.testing.assert_frame_equal(back, table)
    moments = np.array([["2024-01-01", "NaT"]], dtype="M8[D]")
    for array in (X, X.astype(np.float32), X > 0, moments, np.array([["a", None, 1.5, True]])):
        back = decode_table(json.loads(json.dumps(encode_table(Table(array))))).native
        np.testing.assert_array_equal(back, array)
        assert back.dtype == array.dtype
