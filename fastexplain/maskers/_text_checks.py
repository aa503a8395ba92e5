"""Checks of what a text masker is given."""

from __future__ import annotations

import numbers
from typing import Any

from fastexplain.maskers._tokenizers import longest_input

__all__ = ["NO_MASK", "check_options", "check_tokenizer", "is_utf8"]

_UNITS = ("token", "word", "sentence")
_FILLS = ("mask", "pad", "delete")

NO_MASK = (
    "The tokenizer has no mask token. Choose fill='pad' or fill='delete', or, for a model that "
    "takes strings, say with mask_string= what stands for a removed player."
)


def check_options(masker: Any) -> None:
    """Raise if a text masker was made of what does not go together, naming the cure."""
    if masker.unit not in _UNITS:
        raise ValueError(f"unit must be one of {', '.join(_UNITS)}; got {masker.unit!r}.")
    if masker.fill not in _FILLS:
        raise ValueError(
            f"fill must be one of {', '.join(_FILLS)}; got {masker.fill!r}. A string of your "
            "own goes to mask_string=."
        )
    if masker.mask_string is not None and not isinstance(masker.mask_string, str):
        raise TypeError(f"mask_string must be a str, got {type(masker.mask_string).__name__}.")
    length = masker.max_length
    if length is not None and (
        isinstance(length, bool) or not isinstance(length, numbers.Integral) or length < 1
    ):
        raise ValueError(f"max_length must be a whole number of at least 1, got {length!r}.")
    if masker.tokenizer is not None:
        _check_with_tokenizer(masker)
    elif masker.fill == "pad":
        raise ValueError("fill='pad' needs a tokenizer; strings have fill='delete'.")
    elif length is not None:
        raise ValueError("max_length counts tokens: it needs a tokenizer.")


def _check_with_tokenizer(masker: Any) -> None:
    tokenizer = masker.tokenizer
    check_tokenizer(tokenizer)
    mask_token = getattr(tokenizer, "mask_token", None)
    if masker.fill == "mask" and mask_token is None and masker.mask_string is None:
        raise ValueError(NO_MASK)
    count = getattr(tokenizer, "num_special_tokens_to_add", None)
    n_special = count() if count is not None else 0
    if longest_input(tokenizer, masker.max_length) <= n_special:
        raise ValueError(
            f"max_length must be more than the {n_special} special tokens of each text."
        )


def check_tokenizer(tokenizer: Any) -> None:
    """Raise a TypeError for what is no tokenizer of transformers, naming the cure."""
    if isinstance(tokenizer, str):
        raise TypeError(
            f"tokenizer must be a tokenizer, not its name: pass "
            f"transformers.AutoTokenizer.from_pretrained({tokenizer!r})."
        )
    if isinstance(tokenizer, type):
        raise TypeError(f"tokenizer is the class {tokenizer.__name__}; pass an instance of it.")
    if callable(tokenizer) and hasattr(tokenizer, "convert_ids_to_tokens"):
        return
    cure = ""
    if hasattr(tokenizer, "encode_batch"):
        cure = " Wrap it: transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer)."
    raise TypeError(
        "tokenizer must be a tokenizer of transformers, or None for models that take strings; "
        f"got {type(tokenizer).__name__}.{cure}"
    )


def is_utf8(text: str) -> bool:
    """Whether a string can be encoded; halves of surrogate pairs cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
