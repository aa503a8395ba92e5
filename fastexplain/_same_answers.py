"""Whether two models' answers are the same but for their last digits."""

from __future__ import annotations

import numpy as np

__all__ = ["changes", "precision_of", "same_answers"]

# of an output's spread, and last digits: changes that are none
_CHANGED, _LAST_DIGITS = 1e-3, 2


def precision_of(answers: np.ndarray) -> np.ndarray:
    """Relative rounding of each output's numbers: that of single precision, if these are.

    Parameters
    ----------
    answers : float64 ndarray of shape (..., K)

    Returns
    -------
    ndarray of shape (K,)
    """
    with np.errstate(over="ignore"):
        single = answers.astype(np.float32) == answers
    whole = single.reshape(-1, answers.shape[-1]).all(axis=0)
    return np.where(whole, np.finfo(np.float32).eps, np.finfo(np.float64).eps)


def changes(before: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How much each output's answers differ, how much they spread, and which change is one.

    Relative to the spread of answers, not to their size: 1.7e9 ± 300 tells models apart. Where
    an output does not move, and at its last digits, which other processors and batches change,
    the rounding of its numbers counts.

    Parameters
    ----------
    before, now : float64 ndarray of shape (..., K)

    Returns
    -------
    gap, spread, limit : ndarray of shape (K,)
        Largest difference, range before, and the difference that is no change.
    """
    flat, other = (answers.reshape(-1, answers.shape[-1]) for answers in (before, now))
    gap = np.abs(flat - other).max(axis=0, initial=0.0)
    spread = flat.max(axis=0, initial=-np.inf) - flat.min(axis=0, initial=np.inf)
    size = np.abs(flat).max(axis=0, initial=0.0)
    limit = np.maximum(_CHANGED * spread, _LAST_DIGITS * precision_of(before) * size)
    return gap, spread, limit


def same_answers(before: np.ndarray, now: np.ndarray) -> bool:
    """Whether answers to the same samples are those of one model.

    Parameters
    ----------
    before, now : float64 ndarray of shape (n, ..., K)
        Where one has fewer samples, the first ones are compared.

    Examples
    --------
    >>> old = 1.7e9 + 300 * np.array([[0.1], [-0.4], [1.0]])
    >>> same_answers(old, old * (1 + 1e-15)), same_answers(old, old[::-1])
    (True, False)
    """
    if before.shape[1:] != now.shape[1:]:
        return False
    n = min(len(before), len(now))
    if not n:
        return len(before) == len(now)
    gap, _, limit = changes(before[:n], now[:n])
    return bool((gap <= limit).all())
