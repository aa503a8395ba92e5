"""Checks of what a text masker is given."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from fastexplain.maskers._scripts import check_segmenter, uncut_run
from fastexplain.maskers._tokenizers import longest_input
from fastexplain.texts import Texts

__all__ = [
    "check_options",
    "check_players",
    "check_tokenizer",
    "coarse_players",
    "is_utf8",
    "no_mask",
    "no_pad",
]

_UNITS = ("token", "word", "sentence")
_FILLS = ("mask", "pad", "delete")
# characters of a text of which one or two players say little
_LONG_TEXT = {"token": 30, "word": 30, "sentence": 200}

_NO_PAD = (
    "set a pad token that the model knows, as in tokenizer.pad_token = tokenizer.eos_token, and "
    "tell the model, model.config.pad_token_id = tokenizer.pad_token_id"
)


def no_mask(tokenizer: Any) -> str:
    """What to do with a tokenizer without a mask token, and perhaps without a pad token."""
    strings = "For a model that takes strings, mask_string= alone says what stands for a player."
    choice = "choose fill='pad' or fill='delete', as in TextMasker(tokenizer, fill='pad')"
    if getattr(tokenizer, "pad_token_id", None) is not None:
        return f"The tokenizer has no mask token: {choice}. {strings}"
    return f"The tokenizer has no mask token and no pad token: {choice}, and {_NO_PAD}. {strings}"


def no_pad(fill: str) -> str:
    """What to do with a tokenizer without a pad token."""
    return (
        f"The tokenizer has no pad token, which batches of texts need, with fill={fill!r} as with "
        f"any other: {_NO_PAD}."
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
    check_segmenter(masker.segmenter)
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
        raise ValueError(no_mask(tokenizer))
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


def check_players(texts: Texts) -> None:
    """Raise if no text has a player."""
    if not texts.sizes.any():
        raise ValueError(
            "None of the texts has a player: they are empty, or the tokenizer drops all their "
            "characters, or knows them for special tokens. There is nothing to explain; give "
            "texts of words."
        )


def coarse_players(texts: Texts, masker: Any) -> list[str]:
    """What to tell of players that are as coarse as a clause."""
    words = masker.unit == "word" or (masker.unit == "token" and masker.tokenizer is None)
    if words:
        both = zip(texts.native, texts.spans, strict=True)
        runs = [run for text, spans in both if (run := uncut_run(text, spans, masker.segmenter))]
        if runs:
            return [
                f"{len(runs)} of {len(texts)} texts are of a script that puts no spaces between "
                f"words and needs a dictionary to find them: all of {runs[0][:40]!r} is one "
                "player. Pass TextMasker(segmenter='budoux') for Thai (pip install "
                "fastexplain[segment]), or a function of a text that answers its words, "
                "segmenter=function."
            ]
    limit = _LONG_TEXT[masker.unit]
    long = np.array([len(text.strip()) >= limit for text in texts.native])
    few = long & (texts.sizes <= 2)
    if 2 * few.sum() <= long.sum() or 10 * few.sum() < len(texts):
        return []
    example = texts.native[int(np.argmax(few))].strip()
    return [
        f"{few.sum()} of {long.sum()} texts of {limit} characters or more have one or two players "
        f"({masker.unit}s), such as {example[:40]!r}: their explanations say little. Choose a "
        "smaller unit= of TextMasker, or say where words end by segmenter=, a function of a text "
        "that answers its words."
    ]


def is_utf8(text: str) -> bool:
    """Whether a string can be encoded; halves of surrogate pairs cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
