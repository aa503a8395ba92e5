"""Checks of a tokenizer that lies in a saved folder, before anything is made of it."""

from __future__ import annotations

import json
from typing import Any

from fastexplain.maskers._tokenizers import _ROLES, _SETTINGS
from fastexplain.persistence import Fields

__all__ = ["checked_tokenizer"]

_SIDES = ("left", "right")
# of tokenizers that know no limit it is about 1e30
_LONGEST = 10**40


def checked_tokenizer(saved: Any) -> dict[str, Any]:
    """What ``save_tokenizer`` has written, its kinds seen to be right.

    Raises
    ------
    ValueError
        For anything else. A tokenizer that pads or cuts by itself is refused, too: masking
        counts on tokens as they are, and a padded length may be any number.
    """
    fields = Fields(saved, "masker.tokenizer")
    description = json.loads(fields.text("json"))
    if type(description) is not dict or description.get("padding") is not None:
        raise ValueError("masker.tokenizer.json pads texts, or is no tokenizer")
    if description.get("truncation") is not None:
        raise ValueError("masker.tokenizer.json cuts texts")
    fields.whole("model_max_length", 1, _LONGEST)
    for name in _SETTINGS:
        if name.endswith("side"):
            fields.text(name, _SIDES)
        else:
            fields.texts(name)
    for role in _ROLES:
        if f"{role}_token" in fields:
            fields.text(f"{role}_token")
    fields.close()
    return saved
