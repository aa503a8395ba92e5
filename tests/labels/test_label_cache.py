"""Labels kept on disk: by content, whole or made anew, shared by threads and processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

import fastexplain.labels._cache as cache
import fastexplain.labels._kept_arrays as kept_arrays
from fastexplain import SupervisedExplainer, TabularMasker
from fastexplain.labels import (
    ExactShapley,
    Field,
    KernelShapley,
    PermutationShapley,
    cached_arrays,
    cached_labels,
)
from fastexplain.masked_model import MaskedModel
from fastexplain.predictors import make_predictor
from fastexplain.tables import as_table

X = np.random.default_rng(0).normal(size=(60, 5))
TABLE = as_table(X)
NAMES = {"values", "variance", "full", "n_queries"}


def masked_model(seed: int = 0) -> MaskedModel:
    tree = DecisionTreeClassifier(max_features=1, random_state=seed)
    tree.fit(X, X[:, 0] * X[:, 1] > 0)
    return MaskedModel(make_predictor(tree, X[:8]), TabularMasker().fit(X))


# -- by content --------------------------------------------------------------------------------
def test_labels_are_kept_by_content(tmp_path: Path) -> None:
    source, masked = KernelShapley(24), masked_model()
    first = cached_labels(source, masked, TABLE, 0, tmp_path)
    asked = masked.n_queries
    again = cached_labels(source, masked, TABLE, 0, tmp_path)
    for name in NAMES:
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert getattr(first, name).dtype == getattr(again, name).dtype
    # some copies of the rows are asked, to know the model by its answers
    assert masked.n_queries - asked == 4 * len(TABLE)
    assert len(list(tmp_path.iterdir())) == 1
    for other in (
        (KernelShapley(26), TABLE, 0),
        (PermutationShapley(24), TABLE, 0),
        (source, TABLE.take(slice(0, 30)), 0),
        (source, TABLE, 1),
    ):
        count = len(list(tmp_path.iterdir()))
        cached_labels(other[0], masked, other[1], other[2], tmp_path)
        assert len(list(tmp_path.iterdir())) == count + 1
    for file in tmp_path.iterdir():
        assert set(load_file(file)) == NAMES | {"model"}


def test_models_that_agree_on_the_rows_have_labels_of_their_own(tmp_path: Path) -> None:
    found = []
    for seed in (0, 1):
        masked = masked_model(seed)
        found.append(cached_labels(ExactShapley(), masked, TABLE, 0, tmp_path).values)
        direct = ExactShapley().labels(masked, TABLE, np.random.default_rng(0)).values
        np.testing.assert_array_equal(found[-1], direct)
    assert np.abs(found[0] - found[1]).max() > 0.1
    nothing = cached_labels(ExactShapley(), masked, TABLE.take(slice(0, 0)), 0, tmp_path)
    assert nothing.values.shape == (0, 5, 2)


def test_an_interrupted_run_keeps_its_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_CHUNK", 10)
    masked = masked_model()

    class Broken(KernelShapley):
        left = 2

        def labels(self, *args: Any) -> Any:
            if type(self).left == 0:
                raise KeyboardInterrupt
            type(self).left -= 1
            return super().labels(*args)

    broken = Broken(24)
    with pytest.raises(KeyboardInterrupt):
        cached_labels(broken, masked, TABLE, 0, tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    Broken.left = 4
    assert cached_labels(broken, masked, TABLE, 0, tmp_path).values.shape == (60, 5, 2)
    assert Broken.left == 0


# -- whole, or made anew -----------------------------------------------------------------------
FIELDS = {
    "a": Field((2, None)),
    "b": Field((3,), "int64"),
    "c": Field((2,), None, nan=True, more=True),
}


def arrays() -> dict[str, np.ndarray]:
    return {
        "a": np.arange(6.0).reshape(2, 3),
        "b": np.arange(3),
        "c": np.array([[1.0, np.nan], [0.0, 2.0]], dtype=np.float32),
    }


class Maker:
    """Makes arrays, and counts how often."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> dict[str, np.ndarray]:
        self.count += 1
        return arrays()


def assert_made_anew(folder: Path, made: bool) -> None:
    maker = Maker()
    found = cached_arrays(folder, "key", FIELDS, maker)
    assert maker.count == made
    for name, array in arrays().items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    assert_made_anew(tmp_path, True)
    assert_made_anew(tmp_path, False)
    return tmp_path / "key.safetensors"


def test_every_flipped_byte_is_seen(kept: Path) -> None:
    whole = kept.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x41
        kept.write_bytes(bytes(damaged))
        assert_made_anew(kept.parent, True)
    assert kept.read_bytes() == whole


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 60, 200, -1])
def test_cut_files_are_made_anew(kept: Path, length: int) -> None:
    kept.write_bytes(kept.read_bytes()[:length])
    assert_made_anew(kept.parent, True)
    assert_made_anew(kept.parent, False)


@pytest.mark.parametrize(
    "change",
    [
        {"a": np.zeros((3, 3))},
        {"a": np.zeros(6)},
        {"a": np.full((2, 3), np.nan)},
        {"a": np.full((2, 3), np.inf)},
        {"a": np.zeros((2, 3), dtype=np.float32)},
        {"b": np.zeros(3)},
        {"c": np.full((2, 2), np.inf, dtype=np.float32)},
        {"c": np.zeros((1, 2), dtype=np.float32)},
        {"d": np.zeros(1)},
        {"b": None},
    ],
)
def test_arrays_of_something_else_are_made_anew_whatever_their_digest_is(
    kept: Path, change: dict[str, Any]
) -> None:
    content = {name: array for name, array in (arrays() | change).items() if array is not None}
    save_file(content, kept, metadata={"sha256": kept_arrays._digest(content)})
    assert_made_anew(kept.parent, True)


def test_files_of_another_digest_or_none_are_made_anew(kept: Path) -> None:
    other = arrays() | {"b": np.arange(3) + 1}
    digest = kept_arrays._digest(arrays())
    for metadata in ({"sha256": digest}, {"sha256": ""}, None):
        save_file(other, kept, metadata=metadata)
        assert_made_anew(kept.parent, True)


def test_what_is_no_file_is_left(tmp_path: Path) -> None:
    (tmp_path / "key.safetensors").mkdir()
    with pytest.warns(UserWarning, match="could not be kept.*label_cache="):
        assert_made_anew(tmp_path, True)


def test_a_folder_that_cannot_be_written_costs_the_labels_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.warns(UserWarning, match=r"could not be kept in .*file.*label_cache="):
        assert_made_anew(tmp_path / "file", True)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_disk_leaves_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_arrays.os, "replace", full)
    with pytest.warns(UserWarning, match="No space left"):
        assert_made_anew(tmp_path, True)
    assert not list(tmp_path.iterdir())


def test_old_drafts_are_removed_and_young_ones_are_not(tmp_path: Path) -> None:
    for name, age in ((".key-0.part", 2 * kept_arrays._OLD), (".key-1.part", 0.0)):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    (tmp_path / "mine.part").write_bytes(b"mine")
    os.utime(tmp_path / "mine.part", (0, 0))
    assert_made_anew(tmp_path, True)
    assert sorted(os.listdir(tmp_path)) == [".key-1.part", "key.safetensors", "mine.part"]


@pytest.mark.filterwarnings("ignore:The explainer agrees poorly", "ignore:.*are held out")
def test_damaged_labels_of_a_fit_are_made_anew(tmp_path: Path) -> None:
    model = LogisticRegression().fit(X, X[:, 0] > 0)

    def values() -> np.ndarray:
        explainer = SupervisedExplainer(
            n_labels=40, max_steps=10, random_state=0, label_cache=tmp_path, hidden_dim=8
        )
        return explainer.fit(X, model).explain(X, "all").values

    first = values()
    files = list(tmp_path.iterdir())
    assert files
    for file in files:
        with safe_open(file, framework="np") as held:
            content = {name: held.get_tensor(name) for name in held.keys()}
        assert set(content) == {"x", "null", "labels", "variance", "total", "used", "model"}
        content["labels"] = np.full_like(content["labels"], np.nan)
        save_file(content, file, metadata={"sha256": kept_arrays._digest(content)})
    np.testing.assert_array_equal(values(), first)


# -- several writers ---------------------------------------------------------------------------
def large() -> dict[str, np.ndarray]:
    return {"a": np.arange(200_000.0)}


def test_threads_share_a_folder(tmp_path: Path) -> None:
    fields, bad = {"a": Field((200_000,))}, []

    def work() -> None:
        for k in range(20):
            found = cached_arrays(tmp_path, f"key{k % 3}", fields, large)
            if not np.array_equal(found["a"], large()["a"]):
                bad.append(k)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not bad
    assert sorted(os.listdir(tmp_path)) == [f"key{k}.safetensors" for k in range(3)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_writers_may_be_killed_at_any_moment(tmp_path: Path) -> None:
    fields = {"a": Field((200_000,))}
    for moment in ("before", "after"):
        pid = os.fork()
        if pid == 0:
            real = os.replace

            def replace(source: Any, target: Any, moment: str = moment, real: Any = real) -> None:
                if moment == "after":
                    real(source, target)
                os.kill(os.getpid(), signal.SIGKILL)

            os.replace = replace
            cached_arrays(tmp_path, moment, fields, large)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        maker: list[int] = []

        def make(maker: list[int] = maker) -> dict[str, np.ndarray]:
            maker.append(1)
            return large()

        found = cached_arrays(tmp_path, moment, fields, make)
        np.testing.assert_array_equal(found["a"], large()["a"])
        assert len(maker) == (moment == "before")
