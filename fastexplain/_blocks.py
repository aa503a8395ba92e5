"""Some rows at a time, so that what is made of them takes bounded memory."""

from __future__ import annotations

__all__ = ["row_blocks"]

#: numbers that are held at once, of eight bytes each: 32 MB
MOST_NUMBERS = 2**22


def row_blocks(n_rows: int, numbers: int, most: int | None = None) -> list[slice]:
    """Consecutive rows that hold ``most`` numbers together, or one row each.

    Parameters
    ----------
    n_rows : int
    numbers : int
        Of one row.
    most : int, default=2**22

    Returns
    -------
    list of slice

    Examples
    --------
    >>> row_blocks(5, 10, 20)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    step = max(1, (MOST_NUMBERS if most is None else most) // max(numbers, 1))
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]
