r"""Shapley values from coalitions, as one matrix for all rows.

Every estimator here is linear in the game's values: a design (coalitions, and a matrix
``W``) is drawn once and serves all rows with as many active players, ``phi = W v``. Null
players have the value 0 and are left out of the game, which leaves the others' as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np

from fastexplain.attribution._coalitions import all_coalitions
from fastexplain.attribution._weights import shapley_rows

__all__ = ["ShapleyDesign", "exact_design", "kernel_design", "permutation_design"]

# draws beyond those that the estimate takes, before their spread is believed: of fewer, some
# happen to agree, and a row would be thought done
_TELLING = 8


@dataclass
class ShapleyDesign:
    """Coalitions to ask for, and what to make of the answers.

    Attributes
    ----------
    masks : bool ndarray of shape (T, a)
        The first is the empty coalition, the last that of all players.
    weights : ndarray of shape (a, T)
        Carries values to Shapley values, which sum to v(all) - v(none).
    members : int ndarray of shape (J, s)
        The sampled coalitions in J independent draws of s; the others are always asked.
        No rows where nothing is sampled.
    lost : int
        Degrees of freedom that the estimate takes from the J draws.
    """

    masks: np.ndarray
    weights: np.ndarray
    members: np.ndarray
    lost: int = 0

    def values(self, answers: np.ndarray) -> np.ndarray:
        """Shapley values (B, K, a) of answers (B, T, K)."""
        return np.einsum("at,btk->bka", self.weights, answers, optimize=True)

    def variance(self, answers: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Sampling variance (B, K, a) of ``values``; NaN where too few draws tell of it.

        An additive game is answered without error, so the error of the draws is that of
        what the values leave of the answers.
        """
        draws = len(self.members)
        if not draws:
            return np.zeros_like(values)
        if draws - self.lost < _TELLING:
            return np.full_like(values, np.nan)
        fitted = np.einsum("ta,bka->btk", self.masks.astype(np.float64), values, optimize=True)
        rest = (answers - answers[:, :1] - fitted)[:, self.members]
        parts = np.einsum("ajs,bjsk->bkaj", self.weights[:, self.members], rest, optimize=True)
        spread = (parts**2).sum(axis=3) * draws / (draws - self.lost)
        # draws of one player that happen to agree miss what is rare, not what is not there: no
        # value is surer than one that showed the row's usual spread in a single draw
        return np.maximum(spread, spread.mean(axis=2, keepdims=True) / draws)


def exact_design(n_active: int) -> ShapleyDesign:
    """All coalitions: each player's value is a weighted sum over them."""
    masks = all_coalitions(n_active)
    return ShapleyDesign(masks, shapley_rows(masks), np.zeros((0, 1), dtype=int))


def permutation_design(n_active: int, n_queries: int, rng: np.random.Generator) -> ShapleyDesign:
    """Marginal contributions along random orders and their reverses.

    Antithetic permutation sampling (Mitchell et al., 2022; Lomeli et al., 2019).

    Parameters
    ----------
    n_active : int
        Number of players.
    n_queries : int
        Coalitions to ask for at most; a pair of orders takes ``2 (n_active - 1)`` beside the
        empty and the full one. One pair is drawn in any case.
    rng : numpy.random.Generator

    Returns
    -------
    ShapleyDesign
    """
    if n_active < 2:
        return exact_design(n_active)
    inner = n_active - 1
    pairs = max(1, (n_queries - 2) // (2 * inner))
    masks = np.zeros((2 + 2 * pairs * inner, n_active), dtype=bool)
    masks[-1] = True
    weights = np.zeros((n_active, len(masks)))
    sizes = np.arange(1, n_active)
    steps = np.arange(n_active)
    orders = [order for _ in range(pairs) for order in _and_reverse(rng.permutation(n_active))]
    for way, order in enumerate(orders):
        place = np.empty(n_active, dtype=int)
        place[order] = steps
        # coalitions of the first 1, 2, ..., a - 1 players in this order
        rows = 1 + way * inner + np.arange(inner)
        masks[rows] = place < sizes[:, None]
        chain = np.concatenate([[0], rows, [len(masks) - 1]])
        weights[order, chain[1:]] += 0.5 / pairs
        weights[order, chain[:-1]] -= 0.5 / pairs
    members = 1 + np.arange(2 * pairs * inner).reshape(pairs, 2 * inner)
    return ShapleyDesign(masks, weights, members, lost=1)


def _and_reverse(order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return order, order[::-1]


def kernel_design(n_active: int, n_queries: int, rng: np.random.Generator) -> ShapleyDesign:
    """Weighted least squares on coalitions in pairs (KernelSHAP, without any sparsity).

    Coalition sizes whose share of the budget buys all their coalitions are asked whole, the
    smallest and largest first (Lundberg & Lee, 2017); of the others pairs ``(S, not S)`` are
    drawn (Covert & Lee, 2021). The efficiency constraint holds exactly.

    Parameters
    ----------
    n_active : int
        Number of players.
    n_queries : int
        Coalitions to ask for, raised to ``2 n_active + 2`` at least.
    rng : numpy.random.Generator

    Returns
    -------
    ShapleyDesign
        All coalitions where the budget reaches.
    """
    n_queries = max(n_queries, 2 * n_active + 2)
    if n_active < 2 or (n_active < 31 and 2**n_active <= n_queries):
        return exact_design(n_active)
    room = (n_queries - 2) // 2
    whole, share = _whole_sizes(n_active, room)
    first: list[np.ndarray] = []
    weight: list[float] = []
    for size in whole:
        sets = _subsets(n_active, size)
        if 2 * size == n_active:
            sets = sets[sets[:, 0]]
        first.append(sets)
        weight += [share[size] / len(sets)] * len(sets)
        room -= len(sets)
    sampled = np.array([size for size in share if size not in whole])
    chances = np.array([share[size] for size in sampled])
    sizes = rng.choice(sampled, size=room, p=chances / chances.sum())
    place = rng.random((room, n_active)).argsort(axis=1).argsort(axis=1)
    first.append(place < sizes[:, None])
    weight += [chances.sum() / room] * room
    half = np.concatenate(first)
    inner = np.concatenate([half, ~half])
    masks = np.concatenate([np.zeros((1, n_active), bool), inner, np.ones((1, n_active), bool)])
    weights = _constrained_least_squares(inner, np.tile(weight, 2))
    fixed = len(half) - room
    members = 1 + fixed + np.arange(room)[:, None] + np.array([0, len(half)])
    return ShapleyDesign(masks, weights, members, lost=min(n_active - 1, room - 1))


def _whole_sizes(n_active: int, room: int) -> tuple[list[int], dict[int, float]]:
    """Sizes to ask whole with so many pairs, and each pair of sizes' share of the kernel."""
    share = {k: (n_active - 1) / (k * (n_active - k)) for k in range(1, n_active // 2 + 1)}
    if n_active % 2 == 0:
        share[n_active // 2] /= 2
    whole: list[int] = []
    left = dict(share)
    for size in share:
        pairs = comb(n_active, size) // (2 if 2 * size == n_active else 1)
        if pairs > room * left[size] / sum(left.values()) or pairs >= room:
            break
        whole.append(size)
        room -= pairs
        del left[size]
    return whole, share


def _subsets(n_players: int, size: int) -> np.ndarray:
    from itertools import combinations

    chosen = np.array(list(combinations(range(n_players), size)))
    masks = np.zeros((len(chosen), n_players), dtype=bool)
    np.put_along_axis(masks, chosen, True, axis=1)
    return masks


def _constrained_least_squares(inner: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The matrix (a, T + 2) that carries values, the empty and the full one's outermost.

    Minimises ``sum_t w_t (v_t - v_0 - m_t phi)^2`` where ``sum phi = v_1 - v_0``.
    """
    z = inner.astype(np.float64)
    n_active = z.shape[1]
    gram = (z * weight[:, None]).T @ z
    # few draws may leave a direction open: the smallest solution is then taken
    inverse = np.linalg.pinv(gram, hermitian=True)
    ones = np.ones(n_active)
    spread = inverse @ ones
    project = np.eye(n_active) - np.outer(spread, ones) / (ones @ spread)
    core = project @ inverse @ (z * weight[:, None]).T
    out = np.zeros((n_active, len(z) + 2))
    out[:, 1:-1] = core
    # v_t - v_0 for the sampled ones; the constraint brings in v_1 - v_0
    out[:, 0] = -core.sum(axis=1)
    level = spread / (ones @ spread)
    out[:, -1] += level
    out[:, 0] -= level
    return out
