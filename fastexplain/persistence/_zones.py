"""Time zones as JSON and back."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from fastexplain._extras import optional_import
from fastexplain.persistence._fields import shown

__all__ = ["decode_zone", "encode_zone"]


def encode_zone(zone: tzinfo | None) -> list[Any] | None:
    """A time zone by its name or its offset; None for none.

    Raises
    ------
    TypeError
        For zones that neither ``zoneinfo`` nor ``pytz`` knows by name.
    """
    if zone is None:
        return None
    if type(zone) is timezone:
        offset = zone.utcoffset(None)
        return ["offset", offset.days, offset.seconds, offset.microseconds]
    if isinstance(zone, ZoneInfo) and zone.key is not None:
        return ["zoneinfo", zone.key]
    name = getattr(zone, "zone", None)
    if type(zone).__module__.partition(".")[0] == "pytz" and isinstance(name, str):
        return ["pytz", name]
    raise TypeError(f"a time zone of type {type(zone).__module__}.{type(zone).__qualname__}")


def decode_zone(content: Any) -> tzinfo | None:
    """The inverse of ``encode_zone``."""
    if content is None:
        return None
    if type(content) is not list or not content:
        raise ValueError(f"{shown(content)} is no time zone")
    kind, *rest = content
    if kind == "offset":
        if any(type(part) is not int for part in rest):
            raise ValueError(f"{shown(content)} is no time zone")
        offset = timedelta(*rest)
        return UTC if not offset else timezone(offset)
    if kind == "zoneinfo" and len(rest) == 1:
        # its names are places in a folder of its own, and checked as such
        return ZoneInfo(rest[0])
    if kind == "pytz" and len(rest) == 1:
        pytz = optional_import("pytz", "pandas", "this explainer was fitted on zones of pytz")
        return pytz.timezone(rest[0])
    raise ValueError(f"{shown(content)} is no time zone")
