"""Words of texts in which one letter or one sign is several characters."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastexplain import TextMasker
from fastexplain.maskers._words import word_spans


def words(text: str) -> list[str]:
    return [text[start:end] for start, end in word_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cafe\u0301s great", ["cafe\u0301s", "great"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("สวัสดี!", ["สวัสดี", "!"]),
        ("👨‍👩‍👧 👍🏽!", ["👨‍👩‍👧", "👍🏽", "!"]),
        ("🇩🇪🇫🇷 ok", ["🇩🇪", "🇫🇷", "ok"]),
        ("❤️.", ["❤️", "."]),
        ("مُحَمَّد قال", ["مُحَمَّد", "قال"]),
        ("so... good", ["so", ".", ".", ".", "good"]),
        ("I ❤️NY ⚠️Warning", ["I", "❤️", "NY", "⚠️", "Warning"]),
        ("1️⃣First", ["1️⃣", "First"]),
        ("🇩 🇪🇫 x", ["🇩", "🇪🇫", "x"]),
        (
            "\U0001f3f4\U000e0067\U000e0062\U000e007f!",
            ["\U0001f3f4\U000e0067\U000e0062\U000e007f", "!"],
        ),
        ("cafe\u0301_au x", ["cafe\u0301_au", "x"]),
        ("_e\u0301tat", ["_e\u0301tat"]),
        ("it's fine", ["it's", "fine"]),
    ],
)
def test_marks_and_joiners_stay_with_what_they_mark(text: str, expected: list[str]) -> None:
    assert words(text) == expected
    assert TextMasker().fit([text]).wrap([text]).tokens(0) == expected


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_spans_lie_in_order_and_leave_white_space_alone(text: str) -> None:
    spans = word_spans(text).tolist()
    position = 0
    for start, end in spans:
        assert position <= start < end
        assert text[position:start].strip() == ""
        position = end
    assert text[position:].strip() == ""
    marks = [i for i, c in enumerate(text) if unicodedata.category(c)[0] == "M"]
    alone = {start for start, _ in spans}
    # a mark begins a word only where nothing stands right before it
    assert all(i == 0 or text[i - 1].isspace() for i in marks if i in alone)
