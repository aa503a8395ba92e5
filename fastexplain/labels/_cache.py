"""Labels kept on disk by content, so that neither an interrupt nor a second run loses any."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import joblib
import numpy as np

from fastexplain.labels._sources import LabelSource, ShapleyLabels
from fastexplain.masked_model import MaskedModel
from fastexplain.tables import Table

__all__ = ["cached_arrays", "cached_labels", "labels_key"]

# rows of one file: what an interrupt may lose
_CHUNK = 512
# of the estimators: labels of others are made anew
_VERSION = 1
_FIELDS = ("values", "variance", "full", "n_queries")


def cached_labels(
    source: LabelSource,
    masked: MaskedModel,
    table: Table,
    seed: int,
    folder: Any = None,
    null: np.ndarray | None = None,
    progress: Any = None,
) -> ShapleyLabels:
    """Make labels a chunk of rows at a time, taking from ``folder`` those made before.

    Parameters
    ----------
    source : LabelSource
    masked : MaskedModel
    table : Table of n rows
    seed : int
        With a chunk's number, what its draws follow from.
    folder : path-like, optional
        Files are named by a hash of the source's parameters, the rows, the baseline, the
        model's answers for these rows and masked copies of them, and the seed. They hold
        arrays only, no pickle.
    null : bool ndarray of shape (n, N), optional
        Players known to change nothing.
    progress : tqdm, optional

    Returns
    -------
    ShapleyLabels
    """
    parts = []
    for number, start in enumerate(range(0, max(len(table), 1), _CHUNK)):
        rows = slice(start, start + _CHUNK)
        part = table.take(rows)
        part_null = None if null is None else null[rows]

        def make(
            part: Table = part, null: np.ndarray | None = part_null, number: int = number
        ) -> dict[str, np.ndarray]:
            rng = np.random.default_rng([seed, 6, number])
            found = source.labels(masked, part, rng, null)
            return {field: getattr(found, field) for field in _FIELDS}

        key = "" if folder is None else labels_key(source, masked, part, part_null, seed, number)
        parts.append(ShapleyLabels(**cached_arrays(folder, key, _FIELDS, make)))
        if progress is not None:
            progress.update(len(part))
    joined = (np.concatenate([getattr(part, name) for part in parts]) for name in _FIELDS)
    return ShapleyLabels(*joined)


def cached_arrays(
    folder: Any, key: str, names: Sequence[str], make: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Take arrays from a folder, or make them and keep them there.

    Parameters
    ----------
    folder : path-like or None
        None keeps nothing.
    key : str
        Identifies the content that the arrays follow from.
    names : sequence of str
        The arrays that must be there; a damaged file is made anew.
    make : callable
    """
    path = None if folder is None else Path(folder) / f"{key}.npz"
    found = _read(path, names)
    if found is None:
        found = make()
        _write(path, found)
    return found


def labels_key(
    source: LabelSource,
    masked: MaskedModel,
    part: Any,
    null: np.ndarray | None,
    seed: int,
    number: int,
    *more: Any,
) -> str:
    """Digest of all that labels of some samples follow from."""
    masker = masked.masker
    removal: Any = masker.removal
    if isinstance(part, Table):
        removal = masker.background_.fingerprint(), masker.player_of_column_.tolist()
    parameters = (_VERSION, type(source).__name__, sorted(source.get_params().items()))
    model = masked.signature(part)
    content = (parameters, part.fingerprint(), removal, null, model, seed, number, *more)
    return str(joblib.hash(content))


def _read(path: Path | None, names: Sequence[str]) -> dict[str, np.ndarray] | None:
    if path is None or not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as held:
            return {name: held[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None  # damaged: made anew


def _write(path: Path | None, arrays: dict[str, np.ndarray]) -> None:
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # written aside and moved, so that no reader meets half a file
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
