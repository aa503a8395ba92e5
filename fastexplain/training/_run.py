"""What of an unfinished run lies on disk, what of it is whole, and what is added to it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fastexplain._same_answers import same_answers
from fastexplain._warnings import warn_user
from fastexplain.training._run_folder import DAMAGED, Part, RunFolder

__all__ = ["Kept", "Run"]

# what is wrong with the path, rather than with the disk
_OF_THE_PATH = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT)
# what torch raises beside OSError where a file cannot be written
_WRITING = (OSError, RuntimeError)

Kept = float | list[float]

# the part with the model's answers, which tell it from another
_MODEL = "model"


class _OtherRunError(ValueError):
    """A folder holds an unfinished run of other parameters, data or model."""


class Run:
    """One run's parts on disk, shared by the stages of its training."""

    def __init__(
        self,
        path: Path,
        fingerprint: str,
        queries: Callable[[], int] | None,
        model: np.ndarray | None = None,
    ) -> None:
        self.path, self.fingerprint, self.model = path, fingerprint, model
        self.queries = (lambda: 0) if queries is None else queries
        self.kept: dict[str, Kept] = {}
        self.parts: dict[str, Part] = {}
        self.pool: list[Part] = []
        #: stages whose state an earlier process left whole
        self.found: set[str] = set()
        self.step = self.queries_before = 0
        self.told_of_disk = False
        # of several processes that train together, one writes
        self.processes = int(os.environ.get("WORLD_SIZE", 1))
        self.folder: RunFolder | None = None
        try:
            self.folder = RunFolder(path, writes=int(os.environ.get("RANK", 0)) == 0)
        except OSError as error:
            if error.errno in _OF_THE_PATH:
                raise ValueError(
                    f"checkpoint={str(path)!r} cannot be written ({error}); give another folder."
                ) from error
            self._warn_of_disk(error)
            return
        try:
            self._take_up(self.folder)
        except BaseException:
            self.folder.close()
            raise

    def _take_up(self, folder: RunFolder) -> None:
        """Find what an earlier process left, and what of it is whole."""
        try:
            info = folder.read()
            if info is not None:
                self._compare(info, folder)
            elif folder.has_parts():
                self.warn("holds files of a run, but not what names them; fit starts afresh")
        except _OtherRunError:
            raise
        except DAMAGED as error:
            self.warn(f"is damaged ({error}); fit starts afresh")
        if self.model is not None and _MODEL not in self.parts:
            part = self._written(_MODEL, {"answers": torch.from_numpy(self.model)})
            self.parts |= {} if part is None else {_MODEL: part}
        # from here on the folder tells what it is, and files that do not count are gone
        self.commit()

    def _compare(self, info: dict[str, Any], folder: RunFolder) -> None:
        begun = bool(info["parts"].keys() - {_MODEL} or info["pool"])
        same = info["fingerprint"] == self.fingerprint
        if begun and same and self.model is not None:
            part = info["parts"].get(_MODEL)
            before = folder.load(part, "cpu") if part and folder.whole(part) else None
            if before is None:
                self.warn("does not tell which model its run is of; fit starts afresh")
                return
            same = same_answers(before["answers"].numpy(), self.model)
        if begun and not same:
            raise _OtherRunError(
                f"{self.path} holds an unfinished run with other parameters, data or "
                "model. Fit with those to resume it, delete the folder to drop it, or give "
                "another checkpoint=."
            )
        if not begun:
            return
        self.kept, self.queries_before = dict(info["kept"]), int(info["queries"])
        self.step = int(info["step"])
        parts = {stage: part for stage, part in info["parts"].items() if folder.whole(part)}
        pool: list[Part] = []
        for part in info["pool"]:
            if part["start"] != _end(pool) or not folder.whole(part):
                break
            pool.append(part)
        self.parts, self.pool, self.found = parts, pool, parts.keys() - {_MODEL}
        lost = sorted(info["parts"].keys() - parts.keys())
        if len(pool) < len(info["pool"]):
            lost.append(f"answers from row {_end(pool):,} on")
        if lost:
            self.warn(f"has damaged files ({', '.join(lost)}); what they held is made anew")

    def get(self, stage: str, device: Any) -> dict[str, Any] | None:
        """The state that an earlier process left, once."""
        if self.folder is None or stage not in self.found:
            return None
        self.found.discard(stage)
        return self._load(self.parts[stage], device)

    def rows(self) -> dict[str, torch.Tensor] | None:
        """All rows that were kept, each tensor joined before the next."""
        parts = [self._load(part, "cpu") for part in self.pool]
        whole = [part for part in parts if part is not None]
        if not whole or len(whole) < len(parts):
            return None
        if len(whole) == 1:
            return whole[0]
        return {name: torch.cat([part.pop(name) for part in whole]) for name in list(whole[0])}

    def _load(self, part: Part, device: Any) -> dict[str, Any] | None:
        assert self.folder is not None
        try:
            return self.folder.load(part, device)
        except Exception as error:  # torch and pickle raise many kinds
            self.warn(f"has a file that cannot be read ({error}); what it held is made anew")
            return None

    def put(self, stage: str, state: dict[str, Any], step: int) -> None:
        """Keep a stage's state in the place of its last one."""
        part = self._written(stage, state)
        if part is not None:
            before = dict(self.parts)
            self.parts, self.step = self.parts | {stage: part}, step
            if not self.commit():
                self.parts = before

    def put_rows(self, rows: dict[str, torch.Tensor], start: int) -> bool:
        """Keep rows behind those that end at ``start``; whether they are kept."""
        if self.folder is None or not self.folder.writes:
            # nothing is ever kept from here
            return True
        before = self.pool
        pool = [part for part in before if part["start"] + part["rows"] <= start]
        part = self._written("pool", rows) if _end(pool) == start else None
        if part is None:
            return False
        n_rows = len(next(iter(rows.values())))
        self.pool = [*pool, part | {"start": start, "rows": n_rows}]
        if self.commit():
            return True
        self.pool = before
        return False

    def _written(self, kind: str, content: dict[str, Any]) -> Part | None:
        if self.folder is None or not self.folder.writes:
            return None
        try:
            return self.folder.write(kind, content)
        except _WRITING as error:
            self._warn_of_disk(error)
            return None

    def commit(self) -> bool:
        """Say what counts from now on, and remove what counts no more."""
        if self.folder is None or not self.folder.writes:
            return False
        info = {
            "fingerprint": self.fingerprint,
            "step": self.step,
            "kept": self.kept,
            # the others of a program of several processes ask for as much
            "queries": self.queries_before + self.processes * self.queries(),
            "parts": self.parts,
            "pool": self.pool,
        }
        try:
            self.folder.commit(info)
        except _WRITING as error:
            self._warn_of_disk(error)
            return False
        self.folder.sweep(self._files())
        return True

    def finish(self) -> None:
        """Say that nothing is left to take up, before files are removed one by one."""
        self.parts, self.pool, self.fingerprint = {}, [], "ended"
        self.commit()

    def close(self) -> None:
        folder = self.folder
        if folder is None:
            return
        try:
            if self.parts.keys() - {_MODEL} or self.pool:
                # what was asked since the last save counts as well
                self.commit()
            else:
                folder.clear()
        finally:
            self.folder = None
            folder.close()

    def warn(self, what: str) -> None:
        warn_user(f"The checkpoint {self.path} {what}.")

    def _files(self) -> set[str]:
        return {str(part["file"]) for part in (*self.parts.values(), *self.pool)}

    def _warn_of_disk(self, error: Exception) -> None:
        if not self.told_of_disk:
            self.told_of_disk = True
            warn_user(
                f"The run could not be saved to {self.path} ({error}). It goes on; where it is "
                "left, it can be taken up from what was saved before."
            )


def _end(pool: list[Part]) -> int:
    """The row behind the last one."""
    return pool[-1]["start"] + pool[-1]["rows"] if pool else 0
