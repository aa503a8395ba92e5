"""Labels kept on disk by content, so that neither an interrupt nor a second run loses any."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import joblib
import numpy as np

from fastexplain.labels._sources import LabelSource, ShapleyLabels
from fastexplain.masked_model import MaskedModel
from fastexplain.tables import Table

__all__ = ["cached_labels"]

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
        path = None
        if folder is not None:
            path = Path(folder) / f"{_key(source, masked, part, part_null, seed, number)}.npz"
        found = _read(path)
        if found is None:
            rng = np.random.default_rng([seed, 6, number])
            found = source.labels(masked, part, rng, part_null)
            _write(path, found)
        parts.append(found)
        if progress is not None:
            progress.update(len(part))
    joined = (np.concatenate([getattr(part, name) for part in parts]) for name in _FIELDS)
    return ShapleyLabels(*joined)


def _key(
    source: LabelSource,
    masked: MaskedModel,
    part: Table,
    null: np.ndarray | None,
    seed: int,
    number: int,
) -> str:
    background = masked.masker.background_.fingerprint()
    parameters = (_VERSION, type(source).__name__, sorted(source.get_params().items()))
    player = masked.masker.player_of_column_.tolist()
    model = masked.signature(part)
    content = (parameters, part.fingerprint(), background, player, null, model, seed, number)
    return str(joblib.hash(content))


def _read(path: Path | None) -> ShapleyLabels | None:
    if path is None or not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as held:
            return ShapleyLabels(*(held[name] for name in _FIELDS))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None  # damaged: made anew


def _write(path: Path | None, labels: ShapleyLabels) -> None:
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # written aside and moved, so that no reader meets half a file
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **{field: getattr(labels, field) for field in _FIELDS})
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
