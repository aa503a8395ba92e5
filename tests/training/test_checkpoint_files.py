"""Files of checkpoints: damaged, on a full disk, somebody else's, or in use."""

from __future__ import annotations

import errno
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import fit, left_run, make_rows, quietly, same, squared, stopping_at
from torch import nn

from fastexplain.training import Checkpoint, Fitted, TargetPool, _run_folder


@pytest.fixture(scope="module")
def whole() -> tuple[dict[str, Any], Fitted]:
    """The run that nothing disturbs."""
    return fit(None)


# -- damaged ---------------------------------------------------------------------------------
def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flipped(data: bytes) -> bytes:
    if not data:
        return data
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "empty": lambda data: b"",
    "cut": _cut,
    "flipped": _flipped,
    "garbage": lambda data: bytes(np.random.default_rng(0).integers(256, size=500, dtype="u1")),
    "brackets": lambda data: b"[" * 100_000,
    "null": lambda data: b"null",
    "missing": lambda data: None,
}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("what", ["run.json", "state", "pool", "all"])
def test_damaged_files_are_made_anew(tmp_path: Path, whole: Any, what: str, how: str) -> None:
    folder = left_run(tmp_path / "run")
    files = [f for f in folder.iterdir() if f.name.startswith(what) or what == "all"]
    assert files
    for file in files:
        data = DAMAGE[how](file.read_bytes())
        if data is None:
            file.unlink()
        else:
            file.write_bytes(data)
    if what == "all" and how == "missing":
        # nothing is left of it
        same(quietly(folder), whole)
    else:
        with pytest.warns(UserWarning, match="The checkpoint"):
            same(fit(folder), whole)
    assert not folder.exists()


def test_every_byte_of_the_list_of_files_counts(tmp_path: Path) -> None:
    folder = left_run(tmp_path / "run")
    data = (folder / "run.json").read_bytes()
    for at in range(0, len(data), 5):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        (folder / "run.json").write_bytes(changed)
        info = None
        try:
            info = _run_folder.read_info(folder)
        except ValueError:
            continue
        # spaces between values say nothing
        assert info == json.loads(data) | {"digest": None} or "digest" not in info


def test_files_of_another_version_are_no_use(tmp_path: Path, whole: Any) -> None:
    folder = left_run(tmp_path / "run")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_run_folder, "__version__", "99.0")
        with pytest.warns(UserWarning, match=r"written by fastexplain 0\.1.*starts afresh"):
            same(fit(folder), whole)


def test_weights_of_another_network_are_told_of(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "run", "a")
    module, pool = nn.Linear(2, 1), TargetPool({"x": torch.zeros(4, 1)}, 2, 0)
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    generator = torch.Generator()
    pool.seek(3)
    checkpoint.save(3, module, optimizer, generator, pool, Fitted(), {})
    checkpoint.close()
    pool.seek(0)
    again, other = Checkpoint(tmp_path / "run", "a"), nn.Linear(3, 1)
    before = other.weight.clone()
    with pytest.warns(UserWarning, match="does not fit this network"):
        assert again.resume(other, optimizer, generator, pool) is None
    assert torch.equal(other.weight, before) and pool.position() == 0
    again.close()


# -- a full disk -----------------------------------------------------------------------------
@pytest.mark.parametrize("where", ["torch.save", "os.replace", "os.fsync", "filelock", "mkdir"])
def test_on_a_full_disk_training_goes_on(
    tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(*given: Any, **named: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    target = {
        "torch.save": (torch, "save"),
        "os.replace": (os, "replace"),
        "os.fsync": (os, "fsync"),
        "filelock": (_run_folder.FileLock, "acquire"),
        "mkdir": (Path, "mkdir"),
    }[where]
    monkeypatch.setattr(*target, full)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        same(fit(tmp_path / "run"), whole)
    told = [str(w.message) for w in caught if "could not be saved" in str(w.message)]
    assert len(told) == 1 and "No space left" in told[0]
    monkeypatch.undo()
    same(quietly(tmp_path / "run"), whole)


@pytest.mark.parametrize("room", [0, 1, 2, 3])
def test_a_disk_that_fills_up_keeps_the_last_whole_state(
    tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    real, calls = torch.save, []

    def filling(*given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) > room:
            given[1].write(b"half of it")
            raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")
        return real(*given, **named)

    monkeypatch.setattr(torch, "save", filling)
    with pytest.warns(UserWarning, match="could not be saved|interrupted"):
        fit(tmp_path / "run", loss=stopping_at(squared, 10))
    monkeypatch.undo()
    names = [file.name for file in (tmp_path / "run").iterdir()] if room else []
    assert not any(name.endswith(".part") for name in names)
    same(quietly(tmp_path / "run"), whole)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_file_that_may_not_grow_is_a_full_disk(
    tmp_path: Path, whole: Any, in_child: Callable[..., bool]
) -> None:
    resource = pytest.importorskip("resource")

    def limited() -> None:
        # the system's own error, raised within torch's writer
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        found = fit(tmp_path / "run", stay=True)
        same(found, whole)
        (tmp_path / "ended").mkdir()

    in_child(limited)
    assert (tmp_path / "ended").exists()
    same(quietly(tmp_path / "run"), whole)


# -- whose folder ----------------------------------------------------------------------------
def test_a_run_of_something_else_is_refused_and_kept(tmp_path: Path, whole: Any) -> None:
    folder = left_run(tmp_path / "run")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(ValueError, match=r"unfinished run with other.*checkpoint="):
        fit(folder, name="b")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    same(quietly(folder), whole)


def test_a_run_that_had_not_begun_stands_in_nobodys_way(tmp_path: Path, whole: Any) -> None:
    checkpoint = Checkpoint(tmp_path / "run", "b")
    checkpoint.keep("rate", 3.0)
    checkpoint._run.folder.close()  # type: ignore[union-attr]  # as if killed here
    assert Checkpoint.kept_before(tmp_path / "run", "rate") == 3.0
    same(quietly(tmp_path / "run"), whole)


@pytest.mark.parametrize("name", ["mine.txt", "state.pt", "experience.pt", "run.json"])
def test_folders_of_others_are_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"precious": true}')
    with pytest.raises(ValueError, match="exists and is not a checkpoint"):
        Checkpoint(tmp_path, "a")
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_files_of_the_user_stay(tmp_path: Path, whole: Any) -> None:
    folder = left_run(tmp_path / "run")
    for name in ("notes.txt", "state.pt", "pool-best.pt"):
        (folder / name).write_text("mine")
    (folder / "labels").mkdir()
    (folder / "run.json").write_text("{")
    with pytest.warns(UserWarning, match="starts afresh"):
        same(fit(folder), whole)
    left = sorted(file.name for file in folder.iterdir())
    assert left == ["labels", "notes.txt", "pool-best.pt", "state.pt"]


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(ValueError, match="is a file|cannot be written"):
            Checkpoint(path, "a")


# -- one at a time ---------------------------------------------------------------------------
def test_two_runs_at_a_time_are_one_too_many(tmp_path: Path, whole: Any) -> None:
    first = Checkpoint(tmp_path / "run", "a")
    for name in ("a", "b"):
        with pytest.raises(RuntimeError, match=r"Another run is using .*lock.*checkpoint="):
            Checkpoint(tmp_path / "run", name)
    first.close()
    same(quietly(tmp_path / "run"), whole)


def test_a_lock_is_let_go_whatever_ends_the_run(tmp_path: Path, whole: Any) -> None:
    for kind in (KeyboardInterrupt, ValueError, MemoryError):
        with pytest.raises(kind):
            fit(tmp_path / "run", make=stopping_at(make_rows, 3, kind))
        assert (tmp_path / "run" / "run.json").exists()
    same(quietly(tmp_path / "run"), whole)


def test_a_lock_dies_with_its_process(
    tmp_path: Path, whole: Any, in_child: Callable[..., bool]
) -> None:
    assert in_child(lambda: fit(tmp_path / "run"), moment=40)
    assert (tmp_path / "run" / "run.lock").exists()
    same(quietly(tmp_path / "run"), whole)


def test_other_processes_of_a_program_read_and_do_not_write(
    tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = left_run(tmp_path / "run")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    first = Checkpoint(folder, "a")
    monkeypatch.setenv("RANK", "1")
    second = Checkpoint(folder, "a")
    assert second.holds_run() and second.pool() is not None
    second.keep("rate", 1.0)
    assert second.save_rows({"x": torch.zeros(3, 1)}, 0)
    second.finish()
    second.close()
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    first.close()


# -- what is held ----------------------------------------------------------------------------
def test_numbers_are_kept_for_the_run_that_takes_it_up(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "run", "a", lambda: 30)
    checkpoint.keep("rate", float("inf"))
    checkpoint.keep("unit", [0.1, 1 / 3])
    checkpoint.save_rows({"x": torch.zeros(3, 1)}, 0)
    assert checkpoint.queries_before == 0
    checkpoint.close()
    assert Checkpoint.kept_before(tmp_path / "run", "rate") == float("inf")
    again = Checkpoint(tmp_path / "run", "a", lambda: 12)
    assert again.kept("unit") == [0.1, 1 / 3] and again.kept("other") is None
    assert again.queries_before == 30
    again.close()
    last = Checkpoint(tmp_path / "run", "a")
    assert last.queries_before == 42
    last.finish()
    last.close()
    assert Checkpoint.kept_before(tmp_path / "run", "rate") is None
    (tmp_path / "run").mkdir()
    for text in ("", "{", '{"kept": 3}', "[" * 100_000):
        (tmp_path / "run" / "run.json").write_text(text)
        assert Checkpoint.kept_before(tmp_path / "run", "rate") is None


def test_rows_are_kept_in_order_and_without_gaps(tmp_path: Path) -> None:
    x = torch.arange(10.0)[:, None]
    checkpoint = Checkpoint(tmp_path / "run", "a")
    assert checkpoint.pool() is None
    assert checkpoint.save_rows({"x": x[:4]}, 0)
    assert not checkpoint.save_rows({"x": x[6:]}, 6)
    assert checkpoint.save_rows({"x": x[4:7]}, 4)
    # told again from where an interrupt came
    assert checkpoint.save_rows({"x": x[4:]}, 4)
    checkpoint.close()
    again = Checkpoint(tmp_path / "run", "a")
    pool = again.pool()
    assert pool is not None and torch.equal(pool["x"], x)
    again.close()
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / info["pool"][1]["file"]).write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="answers from row 4 on"):
        last = Checkpoint(tmp_path / "run", "a")
    pool = last.pool()
    assert pool is not None and torch.equal(pool["x"], x[:4])
    last.close()
