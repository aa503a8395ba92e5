"""Warnings at the user's own line of code."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

__all__ = ["warn_user"]

# code between the user and the place that warns: this package, and what may call it for the user
_BETWEEN = ("sklearn", "joblib", "torch", "lightning_fabric")
_OWN = str(Path(__file__).parent)


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the nearest line that belongs neither to this package nor to a library it uses.

    Parameters
    ----------
    message : str
        What the user reads.
    category : type of Warning, default=UserWarning

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_user("look here")
    >>> str(caught[0].message)
    'look here'
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _is_between(frame.f_code.co_filename, frame.f_globals):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _is_between(filename: str, names: dict[str, object]) -> bool:
    """Whether a frame is of this package, or of a library that calls it."""
    if filename.startswith(_OWN):
        return True
    module = str(names.get("__name__", "")).partition(".")[0]
    return module in _BETWEEN or filename.startswith("<frozen")
