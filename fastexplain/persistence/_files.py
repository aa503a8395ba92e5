"""Files of a saved explainer: names, digests, drafts, and what must reach the disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

__all__ = [
    "CONFIG",
    "DRAFT",
    "SLOTS",
    "digest_of",
    "is_own_litter",
    "locked",
    "parsed",
    "sync_folder",
    "text_of",
    "write_draft",
]

CONFIG = "config.json"
#: names of the file of weights: a save over a saved explainer writes the one that is not in use
SLOTS = ("weights.safetensors", "weights-2.safetensors")
#: how names of drafts begin
DRAFT = ".draft-"
_LOCK = ".lock"
# a save takes seconds; one that takes longer hangs
_LONGEST_WAIT = 600.0


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder against other savers, in threads and processes.

    The system frees the lock of a process that is killed. Its file is removed at the end.

    Raises
    ------
    TimeoutError
        If another saver holds it for ten minutes.
    """
    path = folder / _LOCK
    lock = FileLock(path, timeout=_LONGEST_WAIT)
    try:
        lock.acquire()
    except Timeout as error:
        raise TimeoutError(
            f"Another process has been saving to {folder} for {_LONGEST_WAIT:.0f} seconds; end it, "
            "or save to another folder."
        ) from error
    try:
        yield
    finally:
        # while it is held: savers that wait for a file that is gone make a new one. Windows
        # removes no open file; filelock does so there itself.
        with contextlib.suppress(OSError):
            path.unlink()
        lock.release()


def is_own_litter(name: str) -> bool:
    """Whether a file is the lock, or a draft that a killed saver left."""
    return name == _LOCK or name.startswith(DRAFT)


def write_draft(folder: Path, content: bytes) -> Path:
    """Write a file of a name of its own, on the disk when this returns."""
    path = folder / f"{DRAFT}{secrets.token_hex(8)}"
    # with the rights that the user's files have, which those of tempfile have not
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return path


def sync_folder(folder: Path) -> None:
    """Have names of files in a folder reach the disk, where the system knows how."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with contextlib.suppress(OSError):  # some file systems do it at their own time
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def digest_of(content: bytes | dict[str, Any]) -> str:
    """SHA-256 of bytes, or of an object as JSON without its own digest."""
    if isinstance(content, dict):
        rest = {key: value for key, value in content.items() if key != "digest"}
        text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
        content = text.encode("ascii")
    return hashlib.sha256(content).hexdigest()


def text_of(config: dict[str, Any]) -> bytes:
    """An object as ``config.json`` has it."""
    return json.dumps(config, indent=1, allow_nan=False).encode("ascii")


def parsed(content: bytes) -> dict[str, Any]:
    """Read ``config.json``.

    Raises
    ------
    ValueError
        If it is no JSON object, a key comes twice, or a number is none.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key comes twice")
        return found

    def refuse(text: str) -> Any:
        raise ValueError(f"{text} is no number")

    def finite(text: str) -> float:
        found = float(text)
        return found if abs(found) < float("inf") else refuse(text[:40])

    try:
        found = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=once,
            parse_constant=refuse,
            parse_float=finite,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if type(found) is not dict:
        raise ValueError("it describes no explainer")
    return found
