"""Which coalitions to ask the model about: all of them, or an antithetic sample."""

from __future__ import annotations

import numpy as np

__all__ = ["all_coalitions", "draw_coalitions"]

# up to here distinct coalitions are drawn by permuting their numbers; above it a
# repeated draw is too rare to matter
_PERMUTE_LIMIT = 18


def all_coalitions(n_players: int, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Coalitions ``start`` to ``stop`` of the ``2**n_players`` in binary counting order.

    Parameters
    ----------
    n_players : int
        Number of players.
    start, stop : int, optional
        Part of the enumeration to return.

    Returns
    -------
    bool ndarray of shape (stop - start, n_players)
        Bit ``i`` of the coalition's number says whether player ``i`` is present.

    Examples
    --------
    >>> from fastexplain.attribution import all_coalitions
    >>> all_coalitions(2).astype(int)
    array([[0, 0],
           [1, 0],
           [0, 1],
           [1, 1]])
    """
    stop = 2**n_players if stop is None else stop
    numbers = np.arange(start, stop, dtype=np.int64)[:, None]
    return ((numbers >> np.arange(n_players)) & 1).astype(bool)


def draw_coalitions(n_players: int, n_masks: int, rng: np.random.Generator) -> np.ndarray:
    """Uniform coalitions in antithetic pairs (m, 1 - m); all of them where they are so few.

    Parameters
    ----------
    n_players : int
        Number of players.
    n_masks : int
        How many coalitions, rounded up to an even number.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    bool ndarray of shape (T, n_players)
        Distinct coalitions while ``n_players`` is at most 18.
    """
    if n_players < 60 and 2**n_players <= n_masks:
        return all_coalitions(n_players)
    half = (n_masks + 1) // 2
    if n_players <= _PERMUTE_LIMIT:
        # the pair of a coalition without the last player is one with it, so the first
        # half of the numbers holds exactly one member of every pair
        numbers = rng.choice(2 ** (n_players - 1), size=half, replace=False, shuffle=False)
        first = ((numbers[:, None] >> np.arange(n_players)) & 1).astype(bool)
    else:
        first = rng.random((half, n_players)) < 0.5
    return np.concatenate([first, ~first])
