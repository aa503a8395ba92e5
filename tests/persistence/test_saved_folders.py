"""Writing folders: what is there is never lost, whoever is killed, and whoever else is writing."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from folders import ONE, OTHER, assert_holds, config_of, fitted, same, values_of

import fastexplain
import fastexplain.persistence._files as files
import fastexplain.persistence._save as save_module

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


# -- names -------------------------------------------------------------------------------------
def test_there_is_no_pickle_in_the_folder(saved: Path) -> None:
    assert sorted(os.listdir(saved)) == ["config.json", "weights.safetensors"]
    json.loads((saved / "config.json").read_text(encoding="utf-8"))
    weights = (saved / "weights.safetensors").read_bytes()
    header = int.from_bytes(weights[:8], "little")
    json.loads(weights[8 : 8 + header])
    assert b"sklearn" not in weights


def test_a_save_over_a_saved_explainer_leaves_one_file_of_weights(saved: Path) -> None:
    for name, slot in ((OTHER, "weights-2"), (ONE, "weights"), (ONE, "weights-2")):
        fitted(name).save(saved)
        assert config_of(saved)["weights"]["file"] == f"{slot}.safetensors"
        assert_holds(saved, name)
    assert os.listdir(saved.parent) == ["saved"]


def test_new_and_empty_folders(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "a" / "b" / "c"):
        fitted(ONE).save(str(folder))
        assert sorted(os.listdir(folder)) == ["config.json", "weights.safetensors"]
        assert_holds(folder, ONE)


def test_links_to_folders_stay_links(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(saved)
    fitted(OTHER).save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert_holds(saved, OTHER)


def test_files_have_the_rights_that_other_files_have(saved: Path) -> None:
    (saved.parent / "other").write_text("")
    for file in saved.iterdir():
        assert file.stat().st_mode == (saved.parent / "other").stat().st_mode


@pytest.mark.parametrize(
    "others",
    [
        {"thesis.tex": "mine"},
        {"config.json": '{"model_type": "bert"}', "model.safetensors": "mine"},
        {"config.json": "{}"},
        {"config.json": "[]", "weights.safetensors": "mine"},
        {"weights.safetensors": "mine"},
    ],
)
def test_folders_of_others_are_left_alone(tmp_path: Path, others: dict[str, str]) -> None:
    for name, text in others.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(FileExistsError, match="would be lost"):
        fitted(ONE).save(tmp_path)
    assert {name: (tmp_path / name).read_text() for name in os.listdir(tmp_path)} == others


def test_files_added_to_a_saved_explainer_are_left_alone(saved: Path) -> None:
    (saved / "notes.md").write_text("mine")
    with pytest.raises(FileExistsError, match="would be lost"):
        fitted(OTHER).save(saved)
    (saved / "notes.md").unlink()
    assert_holds(saved, ONE)


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="would be lost"):
        fitted(ONE).save(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_folders_of_the_format_before_are_replaced(saved: Path) -> None:
    """They have no digests, and one name for weights."""
    old = {"format": 2, "fastexplain": "0.1.0", "explainer": "FEXExplainer", "params": {}}
    (saved / "config.json").write_text(json.dumps(old))
    fitted(OTHER).save(saved)
    assert_holds(saved, OTHER)


def test_weights_that_are_not_finite_are_not_written(saved: Path, tmp_path: Path) -> None:
    broken = fastexplain.load(saved)
    next(broken._network.parameters()).data.fill_(float("nan"))
    with pytest.raises(ValueError, match="not trained to finite weights.*learning_rate"):
        broken.save(tmp_path / "new")
    assert not (tmp_path / "new").exists()


# -- errors and kills --------------------------------------------------------------------------
#: what a save asks of the system, one after the other
CALLS = ("replace", "fsync", "unlink")


class Moments:
    """Counts calls of the system, and does something before or after one of them."""

    def __init__(self, moment: int, act: Callable[[], Any], after: bool) -> None:
        self.moment, self.act, self.after, self.count = moment, act, after, 0

    def patched(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            now = self.count == self.moment
            if now and not self.after:
                self.act()
            found = real(*args, **kwargs)
            if now and self.after:
                self.act()
            return found

        return call

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in CALLS:
            monkeypatch.setattr(os, name, self.patched(getattr(os, name)))


def is_killed_at(folder: Path, moment: int, after: bool) -> bool:
    """Save in a process that is killed before or after one of its calls, if it has as many."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with pytest.MonkeyPatch.context() as patched:
                Moments(moment, lambda: os.kill(os.getpid(), signal.SIGKILL), after).install(
                    patched
                )
                fitted(OTHER).save(folder)
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def all_moments() -> Iterator[tuple[int, bool]]:
    """Before and after each call of a save, and more than there are."""
    for moment in range(1, 30):
        yield moment, False
        yield moment, True


@needs_fork
def test_kills_at_every_moment_leave_the_old_one_or_the_new(saved: Path) -> None:
    values_of(fitted(OTHER))
    outcomes = []
    for moment, after in all_moments():
        fitted(ONE).save(saved)
        if not is_killed_at(saved, moment, after):
            break
        loaded = fastexplain.load(saved)
        assert same(loaded, ONE) or same(loaded, OTHER)
        outcomes.append(same(loaded, OTHER))
        # whoever comes next clears up what was left, and is not in the way of anybody
        fitted(OTHER).save(saved)
        assert_holds(saved, OTHER)
    # two files with a draft each, the folder twice, the weights before, and the lock
    assert len(outcomes) >= 2 * 8
    # at some moment, the new one takes the old one's place, and from then on it is there
    assert not outcomes[0] and outcomes[-1]
    assert outcomes == sorted(outcomes)


@needs_fork
def test_kills_of_a_first_save_are_in_nobodys_way(tmp_path: Path) -> None:
    values_of(fitted(OTHER))
    kills = 0
    for moment, after in all_moments():
        folder = tmp_path / f"{moment}{after}"
        if not is_killed_at(folder, moment, after):
            break
        kills += 1
        try:
            assert same(fastexplain.load(folder), OTHER)
        except FileNotFoundError as error:
            assert "no saved explainer" in str(error)
        fitted(ONE).save(folder)
        assert_holds(folder, ONE)
    assert kills >= 2 * 7


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("new", [False, True])
def test_errors_at_every_moment_leave_the_old_one_or_the_new(
    saved: Path, tmp_path: Path, error: type[BaseException], new: bool
) -> None:
    def act() -> None:
        raise error("interrupted")

    for moment in range(1, 6):
        folder = tmp_path / f"new{moment}" if new else saved
        if not new:
            fitted(ONE).save(saved)
        with pytest.MonkeyPatch.context() as patched:
            Moments(moment, act, False).install(patched)
            try:
                fitted(OTHER).save(folder)
            except error:
                pass
        if folder.exists():
            explainer = fastexplain.load(folder)
            assert same(explainer, OTHER) or (same(explainer, ONE) and not new)
            assert len(os.listdir(folder)) == 2
    assert not any(name.startswith(".") for name in os.listdir(tmp_path))


def test_a_full_disk_leaves_the_old_one(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            fitted(OTHER).save(saved)
    assert_holds(saved, ONE)


def test_what_is_committed_is_on_the_disk(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file is synced before its move, and the weights' name before the description's move."""
    done: list[str] = []
    real = {name: getattr(os, name) for name in ("fsync", "replace")}

    def fsync(handle: int) -> None:
        done.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")
        real["fsync"](handle)

    def replace(source: Any, target: Any) -> None:
        done.append(Path(target).name)
        real["replace"](source, target)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    fitted(OTHER).save(saved)
    wanted = ["file", "weights-2.safetensors", "folder", "file", "config.json", "folder"]
    assert done == wanted


def test_a_save_that_waits_for_ever_says_so(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_LONGEST_WAIT", 0.05)
    with files.locked(saved):
        with pytest.raises(TimeoutError, match="Another process has been saving"):
            fitted(OTHER).save(saved)
    assert_holds(saved, ONE)


def test_drafts_of_the_dead_are_cleared_and_files_of_others_are_not(saved: Path) -> None:
    (saved / ".draft-0123").write_bytes(b"half")
    (saved / ".lock").write_bytes(b"")
    (saved / "weights-2.safetensors").write_bytes((saved / "weights.safetensors").read_bytes())
    assert same(fastexplain.load(saved), ONE)
    fitted(OTHER).save(saved)
    assert_holds(saved, OTHER)
    (saved / ".profile").write_text("mine")
    with pytest.raises(FileExistsError):
        fitted(ONE).save(saved)
    assert save_module.FORMAT == config_of(saved)["format"]
