"""The one kind of error that loading raises."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["LoadError", "NoExplainerError"]


class LoadError(OSError, ValueError):
    """A folder that cannot be loaded; the text names the file and says what to do.

    It is an ``OSError`` and a ``ValueError``, so that code which catches either goes on working.

    Parameters
    ----------
    path : path-like
        The file or folder that is wrong.
    why : str
        What is wrong with it.
    cure : str
        What to do.

    Attributes
    ----------
    path : pathlib.Path

    Examples
    --------
    >>> from fastexplain.persistence import LoadError
    >>> error = LoadError("iris/config.json", "is damaged", "Copy the folder anew.")
    >>> isinstance(error, OSError), isinstance(error, ValueError)
    (True, True)
    """

    def __init__(self, path: str | os.PathLike[str], why: str, cure: str) -> None:
        self.path, self.why, self.cure = Path(path), why, cure
        super().__init__(f"{self.path} {why}. {cure}")

    # OSError makes itself of what the class is called with, before __init__
    def __new__(cls, path: str | os.PathLike[str], why: str, cure: str) -> LoadError:
        """Make an error of one text: of several, OSError makes a number and a text."""
        return super().__new__(cls, f"{path} {why}. {cure}")

    def __reduce__(self) -> tuple[type[LoadError], tuple[str, str, str]]:
        return type(self), (str(self.path), self.why, self.cure)


class NoExplainerError(LoadError, FileNotFoundError):
    """A folder that is not there, or that holds no saved explainer."""
