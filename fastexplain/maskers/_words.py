"""Where words and sentences begin and end, and which tokens are one player."""

from __future__ import annotations

import re
import unicodedata
import zlib
from bisect import bisect_left, bisect_right

import numpy as np

from fastexplain.maskers._scripts import Segmenter, script_words, segmented, unspaced_run

__all__ = [
    "N_BUCKETS",
    "group_tokens",
    "hash_word",
    "locate_pieces",
    "sentence_spans",
    "word_spans",
]

_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
# marks that also stand inside numbers and names end a sentence only before white space, the
# full-width ones everywhere; closing quotes and brackets still belong to it
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s|$)|[。！？]+|\n")
_PLAIN_WORD, _RUN = re.compile(r"\w+|[^\w\s]"), re.compile(r"\S+")

# what makes characters one, with those before and after; and colours of skin, with those before
_JOINERS = {"\u200c", "\u200d"}
_TIED = _JOINERS | {*map(chr, range(0x1F3FB, 0x1F400)), *map(chr, range(0xE0020, 0xE0080))}
# what makes a sign of what stands before: an emoji or a key
_SIGNS = {"\ufe0e", "\ufe0f", "\u20e3"}
# two of these are one flag
_FLAGS = {*map(chr, range(0x1F1E6, 0x1F200))}

# the last white space of Unicode is the ideographic one, U+3000
_IS_SPACE = np.array([chr(code).isspace() for code in range(0x3002)])

N_BUCKETS = 2**15


def word_spans(text: str, segmenter: Segmenter = None) -> np.ndarray:
    """Characters of the words and of single punctuation marks, int (N, 2).

    A function as the segmenter says itself what all words are; see ``script_words`` for the
    others.

    Examples
    --------
    >>> word_spans("Don't go!").tolist()
    [[0, 5], [6, 8], [8, 9]]
    """
    if callable(segmenter):
        return segmented(text, segmenter)
    spans = [match.span() for match in _WORD.finditer(text)]
    if text.isascii():
        return _as_spans(spans)
    spans = _joined(text, spans)
    if unspaced_run(text):
        spans = _divided(spans, np.unique(script_words(text, segmenter)).tolist())
    return _as_spans(spans)


def _divided(spans: list[tuple[int, int]], edges: list[int]) -> list[tuple[int, int]]:
    """Spans cut at all edges inside them."""
    found = []
    for start, end in spans:
        inside = edges[bisect_right(edges, start) : bisect_left(edges, end)]
        found += [*zip([start, *inside], [*inside, end], strict=True)]
    return found


def _joined(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Words whose marks, joiners and modifiers are theirs, as in decomposed letters and emoji."""
    found: list[tuple[int, int]] = []
    flags = 0
    for start, end in spans:
        near = bool(found) and found[-1][1] == start
        flag = text[start] in _FLAGS
        flags = (flags + 1 if near else 1) if flag else 0
        if near and (flag and flags % 2 == 0 or _belongs(text, found[-1][0], start)):
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _belongs(text: str, first: int, place: int) -> bool:
    """Whether a character goes on with the word from ``first`` right before it."""
    before, here = text[place - 1], text[place]
    if here in _TIED or before in _JOINERS or unicodedata.category(here)[0] == "M":
        return True
    # letters after a letter's mark are the rest of its word
    marked = unicodedata.category(before)[0] == "M" and before not in _SIGNS
    return marked and _is_letter(text[first]) and _is_letter(here)


def _is_letter(character: str) -> bool:
    return character.isalnum() or character == "_"


def sentence_spans(text: str) -> np.ndarray:
    """Characters of the sentences, without white space around them, int (N, 2).

    Examples
    --------
    >>> sentence_spans("It is 3.5 h long. Why?").tolist()
    [[0, 17], [18, 22]]
    """
    spans, start = [], 0
    for end in [*(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]:
        sentence = text[start:end]
        if sentence.strip():
            first = start + len(sentence) - len(sentence.lstrip())
            spans.append((first, start + len(sentence.rstrip())))
        start = end
    return _as_spans(spans)


def _as_spans(spans: list[tuple[int, int]]) -> np.ndarray:
    return np.array(spans, dtype=np.int64).reshape(-1, 2)


def hash_word(word: str) -> int:
    """Id of a word in 2 to 2**15 + 1, the same in every process and for every case."""
    # texts may hold halves of surrogate pairs, which are no UTF-8
    return zlib.crc32(word.lower().encode("utf-8", "surrogatepass")) % N_BUCKETS + 2


def group_tokens(
    text: str,
    offsets: np.ndarray,
    words: np.ndarray | None,
    unit: str,
    segmenter: Segmenter = None,
    breaks: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Put a text's tokens together as players.

    Tokens that share a character, as the bytes of an emoji do, are one player: no text shows
    one without the other. Tokens without characters go with the next one, and so does mere
    white space, unless the players are tokens.

    Parameters
    ----------
    text : str
    offsets : int ndarray of shape (L, 2)
        Characters of each token, special tokens left out.
    words : int ndarray of shape (L,), optional
        The tokenizer's number of the word that each token is a part of. White space ends a
        word whatever the tokenizer says, since some number the whole text as one; for the same
        reason so do scripts without spaces, where the tokenizer never divides them.
    unit : {"token", "word", "sentence"}
    segmenter : None, "budoux" or callable
        What finds words in scripts without spaces, or a function that finds all words; it has
        the last word. A token that is part of two words makes them one player.
    breaks : int ndarray of shape (L,), optional
        Special tokens left out before each token: no player reaches across one.

    Returns
    -------
    player : int ndarray of shape (L,)
        -1 where the text has no players.
    spans : int ndarray of shape (N, 2)
        Characters of each player, without white space around them.
    """
    trimmed, spaces = _trim(text, offsets)
    visible = trimmed[:, 1] > trimmed[:, 0]
    own = offsets[:, 1] > offsets[:, 0] if unit == "token" else visible
    places = np.flatnonzero(own)
    if not len(places):
        return np.full(len(offsets), -1), _as_spans([])
    shown = np.where(visible[:, None], trimmed, offsets)[places]
    start, end = shown.T
    reached = np.maximum.accumulate(offsets[places, 1])
    fresh = np.ones(len(places), dtype=bool)
    if unit == "word":
        fresh[1:] = spaces[start[1:]] > spaces[end[:-1]]
        numbers = None if words is None else words[places]
        if numbers is not None:
            fresh[1:] |= numbers[1:] != numbers[:-1]
        if callable(segmenter) or unspaced_run(text):
            fresh[1:] = _by_segments(text, start, end, numbers, segmenter, fresh[1:])
    elif unit == "sentence":
        sentence = np.searchsorted(sentence_spans(text)[:, 1], start, side="right")
        fresh[1:] = sentence[1:] != sentence[:-1]
    if breaks is not None:
        fresh[1:] |= np.diff(breaks[places]) > 0
    fresh[1:] &= offsets[places, 0][1:] >= reached[:-1]
    group = np.cumsum(fresh) - 1
    first = np.flatnonzero(fresh)
    spans = np.stack([np.minimum.reduceat(start, first), np.maximum.reduceat(end, first)], axis=1)
    following = np.searchsorted(places, np.arange(len(offsets)))
    return group[np.minimum(following, len(places) - 1)], spans


def _by_segments(
    text: str,
    start: np.ndarray,
    end: np.ndarray,
    numbers: np.ndarray | None,
    segmenter: Segmenter,
    fresh: np.ndarray,
) -> np.ndarray:
    """Which tokens but the first begin a word, with scripts without spaces in mind, bool (L - 1,).

    ``fresh`` says so for other scripts.
    """
    spans = segmented(text, segmenter) if callable(segmenter) else script_words(text, segmenter)
    if not len(spans):
        return fresh
    before, here = _word_at(spans, end[:-1] - 1), _word_at(spans, start[1:])
    if segmenter is not None:
        return (before != here) | (fresh & (here < 0))
    touching = (start[1:] == end[:-1]) & (before >= 0) & (here >= 0)
    if numbers is not None and (touching & (numbers[1:] != numbers[:-1])).any():
        return fresh  # the tokenizer knows words of these scripts
    return fresh | (before != here)


def _word_at(spans: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Number of the span that each character lies in, -1 for none."""
    last = np.searchsorted(spans[:, 0], places, side="right") - 1
    return np.where((last >= 0) & (places < spans[last, 1]), last, -1)


def _trim(text: str, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets without white space around them, and the white space before each character."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    space = _IS_SPACE[np.minimum(codes, len(_IS_SPACE) - 1)]
    places, n = np.arange(len(space)), len(space)
    following = np.full(n + 1, n)
    following[:-1] = np.minimum.accumulate(np.where(space, n, places)[::-1])[::-1]
    preceding = np.zeros(n + 1, dtype=np.int64)
    preceding[1:] = np.maximum.accumulate(np.where(space, 0, places + 1))
    start = np.minimum(following[offsets[:, 0]], offsets[:, 1])
    end = np.maximum(preceding[offsets[:, 1]], start)
    return np.stack([start, end], axis=1), np.concatenate([[0], np.cumsum(space)])


def locate_pieces(text: str, pieces: list[str | None]) -> np.ndarray:
    """Find tokens in their text one after the other, for tokenizers that do not say where.

    Case and accents do not count, since tokenizers take them away.

    Parameters
    ----------
    text : str
    pieces : list of L str or None
        What each token reads; None for an unknown one, which is taken for the next word
        without punctuation or, if the others do not fit in then, up to the next white space.

    Returns
    -------
    int ndarray of shape (L, 2)

    Raises
    ------
    ValueError
        If a token is not where the one before it ends, white space aside.

    Examples
    --------
    >>> locate_pieces("Un café!", ["un", "caf", "e", None]).tolist()
    [[0, 2], [3, 6], [6, 7], [7, 8]]
    """
    try:
        return _locate(text, pieces, _PLAIN_WORD)
    except ValueError:
        if None not in pieces:
            raise
        return _locate(text, pieces, _RUN)


def _locate(text: str, pieces: list[str | None], unknown: re.Pattern[str]) -> np.ndarray:
    folded = [_fold(character) for character in text]
    source = [place for place, plain in enumerate(folded) for _ in plain]
    plain_text, position, spans = "".join(folded), 0, []
    for piece in pieces:
        if piece is None:
            match = unknown.search(plain_text, position)
            found, end = match.span() if match else (-1, -1)
        else:
            wanted = _fold(piece.strip())
            found = plain_text.find(wanted, position)
            end = found + len(wanted)
        if found < 0 or not _is_blank(plain_text[position:found]):
            raise ValueError(f"token {piece!r} is not found at character {position}")
        if end > found:
            spans.append((source[found], source[end - 1] + 1))
        else:
            spans.append((source[found - 1] + 1 if found else 0,) * 2)
        position = end
    if not _is_blank(plain_text[position:]):
        raise ValueError(f"no token stands for {plain_text[position:][:20]!r}")
    return _as_spans(spans)


def _fold(text: str) -> str:
    parts = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).lower())
    return "".join(c for c in parts if unicodedata.category(c) != "Mn")


def _is_blank(text: str) -> bool:
    return all(c.isspace() or unicodedata.category(c).startswith("C") for c in text)
