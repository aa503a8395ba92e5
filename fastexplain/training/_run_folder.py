"""Files of an unfinished run: what counts is what ``run.json`` names, replaced in one move."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from filelock import FileLock, Timeout

from fastexplain._version import __version__

__all__ = ["DAMAGED", "RunFolder"]

#: what reading a damaged file may raise, beside what torch says of it
DAMAGED = (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
_INFO, _LOCK = "run.json", "run.lock"
_FORMAT = 2
# all that is ever written here; files of other names are the user's
_OWN = re.compile(
    r"run\.lock|(state|earlier|pool|model)-[0-9a-f]{16}\.pt(\.part)?|run-[0-9a-f]{16}\.part"
)
_TRIES = 3

Part = dict[str, Any]


class RunFolder:
    """A folder that one run at a time writes to, and nothing else.

    Parameters
    ----------
    path : path-like
        Made if missing.
    writes : bool
        Whether this process holds the lock and writes; others only read.

    Raises
    ------
    ValueError
        If it is no folder, or one that holds other files alone.
    RuntimeError
        If another run holds it.
    """

    def __init__(self, path: str | os.PathLike[str], writes: bool) -> None:
        self.path = Path(path)
        self.writes = writes
        self._lock: FileLock | None = None
        self._check()
        if writes:
            self._take()

    def read(self) -> dict[str, Any] | None:
        """What the last commit said; None where there is none.

        Raises
        ------
        ValueError
            Where it is damaged, or written by another version.
        """
        return read_info(self.path)

    def has_parts(self) -> bool:
        """Whether files lie here that a commit named once, or was about to."""
        return any(name.endswith(".pt") and _OWN.fullmatch(name) for name in os.listdir(self.path))

    def whole(self, part: Part) -> bool:
        """Whether a part is as it was written."""
        try:
            path = self.path / str(part["file"])
            if not _OWN.fullmatch(path.name) or path.stat().st_size != part["size"]:
                return False
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == part["sha256"]
        except DAMAGED:
            return False

    def load(self, part: Part, device: Any) -> dict[str, Any]:
        """Read a part; the file can hold tensors and plain values, and runs no code."""
        path = self.path / str(part["file"])
        return torch.load(path, map_location=device, weights_only=True)

    def write(self, kind: str, content: dict[str, Any]) -> Part:
        """Write a part under a name of its own; it counts from ``commit`` on."""
        name = f"{kind}-{secrets.token_hex(8)}.pt"
        digest = hashlib.sha256()

        def save(file: BinaryIO) -> None:
            torch.save(content, cast(BinaryIO, _Digested(file, digest)))

        size = self._replace(name + ".part", name, save)
        return {"file": name, "size": size, "sha256": digest.hexdigest()}

    def commit(self, info: dict[str, Any]) -> None:
        """Say what counts from now on."""
        body = info | {"format": _FORMAT, "version": __version__}
        text = json.dumps(body | {"digest": _digest(body)}, indent=1)

        def save(file: BinaryIO) -> None:
            file.write(text.encode())

        self._replace(f"run-{secrets.token_hex(8)}.part", _INFO, save)

    def sweep(self, kept: set[str]) -> None:
        """Remove files of this folder's own that do not count."""
        if not self.writes:
            return
        with contextlib.suppress(OSError):
            for name in os.listdir(self.path):
                if _OWN.fullmatch(name) and name not in kept | {_LOCK}:
                    _remove(self.path / name)

    def clear(self) -> None:
        """Remove all of this folder's own files; what counted counts no more."""
        if self.writes:
            _remove(self.path / _INFO)
            self.sweep(set())

    def close(self) -> None:
        """Let another run have it; without a run in it, and files of others, it goes."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        if not (self.path / _INFO).exists():
            # while it is held: who opens it meanwhile sees that it has gone
            _remove(self.path / _LOCK)
        lock.release()
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def _check(self) -> None:
        """Refuse what is somebody else's before anything is written there."""
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise ValueError(f"checkpoint={str(self.path)!r} is a file; give the name of a folder.")
        names = os.listdir(self.path)
        own = any(_OWN.fullmatch(name) for name in names)
        if not names or own or (_INFO in names and _is_ours(self.path / _INFO)):
            return
        raise ValueError(f"{self.path} exists and is not a checkpoint; give another checkpoint=.")

    def _take(self) -> None:
        for _ in range(_TRIES):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / _LOCK, thread_local=False)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                break
            except FileNotFoundError:
                # a run that ended has removed the folder
                continue
            self._lock = lock
            return
        raise RuntimeError(
            f"Another run is using {self.path}: its lock is held. Wait until that fit has ended, "
            "or give another checkpoint=."
        )

    def _replace(self, draft: str, name: str, save: Any) -> int:
        """Write a file aside and move it to its place; the size is returned."""
        path = self.path / draft
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                save(file)
                file.flush()
                os.fsync(file.fileno())
                size = file.tell()
            os.replace(path, self.path / name)
        except BaseException:
            _remove(path)
            raise
        return size


class _Digested:
    """A file to write to, whose content is digested on the way."""

    def __init__(self, file: BinaryIO, digest: Any) -> None:
        self.file, self.digest = file, digest

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def read_info(folder: Path) -> dict[str, Any] | None:
    """What ``run.json`` says; see ``RunFolder.read``."""
    try:
        text = (folder / _INFO).read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ValueError(f"{_INFO} cannot be read: {error}") from error
    try:
        info = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"{_INFO} is damaged.") from error
    if not isinstance(info, dict):
        raise ValueError(f"{_INFO} is damaged.")
    digest = info.pop("digest", None)
    if digest != _digest(info):
        raise ValueError(f"{_INFO} is damaged.")
    if info["format"] != _FORMAT or info["version"] != __version__:
        raise ValueError(f"{_INFO} was written by fastexplain {info['version']}.")
    return info


def _is_ours(path: Path) -> bool:
    """Whether a ``run.json`` that stands alone may be one of this package's."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return True
    return isinstance(found, dict) and "fingerprint" in found


def _digest(info: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(info, sort_keys=True).encode()).hexdigest()


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
