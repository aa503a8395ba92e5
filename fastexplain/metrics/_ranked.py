"""Samples with their attributions, checked, and the order in which these put the players."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastexplain.masked_model import MaskedModel, wrapped

__all__ = ["Ranked", "check_attributions", "rank_players"]


class Ranked(NamedTuple):
    """Samples, and the order in which their attributions put their players.

    Attributes
    ----------
    samples : Table or another container of n samples
    place : int ndarray of shape (n, N)
        0 is the most important player; players that a sample does not have come last.
    counts : int ndarray of shape (n,)
        Players that each sample has.
    target : int ndarray of shape (n,)
        Position of each sample's explained output.
    """

    samples: Any
    place: np.ndarray
    counts: np.ndarray
    target: np.ndarray

    @property
    def missing(self) -> np.ndarray:
        """Players that a sample does not have, bool (n, N)."""
        return np.arange(self.place.shape[1]) >= self.counts[:, None]


def check_attributions(
    masked: MaskedModel, X: Any, values: Any, target: Any = None
) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    """Samples, attributions (n, N), explained outputs (n,) and player counts (n,), checked.

    ``target=None`` asks the model for its largest output of each sample.
    """
    samples = wrapped(masked.masker, X)
    values, n = np.asarray(values, float), len(samples)
    if n == 0:
        raise ValueError("There are no rows to perturb.")
    counts = _player_counts(masked, samples)
    if values.ndim != 2 or len(values) != n or not _fits(masked, samples, values.shape[1], counts):
        players = masked.masker.n_players if counts is None else f"up to {counts.max()}"
        raise ValueError(
            f"values of shape {values.shape} do not fit {n} samples of {players} players. Give "
            "one number for each player of each sample, shape (n, N)."
        )
    if not np.isfinite(values).all():
        raise ValueError("values hold NaN or infinity; attributions must be finite.")
    if counts is None:
        counts = np.full(n, values.shape[1])
    target = _predicted(masked, samples) if target is None else np.asarray(target)
    if target.shape != (n,):
        raise ValueError(
            f"{n} samples and target of shape {target.shape} do not fit. Give one position of an "
            "output for each sample."
        )
    n_outputs = masked.predictor.n_outputs
    if target.dtype.kind not in "iu" or target.min() < 0 or target.max() >= n_outputs:
        raise ValueError(f"target must be integer positions of the model's {n_outputs} outputs.")
    return samples, values, target, counts


def rank_players(masked: MaskedModel, X: Any, values: Any, target: Any = None) -> Ranked:
    """Check what a metric was given and rank the players; equal ones rank by position."""
    samples, values, target, counts = check_attributions(masked, X, values, target)
    missing = np.arange(values.shape[1]) >= counts[:, None]
    order = np.argsort(np.where(missing, np.inf, -values), axis=1, kind="stable")
    return Ranked(samples, np.argsort(order, axis=1), counts, target)


def _player_counts(masked: MaskedModel, samples: Any) -> np.ndarray | None:
    """Players of each sample where the masker says so, else None: all have all."""
    count = getattr(masked.masker, "player_counts", None)
    return None if count is None else np.asarray(count(samples))


def _fits(masked: MaskedModel, samples: Any, width: int, counts: np.ndarray | None) -> bool:
    if counts is not None:
        return width >= counts.max()
    if width == masked.masker.n_players:
        return True
    # asked last, because it looks at every cell; texts may be longer than those fitted on
    return width == masked.masker.null_players(samples).shape[1]


def _predicted(masked: MaskedModel, samples: Any) -> np.ndarray:
    """Position of the largest output of each sample, shape (n,)."""
    chunk, found = max(1, masked.chunk_rows(samples.n_columns)), []
    for start in range(0, len(samples), chunk):
        rows = np.arange(start, min(start + chunk, len(samples)))
        found.append(masked.outputs(samples.take(rows), rows).cpu().numpy().argmax(axis=1))
    return np.concatenate(found)
