"""Bound methods: what ``model.predict`` or ``model.predict_proba`` belongs to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

__all__ = ["Bound", "bound_to", "owner_of"]


@dataclass(frozen=True, eq=False)
class Bound:
    """A method, the object it is bound to, and how it is called.

    Attributes
    ----------
    owner : object
        What the method belongs to.
    name : str
        The method's name.
    call : callable
        What the user passed: the method itself, or a ``functools.partial`` of it.
    plain : bool
        Whether the method is called without further arguments.
    keywords : dict
        The further arguments that have a name.
    """

    owner: Any
    name: str
    call: Callable[[Any], Any]
    plain: bool
    keywords: dict[str, Any] = field(default_factory=dict)


def bound_to(function: Any) -> Bound | None:
    """Follow a bound method, or a partial of one, to its object; None for other callables.

    Examples
    --------
    >>> bound_to("a text".count).name
    'count'
    >>> bound_to(len) is None
    True
    """
    method, plain = function, True
    keywords: dict[str, Any] = {}
    while isinstance(method, partial):
        # those of the outer partial win
        keywords = {**method.keywords, **keywords}
        plain = plain and not method.args and not method.keywords
        method = method.func
    owner, name = getattr(method, "__self__", None), getattr(method, "__name__", None)
    # functions of modules, such as len, have their module as __self__
    if owner is None or not isinstance(name, str) or isinstance(owner, type):
        return None
    if type(owner).__name__ == "module" or not hasattr(owner, name):
        return None
    return Bound(owner, name, function, plain, keywords)


def owner_of(model: Any) -> Any:
    """The object that a bound method belongs to; any other model itself."""
    bound = bound_to(model)
    return model if bound is None else bound.owner
