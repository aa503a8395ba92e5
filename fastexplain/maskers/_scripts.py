"""Words of scripts that put no spaces between them, such as Han, Kana and Thai."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from fastexplain._extras import optional_import

__all__ = [
    "Segmenter",
    "check_segmenter",
    "script_words",
    "segmented",
    "uncut_run",
    "unspaced_run",
]

Segmenter = Literal["budoux"] | Callable[[str], Iterable[str]] | None

_HAN = "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_HAN += "\U00020000-\U0003ffff"
_HIRAGANA = "\u3041-\u3096\u309d-\u309f\U0001b001-\U0001b11f\U0001b150-\U0001b152"
_KATAKANA = "\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f\U0001b164-\U0001b167"
_THAI = "\u0e01-\u0e2e\u0e30-\u0e3a\u0e40-\u0e4e"
# Lao, Burmese, Khmer, Tai, Balinese, Javanese: no rule of Unicode divides their words
_OTHERS = (
    "\u0e80-\u0edf\u1000-\u109f\u1780-\u17d3\u17d7\u17dc-\u17df\u1950-\u19df\u1a20-\u1aaf"
    "\u1b00-\u1b4f\ua980-\ua9c0\ua9e0-\ua9fe\uaa60-\uaadf"
)
_MARKS = "\u3099-\u309c\ufe00-\ufe02\U000e0100-\U000e01ef"  # voicing, variants of characters

_RUN = re.compile(f"[{_HAN}{_HIRAGANA}{_KATAKANA}{_THAI}{_OTHERS}{_MARKS}]+")
_SPACE = re.compile(r"\s*")
_KANA = re.compile(f"[{_HIRAGANA}{_KATAKANA}]")
_SCRIPTS = [re.compile(f"[{script}]") for script in (_HAN, _HIRAGANA, _KATAKANA)]
_IN_THAI = re.compile(f"[{_THAI}]+")
# a prolonged sound belongs to the sign before it, whatever its script
_PROLONGED = {"\u30fc", "\uff70"}
# such a run is more than a word, most likely
_LONG = 7
_UNCUT = {
    None: re.compile(f"[{_THAI}{_OTHERS}]{{{_LONG},}}"),
    "budoux": re.compile(f"[{_OTHERS}]{{{_LONG},}}"),
}


def check_segmenter(segmenter: Any) -> None:
    """Raise for what finds no words; a library that is not installed is named."""
    if segmenter is None or callable(segmenter):
        return
    if segmenter != "budoux":
        raise ValueError(
            "segmenter must be None, 'budoux' or a function of a text that answers its words, got "
            f"{segmenter!r}."
        )
    optional_import("budoux", "segment", "segmenter='budoux'")


def unspaced_run(text: str) -> bool:
    """Whether a text holds anything in a script without spaces."""
    return not text.isascii() and _RUN.search(text) is not None


def script_words(text: str, segmenter: Segmenter) -> np.ndarray:
    """Characters of the words inside runs of scripts without spaces, int (N, 2).

    By Unicode's default rules for words, a Han character and a sign of Hiragana are words of
    their own, and Katakana is a word as long as it goes on. What no rule divides, such as Thai,
    is left out, as is what the segmenter has no model of.
    """
    if text.isascii():
        return np.zeros((0, 2), dtype=np.int64)
    spans: list[tuple[int, int]] = []
    parser = _parser_of(text) if segmenter == "budoux" else None
    for match in _RUN.finditer(text):
        start, end = match.span()
        for a, b, is_thai in _parts(text, start, end):
            if parser is not None and (is_thai or _script(text[a]) >= 0):
                spans += _parsed(text, a, b, _parser("thai") if is_thai else parser)
            elif not is_thai:
                spans += _by_default(text, a, b)
    return np.array(spans, dtype=np.int64).reshape(-1, 2)


def _parts(text: str, start: int, end: int) -> list[tuple[int, int, bool]]:
    """A run divided into stretches of Thai and of all else."""
    parts = []
    for match in _IN_THAI.finditer(text, start, end):
        parts += [(start, match.start(), False), (*match.span(), True)]
        start = match.end()
    return [part for part in [*parts, (start, end, False)] if part[0] < part[1]]


def _parsed(text: str, start: int, end: int, parser: Any) -> list[tuple[int, int]]:
    """Words of a run as a model divides it, but never before a mark."""
    edges = [start]
    for word in parser.parse(text[start:end])[:-1]:
        edges.append(edges[-1] + len(word))
    edges = [a for a in edges if a == start or unicodedata.category(text[a])[0] != "M"]
    return [*zip(edges, [*edges[1:], end], strict=True)]


def _script(character: str) -> int:
    """0 for Han, 1 for Hiragana, 2 for Katakana, -1 for others."""
    return next((i for i, script in enumerate(_SCRIPTS) if script.match(character)), -1)


def _by_default(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Words of a run by Unicode's rules; of scripts that these do not divide, none."""
    spans: list[tuple[int, int]] = []
    before = -1
    for place in range(start, end):
        here = text[place]
        script = _script(here)
        near = bool(spans) and spans[-1][1] == place
        marks = unicodedata.category(here)[0] == "M" or here in _PROLONGED or here in "゛゜"
        if near and (marks or script == before == 2):
            spans[-1] = (spans[-1][0], place + 1)
        elif script >= 0:
            spans.append((place, place + 1))
        before = before if marks else script
    return spans


def _parser_of(text: str) -> Any:
    """The model of a text's language: Kana tells Japanese, and its characters which Chinese."""
    if _KANA.search(text):
        return _parser("japanese")
    missing = {charset: 0 for charset in ("gb2312", "big5")}
    for character in set(text):
        if _script(character) == 0:
            for charset in missing:
                missing[charset] += not _encodes(character, charset)
    simplified = missing["gb2312"] <= missing["big5"]
    return _parser("simplified_chinese" if simplified else "traditional_chinese")


def _encodes(character: str, charset: str) -> bool:
    try:
        character.encode(charset)
    except UnicodeEncodeError:
        return False
    return True


@lru_cache
def _parser(language: str) -> Any:
    budoux = optional_import("budoux", "segment", "segmenter='budoux'")
    return getattr(budoux, f"load_default_{language}_parser")()


def segmented(text: str, function: Callable[[str], Iterable[str]]) -> np.ndarray:
    """Characters of the words that a user's function finds in a text, int (N, 2).

    Raises
    ------
    TypeError
        If it answers no words.
    ValueError
        If its words, white space aside, do not make up the text.
    """
    answer = function(text)
    words = None if isinstance(answer, str) or not isinstance(answer, Iterable) else list(answer)
    if words is None or not all(isinstance(word, str) for word in words):
        raise TypeError(
            f"segmenter must answer a list of words, each a str; for {text[:40]!r} it answered "
            f"{str(answer)[:60]!r} of type {type(answer).__name__}."
        )
    spans: list[tuple[int, int]] = []
    position = _after_space(text, 0)
    for word in words:
        bare = word.strip()
        if not text.startswith(bare, position):
            raise ValueError(
                f"segmenter answered the word {word!r} for {text[:40]!r}, where "
                f"{text[position : position + 20]!r} comes next: its words must make up the text, "
                "white space aside."
            )
        if bare:
            spans.append((position, position + len(bare)))
            position = _after_space(text, position + len(bare))
    if position < len(text):
        raise ValueError(
            f"segmenter answered no word for {text[position : position + 20]!r} of {text[:40]!r}: "
            "its words must make up the text, white space aside."
        )
    return np.array(spans, dtype=np.int64).reshape(-1, 2)


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return position if match is None else match.end()


def uncut_run(text: str, spans: np.ndarray, segmenter: Segmenter) -> str | None:
    """A run of words that nothing divides and that is inside one player; None if there is none."""
    if text.isascii() or callable(segmenter):
        return None
    for match in _UNCUT[segmenter].finditer(text):
        player = int(np.searchsorted(spans[:, 0], match.start(), side="right")) - 1
        if player >= 0 and spans[player, 1] >= match.end():
            return match.group()
    return None
