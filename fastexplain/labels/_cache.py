"""Labels kept on disk by content, so that neither an interrupt nor a second run loses any."""

from __future__ import annotations

from typing import Any

import joblib
import numpy as np

from fastexplain.labels._kept_arrays import Field, cached_arrays
from fastexplain.labels._sources import LabelSource, ShapleyLabels
from fastexplain.masked_model import MaskedModel
from fastexplain.tables import Table

__all__ = ["cached_labels", "labels_key"]

# rows of one file: what an interrupt may lose
_CHUNK = 512
# of the estimators: labels of others are made anew
_VERSION = 2
_NAMES = ("values", "variance", "full", "n_queries")


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
        Files are named by a hash of the source's parameters, the rows, the baseline and the
        seed. They hold arrays only, no pickle; among them the model's answers for these rows
        and masked copies of them, by which each model finds its own.
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
            return {name: getattr(found, name) for name in _NAMES}

        key, model = "", None
        if folder is not None:
            key = labels_key(source, masked, part, part_null, seed, number)
            model = masked.signature(part)
        fields = _fields(masked, part)
        parts.append(ShapleyLabels(**cached_arrays(folder, key, fields, make, model)))
        if progress is not None:
            progress.update(len(part))
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _NAMES}
    return ShapleyLabels(**joined)


def _fields(masked: MaskedModel, part: Any) -> dict[str, Field]:
    """What labels of some samples are, for those that are kept."""
    n, n_out = len(part), masked.predictor.n_outputs
    each = n, masked.masker.null_players(part).shape[1], n_out
    return {
        "values": Field(each),
        # unknown of too few draws
        "variance": Field(each, nan=True),
        "full": Field((n, n_out)),
        "n_queries": Field((n,), "int64"),
    }


def labels_key(
    source: LabelSource,
    masked: MaskedModel,
    part: Any,
    null: np.ndarray | None,
    seed: int,
    number: int,
    *more: Any,
) -> str:
    """Digest of all that labels of some samples follow from, beside the model."""
    masker = masked.masker
    removal: Any = masker.removal
    if isinstance(part, Table):
        removal = masker.background_.fingerprint(), masker.player_of_column_.tolist()
    parameters = (_VERSION, type(source).__name__, sorted(source.get_params().items()))
    content = (parameters, part.fingerprint(), removal, null, seed, number, *more)
    return str(joblib.hash(content))
