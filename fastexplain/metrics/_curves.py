"""What the model answers as ranked players are removed: all perturbation metrics ask here.

Each of them keeps the k most important players of a sample, or all but them, for some sizes k.
`masked_scores` asks for these in chunks of samples; the metrics choose the sizes and average
what comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastexplain.masked_model import MaskedModel
from fastexplain.metrics._ranked import Ranked

__all__ = ["curve_areas", "masked_scores", "pick_score", "share_sizes", "step_sizes"]

# answers (B, T, K) and explained outputs (B,) to scores (B, T)
Score = Callable[[np.ndarray, np.ndarray], np.ndarray]

# probabilities of networks in single precision reach 0 and 1, whose log-odds are infinite
_CLIP = 1e-6


def step_sizes(counts: np.ndarray, n_steps: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of players at even shares of each sample's own, from none to all of them.

    Parameters
    ----------
    counts : int ndarray of shape (n,)
    n_steps : int or None
        None: as many as the sample that has most has players, but 50 if these are above 64.

    Returns
    -------
    shares : ndarray of shape (n_steps + 1,)
    sizes : int ndarray of shape (n, n_steps + 1)
        The shares of the counts, rounded to the nearest number, halves up.
    """
    if n_steps is None:
        most = max(1, int(counts.max()))
        n_steps = most if most <= 64 else 50
    if not isinstance(n_steps, (int, np.integer)) or n_steps < 1:
        raise ValueError(f"n_steps must be a whole number of at least 1, got {n_steps!r}.")
    steps = np.arange(n_steps + 1)
    return steps / n_steps, (2 * steps * counts[:, None] + n_steps) // (2 * n_steps)


def share_sizes(counts: np.ndarray, shares: Any) -> np.ndarray:
    """Players in each of the shares of each sample's own, rounded up, int (n, S)."""
    given = np.asarray(shares, float)
    if given.ndim != 1 or not len(given) or not ((given > 0) & (given <= 1)).all():
        raise ValueError(f"Shares of players must be above 0 and up to 1, got {shares!r}.")
    # a share of 0.1 of 30 players is a hair above 3 in floating point, and must be 3
    return np.ceil(counts[:, None] * given - 1e-9).astype(int)


def masked_scores(
    masked: MaskedModel, ranked: Ranked, sizes: np.ndarray, keep_top: bool, score: Score
) -> np.ndarray:
    """Score of each sample with only its most important players, or with all but them.

    Parameters
    ----------
    masked : MaskedModel
    ranked : Ranked of n samples
    sizes : int ndarray of shape (n, T)
        How many most important players; each distinct number of a row is asked for once.
    keep_top : bool
        True: only they are kept. False: only they are removed.
    score : callable
        From answers (B, T, K) and targets (B,) to scores (B, T).

    Returns
    -------
    ndarray of shape (n, T)
    """
    asked, position, n_asked = _distinct(sizes)
    missing = ranked.missing
    limit = masked.chunk_rows(ranked.samples.n_columns)
    # samples that ask as much go together; where all do, they stay in their order
    line, start = np.argsort(n_asked, kind="stable"), 0
    found = np.empty(sizes.shape)
    while start < len(line):
        # as many as fill one call, so that memory does not grow with n; the last asks most
        stop = min(len(line), start + max(1, limit // n_asked[line[start]]))
        stop = start + max(1, min(stop - start, limit // n_asked[line[stop - 1]]))
        rows = line[start:stop]
        size, place = asked[rows, : n_asked[rows[-1]], None], ranked.place[rows, None]
        # players that a sample does not have stay, so that "nothing removed" is a whole mask
        masks = (place < size if keep_top else place >= size) | missing[rows, None]
        answers = masked.values(ranked.samples.take(rows), masks, rows).cpu().numpy()
        scores = score(answers, ranked.target[rows])
        found[rows] = np.take_along_axis(scores, position[rows], axis=1)
        start = stop
    return found


def _distinct(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct numbers of each row, in front; where each number went; how many there are."""
    order = np.argsort(sizes, axis=1, kind="stable")
    ordered = np.take_along_axis(sizes, order, axis=1)
    rank = np.zeros_like(sizes)
    rank[:, 1:] = np.cumsum(ordered[:, 1:] > ordered[:, :-1], axis=1)
    position = np.empty_like(rank)
    np.put_along_axis(position, order, rank, axis=1)
    # a row with fewer numbers than its chunk repeats its largest
    asked = np.repeat(ordered[:, -1:], sizes.shape[1], axis=1)
    np.put_along_axis(asked, rank, ordered, axis=1)
    return asked, position, rank[:, -1] + 1


def pick_score(masked: MaskedModel, name: str) -> Score:
    """Score by its name, refused where the model has no such thing."""
    known = {"accuracy": hits, "probability": own_output, "log_odds": own_log_odds}
    if name not in known:
        raise ValueError(f"score must be one of {', '.join(map(repr, known))}, got {name!r}.")
    if name == "accuracy" and masked.predictor.n_outputs < 2:
        raise ValueError(
            "The model has one output, which is its largest whatever is removed. Use "
            "'probability' to score the output itself."
        )
    return known[name]


def hits(answers: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Whether the explained output is the largest; of equal ones the first is."""
    return (answers.argmax(axis=2) == target[:, None]).astype(float)


def own_output(answers: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The explained output."""
    picked = np.take_along_axis(answers, target[:, None, None], axis=2)[:, :, 0]
    return picked.astype(float)


def own_log_odds(answers: np.ndarray, target: np.ndarray) -> np.ndarray:
    """log(p / (1 - p)) of the explained output, p held within 1e-6 of 0 and 1."""
    p = own_output(answers, target)
    if p.min() < -_CLIP or p.max() > 1 + _CLIP:
        raise ValueError(
            "Log-odds need probabilities, but the explained output goes from "
            f"{p.min():.3g} to {p.max():.3g}. Make the predictor of a model that answers "
            "probabilities, or say output= if it answers logits."
        )
    p = np.clip(p, _CLIP, 1 - _CLIP)
    return np.log(p / (1 - p))


def curve_areas(curves: np.ndarray) -> np.ndarray:
    """Areas under curves (..., T) at even shares from 0 to 1, by the trapezoidal rule."""
    return ((curves[..., 1:] + curves[..., :-1]) / 2).mean(axis=-1)
