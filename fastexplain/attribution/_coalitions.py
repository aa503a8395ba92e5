"""Which coalitions to ask the model about: all of them, or an antithetic sample."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastexplain._blocks import row_blocks

__all__ = [
    "all_coalitions",
    "draw_coalitions",
    "kernel_blocks",
    "kernel_coalitions",
    "kernel_weights",
]

# up to here distinct coalitions are drawn by permuting their numbers; above it a
# repeated draw is too rare to matter
_PERMUTE_LIMIT = 18
# numbers that are drawn at once
_DRAWN = 2**20


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


def kernel_coalitions(
    n_rows: int,
    n_players: int,
    n_masks: int,
    rng: np.random.Generator,
    even_sizes: bool = False,
) -> np.ndarray:
    """Coalitions by the Shapley kernel, in pairs (S, not S), their sizes stratified.

    FastSHAP's paired sampling (Jethani et al., 2022, appendix). Sizes follow
    ``(a - 1) / (k (a - k))``, or all come equally often, to be weighted by ``kernel_weights``;
    each row's pairs have theirs at even steps of that distribution, so that every row sees
    small and middling coalitions in due proportion.

    Parameters
    ----------
    n_rows, n_players : int
        B rows of ``a`` players each.
    n_masks : int
        Coalitions a row, T; rounded up to an even number.
    rng : numpy.random.Generator
    even_sizes : bool, default=False
        All sizes equally often.

    Returns
    -------
    bool ndarray of shape (B, T, a)
        Neither empty nor full where there are two players or more.
    """
    masks = np.zeros((n_rows, n_masks + n_masks % 2, n_players), dtype=bool)
    for rows, drawn in kernel_blocks(n_rows, n_players, n_masks, rng, even_sizes):
        masks[rows] = drawn
    return masks


def kernel_blocks(
    n_rows: int,
    n_players: int,
    n_masks: int,
    rng: np.random.Generator,
    even_sizes: bool = False,
) -> Iterator[tuple[slice, np.ndarray]]:
    """The coalitions of ``kernel_coalitions``, those of some rows at a time.

    Parameters
    ----------
    n_rows, n_players, n_masks, rng, even_sizes
        As of ``kernel_coalitions``.

    Yields
    ------
    rows : slice
    masks : bool ndarray of shape (len(rows), T, a)
    """
    pairs = (n_masks + 1) // 2
    blocks = row_blocks(n_rows, pairs * n_players, _DRAWN)
    if n_players < 2:
        for rows in blocks:
            first = np.zeros((rows.stop - rows.start, pairs, n_players), dtype=bool)
            yield rows, np.concatenate([first, ~first], axis=1)
        return
    k = np.arange(1, n_players)
    chance = np.cumsum(np.ones(len(k)) if even_sizes else 1.0 / (k * (n_players - k)))
    steps = (np.arange(pairs) + rng.random((n_rows, 1))) / pairs
    size = 1 + np.searchsorted(chance / chance[-1], steps, side="right").clip(max=n_players - 2)
    for rows in blocks:
        order = rng.random((rows.stop - rows.start, pairs, n_players)).argsort(axis=2)
        first = np.zeros(order.shape, dtype=bool)
        np.put_along_axis(first, order, np.arange(n_players) < size[rows, :, None], axis=2)
        yield rows, np.concatenate([first, ~first], axis=1)


def kernel_weights(sizes: np.ndarray, n_players: np.ndarray) -> np.ndarray:
    """What coalitions of sizes drawn evenly count for, so that they stand for the kernel's.

    The kernel's chance of a size over its even chance, ``c (a - 1) / (k (a - k))``; 1 on average
    over sizes 1 to a - 1. Least squares then have the optimum that they have with the kernel's
    own draws, and less noise: single players and all but one say little, and the kernel draws
    them most.

    Parameters
    ----------
    sizes : int ndarray of shape (B, T)
        k, from 1 to a - 1; others count for nothing.
    n_players : int ndarray of shape (B,)
        a of each row.

    Returns
    -------
    ndarray of shape (B, T)
    """
    a = np.maximum(np.asarray(n_players, dtype=np.float64), 1.0)[:, None]
    inside = (sizes > 0) & (sizes < a)
    inverse = np.where(inside, sizes * (a - sizes), 1.0)
    # 1 / (k (a - k)) summed over k is 2 H(a - 1) / a
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, max(int(a.max()), 2)))])
    mean = 2 * harmonic[np.maximum(a.astype(int) - 1, 0)] / (a * np.maximum(a - 1, 1.0))
    return np.where(inside, 1.0 / inverse / np.where(mean > 0, mean, 1.0), 0.0)
