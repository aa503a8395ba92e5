"""Arrays kept in a folder by a key: what is read is what was written, or is made anew."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastexplain._same_answers import same_answers
from fastexplain._warnings import warn_user

__all__ = ["Field", "cached_arrays"]

# drafts that are older than this, in seconds, were left by a process that was killed
_OLD = 3600.0
_DIGEST = "sha256"
# the name of the model's answers
_MODEL = "model"

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Field:
    """What an array that is kept must be.

    Attributes
    ----------
    shape : tuple of int or None
        Sizes of its axes, None for any.
    dtype : str or None
        None for any of numbers and truth values.
    nan : bool
        Whether it may hold NaN. Infinity it may not.
    more : bool
        Whether further axes may follow.
    """

    shape: tuple[int | None, ...]
    dtype: str | None = "float64"
    nan: bool = False
    more: bool = False

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array's shape is as wanted."""
        n = len(self.shape)
        if len(shape) < n or (len(shape) > n and not self.more):
            return False
        return all(want in (None, side) for want, side in zip(self.shape, shape, strict=False))

    def holds(self, array: np.ndarray) -> bool:
        """Whether an array is as wanted."""
        if not self.fits(array.shape) or self.dtype not in (None, array.dtype.name):
            return False
        if array.dtype.kind != "f":
            return array.dtype.kind in "biu"
        bad = np.isinf(array) if self.nan else ~np.isfinite(array)
        return not bad.any()


def cached_arrays(
    folder: Any,
    key: str,
    fields: Mapping[str, Field],
    make: Callable[[], Arrays],
    model: np.ndarray | None = None,
) -> Arrays:
    """Take arrays from a folder, or make them and keep them there.

    Processes and threads may share the folder: each writes a file of its own and moves it into
    place whole.

    Parameters
    ----------
    folder : path-like or None
        None keeps nothing.
    key : str
        Identifies the content that the arrays follow from.
    fields : mapping of name to Field
        The arrays that must be there. A file that is damaged, or holds something else, is made
        anew.
    make : callable
    model : ndarray of shape (n, ..., K), optional
        The model's answers, kept with the arrays: those of another model have a file beside.

    Returns
    -------
    dict of ndarrays

    Warns
    -----
    UserWarning
        If the arrays cannot be written; they are used all the same.
    """
    if folder is None:
        made = make()
        return {name: made[name] for name in fields}
    told = {} if model is None else {_MODEL: Field(model.shape)}
    for number in itertools.count():
        path = Path(folder) / f"{key}{f'-{number}' if number else ''}.safetensors"
        found = _read(path, {**fields, **told})
        if found is None:
            break
        if model is None or same_answers(found.pop(_MODEL), model):
            return found
    made = make()
    # the same whether they are made or read
    found = {name: made[name] for name in fields}
    _write(path, found if model is None else {**found, _MODEL: model})
    return found


def _read(path: Path, fields: Mapping[str, Field]) -> Arrays | None:
    """The arrays, or None where they are not there, not whole, or not as wanted."""
    from safetensors import safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            # seen by their shapes before they are read
            if set(file.keys()) != set(fields) or not all(
                field.fits(tuple(file.get_slice(name).get_shape()))
                for name, field in fields.items()
            ):
                return None
            found = {name: file.get_tensor(name) for name in fields}
            told = (file.metadata() or {}).get(_DIGEST)
    except Exception:
        # whatever is raised by damage, a cache is no reason to fail
        return None
    whole = told == _digest(found)
    return found if whole and all(f.holds(found[name]) for name, f in fields.items()) else None


def _digest(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _write(path: Path, arrays: Arrays) -> None:
    from safetensors.numpy import save

    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    # written aside and moved, so that no reader meets half a file
    draft = path.with_name(f".{path.stem}-{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_old_drafts(path.parent)
        draft.write_bytes(save(whole, metadata={_DIGEST: _digest(whole)}))
        os.replace(draft, path)
    except OSError as error:
        _remove(draft)
        warn_user(
            f"Labels could not be kept in {path.parent} ({error}). They are used now, and made "
            "again by the next fit: free or choose another place with label_cache=."
        )
    except BaseException:
        _remove(draft)
        raise


def _remove_old_drafts(folder: Path) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") and entry.name.endswith(".part"):
                with contextlib.suppress(OSError):
                    if time.time() - entry.stat().st_mtime > _OLD:
                        os.unlink(entry.path)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
