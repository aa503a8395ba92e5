"""Feasible sets: how few players keep a prediction (concept paper, Definitions 4 to 7)."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastexplain.masked_model import MaskedModel, wrapped

__all__ = ["FeasibleSets", "minimal_prefixes", "minimum_sets"]

_SEARCHES = ("bisection", "scan")


@dataclass(frozen=True)
class FeasibleSets:
    """A set of players for each sample that keeps its prediction.

    Attributes
    ----------
    masks : bool ndarray of shape (n, N)
        The players of each set.
    sizes : int ndarray of shape (n,)
    drops : ndarray of shape (n,)
        What the explained output loses with these players alone, 0 where it gains.
    target : int ndarray of shape (n,)
        Position of the explained output.
    epsilon : float
        All drops are below it.
    feature_names : list of str
    tokens : list of n lists of str, or None
        Of texts, what their players read.
    """

    masks: np.ndarray
    sizes: np.ndarray
    drops: np.ndarray
    target: np.ndarray
    epsilon: float
    feature_names: list[str]
    tokens: list[list[str]] | None = None

    def __len__(self) -> int:
        return len(self.masks)

    def names(self, row: int) -> list[str]:
        """Names of the players of one sample's set; of a text, what they read, in its order."""
        names = self.feature_names if self.tokens is None else self.tokens[row]
        return [names[j] for j in np.flatnonzero(self.masks[row])]


def minimal_prefixes(
    masked: MaskedModel,
    samples: Any,
    values: np.ndarray,
    target: np.ndarray,
    epsilon: float,
    search: str = "bisection",
) -> FeasibleSets:
    r"""The smallest prefix of each sample's ranking that is feasible.

    Feasible is a set with :math:`\max(f(x) - f(\hat s \odot x), 0) < \epsilon` (Eq. 11). Ranked
    are a sample's players by value; those that are null come last.

    Parameters
    ----------
    masked : MaskedModel
    samples : n rows, images or texts, as users give them or wrapped by the masker
    values : ndarray of shape (n, N)
        Attributions; larger ones come first.
    target : int ndarray of shape (n,)
        Position of the explained output.
    epsilon : float
        Above 0.
    search : {"bisection", "scan"}, default="bisection"
        "bisection" takes log2(N) queries a sample: it ends at a feasible prefix whose
        predecessor is not, which is the smallest one where drops fall as players come in.
        "scan" asks for all N prefixes and finds the smallest in any case.

    Returns
    -------
    FeasibleSets
        The set of all players is feasible, so that there is always one.
    """
    _check_epsilon(epsilon)
    samples = wrapped(masked.masker, samples)
    if search not in _SEARCHES:
        raise ValueError(f"search must be one of {_SEARCHES}, got {search!r}.")
    null = masked.masker.null_players(samples)
    order = np.where(null, -np.inf, _as_wide(np.asarray(values, float), null))
    place = np.argsort(np.argsort(-order, axis=1, kind="stable"), axis=1, kind="stable")
    n = len(null)
    full = _of(masked.outputs(samples), target)

    def drops(sizes: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Drops (m, S) of prefixes of S sizes (m, S) of each of m samples."""
        lost = np.zeros(sizes.shape)
        # some samples at a time: memory stays flat
        step = max(1, masked.chunk_rows(samples.n_columns) // max(sizes.shape[1], 1))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            some = rows[part]
            masks = place[some, None] < sizes[part, :, None]
            answers = masked.values(samples.take(some), masks, some)
            lost[part] = np.maximum(full[some, None] - _of(answers, target[some]), 0.0)
        return lost

    most, every = (~null).sum(axis=1), np.arange(n)
    if search == "scan":
        sizes = np.broadcast_to(np.arange(null.shape[1]), null.shape)
        feasible = (drops(sizes, every) < epsilon) & (sizes < most[:, None])
        found = np.where(feasible.any(axis=1), feasible.argmax(axis=1), most)
    else:
        # all players are feasible; nothing at all is tried first, as one of the bounds
        found, below = most.copy(), np.full(n, -1)
        found[drops(np.zeros((n, 1), dtype=int), every)[:, 0] < epsilon] = 0
        below[found > 0] = 0
        while len(rows := np.flatnonzero(found - below > 1)):
            middle = (found[rows] + below[rows]) // 2
            good = drops(middle[:, None], rows)[:, 0] < epsilon
            found[rows[good]] = middle[good]
            below[rows[~good]] = middle[~good]
    lost = drops(found[:, None], every)[:, 0]
    # with all players nothing is lost, whatever rounding says
    lost = np.where(found >= most, 0.0, lost)
    names = _names(masked.masker, null.shape[1])
    masks = place < found[:, None]
    given = np.asarray(target), float(epsilon), names, _tokens(samples)
    return FeasibleSets(masks, found, lost, *given)


def _tokens(samples: Any) -> list[list[str]] | None:
    if getattr(samples, "kind", None) != "texts":
        return None
    return [samples.tokens(i) for i in range(len(samples))]


def _as_wide(values: np.ndarray, null: np.ndarray) -> np.ndarray:
    """Values with a column for each of the masker's players.

    Explainers of texts that were fitted on others have columns for other longest texts: what a
    text does not have may be missing, or be there.
    """
    n, width = null.shape
    if values.ndim != 2 or len(values) != n or not null[:, values.shape[1] :].all():
        raise ValueError(
            f"values of shape {values.shape} do not fit {n} samples of up to {width} players."
        )
    missing = np.zeros((n, max(0, width - values.shape[1])))
    return np.concatenate([values[:, :width], missing], axis=1)


def minimum_sets(
    masked: MaskedModel, samples: Any, target: np.ndarray, epsilon: float
) -> FeasibleSets:
    """The smallest feasible set of each sample, by enumeration (Definition 7).

    Parameters
    ----------
    masked : MaskedModel
    samples : n rows, images or texts, as users give them or wrapped by the masker
        With at most 16 players that are not null.
    target : int ndarray of shape (n,)
    epsilon : float

    Returns
    -------
    FeasibleSets
        Of several smallest sets, the one with the smallest drop.
    """
    _check_epsilon(epsilon)
    samples = wrapped(masked.masker, samples)
    null = masked.masker.null_players(samples)
    most = int((~null).sum(axis=1).max(initial=0))
    if most > 16:
        raise ValueError(f"Enumeration stops at 16 players; a sample has {most}.")
    full = _of(masked.outputs(samples), target)
    n, n_players = null.shape
    masks = np.zeros((n, n_players), dtype=bool)
    drops = np.zeros(n)
    for i in range(n):
        players = np.flatnonzero(~null[i])
        bits = (np.arange(2 ** len(players))[:, None] >> np.arange(len(players))) & 1
        sets = np.zeros((len(bits), n_players), dtype=bool)
        sets[:, players] = bits.astype(bool)
        one = samples.take(np.array([i]))
        kept = _of(masked.values(one, sets[None], np.array([i])), target[i : i + 1])[0]
        lost = np.maximum(full[i] - kept, 0.0)
        lost[-1] = 0.0
        feasible = np.flatnonzero(lost < epsilon)
        best = feasible[np.lexsort((lost[feasible], sets[feasible].sum(axis=1)))[0]]
        masks[i], drops[i] = sets[best], lost[best]
    sizes = masks.sum(axis=1)
    names = _names(masked.masker, n_players)
    given = np.asarray(target), float(epsilon), names, _tokens(samples)
    return FeasibleSets(masks, sizes, drops, *given)


def _check_epsilon(epsilon: float) -> None:
    number = isinstance(epsilon, numbers.Real) and not isinstance(epsilon, bool)
    if not number or not epsilon > 0:
        raise ValueError(f"epsilon must be a number above 0, got {epsilon!r}.")


def _names(masker: Any, n_players: int) -> list[str]:
    """Names of players; texts may have more than those of fit had."""
    names = list(masker.feature_names_)
    unit = names[0].rpartition(" ")[0] if names else "player"
    return names + [f"{unit} {j}" for j in range(len(names), n_players)]


def _of(outputs: Any, target: np.ndarray) -> np.ndarray:
    """The explained output of (n, K) or (n, T, K) outputs, as (n,) or (n, T)."""
    array = outputs.cpu().double().numpy()
    return array[np.arange(len(target)), ..., np.asarray(target)]
