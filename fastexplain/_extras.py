"""Imports of packages that only some features need."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["optional_import"]


def optional_import(module: str, extra: str, purpose: str) -> ModuleType:
    """Import ``module``, or say which extra of this package brings it.

    Parameters
    ----------
    module : str
        Dotted name of the module.
    extra : str
        Name of the extra that installs it.
    purpose : str
        What it is needed for; the subject of the error's sentence.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        When the package is not installed.

    Examples
    --------
    >>> optional_import("json", "plots", "a plot").__name__
    'json'
    >>> optional_import("no_such_module", "plots", "Explanation.plot")
    Traceback (most recent call last):
    ImportError: Explanation.plot needs no_such_module: pip install fastexplain[plots]
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        # a missing dependency of an installed package is that package's own message to give
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise ImportError(
            f"{purpose} needs {package}: pip install fastexplain[{extra}]", name=package
        ) from error
