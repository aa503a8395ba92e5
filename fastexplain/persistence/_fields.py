"""JSON objects of a saved folder, read key by key: each of a kind and within bounds."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Collection
from typing import Any

__all__ = ["Fields", "shown"]


class Fields:
    """An object of ``config.json`` whose every key is asked for by its kind and bounds.

    What is not as asked for raises ValueError with its place in the file. `close` refuses keys
    that nobody asked for.

    Parameters
    ----------
    value : object
        As JSON has it.
    where : str
        Its place in the file, for messages.
    """

    def __init__(self, value: Any, where: str) -> None:
        if type(value) is not dict:
            raise ValueError(f"{where} must be an object, got {shown(value)}")
        self._value, self.where = value, where
        self._left = set(value)

    def __contains__(self, key: str) -> bool:
        return key in self._value

    def keys(self) -> list[str]:
        """All keys, in the order of the file."""
        return list(self._value)

    def value(self, key: str) -> Any:
        """What stands at ``key``, whatever it is."""
        if key not in self._value:
            raise ValueError(f"{self.where} lacks {key!r}")
        self._left.discard(key)
        return self._value[key]

    def close(self) -> None:
        """Raise if the object has keys that were not asked for."""
        if self._left:
            raise ValueError(f"{self.where} has {sorted(self._left)[0]!r}, which is not known here")

    def section(self, key: str) -> Fields:
        """An object of its own."""
        return Fields(self.value(key), f"{self.where}.{key}")

    def flag(self, key: str) -> bool:
        """True or False."""
        value = self.value(key)
        return value if type(value) is bool else self._refuse(key, "true or false", value)

    def text(self, key: str, among: Collection[str] | None = None) -> str:
        """A string, one of ``among`` where that is given."""
        value = self.value(key)
        if type(value) is not str:
            self._refuse(key, "text", value)
        if among is not None and value not in among:
            self._refuse(key, f"one of {', '.join(sorted(among))}", value)
        return value

    def whole(self, key: str, least: int, most: int) -> int:
        """A whole number from ``least`` to ``most``."""
        return self._whole(key, self.value(key), least, most)

    def number(self, key: str, least: float = -math.inf, most: float = math.inf) -> float:
        """A finite number from ``least`` to ``most``."""
        return self._number(key, self.value(key), least, most)

    def items(self, key: str, length: int | None = None) -> list[Any]:
        """A list, of so many items where that is given."""
        value = self.value(key)
        if type(value) is not list:
            self._refuse(key, "a list", value)
        if length is not None and len(value) != length:
            raise ValueError(f"{self.where}.{key} has {len(value)} items, wanted are {length}")
        return value

    def texts(self, key: str, length: int | None = None) -> list[str]:
        """A list of strings."""
        found = self.items(key, length)
        for item in found:
            if type(item) is not str:
                self._refuse(key, "a list of texts", item)
        return list(found)

    def flags(self, key: str, length: int | None = None) -> list[bool]:
        """A list of True and False."""
        found = self.items(key, length)
        for item in found:
            if type(item) is not bool:
                self._refuse(key, "a list of true and false", item)
        return list(found)

    def wholes(self, key: str, least: int, most: int, length: int | None = None) -> list[int]:
        """A list of whole numbers from ``least`` to ``most``."""
        return [self._whole(key, item, least, most) for item in self.items(key, length)]

    def numbers(
        self,
        key: str,
        least: float = -math.inf,
        most: float = math.inf,
        length: int | None = None,
    ) -> list[float]:
        """A list of finite numbers from ``least`` to ``most``."""
        return [self._number(key, item, least, most) for item in self.items(key, length)]

    def missing(self, key: str) -> bool:
        """Whether there is nothing, null, at ``key``."""
        return self.value(key) is None

    def _whole(self, key: str, value: Any, least: int, most: int) -> int:
        if type(value) is not int or not least <= value <= most:
            self._refuse(key, f"a whole number from {least} to {most}", value)
        return value

    def _number(self, key: str, value: Any, least: float, most: float) -> float:
        if type(value) not in (int, float) or not least <= value <= most:
            self._refuse(key, f"a number from {least} to {most}", value)
        try:
            found = float(value)
        except OverflowError:
            found = math.inf
        return found if math.isfinite(found) else self._refuse(key, "a finite number", value)

    def _refuse(self, key: str, wanted: str, value: Any) -> Any:
        raise ValueError(f"{self.where}.{key} must be {wanted}, got {shown(value)}")


def shown(value: Any) -> str:
    """A value in few words, however long or deep it is."""
    return reprlib.repr(value)
