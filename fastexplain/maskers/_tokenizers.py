"""What is asked of a tokenizer: tokens with their places, and a form that JSON holds."""

from __future__ import annotations

import json
import threading
import weakref
from typing import Any, NamedTuple

import numpy as np

from fastexplain._extras import optional_import
from fastexplain.maskers._words import locate_pieces

__all__ = ["longest_input", "restore_tokenizer", "save_tokenizer", "tokenize"]

_CHUNK = 256
# model_max_length is a huge number where a tokenizer knows no limit
_NO_LIMIT, _DEFAULT_LENGTH = 100_000, 512
_ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_SETTINGS = ("padding_side", "truncation_side", "model_input_names")

# Fast tokenizers keep padding and truncation as a state that each call sets, so that two calls
# at a time fail. Locks are kept here, not in the masker, as maskers may share a tokenizer.
_locks: weakref.WeakKeyDictionary[Any, threading.RLock] = weakref.WeakKeyDictionary()
_locks_guard = threading.RLock()


def _lock_of(tokenizer: Any) -> threading.RLock:
    with _locks_guard:
        try:
            return _locks.setdefault(tokenizer, threading.RLock())
        except TypeError:  # neither hashable nor weakly referenced: one lock for all of these
            return _locks_guard


def longest_input(tokenizer: Any, max_length: int | None) -> int:
    """Most tokens of a text, special ones included: the user's word, or the tokenizer's."""
    if max_length is not None:
        return int(max_length)
    known = getattr(tokenizer, "model_max_length", None) or _NO_LIMIT
    return int(known) if known < _NO_LIMIT else _DEFAULT_LENGTH


class Encoded(NamedTuple):
    """Tokens of one text.

    ``ids`` int (L,), ``offsets`` int (L, 2), ``special`` bool (L,), those that stand in the text
    itself included, and ``words`` int (L,), the number of each token's word, or None where the
    tokenizer knows none.
    """

    ids: np.ndarray
    offsets: np.ndarray
    special: np.ndarray
    words: np.ndarray | None


def tokenize(tokenizer: Any, texts: list[str], limit: int) -> tuple[list[Encoded], int]:
    """Tokens of each text, cut to ``limit`` by the tokenizer where they are more.

    Returns
    -------
    encoded : list of n Encoded
    n_cut : int
        Texts that were cut.
    """
    found: list[Encoded] = []
    for start in range(0, len(texts), _CHUNK):
        found += _encode(tokenizer, texts[start : start + _CHUNK])
    long = [i for i, one in enumerate(found) if len(one.ids) > limit]
    for start in range(0, len(long), _CHUNK):
        some = long[start : start + _CHUNK]
        whole = [found[i] for i in some]
        cut = _encode(tokenizer, [texts[i] for i in some], limit, whole)
        for i, one in zip(some, cut, strict=True):
            found[i] = one
    special_ids = _special_ids(tokenizer)
    marked = [
        _with_written(tokenizer, own, text, special_ids)
        for own, text in zip(found, texts, strict=True)
    ]
    return marked, len(long)


def _special_ids(tokenizer: Any) -> np.ndarray:
    """Ids of all tokens that stand for no text; the unknown token stands for words."""
    ids = set(getattr(tokenizer, "all_special_ids", ()))
    added = getattr(tokenizer, "added_tokens_decoder", {})
    ids |= {number for number, token in added.items() if getattr(token, "special", False)}
    ids.discard(getattr(tokenizer, "unk_token_id", None))
    return np.array(sorted(ids), dtype=np.int64)


def _with_written(tokenizer: Any, own: Encoded, text: str, special_ids: np.ndarray) -> Encoded:
    """The same tokens, where special tokens that are written in the text are special, too."""
    written = np.isin(own.ids, special_ids)
    unknown = getattr(tokenizer, "unk_token_id", None)
    others = {getattr(tokenizer, f"{role}_token_id", None) for role in _ROLES if role != "unk"}
    if unknown is not None and unknown in others:
        # one id stands for unknown words and, as written, for what separates texts
        name = str(tokenizer.unk_token)
        for i in np.flatnonzero((own.ids == unknown) & ~own.special):
            start, end = own.offsets[i].tolist()
            written[i] = text[start:end].strip() == name
    return own._replace(special=own.special | written)


def _encode(
    tokenizer: Any,
    texts: list[str],
    limit: int | None = None,
    whole: list[Encoded] | None = None,
) -> list[Encoded]:
    """Tokens of a few texts; ``whole`` are those of the same texts before they were cut."""
    fast = bool(getattr(tokenizer, "is_fast", False))
    options: dict[str, Any] = {"truncation": False}
    if limit is not None:
        options = {"truncation": True, "max_length": limit}
    if fast:
        options["return_offsets_mapping"] = True
    with _lock_of(tokenizer):
        encoded = tokenizer(
            texts, padding=False, return_special_tokens_mask=True, verbose=False, **options
        )
    result = []
    for i, text in enumerate(texts):
        ids = np.asarray(encoded["input_ids"][i], dtype=np.int64)
        special = np.asarray(encoded["special_tokens_mask"][i], dtype=bool)
        words = None
        if fast:
            offsets = np.asarray(encoded["offset_mapping"][i], dtype=np.int64).reshape(-1, 2)
            numbers = encoded.word_ids(i)
            words = np.array([-1 if word is None else word for word in numbers], dtype=np.int64)
        else:
            offsets = np.zeros((len(ids), 2), dtype=np.int64)
            offsets[~special] = (
                _search(tokenizer, text, ids[~special])
                if whole is None
                else _remaining(tokenizer, whole[i], int((~special).sum()))
            )
        result.append(Encoded(ids, offsets, special, words))
    return result


def _remaining(tokenizer: Any, whole: Encoded, n_left: int) -> np.ndarray:
    """Offsets of the tokens that a cut has left."""
    offsets = whole.offsets[~whole.special]
    if getattr(tokenizer, "truncation_side", "right") == "left":
        return offsets[len(offsets) - n_left :]
    return offsets[:n_left]


def _search(tokenizer: Any, text: str, ids: np.ndarray) -> np.ndarray:
    """Offsets of a tokenizer that does not give them, by a search in the text."""
    unknown = getattr(tokenizer, "unk_token", None)
    pieces: list[str | None] = []
    for token in tokenizer.convert_ids_to_tokens(ids.tolist()):
        if token == unknown:
            pieces.append(None)
        else:
            # the mark of WordPiece stays where a token is converted alone
            piece = tokenizer.convert_tokens_to_string([token])
            pieces.append(piece.removeprefix("##") if token.startswith("##") else piece)
    try:
        return locate_pieces(text, pieces)
    except ValueError as error:
        in_bytes = _search_bytes(tokenizer, text, ids)
        if in_bytes is not None:
            return in_bytes
        raise ValueError(
            "The tokenizer does not say which characters its tokens stand for, and they could "
            f"not be found in {text[:60]!r}: {error}. Use a fast tokenizer "
            "(AutoTokenizer.from_pretrained(..., use_fast=True))."
        ) from error


def _search_bytes(tokenizer: Any, text: str, ids: np.ndarray) -> np.ndarray | None:
    """The same where a character's bytes are tokens of their own, which read as nothing alone."""
    groups: list[list[str]] = []
    pieces: list[str | None] = []
    group: list[str] = []
    for token in tokenizer.convert_ids_to_tokens(ids.tolist()):
        group.append(token)
        piece = tokenizer.convert_tokens_to_string(group)
        if piece and "\ufffd" not in piece:
            groups.append(group)
            pieces.append(piece)
            group = []
    if group:
        return None
    try:
        spans = locate_pieces(text, pieces)
    except ValueError:
        return None
    return spans.repeat([len(own) for own in groups], axis=0)


def save_tokenizer(tokenizer: Any) -> dict[str, Any]:
    """A fast tokenizer as JSON values.

    Raises
    ------
    TypeError
        For tokenizers written in Python, which have no such form.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not hasattr(backend, "to_str"):
        raise TypeError(
            f"A {type(tokenizer).__name__} cannot be saved as JSON, as only fast tokenizers can. "
            "Use a fast tokenizer, or pickle the explainer instead."
        )
    with _lock_of(tokenizer):
        description = json.loads(backend.to_str())
    # left over from the last call
    description["truncation"] = description["padding"] = None
    saved: dict[str, Any] = {"json": json.dumps(description, ensure_ascii=False)}
    for role in _ROLES:
        token = getattr(tokenizer, f"{role}_token", None)
        if token is not None:
            saved[f"{role}_token"] = str(token)
    saved["model_max_length"] = int(tokenizer.model_max_length)
    for name in _SETTINGS:
        value = getattr(tokenizer, name)
        saved[name] = value if isinstance(value, str) else [str(item) for item in value]
    return saved


def restore_tokenizer(saved: dict[str, Any]) -> Any:
    """The inverse of ``save_tokenizer``."""
    transformers = optional_import("transformers", "text", "Loading a tokenizer")
    tokenizers = optional_import("tokenizers", "text", "Loading a tokenizer")
    known = {"model_max_length", *_SETTINGS, *(f"{role}_token" for role in _ROLES)}
    try:
        backend = tokenizers.Tokenizer.from_str(saved["json"])
    except Exception as error:  # the library raises nothing more particular
        raise ValueError(
            f"This version of tokenizers cannot read the saved tokenizer: {error}. Install the "
            "version that it was saved with, or a later one."
        ) from error
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **{name: value for name, value in saved.items() if name in known},
    )
